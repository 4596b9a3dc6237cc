// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Present is the decision with every host where it is now: those that the next pass would release still wait for it.
// Observe's decision itself is what shall be.
func (o *Observation) Present() rollout.Decision {
	d := o.Decision
	if d.Starts() == 0 {
		return d
	}
	d.Verdicts = slices.Clone(d.Verdicts)
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Reason == v1alpha1.ReasonStarting {
			v.Base, v.State, v.Enable = rollout.Pending, rollout.Pending, false
			v.InFlight = o.Fleet.Hosts[i].Started != nil
			v.Message = "by the next pass: " + v.Message
		}
	}
	return d
}

// Flights are the hosts in flight before the next pass releases anybody, in natural order.
func (o *Observation) Flights() []rollout.Flight { return rollout.Flights(o.input()) }
