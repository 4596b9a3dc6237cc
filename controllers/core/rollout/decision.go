// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Input is everything that a decision depends on. It must not change while it is used.
type Input struct {
	// Plan is the effective plan. Nil means no plan: hosts are classified, and none is granted.
	Plan *Plan
	// Control holds the orders of operators that are not part of the spec.
	Control fleet.Control
	Fleet   *fleet.Fleet
	// Fallback is the revision that a rollback carries out. Nil means none.
	Fallback *Fallback
	// Conflict says why a valid plan is not carried out. Empty means that it is.
	Conflict string
	// WentBack says how the caller found that the store was restored from a backup. Empty means that it did not.
	WentBack string
	// Watermarks date what is in the fleet. Nil means those of its ledger.
	Watermarks fleet.Watermarks
	// ControlIndex is the index of the key that Control was read from. Zero means unknown.
	ControlIndex uint64
	Now          time.Time
}

// Fallback is a revision that was complete once.
type Fallback struct {
	Revision int64
	Version  string
}

// State is how far a host is, as it is shown.
type State string

// The states. The first three are the base states; the others overlay them.
const (
	Upgraded  State = "Upgraded"
	Upgrading State = "Upgrading"
	Pending   State = "Pending"
	Failed    State = "Failed"
	OnHold    State = "Held"
	Exempt    State = "Exempt"
	SetAside  State = "SetAside"
	Lost      State = "Lost"
	Unknown   State = "Unknown"
	Duplicate State = "Duplicate"
)

// Verdict is the decision for one host. Each host has exactly one.
type Verdict struct {
	Host, Role, Group string
	// Base is Upgraded, Upgrading or Pending. State is Base unless another state overlays it.
	Base, State State
	Reason      v1alpha1.Reason
	// Message is the sentence for the operator. It must not be read back: the values in it are those of Blocker.
	Message string
	// Blocker is what keeps the host from a grant. Nil means that only its own state does, or nothing.
	Blocker *Blocker
	// GrantedAt is the time of the grant in its key, in Unix seconds.
	GrantedAt int64
	// ClockOffset is how far the clock of the host is ahead of the controller's, or behind if it is negative. Zero means less
	// than a minute, or unknown.
	ClockOffset time.Duration
	// Counts is false for hosts that are listed, but that nothing waits for.
	Counts bool
	// InFlight says that the host takes a slot. Complete says that it is upgraded and has soaked.
	InFlight, Complete bool
	// Grant is the grant that the host must have. Nil means none.
	Grant *fleet.Grant
	// Enable says that its key must enable it. Renew says that the key must be written even if its value stays the same,
	// because it is older than current_version. Unhealthy says that required checks failed when it was granted.
	Enable, Renew, Unhealthy bool
}

// Blocker is what a host waits for. It can be shared by many verdicts and must not be changed.
type Blocker struct {
	Kind BlockerKind
	// Name is that of the role, group, hold or gate; see the kinds.
	Name string
	// Have and Limit are the numbers of the kind.
	Have, Limit int
	// Rule is the field of the plan that sets the limit, and Hosts names the first hosts in flight that take its slots.
	Rule  string
	Hosts []string
	// Outages are the other hosts that take slots of a limit, by rollingRules.alsoCount.
	Outages []Outage
}

// Outage is a number of hosts that take slots for the same reason although they are not in flight.
type Outage struct {
	Kind  v1alpha1.Outage
	Total int
	// Hosts names the first of them.
	Hosts []string
}

// OnlyOutages reports whether slots of a limit would be free without the hosts that take them by rollingRules.alsoCount. Those come
// back without an order for the plan.
func (b *Blocker) OnlyOutages() bool {
	down := 0
	for i := range b.Outages {
		down += b.Outages[i].Total
	}
	return down > 0 && b.Have-down < b.Limit
}

// BlockerKind is the kind of a blocker.
type BlockerKind string

// The kinds of blockers.
const (
	// BlockedByGate: Name is the reason of the decision's gate.
	BlockedByGate BlockerKind = "Gate"
	// BlockedByHold: Name is host/NAME or role/NAME.
	BlockedByHold BlockerKind = "Hold"
	// BlockedByPauseKey: Name is host/NAME, role/NAME or global.
	BlockedByPauseKey BlockerKind = "PauseKey"
	// BlockedByRole: Have of Limit hosts of the role or group Name are complete. Limit 0 means that its hosts have vanished.
	BlockedByRole BlockerKind = "Role"
	// BlockedByCanaries: Have of Limit canaries are complete. Limit 0 means that canary.hosts match no host that counts.
	BlockedByCanaries BlockerKind = "Canaries"
	// BlockedByRoleLimit: Have of Limit slots of the role Name are taken.
	BlockedByRoleLimit BlockerKind = "RoleLimit"
	// BlockedByGroupLimit: the same for a group. A role that no group matches is a group of its own.
	BlockedByGroupLimit BlockerKind = "GroupLimit"
	// BlockedByFleetLimit: the same for the fleet.
	BlockedByFleetLimit BlockerKind = "FleetLimit"
	// BlockedByBatch: Have hosts of the batch are in flight.
	BlockedByBatch BlockerKind = "Batch"
)

// Role is the decision for a role.
type Role struct {
	Name, Group string
	// Limit is the number of hosts of the role or its group that may be in flight. Nil means no limit.
	Limit *int
	// Enable says that the role's key must enable all of it.
	Enable bool
	// Keep says that the key must not be written: it is older than current_version, and writing it could start an agent of an
	// earlier release.
	Keep bool
	// BlockedBy is the sentence of the first host of the role that waits. Empty means that none waits.
	BlockedBy string
}

