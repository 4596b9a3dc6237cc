// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import "github.com/jiocloud/upgrade-controller/controllers/core/pass"

// From returns a simulation that starts with an assessed plan: its effective plan, its fallback, its orders and its fleet. The
// options say the rest.
func From(a *pass.Assessment, o Options) *Simulation {
	o.Plan, o.Fallback, o.Control, o.Snapshot, o.Layout = a.Plan, a.Fallback, a.Orders(), &a.Keys, a.Layout
	return New(o)
}
