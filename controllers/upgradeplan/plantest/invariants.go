// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package plantest

import (
	"fmt"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// InvariantChecker checks the whole state of a store after each write, independently of the planner: each host that is newly in
// flight must have found a free slot.
type InvariantChecker struct {
	Layout keys.Layout
	// Limits are the numbers of hosts that may be in flight, by role.
	Limits map[string]int
	// Faults are the violations so far, a sentence each.
	Faults []string

	before map[string]bool
}

// Look checks all pairs of a store. The error names the new violations.
func (r *InvariantChecker) Look(pairs []keys.Pair) error {
	s := r.sort(pairs)
	inFlight, count := map[string]bool{}, map[string]int{}
	for host, version := range s.version {
		if s.started[host] || version != string(s.current.Value) && s.may(r.Layout, host) {
			inFlight[host] = true
			count[fleet.RoleOf(host)]++
		}
	}
	found := len(r.Faults)
	for host := range inFlight {
		if role := fleet.RoleOf(host); r.before != nil && !r.before[host] && count[role] > r.Limits[role] {
			r.Faults = append(r.Faults, fmt.Sprintf("%s started when %d of %s were in flight with it, the limit is %d",
				host, count[role], role, r.Limits[role]))
		}
	}
	r.before = inFlight
	if len(r.Faults) > found {
		return fmt.Errorf("%s", strings.Join(r.Faults[found:], "; "))
	}
	return nil
}

// state is what a store holds, by host.
type state struct {
	current        keys.Pair
	at             map[string]keys.Pair
	version        map[string]string
	agent, started map[string]bool
	// knows has the agents that start by grants alone.
	knows map[string]bool
}

func (r *InvariantChecker) sort(pairs []keys.Pair) state {
	s := state{at: map[string]keys.Pair{}, version: map[string]string{}, agent: map[string]bool{}, started: map[string]bool{},
		knows: map[string]bool{}}
	newest := map[string]uint64{}
	for _, p := range pairs {
		s.at[p.Key] = p
		if version, host, ok := r.Layout.RecordTrees().Cut(p.Key); ok {
			if p.ModifyIndex > newest[host] { // a host can stand under two versions
				s.version[host], newest[host] = version, p.ModifyIndex
			}
		}
		if host, ok := strings.CutPrefix(p.Key, r.Layout.ReportTree()); ok {
			s.agent[host], s.knows[host] = true, keys.DecodeReport(p).Schema >= fleet.ReportSchema
		}
		if host, ok := strings.CutPrefix(p.Key, r.Layout.StartedTree()); ok {
			s.started[host] = true
		}
	}
	s.current = s.at[r.Layout.CurrentVersion()]
	return s
}

// may reports whether a host that reads its keys may change its version.
func (s state) may(l keys.Layout, host string) bool {
	if current := keys.DecodeCurrent(s.current); current.Governed && s.knows[host] {
		return keys.DecodeGrant(s.at[l.Grant(host)]).For(current)
	}
	key, ok := s.at[l.EnableHost(host)]
	if !ok {
		key, ok = s.at[l.EnableRole(fleet.RoleOf(host))]
	}
	if !ok {
		key = s.at[l.EnableGlobal()]
	}
	if s.agent[host] {
		return string(key.Value) == "True" && key.ModifyIndex > s.current.ModifyIndex
	}
	return string(key.Value) != "False"
}
