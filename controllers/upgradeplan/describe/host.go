// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Host is one host of a fleet.
type Host struct {
	Name string `json:"name"`
	// Role comes from its report, from the plan, or from the letters of its name. Empty means none. Group is that of the role.
	Role  string `json:"role,omitempty"`
	Group string `json:"group,omitempty"`
	// Version is that of its newest record. Empty means none.
	Version string `json:"version,omitempty"`
	// State is Upgraded, Upgrading, Pending, Failed, Held, Exempt, Lost, Unknown or Duplicate.
	State string `json:"state"`
	// Reason is the reason of its verdict, and Message the sentence.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// InFlight says that it takes a slot, Counts that the rollout waits for it, and Agent that it has a report.
	InFlight bool `json:"inFlight"`
	Counts   bool `json:"counts"`
	Agent    bool `json:"agent"`
	// DecidedBy is the enable_puppet key that decides for it. Nil means that none is set.
	DecidedBy *DecidingKey `json:"decidedBy,omitempty"`
	// RecordedAt is the time in its newest record.
	RecordedAt time.Time `json:"recordedAt,omitzero"`
	// Started is its started marker. Nil means none.
	Started *fleet.Started `json:"started,omitempty"`
	// Report is the last report of its agent. Nil means none.
	Report *fleet.Report `json:"report,omitempty"`
	// ClockOffsetSeconds is how far its clock is ahead of the controller's, or behind if negative. Zero means less than a minute,
	// or unknown.
	ClockOffsetSeconds int64 `json:"clockOffsetSeconds,omitempty"`
	// PausedBy is the pause key that stops it, and Hold the hold on it or its role.
	PausedBy string      `json:"pausedBy,omitempty"`
	Hold     *fleet.Hold `json:"hold,omitempty"`
	// Checks are the checks of its node that do not pass. They are read for plans with a health gate only.
	Checks []Check `json:"checks,omitempty"`
	// Unhealthy says that required checks failed already when it was granted.
	Unhealthy bool `json:"unhealthy,omitempty"`
}

// Check is a check in Consul that does not pass.
type Check struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// DecidingKey is a key of the tree enable_puppet.
type DecidingKey struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	ModifyIndex uint64 `json:"modifyIndex"`
	// GrantedAt is when it was written to enable. Zero means unknown, or that it does not enable.
	GrantedAt time.Time `json:"grantedAt,omitzero"`
}

// Hosts returns all hosts in natural order. Records are the newest records by host, as Records returns them.
func Hosts(o *pass.Assessment, records map[string]fleet.Record) []Host {
	d := o.Present()
	hosts := make([]Host, len(d.Verdicts))
	for i := range d.Verdicts {
		v, h := &d.Verdicts[i], &o.Fleet.Hosts[i]
		hosts[i] = Host{
			Name: h.Name, Role: h.Role, Group: v.Group, Version: h.Record.Version, State: string(v.State),
			Reason: string(v.Reason), Message: v.Message, InFlight: v.InFlight, Counts: v.Counts, Agent: h.Agent(),
			DecidedBy: decidingKey(o.Layout, h), RecordedAt: h.Record.Time, Started: h.Started, Report: h.Report,
			PausedBy: pauseKey(o.Layout, h), Hold: h.Hold, Unhealthy: h.Setting.Unhealthy,
			ClockOffsetSeconds: int64(v.ClockOffset.Seconds()),
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

// unix is a time in Unix seconds; the zero time: it is not known.
func unix(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
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

// AgentVersion returns the version of its agent. Empty means unknown, or a legacy host.
func (h *Host) AgentVersion() string {
	if h.Report == nil {
		return ""
	}
	return h.Report.AgentVersion
}

// InState says whether the host is in one of the states, given in any case; none given: all are.
func (h *Host) InState(states []string) bool {
	return len(states) == 0 || slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, h.State) })
}

// InRole says whether the host is of one of the roles or groups; none given: all are.
func (h *Host) InRole(roles []string) bool {
	return len(roles) == 0 || slices.Contains(roles, h.Role) || slices.Contains(roles, cmp.Or(h.Group, h.Role))
}

// States are all that a host can be in.
func States() []string {
	return []string{string(rollout.Upgraded), string(rollout.Upgrading), string(rollout.Pending), string(rollout.Failed),
		string(rollout.SetAside), string(rollout.OnHold), string(rollout.Exempt), string(rollout.Lost), string(rollout.Unknown),
		string(rollout.Duplicate)}
}
