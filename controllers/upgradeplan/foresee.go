// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Why answers why hosts are where they are, by the decision on what was observed.
func (o *Observation) Why() rollout.Why { return rollout.NewWhy(o.input()) }

// Simulate is a simulation that begins with what was observed: the plan that is carried out, where it may go back to, its
// orders, and the fleet. All else is as the options say.
func (o *Observation) Simulate(with simulate.Options) *simulate.Simulation {
	raw := o.Raw
	with.Plan, with.Fallback, with.Control, with.Snapshot, with.Layout = o.compiled, o.fallback, o.orders(), &raw, o.Layout
	return simulate.New(with)
}

// Watched are the bells of all that the observation depends on.
func (o *Observation) Watched() []store.Watch {
	bells := watched(o)
	if o.Stored != nil {
		k := keys.Plan(o.Stored.Name)
		bells = append(bells, store.WatchKeys(k.Spec()), store.WatchKeys(k.Control()))
	}
	return bells
}
