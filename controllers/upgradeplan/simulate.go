// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

// Simulate returns a simulation that starts with an assessed plan: its effective plan, its fallback, its orders and its fleet.
// The options say the rest.
func Simulate(a *pass.Assessment, o simulate.Options) *simulate.Simulation {
	o.Plan, o.Fallback, o.Control, o.Snapshot, o.Layout = a.Plan, a.Fallback, a.Orders(), &a.Keys, a.Layout
	return simulate.New(o)
}
