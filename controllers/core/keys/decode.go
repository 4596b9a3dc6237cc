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

// Options are the settings of a plan that Decode needs.
type Options struct {
	// RolePattern extracts a host's role with its first group. Nil means fleet.RoleOf.
	RolePattern *regexp.Regexp
	// Now determines which holds have expired.
	Now time.Time
}

// Decode turns a snapshot into a Fleet. Malformed keys become notes of the Fleet, never errors.
func Decode(s Snapshot, l Layout, o Options) fleet.Fleet { return new(Decoder).Decode(s, l, o) }

// Decoder decodes consecutive snapshots of a fleet. Its fleets share the reports that did not change. The zero value is ready.
type Decoder struct{ last decodedReports }

// Decode is the function Decode.
func (c *Decoder) Decode(s Snapshot, l Layout, o Options) fleet.Fleet {
	c.last = decodeReports(s.Reports, c.last)
	d := decoder{snapshot: s, layout: l, trees: l.RecordTrees(), options: o, reports: c.last.reports, roleCache: map[string]string{}}
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
		Index:      s.newestIndex(),
	}
	f.UnknownHostGrants, f.Holds, f.Hold = d.unknownGrants, d.holdPlaces, d.fleetHold
	if f.Current.Index != 0 && ValidVersion(f.Current.Name) != "" {
		d.note("current_version %q is not a valid version name", f.Current.Name)
	}
	slices.Sort(d.notes)
	f.Notes = slices.Compact(d.notes)
	return f
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
	trees         RecordTrees
	options       Options
	reports       []*fleet.Report // parallel to Reports of the snapshot
	names         []string        // hosts, one for each finding
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
	hosts := make([]fleet.Host, 0, max(len(d.snapshot.RecordKeys), len(d.snapshot.Reports)))
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
			h.Report, known = d.reports[f.at], true
			h.ReportIndex, h.ReportCreated = d.snapshot.Reports[f.at].ModifyIndex, d.snapshot.Reports[f.at].CreateIndex
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

// maxNotes is the number of notes that a Fleet keeps, and maxNote bounds each of them, in bytes: keys have any name.
const (
	maxNotes = 20
	maxNote  = 1 << 10
)

func (d *decoder) note(format string, args ...any) {
	if d.noted++; d.noted <= maxNotes {
		d.notes = append(d.notes, Text(fmt.Sprintf(format, args...), maxNote))
	}
}

// below finds the keys that hosts wrote under their own names.
func below(d *decoder, pairs []Pair, tree string, k kind) {
	for i := range pairs {
		name := strings.TrimPrefix(pairs[i].Key, tree)
		switch {
		case ValidName(name):
			d.found(name, k, i)
		case name != "":
			d.note("%s: %q is not a host name", tree, bounded([]byte(name)))
		}
	}
}

// roleOf fills in the role of a host. The host looks up its keys under the role that it reports, else the role in its name.
// The plan's pattern can assign another role, but never overrides the reported one.
func (d *decoder) roleOf(h *fleet.Host) {
	if role := fleet.RoleOf(h.Name); len(role) <= MaxRole {
		h.LookupRole = d.intern(role)
	}
	h.Role = h.LookupRole
	if h.Report != nil && ValidRole(h.Report.Role) {
		h.LookupRole, h.Role = h.Report.Role, h.Report.Role
		return
	}
	if d.options.RolePattern == nil {
		return
	}
	h.Role = ""
	if m := d.options.RolePattern.FindStringSubmatch(h.Name); len(m) > 1 && ValidRole(m[1]) {
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