// Gate is what stops every new grant of a plan. An empty reason means that nothing does.
type Gate struct {
	Reason  v1alpha1.Reason
	Message string
}

// Decision is the outcome of a pass. It has more than ten fields, since each goes to another key or field of a status.
// Version, Current and Pinned repeat the input, so that a status can be made from a decision alone.
type Decision struct {
	// Version is the plan's version. Current is the one by which hosts are classified.
	Version, Current string
	// Pinned is the revision that is carried out in place of the spec. Zero means none.
	Pinned int64
	// Switch says that this pass only changes the version. Pending says that the version must be switched and cannot be yet.
	Switch, Pending bool
	// Rollout is the number of the rollout that current_version names after this pass. Rewrite says that this pass writes
	// current_version again, with the same value, because agents must not go by keys any more.
	Rollout uint64
	Rewrite bool
	// FleetHold is the hold on the fleet that must exist. Nil means none.
	FleetHold *fleet.Hold
	// ReadOnly says that nothing may be written: the observation is incomplete, or there is no plan.
	ReadOnly bool
	// Complete says that every host that counts is upgraded.
	Complete bool
	// Size is the number of hosts that count or are exempt.
	Size int
	// Grown says that hosts joined since the last switch of which percentages are not, or that legacy hosts are not admitted.
	Grown bool
	// Settled says that every host that counts is upgraded or set aside.
	Settled bool
	// Enabling is the value of keys that enable. Empty means True.
	Enabling string
	Gate     Gate
	// Verdicts are in the order of Fleet.Hosts, and Roles in natural order.
	Verdicts []Verdict
	Roles    []Role
	// StartedMarkers are all markers that the controller keeps on behalf of hosts.
	StartedMarkers []fleet.StartedMarker
	// LostMarkers are markers of agents that are set aside, and must go.
	LostMarkers []fleet.StartedMarker
	// Ledger is what a restart must not forget. The commit moves its counter.
	Ledger fleet.Ledger
	// WatermarksDue is when the watermarks of the ledger must be stored, even if nothing else is written. Zero means that they
	// are, as far as anything depends on them.
	WatermarksDue time.Time
	// Warnings are for the operator, sorted.
	Warnings []string
	// Halt is a new halt, to be recorded in control with the other changes. Nil means none.
	Halt *fleet.Halt
	// Rollback pins the fallback, to be recorded as a halt is. Its digest is not filled in. Nil means none.
	Rollback *fleet.Pin
	// Canary is the state of the canaries. Nil means that the version has none, or no longer needs them.
	Canary *CanaryState
	// Next is when time alone lets a host start or makes it fail. WindowClosesAt is when an open window may close. Zero means
	// never.
	Next, WindowClosesAt time.Time
}

// CanaryState is the state of the canaries of a version.
type CanaryState struct {
	// Total counts the canaries, and Complete those that are upgraded and have soaked.
	Total, Complete int
	// Awaiting says that the other hosts wait only for an operator to promote the canaries.
	Awaiting bool
	// Unmatched says that canary.hosts match no host that counts.
	Unmatched bool
}

// Starts counts the hosts that the decision grants.
func (d *Decision) Starts() int {
	n := 0
	for i := range d.Verdicts {
		if d.Verdicts[i].Reason == v1alpha1.ReasonStarting {
			n++
		}
	}
	return n
}

// UpdatesControl reports whether the decision has to be recorded in control.
func (d *Decision) UpdatesControl() bool { return d.Halt != nil || d.Rollback != nil }

// RequeueAt returns when time alone may change the decision. Zero means never.
func (d *Decision) RequeueAt() time.Time { return soonest(d.Next, d.WindowClosesAt) }

// NeedsAnotherPass reports whether a further pass must follow the changes of this one, which kept hosts from their grants.
func (d *Decision) NeedsAnotherPass() bool {
	return d.Rewrite || d.Gate.Reason == v1alpha1.ReasonVersionSwitch || d.Gate.Reason == v1alpha1.ReasonRevoking || d.Rollback != nil
}

// Desired returns what the keys of the fleet should be, by a decision on the input.
func (d *Decision) Desired(in Input) fleet.Desired {
	out := fleet.Desired{Version: d.Current, Switch: d.Switch, Rollout: d.Rollout, Rewrite: d.Rewrite,
		Hosts:          make([]fleet.EnableKey, 0, len(d.Verdicts)),
		StartedMarkers: d.StartedMarkers, LostMarkers: d.LostMarkers, Holds: in.Fleet.Holds, Pending: d.Pending, Enabling: d.Enabling}
	if in.Plan != nil {
		out.Action = in.Plan.action
	}
	if d.Switch {
		out.Version = d.Version
	}
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if v.Grant != nil {
			out.Grants = append(out.Grants, fleet.HostGrant{Host: v.Host, Grant: *v.Grant})
		}
		if v.Enable {
			out.Hosts = append(out.Hosts, fleet.EnableKey{Name: v.Host, Time: v.GrantedAt, Renew: v.Renew, Unhealthy: v.Unhealthy})
		}
	}
	for _, g := range in.Fleet.UnknownHostGrants { // their keys stay until the next switch
		if g.Time == 0 {
			g.Time = in.Now.Unix()
		}
		out.Hosts = append(out.Hosts, g)
	}
	for _, r := range d.Roles {
		if r.Enable {
			out.Roles = append(out.Roles, fleet.EnableKey{Name: r.Name, Time: in.Now.Unix(), Keep: r.Keep})
		}
	}
	return out
}
