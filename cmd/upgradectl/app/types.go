// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// List is what get -o json and -o yaml print: apiVersion upgrade.jiocloud.com/v1alpha1, a kind (UpgradePlanList,
// HostList, RoleList, VersionList, HoldList or EventList), and items of UpgradePlan, Host, Role, Version, Hold or Event.
// Fields are added to these over time; none is renamed or gets another meaning. Times are RFC 3339 in UTC.
type List[T any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      []T    `json:"items"`
}

func list[T any](kind string, items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{v1alpha1.APIVersion, kind, items}
}

// Host is one host of a fleet.
type Host struct {
	Name string `json:"name"`
	// Role is the letters of its name, or what the host or the plan says; absent: it has none. Group is that of the role.
	Role  string `json:"role,omitempty"`
	Group string `json:"group,omitempty"`
	// Version is that of its newest record; absent: it has none.
	Version string `json:"version,omitempty"`
	// State is Upgraded, Upgrading, Pending, Failed, Held, Exempt, Lost or Unknown.
	State string `json:"state"`
	// Reason is one word, and Message a sentence, on why it is where it is.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// InFlight says that it takes a slot, Counts that the plan is about it, Agent that it was ever seen as an agent.
	InFlight bool `json:"inFlight"`
	Counts   bool `json:"counts"`
	Agent    bool `json:"agent"`
	// DecidedBy is the key that says whether it is enabled; absent: none is set.
	DecidedBy *DecidingKey `json:"decidedBy,omitempty"`
	// RecordedAt is the time in its newest record.
	RecordedAt time.Time `json:"recordedAt,omitzero"`
	// Started is its mark that it has begun; absent: it has not.
	Started *fleet.Started `json:"started,omitempty"`
	// Report is the last word of its agent.
	Report *fleet.Report `json:"report,omitempty"`
	// PausedBy is the key that pauses it, and Hold the hold that keeps it where it is.
	PausedBy string      `json:"pausedBy,omitempty"`
	Hold     *fleet.Hold `json:"hold,omitempty"`
	// Checks are those of its node that do not pass; they are read for plans with a health gate.
	Checks []Check `json:"checks,omitempty"`
	// Unhealthy says that checks failed already when it was released.
	Unhealthy bool `json:"unhealthy,omitempty"`
}

// Check is a check of Consul's that does not pass.
type Check struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// DecidingKey is a key of the tree enable_puppet.
type DecidingKey struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	ModifyIndex uint64 `json:"modifyIndex"`
	// GrantedAt is when it was written to enable; absent: unknown, or it does not enable.
	GrantedAt time.Time `json:"grantedAt,omitzero"`
}

// Role is one role of a fleet. Its counts are those of a plan's status.
type Role struct {
	v1alpha1.RoleStatus `json:",inline"`
	// Enabled says that the key of the role enables all of it.
	Enabled bool `json:"enabled"`
}

// Version is one version that hosts have.
type Version struct {
	Name string `json:"name"`
	// Hosts counts those whose newest record it is.
	Hosts int `json:"hosts"`
	// Current says that all hosts trend towards it.
	Current bool `json:"current"`
}

// hostsOf are all hosts in natural order. Records are their newest ones with times, where these were read.
func hostsOf(o *upgradeplan.Observation, records map[string]fleet.Record) []Host {
	d := o.Present()
	hosts := make([]Host, len(d.Verdicts))
	for i := range d.Verdicts {
		v, h := &d.Verdicts[i], &o.Fleet.Hosts[i]
		hosts[i] = Host{
			Name: h.Name, Role: h.Role, Group: v.Group, Version: h.Record.Version, State: string(v.State),
			Reason: string(v.Reason), Message: v.Message, InFlight: v.InFlight, Counts: v.Counts, Agent: h.Agent(),
			DecidedBy: decidingKey(o.Layout, h), RecordedAt: h.Record.Time, Started: h.Started, Report: h.Report,
			PausedBy: pauseKey(o.Layout, h), Hold: h.Hold, Unhealthy: h.Setting.Unhealthy,
		}
		for _, c := range h.Checks {
			hosts[i].Checks = append(hosts[i].Checks, Check{c.ID, string(c.Status)})
		}
		if r, ok := records[h.Name]; ok && r.Version == h.Record.Version {
			hosts[i].RecordedAt = r.Time
		}
	}
	return hosts
}

