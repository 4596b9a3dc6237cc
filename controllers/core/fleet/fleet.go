// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet is what was seen of a fleet at one moment, and the questions about it. Values of this package are
// immutable once built.
package fleet

import (
	"slices"
	"time"
)

// Scope is the level at which a key applies. The most specific one that is set wins.
type Scope uint8

// The scopes, the most specific first.
const (
	ScopeNone Scope = iota
	ScopeHost
	ScopeRole
	ScopeGlobal
)

// String is the name of the scope as keys spell it.
func (s Scope) String() string {
	return [...]string{"none", "host", "role", "global"}[s]
}

// Value is what an enable_puppet key says, read without regard to its spelling.
type Value uint8

// The values. A version names the one version that it enables; whatever is nothing of all this is Invalid.
const (
	Absent Value = iota
	True
	False
	Version
	Invalid
)

// EnableValue is one enable_puppet key.
type EnableValue struct {
	Value Value
	// Text is the value as it stands in the store, bounded in length.
	Text string
	// Granted is when the key was written to enable, in Unix seconds; 0 is unknown.
	Granted int64
	// Unhealthy says that the host was so when the key was written: its checks do not judge what the grant has led to.
	Unhealthy bool
	// Index is the ModifyIndex of the key.
	Index uint64
}

// Enables says whether an agent that reads the switch may change to the version.
func (s EnableValue) Enables(version string) bool {
	return s.Value == True || s.Value == Version && s.Text == version
}

// EnablesLegacy says whether a host in the field reads the switch as a yes: all but the exact text False is one.
func (s EnableValue) EnablesLegacy() bool { return s.Text != "False" }

// Proper says whether the switch is spelled so that every reader understands it the same way.
func (s EnableValue) Proper() bool { return s.Text == "True" || s.Text == "False" }

// Setting is the switch that decides for a host, and where it stands.
type Setting struct {
	Scope Scope
	EnableValue
}

// CurrentVersion is the key current_version. Index 0: there is none.
type CurrentVersion struct {
	Name  string
	Index uint64
	// HasAction says that an action goes with it.
	HasAction bool
}

// Record is one entry below running/versions: a host has reached a version. Indexes and time are zero when only the
// key was read.
type Record struct {
	Version                  string
	CreateIndex, ModifyIndex uint64
	Time                     time.Time
}

// Phase is how far a host says that it is.
type Phase string

// The phases of a report.
const (
	PhaseIdle      Phase = "Idle"      // at its version; nothing to do
	PhaseUpgrading Phase = "Upgrading" // it has begun to change to the version of the report
	PhaseFailed    Phase = "Failed"    // it has begun, and did not reach it
)

// Report is the last word of an agent about its host.
type Report struct {
	Role    string    `json:"role,omitempty"`
	Version string    `json:"version,omitempty"`
	Phase   Phase     `json:"phase,omitempty"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time,omitzero"`
	// DurationSeconds is how long the change took that it tells of; 0: it tells of none, or the host was interrupted.
	DurationSeconds int64 `json:"durationSeconds,omitempty"`
}

// Started is the mark that a host has begun to change its version. The controller writes it for a host that was never
// seen as an agent, before it takes back what enabled that host: it may have begun.
type Started struct {
	Version string `json:"version"`
	// From is the version that the host leaves; empty: it had none, or the mark is by the controller.
	From  string    `json:"from,omitempty"`
	Time  time.Time `json:"time"`
	By    string    `json:"by,omitempty"`
	Index uint64    `json:"-"`
}

// ByController is who wrote a Started mark on a host's behalf.
const ByController = "controller"

