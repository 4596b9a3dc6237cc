// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keys is the only place that spells a key or encodes a value: it turns what stands in the store into a Fleet,
// and what shall be into keys.
package keys

import (
	"fmt"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Pair is one key as the store holds it. ModifyIndex 0: there is no such key.
type Pair struct {
	Key                      string
	Value                    []byte
	Flags                    uint64
	CreateIndex, ModifyIndex uint64
	// Session holds the id of the session that locks the key.
	Session string
}

// Exists says whether the key is in the store.
func (p Pair) Exists() bool { return p.ModifyIndex != 0 }

// The trees below which hosts record the version that they reached.
const (
	RunningVersions    = "running/versions"
	RunningVersionsOld = "running_version"
)

const root = "upgrade.jiocloud.com/"

// Leader is the lock of the one writer.
const Leader = root + "leader"

// Plans is the prefix of all plans.
const Plans = root + "plans/"

// PlansEpoch moves whenever a plan is created or deleted, so that no two plans can be created for one fleet at once.
const PlansEpoch = Plans + "epoch"

// Sources is the prefix of what is kept of all sources, and Requests that of the requests to sync one.
const (
	Sources  = root + "sources/"
	Requests = root + "requests/"
)

// Source is the key of what is kept of a source: a Git repository that plans come from.
func Source(name string) string { return Sources + name }

// Request is the key by which whoever wants a source synced now rings for it.
func Request(source string) string { return Requests + source }

// PlanOf is the name of the plan whose spec the key is; empty: it is no such key.
func PlanOf(key string) Plan {
	name, ok := strings.CutSuffix(strings.TrimPrefix(key, Plans), "/spec")
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return Plan(name)
}

// Plan spells the keys of one plan.
type Plan string

func (p Plan) key(name string) string { return Plans + string(p) + "/" + name }

// Spec, Control, Ledger and Status are the keys of a plan, Manager says who keeps its spec, and Tree is the prefix of all
// of them.
func (p Plan) Spec() string    { return p.key("spec") }
func (p Plan) Control() string { return p.key("control") }
func (p Plan) Ledger() string  { return p.key("ledger") }
func (p Plan) Status() string  { return p.key("status") }
func (p Plan) Manager() string { return p.key("manager") }
func (p Plan) Tree() string    { return p.key("") }

// Revision is the key of an earlier spec, by its generation.
func (p Plan) Revision(generation int64) string {
	return p.key(fmt.Sprintf("revisions/%d", generation))
}

// MaxEvents is how many events of a plan are kept: each takes the place of the one that is so much older.
const MaxEvents = 256

// Event is the key of an event by its number, and Events the prefix of all of them.
func (p Plan) Event(number uint64) string { return p.key(fmt.Sprintf("events/%03d", number%MaxEvents)) }
func (p Plan) Events() string             { return p.key("events/") }

// Revisions is the prefix of all of them.
func (p Plan) Revisions() string { return p.key("revisions/") }

// Layout spells the keys of one fleet.
type Layout struct {
	// Prefix stands before all keys; without slashes at its ends.
	Prefix string
	// Records is the tree of running versions; empty: RunningVersions.
	Records string
}

func (l Layout) key(name string) string {
	if l.Prefix == "" {
		return name
	}
	return l.Prefix + "/" + name
}

// CurrentVersion is the version that all hosts trend towards.
func (l Layout) CurrentVersion() string { return l.key("current_version") }

// ConfigState is the prefix of the enable_puppet tree and of the operators' pauses.
func (l Layout) ConfigState() string { return l.key("config_state/") }

// EnableTree is the prefix of the keys that say who may run Puppet.
func (l Layout) EnableTree() string { return l.key("config_state/enable_puppet/") }

// EnableGlobal, EnableRole and EnableHost are the keys in it.
func (l Layout) EnableGlobal() string          { return l.EnableTree() + "global" }
func (l Layout) EnableRole(role string) string { return l.EnableTree() + "role/" + role }
func (l Layout) EnableHost(host string) string { return l.EnableTree() + "host/" + host }

// PauseGlobal, PauseRole and PauseHost are the keys by which operators pause a scope.
func (l Layout) PauseGlobal() string { return l.key("config_state/global/enable_puppet") }
func (l Layout) PauseRole(role string) string {
	return l.key("config_state/role/" + role + "/enable_puppet")
}
func (l Layout) PauseHost(host string) string {
	return l.key("config_state/host/" + host + "/enable_puppet")
}

// Pause is the pause key of a host or role, and Hold the hold on it.
func (l Layout) Pause(p fleet.Place) string { return l.ConfigState() + p.String() + "/enable_puppet" }
func (l Layout) Hold(p fleet.Place) string  { return l.HoldTree() + p.String() }

// RecordTree is the prefix of all records.
func (l Layout) RecordTree() string {
	if l.Records == "" {
		return l.key(RunningVersions + "/")
	}
	return l.key(l.Records + "/")
}

// Record is the key by which a host says that it has reached a version.
func (l Layout) Record(version, host string) string { return l.RecordTree() + version + "/" + host }

// StartedTree and Started are the marks of hosts that have begun.
func (l Layout) StartedTree() string        { return l.key(root + "started/") }
func (l Layout) Started(host string) string { return l.StartedTree() + host }

// ReportTree and Report are the last reports of agents.
func (l Layout) ReportTree() string        { return l.key(root + "hosts/") }
func (l Layout) Report(host string) string { return l.ReportTree() + host }

// Action is what the hosts do instead of an upgrade, if the plan says so.
func (l Layout) Action() string { return l.key(root + "action") }

// HoldTree is the prefix of holds; HoldEpoch moves with each change of one.
func (l Layout) HoldTree() string            { return l.key(root + "holds/") }
func (l Layout) HoldEpoch() string           { return l.HoldTree() + "epoch" }
func (l Layout) HoldHost(host string) string { return l.HoldTree() + "host/" + host }
func (l Layout) HoldRole(role string) string { return l.HoldTree() + "role/" + role }

// ValidSegment says whether a version, role or host name may be one segment of a key.
func ValidSegment(s string) bool { return names.Segment(s) }

// ValidVersion says in words what is wrong with a version name; empty: nothing.
func ValidVersion(v string) string { return names.Version(v) }

// ValidPath says whether s is one or more valid segments joined by slashes.
func ValidPath(s string) bool { return names.Path(s) }
