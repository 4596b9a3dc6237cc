// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"slices"
	"sync"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/maintenance"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Assessment is a snapshot and what follows from it. It must not be changed. Several goroutines may use it.
type Assessment struct {
	Snapshot
	Fleet fleet.Fleet
	// Decision is the state that the pass aims at. See Present for the state before the pass.
	Decision rollout.Decision

	changes func() diff.Changes
	why     func() rollout.Why
}

// Assess decides what follows from a snapshot.
func Assess(s Snapshot) *Assessment { return AssessWith(new(keys.Decoder), s) }

// AssessWith is Assess with a decoder that consecutive snapshots of a plan share.
func AssessWith(d *keys.Decoder, s Snapshot) *Assessment {
	a := &Assessment{Snapshot: s}
	a.Fleet = d.Decode(s.Keys, s.Layout, keys.Options{Now: s.Now, RolePattern: s.Plan.RolePattern()})
	a.Fleet.Index = max(a.Fleet.Index, s.Own.Ledger.ModifyIndex)
	a.Decision = rollout.Compute(a.input())
	// Both cost as much as the decision, and most readers need neither.
	a.changes = sync.OnceValue(a.computeChanges)
	a.why = sync.OnceValue(func() rollout.Why { return rollout.NewWhy(a.input()) })
	return a
}

// input returns what the decision depends on.
func (a *Assessment) input() rollout.Input {
	in := rollout.Input{Plan: a.Plan, Control: a.Orders(), Fleet: &a.Fleet, Conflict: a.Conflict, WentBack: a.WentBack,
		Watermarks: a.Watermarks, ControlIndex: a.Own.Control.ModifyIndex, Now: a.Now}
	if a.Fallback != nil {
		in.Fallback = &rollout.Fallback{Revision: a.Fallback.Generation, Version: a.Fallback.Spec.Version}
	}
	return in
}

// Changes returns the keys that the decision changes.
func (a *Assessment) Changes() diff.Changes { return a.changes() }

func (a *Assessment) computeChanges() diff.Changes {
	if a.Decision.ReadOnly {
		return diff.Changes{}
	}
	return a.Layout.Changes(keys.Actual(a.Keys, a.Layout), a.Decision.Desired(a.input()))
}

// Why answers why hosts are in their states.
func (a *Assessment) Why() rollout.Why { return a.why() }

// Windows returns the maintenance windows of the effective plan.
func (a *Assessment) Windows() maintenance.Windows { return a.Plan.Windows() }

// PinMessage says which revision is carried out in place of the spec, and who ordered that. Empty means none.
func (a *Assessment) PinMessage() string {
	return rollout.PinMessage(a.Orders().Pin, a.Decision.Version)
}

// Flights returns the hosts that are in flight before the pass grants anything, in natural order.
func (a *Assessment) Flights() []rollout.Flight { return rollout.Flights(a.input()) }

// Present returns the decision with every host in its present state: hosts that the pass would grant still wait for it.
func (a *Assessment) Present() rollout.Decision {
	d := a.Decision
	if d.Starts() == 0 {
		return d
	}
	d.Verdicts = slices.Clone(d.Verdicts)
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Reason == v1alpha1.ReasonStarting {
			v.Base, v.State, v.Enable = rollout.Pending, rollout.Pending, false
			v.InFlight = a.Fleet.Hosts[i].Started != nil
			v.Message = "by the next pass: " + v.Message
		}
	}
	return d
}