// Hold keeps a host or role where it is.
type Hold struct {
	Reason  string    `json:"reason,omitempty"`
	Owner   string    `json:"owner,omitempty"`
	Time    time.Time `json:"time,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	// Exempt also takes the hosts out of the counts.
	Exempt bool `json:"exempt,omitempty"`
}

// Expired says whether the hold has ended by itself.
func (h *Hold) Expired(now time.Time) bool { return !h.Expires.IsZero() && !h.Expires.After(now) }

// Place is a host or a role, by its scope and name.
type Place struct {
	Scope Scope
	Name  string
}

// String is the place as keys and commands spell it: host/web1.
func (p Place) String() string { return p.Scope.String() + "/" + p.Name }

// PauseKind is the command that paused a plan.
type PauseKind string

const (
	// PausedByOperator is a pause that an operator asked for.
	PausedByOperator PauseKind = "operator"
	// PausedByDisablePuppet is a pause that global-disable-puppet set.
	PausedByDisablePuppet PauseKind = "disable-puppet"
)

// Pause is an operator's order to stop: in the plan's control or, by Scope, in the pause keys that jorc wrote.
type Pause struct {
	// Kind says which command gave the order. Empty in other orders than a pause, and in values of earlier releases.
	Kind   PauseKind `json:"kind,omitempty"`
	By     string    `json:"by,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// Pin puts an earlier revision in the place of the spec: an undo, or a rollback.
type Pin struct {
	Revision int64 `json:"revision"`
	// Digest is that of the spec which is replaced. Another spec is carried out as it is.
	Digest string    `json:"digest"`
	By     string    `json:"by,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// Abort takes all grants back and keeps the spec of a digest from being tried again.
type Abort struct {
	Pause
	// Digest is that of the spec that was aborted. Another spec is carried out.
	Digest string `json:"digest"`
}

// Control is what operators tell the controller outside of the spec, so that no apply undoes a stop.
type Control struct {
	Pause *Pause `json:"pause,omitempty"`
	// Halt is the one order that the controller gives itself.
	Halt *Halt `json:"halt,omitempty"`
	// Resumed is the last time that an operator let the rollout go on: failures until then are forgiven.
	Resumed *Pause `json:"resumed,omitempty"`
	// Override lets hosts be released outside of the windows.
	Override *Override `json:"windowOverride,omitempty"`
	// Pin holds as long as the spec is the one that it replaces.
	Pin *Pin `json:"pin,omitempty"`
	// Abort holds as long as the spec that is carried out is the one that was aborted.
	Abort *Abort `json:"abort,omitempty"`
	// Promotion lets the other hosts follow the canaries.
	Promotion *Promotion `json:"promotion,omitempty"`
}

// Watermark says that all records with a CreateIndex up to Index had been seen by Time (Unix seconds).
type Watermark struct {
	Index uint64 `json:"index"`
	Time  int64  `json:"time"`
}

// Ledger is what a restart of the controller must not forget. Every commit moves Counter.
type Ledger struct {
	Counter uint64 `json:"counter"`
	// Version is the one that the controller switched to last.
	Version string `json:"version,omitempty"`
	// Roles are all roles that were ever seen, sorted.
	Roles []string `json:"roles,omitempty"`
	// Watermarks tell since when records are known, ascending.
	Watermarks []Watermark `json:"watermarks,omitempty"`
	// Checks are those hosts whose checks have failed since they were released, and may fail again.
	Checks map[string]CheckTimes `json:"checks,omitempty"`
	// Promoted is the version whose canaries have been promoted.
	Promoted string `json:"promoted,omitempty"`
	// Completed is the revision that was complete last; 0: none was.
	Completed int64 `json:"completed,omitempty"`
	// Events counts the events that were ever written.
	Events uint64 `json:"events,omitempty"`
}

// Host is one host as it was seen.
type Host struct {
	Name string
	// Role is the host's role by the plan; empty: it has none.
	Role string
	// LookupRole is the role under which the host itself looks up its keys.
	LookupRole string
	// Record is its newest record; Version is empty when it has none.
	Record Record
	// Report is the last report of its agent; nil: it was never seen as an agent.
	Report *Report
	// Started is the mark that it has begun; nil: it has not.
	Started *Started
	// Setting decides whether it is enabled.
	Setting Setting
	// PausedBy is the scope of the pause key that stops it; ScopeNone: none does.
	PausedBy Scope
	// Hold is the hold that keeps it where it is, HoldScope whether it is on the host or on a role, and HoldRole on which.
	Hold      *Hold
	HoldScope Scope
	HoldRole  string
	// Checks are those of its node that do not pass.
	Checks []Check
	// Lost says that the catalog does not know its node.
	Lost bool
}

// Agent says whether the host was ever seen as an agent of ours.
func (h *Host) Agent() bool { return h.Report != nil }

// Held says whether a pause key or a hold keeps the host where it is.
func (h *Host) Held() bool { return h.PausedBy != ScopeNone || h.Hold != nil }

// Fleet is all that was seen of a fleet at one moment.
type Fleet struct {
	Current CurrentVersion
	// Hosts are sorted in natural order.
	Hosts []Host
	// UnknownHostGrants are the enabling keys of hosts that nothing else is known of: somebody enabled them before they reported.
	UnknownHostGrants []Grant
	// Global and Roles are the enable_puppet keys of these scopes.
	Global EnableValue
	Roles  map[string]EnableValue
	Ledger Ledger
	// Holds are those that stand and are shown to hosts in the field by a pause key of ours, sorted. Where an operator's
	// own pause key stands, there is none.
	Holds []Place
	// Incomplete says why the observation may lack something that exists; empty: it is whole. Nobody may be
	// started from an incomplete one.
	Incomplete string
	// Index up to which records were seen.
	Index uint64
	// Notes are oddities for the operator, sorted.
	Notes []string
}

// Host finds a host by name.
func (f *Fleet) Host(name string) (*Host, bool) {
	i, ok := slices.BinarySearchFunc(f.Hosts, name, func(h Host, n string) int { return CompareNatural(h.Name, n) })
	if !ok {
		return nil, false
	}
	return &f.Hosts[i], true
}
