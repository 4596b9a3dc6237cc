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

// Snapshot is one read of a fleet's keys.
type Snapshot struct {
	Current Pair
	// Action is what hosts run in place of an upgrade.
	Action Pair
	// Config holds everything below config_state/.
	Config []Pair
	// RecordKeys holds all keys below the tree of records, sorted. Records holds those that were read with their values,
	// in any order. See WantedRecords.
	RecordKeys []string
	Records    []Pair
	// RecordIndex is the index of the read of RecordKeys.
	RecordIndex uint64
	// Grants, Started, Reports and Holds hold everything below their trees.
	Grants, Started, Reports, Holds []Pair
	// Checks holds the failing checks of the hosts' nodes, sorted by node, then id.
	Checks []fleet.Check
	// Nodes holds the names of all nodes in the catalog, sorted. Nil means that they were not read.
	Nodes []string
	// Ledger is the plan's ledger. It is zero without a plan.
	Ledger fleet.Ledger
	// Incomplete says why the snapshot may lack keys. Empty means that it is complete.
	Incomplete string
}

// Hold returns the pair of a hold. It does not exist if there is no such hold.
func (s *Snapshot) Hold(key string) Pair {
	for _, p := range s.Holds {
		if p.Key == key {
			return p
		}
	}
	return Pair{Key: key}
}

// Options are the settings of a plan that Decode needs.
type Options struct {
	// RolePattern extracts a host's role with its first group. Nil means fleet.RoleOf.
	RolePattern *regexp.Regexp
	// Now determines which holds have expired.
	Now time.Time
}

// Decode turns a snapshot into a Fleet. Malformed keys become notes of the Fleet, never errors.
func Decode(s Snapshot, l Layout, o Options) fleet.Fleet {
	d := decoder{snapshot: s, layout: l, options: o, roleCache: map[string]string{}}
	d.findings = make([]finding, 0, len(s.RecordKeys)+len(s.Records)+len(s.Config)+len(s.Reports)+len(s.Started))
	d.records()
	d.config()
	d.decodeHolds()
	d.nodes()
	below(&d, s.Reports, l.ReportTree(), foundReport)
	below(&d, s.Started, l.StartedTree(), foundStarted)
	below(&d, s.Grants, l.GrantTree(), foundGrant)
	f := fleet.Fleet{
		Current:    DecodeCurrent(s.Current),
		Hosts:      d.collect(),
		Global:     d.global,
		Roles:      d.roles,
		Ledger:     s.Ledger,
		Incomplete: s.Incomplete,
		Index:      s.RecordIndex,
	}
	f.UnknownHostGrants, f.Holds, f.Hold = d.unknownGrants, d.holdPlaces, d.fleetHold
	if f.Current.Index != 0 && ValidVersion(f.Current.Name) != "" {
		d.note("current_version %q is not a valid version name", f.Current.Name)
	}
	slices.Sort(d.notes)
	f.Notes = slices.Compact(d.notes)
	return f
}

// WantedRecords returns the sorted keys of the records whose values and indexes matter: those of hosts with records of two
// versions, and those of hosts that have a started marker written by the controller.
func WantedRecords(s Snapshot, l Layout) []string {
	hosts := map[string]struct{}{}
	for _, p := range s.Started {
		if m := DecodeStarted(p); m.By == fleet.ByController {
			hosts[strings.TrimPrefix(p.Key, l.StartedTree())] = struct{}{}
		}
	}
	tree := len(l.RecordTree())
	versions := byVersion(s.RecordKeys, tree)
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

// Versions returns the versions that have records, in the order of their keys.
func (s Snapshot) Versions(l Layout) []string {
	tree := len(l.RecordTree())
	var names []string
	for _, v := range byVersion(s.RecordKeys, tree) {
		names = append(names, v.keys[0][tree:v.host-1])
	}
	return names
}

// version holds the sorted record keys of one version. In each key the host name begins at offset host.
type version struct {
	keys []string
	host int
}

// find returns the key of the host's record.
func (v version) find(host string) (string, bool) {
	i, ok := slices.BinarySearchFunc(v.keys, host, func(key, host string) int { return strings.Compare(key[v.host:], host) })
	if !ok {
		return "", false
	}
	return v.keys[i], true
}

// byVersion splits the sorted keys by version. It compares every key, so that unsorted input never mixes versions.
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

// addCommon adds the hosts that both versions have to hosts.
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

// hostOf returns the host of a record key relative to its tree.
func hostOf(rest string) (host string, ok bool) {
	version, host, ok := strings.Cut(rest, "/")
	return host, ok && host != "" && version != ""
}

// finding is the position of a host's key in the snapshot's list of its kind.
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
	foundGrant
	foundEnable // in Config
)

