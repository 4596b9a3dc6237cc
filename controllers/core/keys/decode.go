// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Raw is what was read of a fleet's keys.
type Raw struct {
	Current Pair
	// Config is all below config_state/.
	Config []Pair
	// RecordKeys are all keys below the tree of records, sorted; Records are those of them that were read with their
	// values, in any order: see Wanted.
	RecordKeys []string
	Records    []Pair
	// RecordIndex is the index of the read of RecordKeys.
	RecordIndex uint64
	// Started, Reports and Holds are all below their trees.
	Started, Reports, Holds []Pair
	// Ledger is what the plan remembers, if there is a plan.
	Ledger fleet.Ledger
	// Incomplete says why something may be missing; empty: nothing is.
	Incomplete string
}

// Options are what a plan says of how to read its fleet.
type Options struct {
	// RolePattern's first group is the role of a host; nil: fleet.RoleOf.
	RolePattern *regexp.Regexp
	// Now decides which holds have expired.
	Now time.Time
}

// Decode makes a Fleet of what was read.
func Decode(raw Raw, l Layout, o Options) fleet.Fleet {
	d := decoder{raw: raw, layout: l, options: o}
	d.records()
	d.config()
	d.holds()
	reports, started := d.reports(), d.started()
	f := fleet.Fleet{
		Current:    fleet.CurrentVersion{Name: DecodeVersion(raw.Current.Value), Index: raw.Current.ModifyIndex},
		Global:     d.global,
		Roles:      d.roles,
		Ledger:     raw.Ledger,
		Incomplete: raw.Incomplete,
		Index:      raw.RecordIndex,
		Hosts:      make([]fleet.Host, len(d.names)),
	}
	for i, name := range fleet.SortNatural(d.names) {
		h := &f.Hosts[i]
		h.Name = name
		h.Record = d.record[name]
		if len(reports) > 0 {
			h.Report = reports[name]
		}
		if len(started) > 0 {
			h.Started = started[name]
		}
		d.roleOf(h)
		d.settingOf(h)
		d.stopOf(h)
	}
	if f.Current.Index != 0 && ValidVersion(f.Current.Name) != "" {
		d.note("current_version is %q, which is no version name", f.Current.Name)
	}
	slices.Sort(d.notes)
	f.Notes = slices.Compact(d.notes)
	return f
}

// Wanted are the keys of those records whose values and indexes decide something: of hosts that stand under two
// versions, and of hosts on whose behalf the controller set a mark.
func Wanted(raw Raw, l Layout) []string {
	tree := l.RecordTree()
	first := make(map[string]int, len(raw.RecordKeys))
	marked := map[string]bool{}
	for _, p := range raw.Started {
		if s := DecodeStarted(p); s.By == fleet.ByController {
			marked[strings.TrimPrefix(p.Key, l.StartedTree())] = true
		}
	}
	var wanted []string
	for i, key := range raw.RecordKeys {
		_, host, ok := splitRecord(key[len(tree):])
		if !ok {
			continue
		}
		before, twice := first[host]
		if twice || marked[host] {
			wanted = append(wanted, key)
		}
		if twice && before >= 0 && !marked[host] {
			wanted = append(wanted, raw.RecordKeys[before])
			first[host] = -1
		}
		if !twice {
			first[host] = i
		}
	}
	slices.Sort(wanted)
	return wanted
}

func splitRecord(rest string) (version, host string, ok bool) {
	version, host, ok = strings.Cut(rest, "/")
	return version, host, ok && host != "" && version != ""
}

type decoder struct {
	raw       Raw
	layout    Layout
	options   Options
	names     []string
	known     map[string]struct{}
	record    map[string]fleet.Record
	global    fleet.Switch
	roles     map[string]fleet.Switch
	hosts     map[string]fleet.Switch
	paused    map[string]bool // pause keys that are set, by scope/name: whether they stop
	holdOf    map[string]*fleet.Hold
	notes     []string
	oddNotes  int
	roleCache map[string]string
}

// maxNotes bounds how many oddities are told.
const maxNotes = 20

