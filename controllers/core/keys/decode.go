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

// Snapshot is what was read of a fleet's keys.
type Snapshot struct {
	Current Pair
	// Action is what hosts do instead of an upgrade.
	Action Pair
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
	// Checks are those of the hosts' nodes that do not pass, sorted by node, then id.
	Checks []fleet.Check
	// Nodes are the names of all nodes in the catalog, sorted; nil: they were not read.
	Nodes []string
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
func Decode(raw Snapshot, l Layout, o Options) fleet.Fleet {
	d := decoder{raw: raw, layout: l, options: o, roleCache: map[string]string{}}
	d.findings = make([]finding, 0, len(raw.RecordKeys)+len(raw.Records)+len(raw.Config)+len(raw.Reports)+len(raw.Started))
	d.records()
	d.config()
	d.holds()
	d.nodes()
	below(&d, raw.Reports, l.ReportTree(), foundReport)
	below(&d, raw.Started, l.StartedTree(), foundStarted)
	f := fleet.Fleet{
		Current:    DecodeCurrent(raw.Current),
		Hosts:      d.collect(),
		Global:     d.global,
		Roles:      d.roles,
		Ledger:     raw.Ledger,
		Incomplete: raw.Incomplete,
		Index:      raw.RecordIndex,
	}
	f.UnknownHostGrants, f.Holds = d.strangers, d.shown
	if f.Current.Index != 0 && ValidVersion(f.Current.Name) != "" {
		d.note("current_version is %q, which is no version name", f.Current.Name)
	}
	slices.Sort(d.notes)
	f.Notes = slices.Compact(d.notes)
	return f
}

// Wanted are the keys of those records whose values and indexes decide something: of hosts that stand under two
// versions, and of hosts on whose behalf the controller set a mark. Sorted.
func Wanted(raw Snapshot, l Layout) []string {
	hosts := map[string]struct{}{}
	for _, p := range raw.Started {
		if s := DecodeStarted(p); s.By == fleet.ByController {
			hosts[strings.TrimPrefix(p.Key, l.StartedTree())] = struct{}{}
		}
	}
	tree := len(l.RecordTree())
	versions := byVersion(raw.RecordKeys, tree)
	for i, a := range versions {
		for _, b := range versions[i+1:] {
			addCommon(hosts, a, b)
		}
	}
	var wanted []string
	for host := range hosts {
		wanted = append(wanted, recordsOf(versions, host)...)
	}
	slices.Sort(wanted)
	return wanted
}

// Versions are the versions that hosts are recorded under, in the order of their keys.
func (raw Snapshot) Versions(l Layout) []string {
	tree := len(l.RecordTree())
	var names []string
	for _, v := range byVersion(raw.RecordKeys, tree) {
		names = append(names, v.keys[0][tree:v.host-1])
	}
	return names
}

// version is the keys of the records of one version, sorted; the host's name begins at host.
type version struct {
	keys []string
	host int
}

// find is the key of the host's record.
func (v version) find(host string) (string, bool) {
	i, ok := slices.BinarySearchFunc(v.keys, host, func(key, host string) int { return strings.Compare(key[v.host:], host) })
	if !ok {
		return "", false
	}
	return v.keys[i], true
}

// byVersion cuts the sorted keys where the version changes. It looks at each, so that all keys of a version are of it even
// if they are not sorted.
func byVersion(keys []string, tree int) []version {
	var out []version
	for from := 0; from < len(keys); {
		slash := strings.IndexByte(keys[from][tree:], '/')
		if slash < 0 {
			from++
			continue
		}
		prefix := keys[from][:tree+slash+1]
		to := from + 1
		for to < len(keys) && strings.HasPrefix(keys[to], prefix) {
			to++
		}
		out = append(out, version{keys: keys[from:to], host: len(prefix)})
		from = to
	}
	return out
}

// addCommon adds the hosts that are in both.
func addCommon(hosts map[string]struct{}, a, b version) {
	for i, j := 0, 0; i < len(a.keys) && j < len(b.keys); {
		host := a.keys[i][a.host:]
		switch c := strings.Compare(host, b.keys[j][b.host:]); {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			hosts[host] = struct{}{}
			i, j = i+1, j+1
		}
	}
}

// hostOf is the host of a record's key below its tree.
func hostOf(rest string) (host string, ok bool) {
	version, host, ok := strings.Cut(rest, "/")
	return host, ok && host != "" && version != ""
}

// finding is something that was found of a host: where it stands in the raw list of its kind.
type finding struct {
	kind kind
	at   int32
}

type kind uint8

const (
	foundKey    kind = iota // in RecordKeys
	foundValue              // in Records
	foundReport             // in Reports
	foundStarted
	foundSwitch // in Config
)

type decoder struct {
	raw       Snapshot
	layout    Layout
	options   Options
	names     []string // of hosts, one for each finding
	findings  []finding
	global    fleet.EnableValue
	roles     map[string]fleet.EnableValue
	paused    map[string]bool // operators' pause keys that are set, by scope/name: whether they stop
	ofHold    []string        // scope/name of pause keys that stand for a hold
	holdOf    map[string]*fleet.Hold
	shown     []fleet.Place
	checksOf  map[string][]fleet.Check // by node
	strangers []fleet.Grant
	notes     []string
	oddNotes  int
	roleCache map[string]string
	lastRole  string
}

func (d *decoder) found(host string, k kind, at int) {
	d.names = append(d.names, host)
	d.findings = append(d.findings, finding{k, int32(at)})
}

// collect puts together what was found of each host, in natural order.
func (d *decoder) collect() []fleet.Host {
	order := fleet.NaturalOrder(d.names)
	hosts := make([]fleet.Host, 0, len(d.raw.RecordKeys)+len(d.raw.Reports))
	for from := 0; from < len(order); {
		name := d.names[order[from]]
		to := from + 1
		for to < len(order) && d.names[order[to]] == name {
			to++
		}
		h := fleet.Host{Name: name}
		if d.host(&h, order[from:to]) {
			hosts = append(hosts, h)
		}
		from = to
	}
	return hosts
}

// host makes a host of what was found of it. A switch alone makes none.
func (d *decoder) host(h *fleet.Host, found []int) (known bool) {
	var own *Pair
	for _, i := range found {
		switch f := d.findings[i]; f.kind {
		case foundKey:
			r, exists := d.record(d.raw.RecordKeys[f.at], found)
			if exists && (!known || h.Record.Version == "" || newer(r, h.Record)) {
				h.Record = r
			}
			known = known || exists
		case foundReport:
			h.Report, known = DecodeReport(d.raw.Reports[f.at]), true
		case foundStarted:
			h.Started, known = DecodeStarted(d.raw.Started[f.at]), true
		case foundSwitch:
			own = &d.raw.Config[f.at]
		case foundValue: // with its key
		}
	}
	if !known {
		d.stranger(h.Name, own)
		return false
	}
	d.roleOf(h)
	d.settingOf(h, own)
	d.stopOf(h)
	d.nodeOf(h)
	return true
}

// stranger keeps what enables a host of which there is nothing but its key.
func (d *decoder) stranger(name string, own *Pair) {
	if own == nil {
		return
	}
	if s := DecodeEnableValue(*own); s.Enables(DecodeVersion(d.raw.Current.Value)) {
		d.strangers = append(d.strangers, fleet.Grant{Name: name, Time: s.Granted})
	}
}

// record is the record of a key, with its value if that was read. It does not exist if it has gone since the keys were
// listed.
func (d *decoder) record(key string, found []int) (r fleet.Record, exists bool) {
	rest := key[len(d.layout.RecordTree()):]
	r.Version = rest[:strings.IndexByte(rest, '/')]
	for _, i := range found {
		if f := d.findings[i]; f.kind == foundValue && d.raw.Records[f.at].Key == key {
			p := &d.raw.Records[f.at]
			r.CreateIndex, r.ModifyIndex, r.Time = p.CreateIndex, p.ModifyIndex, DecodeTime(p.Value)
			return r, p.Exists()
		}
	}
	return r, true
}

// maxNotes bounds how many oddities are told.
const maxNotes = 20

func (d *decoder) note(format string, args ...any) {
	if d.oddNotes++; d.oddNotes <= maxNotes {
		d.notes = append(d.notes, fmt.Sprintf(format, args...))
	}
}

// records finds what hosts have reached. Of several records of a host the newest counts: the highest ModifyIndex; if
// equal, the larger time.
func (d *decoder) records() {
	tree := d.layout.RecordTree()
	d.names = make([]string, 0, cap(d.findings))
	for i, key := range d.raw.RecordKeys {
		host, ok := hostOf(key[len(tree):])
		if !ok || !ValidSegment(host) {
			d.note("%s%q is no record: <version>/<host> was expected", tree, bounded([]byte(key[len(tree):])))
			continue
		}
		d.found(host, foundKey, i)
	}
	for i := range d.raw.Records {
		if host, ok := hostOf(strings.TrimPrefix(d.raw.Records[i].Key, tree)); ok {
			d.found(host, foundValue, i)
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
	d.roles, d.paused = map[string]fleet.EnableValue{}, map[string]bool{}
	for i, p := range d.raw.Config {
		if rest, ok := strings.CutPrefix(p.Key, enable); ok {
			d.enable(rest, p, i)
			continue
		}
		if scope, ok := strings.CutSuffix(strings.TrimPrefix(p.Key, state), "/enable_puppet"); ok {
			if OfHold(p) {
				d.ofHold = append(d.ofHold, scope)
				continue
			}
			d.paused[scope] = DecodePause(p)
		}
	}
}

func (d *decoder) enable(rest string, p Pair, at int) {
	scope, name := splitEnable(rest)
	if scope == fleet.ScopeNone {
		d.note("%s is none of global, role/<role> and host/<host>: nobody reads it", bounded([]byte(p.Key)))
		return
	}
	s := DecodeEnableValue(p)
	if s.Value == fleet.Invalid || s.Value == fleet.Version && s.Text != DecodeVersion(d.raw.Current.Value) {
		d.note("%s is %q: agents read that as a no, and hosts in the field as a yes", p.Key, s.Text)
	}
	switch scope {
	case fleet.ScopeGlobal:
		d.global = s
	case fleet.ScopeRole:
		d.roles[name] = s
	default:
		d.found(name, foundSwitch, at)
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
		if h == nil || h.Expired(d.options.Now) {
			continue
		}
		name := strings.TrimPrefix(p.Key, d.layout.HoldTree())
		d.holdOf[name] = h
		place, ok := PlaceOf(name)
		if _, own := d.paused[name]; ok && !own {
			d.shown = append(d.shown, place)
		}
	}
	for _, name := range d.ofHold {
		if d.holdOf[name] == nil {
			d.note("%s%s/enable_puppet stands for a hold that has ended: the next pass removes it", d.layout.ConfigState(), name)
		}
	}
}

func (d *decoder) nodes() {
	d.checksOf = map[string][]fleet.Check{}
	for _, c := range d.raw.Checks {
		d.checksOf[c.Node] = append(d.checksOf[c.Node], c)
	}
}

// nodeOf finds what Consul knows of a host's node: the one that bears its name.
func (d *decoder) nodeOf(h *fleet.Host) {
	if len(d.checksOf) > 0 {
		h.Checks = d.checksOf[h.Name]
	}
	if d.raw.Nodes != nil {
		_, known := slices.BinarySearch(d.raw.Nodes, h.Name)
		h.Lost = !known
	}
}

// below finds what hosts wrote under their own names.
func below(d *decoder, pairs []Pair, tree string, k kind) {
	for i := range pairs {
		name := strings.TrimPrefix(pairs[i].Key, tree)
		switch {
		case ValidSegment(name):
			d.found(name, k, i)
		case name != "":
			d.note("%s: %q is no host name", tree, bounded([]byte(name)))
		}
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

// intern lets equal role names share their bytes, so that comparing them is cheap. Neighbours mostly have the same.
func (d *decoder) intern(role string) string {
	if role == d.lastRole {
		return d.lastRole
	}
	same, ok := d.roleCache[role]
	if !ok {
		same = role
		d.roleCache[role] = role
	}
	d.lastRole = same
	return same
}

func (d *decoder) settingOf(h *fleet.Host, own *Pair) {
	if own != nil {
		h.Setting = fleet.Setting{Scope: fleet.ScopeHost, EnableValue: DecodeEnableValue(*own)}
		return
	}
	if s, ok := d.roles[h.LookupRole]; ok && h.LookupRole != "" {
		h.Setting = fleet.Setting{Scope: fleet.ScopeRole, EnableValue: s}
	} else if d.global.Index != 0 {
		h.Setting = fleet.Setting{Scope: fleet.ScopeGlobal, EnableValue: d.global}
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