type decoder struct {
	snapshot      Snapshot
	layout        Layout
	options       Options
	names         []string // hosts, one for each finding
	findings      []finding
	global        fleet.EnableValue
	roles         map[string]fleet.EnableValue
	paused        map[string]bool // operators' pause keys by scope/name: whether each stops its scope
	ofHold        []string        // scope/name of pause keys that represent a hold
	holdOf        map[fleet.Place]*fleet.Hold
	holdPlaces    []fleet.Place // holds that need a pause key
	fleetHold     *fleet.Hold
	checksOf      map[string][]fleet.Check // by node
	nodeOfLabel   map[string]string        // nodes by the first label of their names; empty means several
	unknownGrants []fleet.EnableKey
	notes         []string
	noted         int
	roleCache     map[string]string
	lastRole      string
}

func (d *decoder) found(host string, k kind, at int) {
	d.names = append(d.names, host)
	d.findings = append(d.findings, finding{k, int32(at)})
}

// collect returns the hosts in natural order.
func (d *decoder) collect() []fleet.Host {
	order := fleet.NaturalOrder(d.names)
	hosts := make([]fleet.Host, 0, len(d.snapshot.RecordKeys)+len(d.snapshot.Reports))
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

// host fills in h from its findings. A host that has only an enable key is unknown.
func (d *decoder) host(h *fleet.Host, found []int) (known bool) {
	var own *Pair
	for _, i := range found {
		switch f := d.findings[i]; f.kind {
		case foundKey:
			r, exists := d.record(d.snapshot.RecordKeys[f.at], found)
			if exists && (!known || h.Record.Version == "" || newer(r, h.Record)) {
				h.Record = r
			}
			known = known || exists
		case foundReport:
			h.Report, known = DecodeReport(d.snapshot.Reports[f.at]), true
		case foundStarted:
			h.Started, known = DecodeStarted(d.snapshot.Started[f.at]), true
		case foundGrant:
			h.Grant = DecodeGrant(d.snapshot.Grants[f.at])
		case foundEnable:
			own = &d.snapshot.Config[f.at]
		case foundValue: // read together with its key
		}
	}
	if !known {
		d.unknownHost(h.Name, own)
		return false
	}
	d.roleOf(h)
	d.settingOf(h, own)
	d.stopOf(h)
	d.nodeOf(h)
	return true
}

// unknownHost notes an enable key of a host that has nothing else.
func (d *decoder) unknownHost(name string, own *Pair) {
	if own == nil {
		return
	}
	if s := DecodeEnableValue(*own); s.Enables(DecodeVersion(d.snapshot.Current.Value)) {
		key := fleet.EnableKey{Name: name, Time: s.Granted, Keep: s.Index <= d.snapshot.Current.ModifyIndex}
		d.unknownGrants = append(d.unknownGrants, key)
	}
}

// record returns the record of a key, with its value if that was read. It does not exist if it was deleted after the keys
// were listed.
func (d *decoder) record(key string, found []int) (r fleet.Record, exists bool) {
	rest := key[len(d.layout.RecordTree()):]
	r.Version = rest[:strings.IndexByte(rest, '/')]
	for _, i := range found {
		if f := d.findings[i]; f.kind == foundValue && d.snapshot.Records[f.at].Key == key {
			p := &d.snapshot.Records[f.at]
			r.CreateIndex, r.ModifyIndex, r.Time = p.CreateIndex, p.ModifyIndex, DecodeTime(p.Value)
			return r, p.Exists()
		}
	}
	return r, true
}

// maxNotes is the number of notes that a Fleet keeps.
const maxNotes = 20

func (d *decoder) note(format string, args ...any) {
	if d.noted++; d.noted <= maxNotes {
		d.notes = append(d.notes, fmt.Sprintf(format, args...))
	}
}

// records finds the hosts' records. The newest record of a host counts: the one with the highest ModifyIndex, and among
// equals the one with the latest time.
func (d *decoder) records() {
	tree := d.layout.RecordTree()
	d.names = make([]string, 0, cap(d.findings))
	for i, key := range d.snapshot.RecordKeys {
		host, ok := hostOf(key[len(tree):])
		if !ok || !ValidSegment(host) {
			d.note("%s%q is not a record: expected <version>/<host>", tree, bounded([]byte(key[len(tree):])))
			continue
		}
		d.found(host, foundKey, i)
	}
	for i := range d.snapshot.Records {
		if host, ok := hostOf(strings.TrimPrefix(d.snapshot.Records[i].Key, tree)); ok {
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

// config finds the enable keys and pause keys below config_state/. It ignores other keys there.
func (d *decoder) config() {
	enable, state := d.layout.EnableTree(), d.layout.ConfigState()
	d.roles, d.paused = map[string]fleet.EnableValue{}, map[string]bool{}
	for i, p := range d.snapshot.Config {
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
		d.note("%s is neither global, role/<role> nor host/<host>; no host reads it", bounded([]byte(p.Key)))
		return
	}
	s := DecodeEnableValue(p)
	if s.Value == fleet.Invalid || s.Value == fleet.Version && s.Text != DecodeVersion(d.snapshot.Current.Value) {
		d.note("%s is %q; agents read that as disabled, legacy hosts as enabled", p.Key, s.Text)
	}
	switch scope {
	case fleet.ScopeGlobal:
		d.global = s
	case fleet.ScopeRole:
		d.roles[name] = s
	default:
		d.found(name, foundEnable, at)
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

// decodeHolds finds the holds that have not expired, and those that need a pause key for legacy hosts.
func (d *decoder) decodeHolds() {
	d.holdOf = map[fleet.Place]*fleet.Hold{}
	for _, p := range d.snapshot.Holds {
		h := DecodeHold(p)
		if h == nil || h.Expired(d.options.Now) {
			continue
		}
		if p.Key == d.layout.HoldFleet() {
			d.fleetHold = h
			continue
		}
		name := strings.TrimPrefix(p.Key, d.layout.HoldTree())
		place, ok := PlaceOf(name)
		if !ok { // the epoch
			continue
		}
		d.holdOf[place] = h
		if _, own := d.paused[name]; !own {
			d.holdPlaces = append(d.holdPlaces, place)
		}
	}
	for _, name := range d.ofHold {
		if place, ok := PlaceOf(name); !ok || d.holdOf[place] == nil {
			d.note("%s%s/enable_puppet represents a hold that has ended; the next pass removes it", d.layout.ConfigState(), name)
		}
	}
}

func (d *decoder) nodes() {
	d.checksOf, d.nodeOfLabel = map[string][]fleet.Check{}, map[string]string{}
	for _, c := range d.snapshot.Checks {
		d.checksOf[c.Node] = append(d.checksOf[c.Node], c)
		d.addLabel(c.Node)
	}
	for _, node := range d.snapshot.Nodes {
		d.addLabel(node)
	}
}

// addLabel notes a node whose name has several labels.
func (d *decoder) addLabel(node string) {
	label, _, ok := strings.Cut(node, ".")
	if !ok {
		return
	}
	if other, known := d.nodeOfLabel[label]; known && other != node {
		node = "" // ambiguous
	}
	d.nodeOfLabel[label] = node
}

// nodeNames returns the names under which the node of a host may be: that of the host, that of which it is the first label, and
// its own first label.
func (d *decoder) nodeNames(host string) [3]string {
	label, _, _ := strings.Cut(host, ".")
	return [...]string{host, d.nodeOfLabel[host], label}
}

// nodeOf fills in the health of a host's node. Names of nodes and hosts may be full names or their first labels.
func (d *decoder) nodeOf(h *fleet.Host) {
	if len(d.checksOf) == 0 && d.snapshot.Nodes == nil {
		return
	}
	h.Lost = d.snapshot.Nodes != nil
	for _, name := range d.nodeNames(h.Name) {
		if h.Checks == nil {
			h.Checks = d.checksOf[name]
		}
		if _, known := slices.BinarySearch(d.snapshot.Nodes, name); known && name != "" {
			h.Lost = false
		}
	}
}

// below finds the keys that hosts wrote under their own names.
func below(d *decoder, pairs []Pair, tree string, k kind) {
	for i := range pairs {
		name := strings.TrimPrefix(pairs[i].Key, tree)
		switch {
		case ValidSegment(name):
			d.found(name, k, i)
		case name != "":
			d.note("%s: %q is not a host name", tree, bounded([]byte(name)))
		}
	}
}

// roleOf fills in the role of a host. The host looks up its keys under the role that it reports, else the role in its name.
// The plan's pattern can assign another role, but never overrides the reported one.
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

// intern makes equal role names share their bytes, so that comparing them is cheap. Neighbors mostly share a role.
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

// stopOf fills in the pause and the hold of a host. The most specific pause key that is set decides.
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
		if hold := d.holdOf[fleet.Place{Scope: fleet.ScopeHost, Name: h.Name}]; hold != nil {
			h.Hold, h.HoldScope = hold, fleet.ScopeHost
		} else if hold := d.holdOf[fleet.Place{Scope: fleet.ScopeRole, Name: h.Role}]; hold != nil {
			h.Hold, h.HoldScope, h.HoldRole = hold, fleet.ScopeRole, h.Role
		} else if hold := d.holdOf[fleet.Place{Scope: fleet.ScopeRole, Name: h.LookupRole}]; hold != nil {
			h.Hold, h.HoldScope, h.HoldRole = hold, fleet.ScopeRole, h.LookupRole
		}
	}
}