func decidingKey(l keys.Layout, h *fleet.Host) *DecidingKey {
	var key string
	switch h.Setting.Scope {
	case fleet.ScopeHost:
		key = l.EnableHost(h.Name)
	case fleet.ScopeRole:
		key = l.EnableRole(h.LookupRole)
	case fleet.ScopeGlobal:
		key = l.EnableGlobal()
	default:
		return nil
	}
	return &DecidingKey{Key: key, Value: h.Setting.Text, ModifyIndex: h.Setting.Index, GrantedAt: unix(h.Setting.Granted)}
}

func pauseKey(l keys.Layout, h *fleet.Host) string {
	switch h.PausedBy {
	case fleet.ScopeHost:
		return l.PauseHost(h.Name)
	case fleet.ScopeRole:
		return l.PauseRole(h.LookupRole)
	case fleet.ScopeGlobal:
		return l.PauseGlobal()
	}
	return ""
}

// recordTimes reads the times of all records: the newest of each host, by its index.
func recordTimes(ctx context.Context, s store.Store, l keys.Layout) (map[string]fleet.Record, error) {
	pairs, _, err := s.List(ctx, l.RecordTree())
	if err != nil {
		return nil, err
	}
	newest := make(map[string]fleet.Record, len(pairs))
	for _, p := range pairs {
		version, host, ok := strings.Cut(strings.TrimPrefix(p.Key, l.RecordTree()), "/")
		if r, seen := newest[host]; ok && (!seen || p.ModifyIndex > r.ModifyIndex) {
			newest[host] = fleet.Record{Version: version, ModifyIndex: p.ModifyIndex, Time: keys.DecodeTime(p.Value)}
		}
	}
	return newest, nil
}

// statusOf is the status of a plan as it is now, or that of a fleet without one.
func statusOf(o *upgradeplan.Observation) v1alpha1.UpgradePlanStatus {
	d := o.Present()
	if o.Plan == nil {
		return status.Of(&d, v1alpha1.UpgradePlanStatus{}, 0, o.Now)
	}
	return status.Of(&d, o.Plan.Status, o.Plan.Generation, o.Now)
}

func rolesOf(o *upgradeplan.Observation) []Role {
	var roles []Role
	d := o.Present()
	for _, r := range status.Roles(&d) {
		roles = append(roles, Role{r, o.Fleet.Roles[r.Name].Enables(o.Fleet.Current.Name)})
	}
	return roles
}

// versionsOf are the versions that hosts have, and the one that they trend towards, in natural order.
func versionsOf(o *upgradeplan.Observation) []Version {
	counts := map[string]int{}
	current := o.Fleet.Current.Name
	if o.Fleet.Current.Index != 0 {
		counts[current] = 0
	}
	for i := range o.Fleet.Hosts {
		if version := o.Fleet.Hosts[i].Record.Version; version != "" {
			counts[version]++
		}
	}
	var versions []Version
	for _, name := range naturalKeys(counts) {
		versions = append(versions, Version{name, counts[name], name == current && o.Fleet.Current.Index != 0})
	}
	return versions
}

func naturalKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), fleet.CompareNatural)
}

// inState says whether a host is in one of the states, given in any case; none given: all are.
func inState(h *Host, states []string) bool {
	return len(states) == 0 || slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, h.State) })
}

func inRole(h *Host, roles []string) bool {
	return len(roles) == 0 || slices.Contains(roles, h.Role) || slices.Contains(roles, cmp.Or(h.Group, h.Role))
}

func hostStates() []string {
	return []string{string(rollout.Upgraded), string(rollout.Upgrading), string(rollout.Pending), string(rollout.Failed),
		string(rollout.Held), string(rollout.Exempt), string(rollout.Lost), string(rollout.Unknown)}
}
