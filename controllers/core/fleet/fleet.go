// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// Value is the meaning of an enable_puppet key in any spelling.
type Value uint8

// The values. Version is the name of the one version that it enables. Any other text is Invalid.
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
	// Text is the value in the store, bounded in length.
	Text string
	// Granted is the time of the grant, in Unix seconds. Zero means unknown.
	Granted int64
	// Unhealthy says that required checks failed already at the grant: then they are no failure of the rollout.
	Unhealthy bool
	// Index is the ModifyIndex of the key.
	Index uint64
}

// Enables reports whether an agent reads the key as a permission to change to the version.
func (s EnableValue) Enables(version string) bool {
	return s.Value == True || s.Value == Version && s.Text == version
}

// EnablesLegacy reports whether a legacy host reads the key as True, as it reads any text but False.
func (s EnableValue) EnablesLegacy() bool { return s.Text != "False" }

// Proper reports whether every reader understands the key in the same way.
func (s EnableValue) Proper() bool { return s.Text == "True" || s.Text == "False" }

// Setting is the enable_puppet key that decides for a host, and its scope.
type Setting struct {
	Scope Scope
	EnableValue
}

// GrantedFor reports whether the key is that of the host, and was written after current_version to enable it.
func (s Setting) GrantedFor(c CurrentVersion) bool {
	return s.Scope == ScopeHost && s.Enables(c.Name) && s.Index > c.Index
}

// CurrentVersion is the key current_version. Index 0 means that there is none.
type CurrentVersion struct {
	Name  string
	Index uint64
	// Rollout is the number of the rollout that set it. Zero means unknown.
	Rollout uint64
	// Governed says that agents change their version by grants alone. A value that another writer set is not governed.
	Governed bool
	// HasAction says that an action goes with it.
	HasAction bool
}

// Record is an entry below running/versions: a host has reached a version. Indexes and time are zero when only the key was
// read.
type Record struct {
	Version                  string
	CreateIndex, ModifyIndex uint64
	Time                     time.Time
}

// Phase is how far a host reports to be.
type Phase string

// The phases of a report.
const (
	PhaseIdle      Phase = "Idle"      // at its version
	PhaseUpgrading Phase = "Upgrading" // started to change to the version of the report
	PhaseFailed    Phase = "Failed"    // started, and did not reach it
	PhaseRefused   Phase = "Refused"   // at its version, and does not follow the fleet; see Report.Reason
)

// ReportSchema is the schema of reports of agents that know grants. Earlier releases wrote none.
const ReportSchema = 2

// Report is the last statement of an agent about its host.
type Report struct {
	// Schema is ReportSchema, or 0 in reports of agents that go by enable_puppet keys alone.
	Schema  int    `json:"schema,omitempty"`
	Role    string `json:"role,omitempty"`
	Version string `json:"version,omitempty"`
	// AgentVersion is the version of the agent itself. Empty means unknown, or an agent of an earlier release.
	AgentVersion string `json:"agentVersion,omitempty"`
	Phase        Phase  `json:"phase,omitempty"`
	// Reason says why a host refuses to follow the fleet.
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time,omitzero"`
	// Rollout is the number of the last rollout that the host has begun or finished. Zero means none.
	Rollout uint64 `json:"rollout,omitempty"`
	// Attempt counts the failed attempts of the host in the rollout AttemptRollout, in a report of a failure.
	Attempt        int    `json:"attempt,omitempty"`
	AttemptRollout uint64 `json:"attemptRollout,omitempty"`
	// DurationSeconds is how long the reported change took. Zero means no change, or that the host was interrupted.
	DurationSeconds int64 `json:"durationSeconds,omitempty"`
	// Reached is the version that the host has, also while it changes to another one. Zero means none, or an agent of an earlier
	// release.
	Reached Reached `json:"reached,omitzero"`
	// Machine identifies the machine that the report is about. Empty means unknown.
	Machine string `json:"machine,omitempty"`
	// Other is another machine whose agent has the same host name. Zero means none.
	Other OtherMachine `json:"otherMachine,omitzero"`
}

// Reached is the version that a host has, and how it came to it.
type Reached struct {
	Version string `json:"version"`
	// Index is the ModifyIndex of the report of the host that first said so. Zero means this report.
	Index uint64 `json:"index,omitempty"`
	// Grant is the id of the grant by which the host reached the version. Empty means none, or unknown.
	Grant string `json:"grant,omitempty"`
	// Partial says that the last change did not do all of the work: an earlier attempt did a part of it, or the host had the
	// version before. Such a change can take no time.
	Partial bool `json:"partial,omitempty"`
	// Unknown says that the agent does not know how the host came to the version, so that it names no grant.
	Unknown bool `json:"unknown,omitempty"`
}