func (d *decoder) note(format string, args ...any) {
	if d.oddNotes++; d.oddNotes <= maxNotes {
		d.notes = append(d.notes, fmt.Sprintf(format, args...))
	}
}

// records finds the newest record of each host: the highest ModifyIndex; if equal, the larger time.
func (d *decoder) records() {
	tree := d.layout.RecordTree()
	d.record = make(map[string]fleet.Record, len(d.raw.RecordKeys))
	d.names = make([]string, 0, len(d.raw.RecordKeys))
	values := make(map[string]Pair, len(d.raw.Records))
	for _, p := range d.raw.Records {
		values[p.Key] = p
	}
	for _, key := range d.raw.RecordKeys {
		version, host, ok := splitRecord(key[len(tree):])
		if !ok || !ValidSegment(host) {
			d.note("%s%q is no record: <version>/<host> was expected", tree, bounded([]byte(key[len(tree):])))
			continue
		}
		r := fleet.Record{Version: version}
		if p, read := values[key]; read {
			if !p.Exists() { // it has gone since the keys were listed
				continue
			}
			r = fleet.Record{Version: version, CreateIndex: p.CreateIndex, ModifyIndex: p.ModifyIndex,
				Time: DecodeTime(p.Value)}
		}
		old, twice := d.record[host]
		if !twice {
			d.names = append(d.names, host)
		}
		if !twice || newer(r, old) {
			d.record[host] = r
		}
	}
}

func newer(a, b fleet.Record) bool {
	if a.ModifyIndex != b.ModifyIndex {
		return a.ModifyIndex > b.ModifyIndex
	}
	return a.Time.After(b.Time)
}

// config sorts config_state/ into switches and pauses. Other keys there are other people's.
func (d *decoder) config() {
	enable, state := d.layout.EnableTree(), d.layout.ConfigState()
	d.roles, d.hosts, d.paused = map[string]fleet.Switch{}, map[string]fleet.Switch{}, map[string]bool{}
	for _, p := range d.raw.Config {
		if rest, ok := strings.CutPrefix(p.Key, enable); ok {
			d.enable(rest, p)
			continue
		}
		if scope, ok := strings.CutSuffix(strings.TrimPrefix(p.Key, state), "/enable_puppet"); ok {
			d.paused[scope] = DecodePause(p)
		}
	}
}

func (d *decoder) enable(rest string, p Pair) {
	scope, name := splitEnable(rest)
	if scope == fleet.ScopeNone {
		d.note("%s is none of global, role/<role> and host/<host>: nobody reads it", bounded([]byte(p.Key)))
		return
	}
	s := DecodeSwitch(p)
	if s.Value == fleet.Invalid || s.Value == fleet.Version && s.Text != DecodeVersion(d.raw.Current.Value) {
		d.note("%s is %q: agents read that as a no, and hosts in the field as a yes", p.Key, s.Text)
	}
	switch scope {
	case fleet.ScopeGlobal:
		d.global = s
	case fleet.ScopeRole:
		d.roles[name] = s
	default:
		if d.hosts == nil || len(d.hosts) == 0 {
			d.hosts = make(map[string]fleet.Switch, len(d.raw.Config))
		}
		d.hosts[name] = s
	}
}

func splitEnable(rest string) (fleet.Scope, string) {
	if rest == "global" {
		return fleet.ScopeGlobal, ""
	}
	if name, ok := strings.CutPrefix(rest, "host/"); ok && plain(name) {
		return fleet.ScopeHost, name
	}
	if name, ok := strings.CutPrefix(rest, "role/"); ok && plain(name) {
		return fleet.ScopeRole, name
	}
	return fleet.ScopeNone, ""
}

func plain(name string) bool { return name != "" && strings.IndexByte(name, '/') < 0 }

func (d *decoder) holds() {
	d.holdOf = map[string]*fleet.Hold{}
	for _, p := range d.raw.Holds {
		h := DecodeHold(p)
		if h != nil && (h.Expires.IsZero() || h.Expires.After(d.options.Now)) {
			d.holdOf[strings.TrimPrefix(p.Key, d.layout.HoldTree())] = h
		}
	}
}

