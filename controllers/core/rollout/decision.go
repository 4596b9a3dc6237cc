// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollout decides: from a plan and what was seen of a fleet, which hosts may change their version now, and why
// each other host may not. It is total and deterministic; odd observations become verdicts, not errors.
package rollout

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Input is all that a decision depends on.
type Input struct {
	// Plan is the effective plan. Nil means no plan: hosts are classified, and nothing is granted.
	Plan *Plan
	// Control is what operators ordered outside of the spec.
	Control fleet.Control
	Fleet   *fleet.Fleet
	// Fallback is the revision that is carried out when too many hosts fail and the plan wants that; nil: there is none.
	Fallback *Fallback
	// Conflict says why the plan is not carried out although it is valid; empty: nothing does.
	Conflict string
	Now      time.Time
}

// Fallback is a revision that was complete once.
type Fallback struct {
	Revision int64
	Version  string
}

// State is one word for where a host is.
type State string

// The states. The first three say how far a host is; the others lie over them.
const (
	Upgraded  State = "Upgraded"
	Upgrading State = "Upgrading"
	Pending   State = "Pending"
	Failed    State = "Failed"
	Held      State = "Held"
	Exempt    State = "Exempt"
	Lost      State = "Lost"
	Unknown   State = "Unknown"
)

// Verdict is what was decided for one host. There is exactly one for each.
type Verdict struct {
	Host, Role, Group string
	// Base is Upgraded, Upgrading or Pending; State is Base unless something lies over it.
	Base, State State
	// Counts is false for hosts that the plan leaves out: they are listed, and nothing waits for them.
	Counts bool
	// InFlight says that the host takes a slot. Complete says that it is upgraded, soak included.
	InFlight, Complete bool
	// Enable says that its key shall enable it, and Granted since when (Unix seconds).
	Enable    bool
	GrantedAt int64
	// Unhealthy says that its checks failed already when it was enabled.
	Unhealthy bool
	// Renew says that its key must be written again even if it says the same: it is older than current_version.
	Renew   bool
	Reason  v1alpha1.Reason
	Message string
}

// Role is what was decided for a role.
type Role struct {
	Name, Group string
	// Limit is the number of hosts of the group (or of the role itself) that may be in flight; nil: no limit.
	Limit *int
	// Enable says that the role's key shall enable all of it, and Renew that it must be written again even if it says
	// the same: it is older than current_version.
	Enable, Renew bool
	// Keep says that its key must not be written: it is older than current_version, and a gate stops every new start.
	Keep bool
	// Blocked says why no further host of it starts now; empty: nothing does.
	Blocked string
}

// Decision is what shall be.
type Decision struct {
	// Version is the plan's version, and Current the one that hosts are judged by.
	Version, Current string
	// Switch says that this pass does nothing but change the version.
	Switch bool
	// Action is what hosts do instead of an upgrade to reach Version; nil: nothing.
	Action *fleet.Action
	// Enabling is the value of the keys that enable; empty: True.
	Enabling string
	// Pending says that the version is to be switched and cannot be yet.
	Pending bool
	// ReadOnly says that nothing at all may be written: the observation is incomplete, or there is no plan.
	ReadOnly bool
	// Complete says that every host that counts is upgraded.
	Complete bool
	// Pinned is the revision that is carried out in the place of the spec, and PinMessage says who ordered that; 0: none.
	Pinned     int64
	PinMessage string
	// Gate and GateMessage say what stops every new start; empty: nothing.
	Gate        v1alpha1.Reason
	GateMessage string
	// Verdicts are in the order of Fleet.Hosts.
	Verdicts []Verdict
	// Roles are in natural order.
	Roles []Role
	// UnknownHostGrants keep their keys until the next switch.
	UnknownHostGrants []fleet.Grant
	// StartedMarkers are all marks that shall stand on behalf of hosts.
	StartedMarkers []fleet.StartedMarker
	// Holds shall be shown to hosts in the field.
	Holds []fleet.Place
	// Ledger is what shall be remembered. Its Counter is the commit's affair.
	Ledger fleet.Ledger
	// Warnings are for the operator, sorted.
	Warnings []string
	// Halt is a new halt, to be recorded in control together with what else the decision changes; nil: there is none.
	Halt *fleet.Halt
	// Rollback pins the fallback, to be recorded as a halt is; nil: it does not. The digest is not filled in.
	Rollback *fleet.Pin
	// Canary is where the canaries stand; nil: there are none, or not any more.
	Canary *CanaryState
	// Next is when time alone may let somebody go on, or fail; zero: never.
	Next time.Time
	// WindowClosesAt is when a window may close that is open; zero: never.
	WindowClosesAt time.Time
}

// CanaryState is where the canaries of a version stand.
type CanaryState struct {
	// Total are those that count, Complete those of them that are upgraded and have soaked.
	Total, Complete int
	// Awaiting says that they only wait for an operator's word.
	Awaiting bool
}

// Starts counts the hosts that the decision releases.
func (d *Decision) Starts() int {
	n := 0
	for i := range d.Verdicts {
		if d.Verdicts[i].Reason == v1alpha1.ReasonStarting {
			n++
		}
	}
	return n
}

// UpdatesControl says whether the decision is to be recorded in control.
func (d *Decision) UpdatesControl() bool { return d.Halt != nil || d.Rollback != nil }

// RequeueAt is when time alone may change the decision; zero: never.
func (d *Decision) RequeueAt() time.Time {
	if d.Next.IsZero() || !d.WindowClosesAt.IsZero() && d.WindowClosesAt.Before(d.Next) {
		return d.WindowClosesAt
	}
	return d.Next
}

// Desired is the decision in terms of what the fleet's keys shall say; a role that is enabled now is so since now.
func (d *Decision) Desired(now time.Time) fleet.Desired {
	out := fleet.Desired{Version: d.Current, Switch: d.Switch, Hosts: make([]fleet.Grant, 0, len(d.Verdicts)),
		StartedMarkers: d.StartedMarkers, Holds: d.Holds, Pending: d.Pending, Action: d.Action, Enabling: d.Enabling}
	if d.Switch {
		out.Version = d.Version
	}
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Enable {
			out.Hosts = append(out.Hosts, fleet.Grant{Name: v.Host, Time: v.GrantedAt, Renew: v.Renew, Unhealthy: v.Unhealthy})
		}
	}
	for _, g := range d.UnknownHostGrants {
		if g.Time == 0 {
			g.Time = now.Unix()
		}
		out.Hosts = append(out.Hosts, g)
	}
	for _, r := range d.Roles {
		if r.Enable {
			out.Roles = append(out.Roles, fleet.Grant{Name: r.Name, Time: now.Unix(), Renew: r.Renew, Keep: r.Keep})
		}
	}
	return out
}

// NeedsAnotherPass says that a pass must look again after what this decision changes: nobody was to start while that was
// pending.
func (d *Decision) NeedsAnotherPass() bool {
	return d.Gate == v1alpha1.ReasonVersionSwitch || d.Gate == v1alpha1.ReasonRevoking || d.Rollback != nil
}
