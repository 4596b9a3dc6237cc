// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"fmt"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Pair is one key and its value as the store holds them. A ModifyIndex of 0 means that the key does not exist.
type Pair struct {
	Key                      string
	Value                    []byte
	Flags                    uint64
	CreateIndex, ModifyIndex uint64
	// Session is the id of the session that locks the key. Empty means unlocked.
	Session string
}

// Exists reports whether the key is in the store.
func (p Pair) Exists() bool { return p.ModifyIndex != 0 }

// The trees below which hosts record the version that they have reached.
const (
	RunningVersions    = "running/versions"
	RunningVersionsOld = "running_version"
)

const root = "upgrade.jiocloud.com/"

// Leader is the lock key that the leading controller holds.
const Leader = root + "leader"

// Controllers is the prefix of the registrations of the controllers that run.
const Controllers = root + "controllers/"

// Plans is the prefix of the keys of all plans.
const Plans = root + "plans/"

// PlansEpoch changes whenever a plan is created or deleted. Checking it prevents two plans from being created for one
// fleet at the same time.
const PlansEpoch = Plans + "epoch"

// PlansChange changes with each change of a spec or of orders. Its name begins with that of PlansEpoch, so one watch covers both.
const PlansChange = PlansEpoch + "-change"

// Sources is the prefix of the state of all Git sources. Requests is the prefix of the requests to sync one of them.
const (
	Sources  = root + "sources/"
	Requests = root + "requests/"
)

// Source returns the key that holds the state of a source, a Git repository that contains plans.
func Source(name string) string { return Sources + name }

// Request returns the key that a client writes to request an immediate sync of a source.
func Request(source string) string { return Requests + source }

// PlanOf returns the plan whose spec is stored at key. It is empty if the key is not the spec of a plan.
func PlanOf(key string) Plan {
	name, ok := strings.CutSuffix(strings.TrimPrefix(key, Plans), "/spec")
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return Plan(name)
}

// Plan is the name of a plan. Its methods spell the plan's keys.
type Plan string

func (p Plan) key(name string) string { return Plans + string(p) + "/" + name }

// Spec is the key of the plan's spec.
func (p Plan) Spec() string { return p.key("spec") }

// Control is the key of operators' orders.
func (p Plan) Control() string { return p.key("control") }

// Ledger is the key of what the controller must remember across restarts.
func (p Plan) Ledger() string { return p.key("ledger") }

// Status is the key of the plan's status.
func (p Plan) Status() string { return p.key("status") }

// Manager is the key that names the Git source that manages the spec.
func (p Plan) Manager() string { return p.key("manager") }

// Tree is the prefix of all keys of the plan.
func (p Plan) Tree() string { return p.key("") }

// Revision is the key of the earlier spec with that generation.
func (p Plan) Revision(generation int64) string {
	return p.key(fmt.Sprintf("revisions/%d", generation))
}

// MaxEvents is the size of a plan's event ring. A new event overwrites the event that is MaxEvents older.
const MaxEvents = 256

// Event is the key of the event with that number.
func (p Plan) Event(number uint64) string { return p.key(fmt.Sprintf("events/%03d", number%MaxEvents)) }

// Events is the prefix of all events of the plan.
func (p Plan) Events() string { return p.key("events/") }

// Revisions is the prefix of all earlier specs of the plan.
func (p Plan) Revisions() string { return p.key("revisions/") }

// Layout spells the keys of one fleet. The zero value is a fleet without a prefix.
type Layout struct {
	// Prefix precedes all keys of the fleet, without a slash at either end. Empty means no prefix.
	Prefix string
	// Records is the tree of the records. Empty means that RunningVersions and RunningVersionsOld are one list.
	Records string
}

func (l Layout) key(name string) string {
	if l.Prefix == "" {
		return name
	}
	return l.Prefix + "/" + name
}

// CurrentVersion is the key of the version that all hosts trend toward.
func (l Layout) CurrentVersion() string { return l.key("current_version") }

// ConfigState is the prefix of the enable_puppet tree and of operators' pause keys.
func (l Layout) ConfigState() string { return l.key("config_state/") }

// EnableTree is the prefix of the keys that enable Puppet.
func (l Layout) EnableTree() string { return l.key("config_state/enable_puppet/") }

// EnableGlobal is the key that enables Puppet on all hosts without a more specific key.
func (l Layout) EnableGlobal() string { return l.EnableTree() + "global" }

// EnableRole is the key that enables Puppet on the hosts of a role.
func (l Layout) EnableRole(role string) string { return l.EnableTree() + "role/" + role }

// EnableHost is the key that enables Puppet on a host.
func (l Layout) EnableHost(host string) string { return l.EnableTree() + "host/" + host }

// PauseGlobal is the key with which an operator pauses the fleet.
func (l Layout) PauseGlobal() string { return l.key("config_state/global/enable_puppet") }

// PauseRole is the key with which an operator pauses a role.
func (l Layout) PauseRole(role string) string {
	return l.key("config_state/role/" + role + "/enable_puppet")
}

// PauseHost is the key with which an operator pauses a host.
func (l Layout) PauseHost(host string) string {
	return l.key("config_state/host/" + host + "/enable_puppet")
}

// Pause is the pause key of a host or role.
func (l Layout) Pause(p fleet.Place) string { return l.ConfigState() + p.String() + "/enable_puppet" }

// Hold is the key of the hold on a host or role.
func (l Layout) Hold(p fleet.Place) string { return l.HoldTree() + p.String() }

// RecordTree is the prefix of the records that our agents write.
func (l Layout) RecordTree() string { return l.RecordTrees()[0] }

// Record is the key that a host writes when it has reached a version.
func (l Layout) Record(version, host string) string { return l.RecordTree() + version + "/" + host }

// StartedTree is the prefix of all started markers.
func (l Layout) StartedTree() string { return l.key(root + "started/") }

// Started is the key of a host's started marker.
func (l Layout) Started(host string) string { return l.StartedTree() + host }

// GrantTree is the prefix of all grants.
func (l Layout) GrantTree() string { return l.key(root + "grants/") }

// Grant is the key of a host's grant.
func (l Layout) Grant(host string) string { return l.GrantTree() + host }

// ReportTree is the prefix of all reports.
func (l Layout) ReportTree() string { return l.key(root + "hosts/") }

// Report is the key of the last report of a host's agent.
func (l Layout) Report(host string) string { return l.ReportTree() + host }

// Action is the key of the action that hosts run in place of an upgrade.
func (l Layout) Action() string { return l.key(root + "action") }

// HoldTree is the prefix of all holds.
func (l Layout) HoldTree() string { return l.key(root + "holds/") }

// HoldEpoch is the key that each change of a hold writes.
func (l Layout) HoldEpoch() string { return l.HoldTree() + "epoch" }

// HoldFleet is the key of the hold on the whole fleet, which exists while its plan is paused, aborted or halted.
func (l Layout) HoldFleet() string { return l.HoldTree() + "fleet" }

// HoldHost is the key of the hold on a host.
func (l Layout) HoldHost(host string) string { return l.HoldTree() + "host/" + host }

// HoldRole is the key of the hold on a role.
func (l Layout) HoldRole(role string) string { return l.HoldTree() + "role/" + role }

// ValidSegment reports whether s may be one segment of a key, as version, role and host names are.
func ValidSegment(s string) bool { return names.Segment(s) }

// ValidVersion returns what is wrong with a version name. It is empty for a valid name.
func ValidVersion(v string) string { return names.Version(v) }

// ValidPath reports whether s is one or more valid segments joined by slashes.
func ValidPath(s string) bool { return names.Path(s) }