func (d *decoder) reports() map[string]*fleet.Report {
	return below(d, d.raw.Reports, d.layout.ReportTree(), DecodeReport)
}

func (d *decoder) started() map[string]*fleet.Started {
	return below(d, d.raw.Started, d.layout.StartedTree(), DecodeStarted)
}

// below decodes what hosts wrote under their own names, and makes these hosts known.
func below[T any](d *decoder, pairs []Pair, tree string, decode func(Pair) T) map[string]T {
	out := make(map[string]T, len(pairs))
	for _, p := range pairs {
		name := strings.TrimPrefix(p.Key, tree)
		if !ValidSegment(name) {
			if name != "" {
				d.note("%s: %q is no host name", tree, bounded([]byte(name)))
			}
			continue
		}
		d.add(name)
		out[name] = decode(p)
	}
	return out
}

func (d *decoder) add(name string) {
	if _, ok := d.record[name]; ok {
		return
	}
	if d.known == nil {
		d.known = map[string]struct{}{}
	}
	if _, ok := d.known[name]; !ok {
		d.known[name] = struct{}{}
		d.names = append(d.names, name)
	}
}

// roleOf: the host looks up its keys under the role in its name, or the one that it reports; the plan may see it
// otherwise by its pattern, but not against the host's own word.
func (d *decoder) roleOf(h *fleet.Host) {
	h.LookupRole = d.intern(fleet.RoleOf(h.Name))
	h.Role = h.LookupRole
	if h.Report != nil && ValidSegment(h.Report.Role) {
		h.LookupRole, h.Role = h.Report.Role, h.Report.Role
		return
	}
	if d.options.RolePattern == nil {
		return
	}
	h.Role = ""
	if m := d.options.RolePattern.FindStringSubmatch(h.Name); len(m) > 1 && ValidSegment(m[1]) {
		h.Role = d.intern(m[1])
	}
}

// intern lets equal role names share their bytes, so that comparing them is cheap.
func (d *decoder) intern(role string) string {
	if d.roleCache == nil {
		d.roleCache = map[string]string{}
	}
	if same, ok := d.roleCache[role]; ok {
		return same
	}
	d.roleCache[role] = role
	return role
}

func (d *decoder) settingOf(h *fleet.Host) {
	if s, ok := d.hosts[h.Name]; ok {
		h.Setting = fleet.Setting{Scope: fleet.ScopeHost, Switch: s}
	} else if s, ok := d.roles[h.LookupRole]; ok && h.LookupRole != "" {
		h.Setting = fleet.Setting{Scope: fleet.ScopeRole, Switch: s}
	} else if d.global.Index != 0 {
		h.Setting = fleet.Setting{Scope: fleet.ScopeGlobal, Switch: d.global}
	}
}

// stopOf finds the pause and the hold of a host: of the pause keys the most specific that is set decides.
func (d *decoder) stopOf(h *fleet.Host) {
	if len(d.paused) > 0 {
		for _, at := range []struct {
			scope fleet.Scope
			name  string
		}{{fleet.ScopeHost, "host/" + h.Name}, {fleet.ScopeRole, "role/" + h.LookupRole}, {fleet.ScopeGlobal, "global"}} {
			if stops, set := d.paused[at.name]; set {
				if stops {
					h.PausedBy = at.scope
				}
				break
			}
		}
	}
	if len(d.holdOf) > 0 {
		if hold := d.holdOf["host/"+h.Name]; hold != nil {
			h.Hold, h.HoldScope = hold, fleet.ScopeHost
		} else if hold := d.holdOf["role/"+h.Role]; hold != nil {
			h.Hold, h.HoldScope, h.HoldRole = hold, fleet.ScopeRole, h.Role
		} else if hold := d.holdOf["role/"+h.LookupRole]; hold != nil { // the host itself knows no other
			h.Hold, h.HoldScope, h.HoldRole = hold, fleet.ScopeRole, h.LookupRole
		}
	}
}