// Idle reports whether the host has the version of the report, and changes to no other one.
func (r *Report) Idle() bool { return r.Phase == PhaseIdle || r.Phase == PhaseRefused }

// Has returns the version that the host has. Empty means none, or unknown.
func (r *Report) Has() string {
	if r.Reached.Version == "" && r.Idle() {
		return r.Version
	}
	return r.Reached.Version
}

// Started is the marker of a host that has started to change its version. The controller writes it for a legacy host
// before it takes away the permission, since the host may have started.
type Started struct {
	Version string `json:"version"`
	// From is the version that the host leaves. Empty means none, or that the marker is by the controller.
	From string    `json:"from,omitempty"`
	Time time.Time `json:"time"`
	By   string    `json:"by,omitempty"`
	// Rollout and Grant are those of the grant by which the host started. Zero and empty mean an agent that knows no grants.
	Rollout uint64 `json:"rollout,omitempty"`
	Grant   string `json:"grant,omitempty"`
	// Attempt counts the attempts of the host in the rollout, from 1. Zero means unknown. Waiting says that the attempt failed,
	// and that no other one runs: the next one writes the marker again.
	Attempt int  `json:"attempt,omitempty"`
	Waiting bool `json:"waiting,omitempty"`
	// Unhealthy says that required checks failed already when the host was granted, or when the controller wrote the marker.
	Unhealthy bool   `json:"unhealthy,omitempty"`
	Index     uint64 `json:"-"`
}

// Result is what the host reports when the change of the marker has succeeded.
func (s *Started) Result() Reached {
	return Reached{Version: s.Version, Grant: s.Grant, Partial: s.Attempt > 1 || s.From == s.Version, Unknown: s.Grant == ""}
}

// Grant is the one-time permission for one host to change to one version in one rollout. The host deletes it in the
// transaction in which it starts.
type Grant struct {
	Rollout uint64    `json:"rollout"`
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
	// ID differs from that of every earlier grant of the host, also of grants that a restored store does not know. Ids ascend in
	// natural order.
	ID string `json:"id"`
	// Unhealthy says that required checks failed already at the grant.
	Unhealthy bool   `json:"unhealthy,omitempty"`
	Index     uint64 `json:"-"`
}

// For reports whether the grant is for the rollout that set the current version.
func (g *Grant) For(c CurrentVersion) bool {
	return g != nil && g.ID != "" && g.Rollout == c.Rollout && g.Version == c.Name
}

// GrantID returns the id of a grant: the rollout, the number of the commit, and the time.
func GrantID(rollout, commit uint64, at time.Time) string {
	return fmt.Sprintf("%d.%d.%d", rollout, commit, at.Unix())
}

// ParseGrantID returns the rollout and the time in the id of a grant. It returns false for any other text.
func ParseGrantID(id string) (rollout uint64, at time.Time, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		return 0, time.Time{}, false
	}
	var numbers [3]uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 63)
		if err != nil {
			return 0, time.Time{}, false
		}
		numbers[i] = n
	}
	if numbers[2] == 0 {
		return 0, time.Time{}, false
	}
	return numbers[0], time.Unix(int64(numbers[2]), 0).UTC(), true //nolint:gosec // 63 bits fit
}

// ByController is the author of a marker that the controller wrote on behalf of a host.
const ByController = "controller"

// Hold keeps a host or role at its version.
type Hold struct {
	Reason string `json:"reason,omitempty"`
	Owner  string `json:"owner,omitempty"`
	// Accessor is the accessor ID of the Consul token with which the hold was written, as its client says. Empty means unknown.
	Accessor string    `json:"accessor,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	// Exempt also takes the hosts out of the counts.
	Exempt bool `json:"exempt,omitempty"`
	// Plan is the plan that is paused, aborted or halted, in a hold on the whole fleet.
	Plan string `json:"plan,omitempty"`
}

// Expired reports whether the hold has expired.
func (h *Hold) Expired(now time.Time) bool { return !h.Expires.IsZero() && !h.Expires.After(now) }

// Place is a host or a role.
type Place struct {
	Scope Scope
	Name  string
}

// String returns the place as keys and commands spell it: host/web1.
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
	Kind PauseKind `json:"kind,omitempty"`
	By   string    `json:"by,omitempty"`
	// Accessor is the accessor ID of the Consul token with which the order was written, as its client says. Empty means unknown.
	Accessor string    `json:"accessor,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

// Pin carries out an earlier revision in place of the spec, after an undo or a rollback.
type Pin struct {
	Revision int64 `json:"revision"`
	// Digest is that of the replaced spec. The pin ends when the spec changes.
	Digest string `json:"digest"`
	By     string `json:"by,omitempty"`
	// Accessor is that of the order.
	Accessor string    `json:"accessor,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	// Policy says by which rules the revision is carried out. Empty means its own, as in the values of earlier releases.
	Policy PinPolicy `json:"policy,omitempty"`
}

// PinPolicy decides by which rules a pinned revision is carried out.
type PinPolicy string

// The policies.
const (
	// PinAsSpec carries out the revision by its own rules.
	PinAsSpec PinPolicy = ""
	// PinRollback carries out the revision by the rollback policy of the spec that it replaces.
	PinRollback PinPolicy = "Rollback"
)

// Abort revokes all grants and keeps a spec from being tried again.
type Abort struct {
	Pause
	// Digest is that of the aborted spec. The abort ends when the spec changes.
	Digest string `json:"digest"`
}

// Control holds the orders of operators outside of the spec, so that no apply undoes a stop.
type Control struct {
	Pause *Pause `json:"pause,omitempty"`
	// Halt is the only order that the controller gives itself.
	Halt *Halt `json:"halt,omitempty"`
	// Resumed is when an operator last resumed the rollout. Earlier failures do not count.
	Resumed *Pause `json:"resumed,omitempty"`
	// Ended is the last order that ended a pause, a halt or an abort. It decides nothing.
	Ended *Pause `json:"ended,omitempty"`
	// Override lets hosts be granted outside of the maintenance windows.
	Override *Override `json:"windowOverride,omitempty"`
	// Pin applies until the spec changes.
	Pin *Pin `json:"pin,omitempty"`
	// Abort applies until the spec changes.
	Abort *Abort `json:"abort,omitempty"`
	// Promotion lets the other hosts follow the canaries.
	Promotion *Promotion `json:"promotion,omitempty"`
	// Restored accepts a store that was restored from a backup.
	Restored *Restored `json:"restored,omitempty"`
	// Shrunk accepts a fleet from which many hosts have gone at once.
	Shrunk *Shrunk `json:"shrunk,omitempty"`
	// Grown accepts hosts that joined since the last switch, and legacy hosts that are not admitted.
	Grown *Grown `json:"grown,omitempty"`
	// SetAside are failed hosts by name that give up their slots, and Retry are failed hosts that get another grant.
	SetAside map[string]SetAside `json:"setAside,omitempty"`
	Retry    *Retry              `json:"retry,omitempty"`
}

// Base is the size of a fleet at the last switch. Until the next one percentages are not of more hosts.
type Base struct {
	// Hosts counts the hosts that counted or were exempt, and Legacy all legacy hosts.
	Hosts  int `json:"hosts"`
	Legacy int `json:"legacy"`
	// Counter is that of the ledger when the base was set. It tells equal ones apart. Zero means unknown.
	Counter uint64 `json:"counter"`
}

// Size is the number of hosts of a fleet, as the ledger keeps it.
type Size struct {
	Hosts int `json:"hosts"`
	// Counter is that of the ledger when the size changed last. It tells equal sizes apart.
	Counter uint64 `json:"counter"`
}

// Ledger is what a restart of the controller must not forget. Every commit increments Counter.
type Ledger struct {
	Counter uint64 `json:"counter"`
	// Version is the last one that the controller switched to, and Rollout is the number of that rollout. It never decreases.
	Version string `json:"version,omitempty"`
	Rollout uint64 `json:"rollout,omitempty"`
	// WentBack says how the controller found that the store was restored from a backup. Empty means that it did not, or that
	// an operator has accepted it.
	WentBack string `json:"wentBack,omitempty"`
	// Roles are the roles and groups that ever had hosts, of those that others wait for, sorted.
	Roles []string `json:"roles,omitempty"`
	// Size is that of the fleet at the last pass, or before it shrank. Zero means unknown.
	Size Size `json:"size,omitzero"`
	// Base is the size of the fleet at the last switch. Zero means unknown.
	Base Base `json:"base,omitzero"`
	// Watermarks say when the controller first saw what was written.
	Watermarks Watermarks `json:"watermarks,omitempty"`
	// Resumption is the order to resume that the controller saw last. Nil means none.
	Resumption *Resumption `json:"resumption,omitempty"`
	// Checks are by host: checks that have failed since the grant, and may fail again.
	Checks map[string]CheckTimes `json:"checks,omitempty"`
	// Promoted is the version whose canaries have been promoted.
	Promoted string `json:"promoted,omitempty"`
	// Completed is the revision that was complete last. Zero means none.
	Completed int64 `json:"completed,omitempty"`
	// Events counts the events that were ever written.
	Events uint64 `json:"events,omitempty"`
}

// Host is one host.
type Host struct {
	Name string
	// Role is the host's role by the plan. Empty means none.
	Role string
	// LookupRole is the role under which the host itself looks up its keys.
	LookupRole string
	// Record is its newest record. An empty version means none.
	Record Record
	// Report is the last report of its agent. Nil means a legacy host: it was never seen as an agent.
	Report *Report
	// ReportIndex is the ModifyIndex of its report, and ReportCreated the CreateIndex.
	ReportIndex, ReportCreated uint64
	// Started is its started marker, and Grant its grant. Nil means none.
	Started *Started
	Grant   *Grant
	// Setting decides whether it is enabled.
	Setting Setting
	// PausedBy is the scope of the pause key that stops it. ScopeNone means none.
	PausedBy Scope
	// Hold is the hold on the host or on a role, by HoldScope. HoldRole is that role. Nil means no hold.
	Hold      *Hold
	HoldScope Scope
	HoldRole  string
	// Checks are those of its node that do not pass.
	Checks []Check
	// Lost says that the catalog does not know its node.
	Lost bool
}

// Version returns the version that the host has. Of an agent only its own report says so: each agent can write the records of all
// hosts. Empty means none, or unknown.
func (h *Host) Version() string {
	if h.Report != nil {
		return h.Report.Has()
	}
	return h.Record.Version
}

// Agent reports whether the host was ever seen as an agent.
func (h *Host) Agent() bool { return h.Report != nil }

// AgentVersion returns the version of the host's agent. Empty means unknown, or a legacy host.
func (h *Host) AgentVersion() string {
	if h.Report == nil {
		return ""
	}
	return h.Report.AgentVersion
}

// KnowsGrants reports whether the host's agent changes its version by grants.
func (h *Host) KnowsGrants() bool { return h.Report != nil && h.Report.Schema >= ReportSchema }

// LastIndex returns the highest ModifyIndex of its report, started marker and grant. Zero means that it has none of them.
func (h *Host) LastIndex() uint64 {
	index := h.ReportIndex
	if h.Started != nil {
		index = max(index, h.Started.Index)
	}
	if h.Grant != nil {
		index = max(index, h.Grant.Index)
	}
	return index
}

// Held reports whether a pause key or a hold keeps the host at its version, or that two machines report as it.
func (h *Host) Held() bool { return h.PausedBy != ScopeNone || h.Hold != nil || h.Duplicate() }

// Duplicate reports whether two machines report as the host.
func (h *Host) Duplicate() bool { return h.Report != nil && h.Report.Other.Duplicate }

// Fleet is a snapshot of a fleet.
type Fleet struct {
	Current CurrentVersion
	// Hosts are sorted in natural order.
	Hosts []Host
	// UnknownHostGrants are the enabling keys of hosts of which nothing else is known.
	UnknownHostGrants []EnableKey
	// Global and Roles are the enable_puppet keys of these scopes.
	Global EnableValue
	Roles  map[string]EnableValue
	Ledger Ledger
	// Holds are the active holds that a pause key of the controller shows to legacy hosts, sorted. An operator's own pause key
	// takes precedence.
	Holds []Place
	// Hold is the hold on the whole fleet. Nil means none.
	Hold *Hold
	// Incomplete says why the snapshot may lack keys that exist. Empty means that it is complete. No host may be granted from
	// an incomplete snapshot.
	Incomplete string
	// Index is the newest one in the snapshot.
	Index uint64
	// Notes are oddities for the operator, sorted.
	Notes []string
}

// Host returns the host of a name.
func (f *Fleet) Host(name string) (*Host, bool) {
	i, ok := slices.BinarySearchFunc(f.Hosts, name, func(h Host, n string) int { return CompareNatural(h.Name, n) })
	if !ok {
		return nil, false
	}
	return &f.Hosts[i], true
}
