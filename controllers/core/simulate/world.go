// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// world is the content of the store, indexed by host, so that only changed hosts are decoded again.
type world struct {
	layout  keys.Layout
	index   uint64
	current keys.Pair
	// shared holds the keys below config_state/ that are not the enable key of a host.
	shared map[string]keys.Pair
	hosts  map[string]*hostKeys
	// rest holds the trees that a simulation does not write.
	rest keys.Snapshot

	// decoded is the fleet as decoded last. changed holds the hosts whose keys changed since. stale means that everything
	// must be decoded again, as it must at staleAt.
	decoded      fleet.Fleet
	changed      map[string]struct{}
	stale        bool
	staleAt      time.Time
	rolePattern  *regexp.Regexp
	unknownHosts []string // hosts that have only an enable key
	interned     map[string]string
}

// hostKeys holds the keys of one host. A record that was read without its value has ModifyIndex 0.
type hostKeys struct {
	records                        []keys.Pair
	report, grant, started, enable keys.Pair
	at                             int // position in decoded.Hosts; negative if it is not there
}

func newWorld(l keys.Layout) *world {
	return &world{layout: l, shared: map[string]keys.Pair{}, hosts: map[string]*hostKeys{}, changed: map[string]struct{}{}, stale: true,
		interned: map[string]string{}}
}

// load fills the world with a snapshot of a store.
func (w *world) load(raw keys.Snapshot) {
	w.rest = keys.Snapshot{Holds: raw.Holds, Checks: raw.Checks, Nodes: raw.Nodes, Ledger: raw.Ledger, Action: raw.Action,
		Incomplete: raw.Incomplete}
	w.current = raw.Current
	w.index = max(raw.Current.ModifyIndex, raw.RecordIndex)
	values := make(map[string]keys.Pair, len(raw.Records))
	for _, p := range raw.Records {
		values[p.Key] = p
	}
	for _, key := range raw.RecordKeys {
		h := w.host(key[strings.LastIndexByte(key, '/')+1:])
		p := values[key]
		p.Key = key
		h.records = append(h.records, p)
		w.index = max(w.index, p.ModifyIndex)
	}
	for _, list := range [][]keys.Pair{raw.Config, raw.Reports, raw.Started, raw.Grants} {
		for _, p := range list {
			w.put(p)
			w.index = max(w.index, p.ModifyIndex)
		}
	}
}

func (w *world) host(name string) *hostKeys {
	h, ok := w.hosts[name]
	if !ok {
		h = &hostKeys{at: -1}
		w.hosts[name], w.stale = h, true
	}
	return h
}

// pair returns a key as it is after a write.
func (w *world) pair(key, value string) keys.Pair {
	w.index++
	return keys.Pair{Key: key, Value: []byte(value), CreateIndex: w.index, ModifyIndex: w.index}
}

// put writes a key, or deletes it if its ModifyIndex is 0.
func (w *world) put(p keys.Pair) {
	place, name := w.place(p.Key)
	switch {
	case place == nil && p.Key == w.layout.CurrentVersion():
		p.CreateIndex = cmp.Or(w.current.CreateIndex, p.CreateIndex)
		w.current, w.stale = p, true
	case place == nil && p.Key == w.layout.Action():
		p.CreateIndex = cmp.Or(w.rest.Action.CreateIndex, p.CreateIndex)
		w.rest.Action, w.stale = p, true
	case place == nil && !p.Exists():
		delete(w.shared, p.Key)
		w.stale = true
	case place == nil:
		p.CreateIndex = cmp.Or(w.shared[p.Key].CreateIndex, p.CreateIndex)
		w.shared[p.Key], w.stale = p, true
	default:
		p.CreateIndex = cmp.Or(place.CreateIndex, p.CreateIndex)
		*place = p
		w.changed[name] = struct{}{}
	}
}

// place returns where a host's key is kept, and nil for other keys.
func (w *world) place(key string) (*keys.Pair, string) {
	for _, tree := range []struct {
		prefix string
		of     func(*hostKeys) *keys.Pair
	}{
		{w.layout.EnableHost(""), func(h *hostKeys) *keys.Pair { return &h.enable }},
		{w.layout.Report(""), func(h *hostKeys) *keys.Pair { return &h.report }},
		{w.layout.Grant(""), func(h *hostKeys) *keys.Pair { return &h.grant }},
		{w.layout.Started(""), func(h *hostKeys) *keys.Pair { return &h.started }},
	} {
		if name, ok := strings.CutPrefix(key, tree.prefix); ok && keys.ValidSegment(name) {
			return tree.of(w.host(name)), name
		}
	}
	return nil, ""
}

// record replaces the records of a host with one.
func (w *world) record(name, version string, at time.Time) {
	w.host(name).records = []keys.Pair{w.pair(w.layout.Record(version, name), string(keys.EncodeTime(at)))}
	w.changed[name] = struct{}{}
}

// leave removes everything that a host wrote. Its enable key stays.
func (w *world) leave(name string) {
	h := w.host(name)
	h.records, h.report, h.started, h.grant = nil, keys.Pair{}, keys.Pair{}, keys.Pair{}
	w.stale = true
	if !h.enable.Exists() {
		delete(w.hosts, name)
	}
}

// snapshot returns a full read.
func (w *world) snapshot() keys.Snapshot {
	all := make([]string, 0, len(w.hosts))
	for name := range w.hosts {
		all = append(all, name)
	}
	slices.Sort(all)
	return w.snapshotOf(all)
}

// snapshotOf returns a read that is restricted to some hosts.
func (w *world) snapshotOf(names []string) keys.Snapshot {
	raw := w.rest
	raw.Current, raw.RecordIndex = w.current, w.index
	for _, p := range w.shared {
		raw.Config = append(raw.Config, p)
	}
	add := func(list *[]keys.Pair, p keys.Pair) {
		if p.Exists() {
			*list = append(*list, p)
		}
	}
	for _, name := range names {
		h := w.hosts[name]
		for _, p := range h.records {
			raw.RecordKeys = append(raw.RecordKeys, p.Key)
			add(&raw.Records, p)
		}
		add(&raw.Reports, h.report)
		add(&raw.Started, h.started)
		add(&raw.Grants, h.grant)
		add(&raw.Config, h.enable)
	}
	slices.Sort(raw.RecordKeys)
	slices.SortFunc(raw.Config, func(a, b keys.Pair) int { return strings.Compare(a.Key, b.Key) })
	return raw
}

// fleet decodes the store, or only what changed. The next change invalidates the result.
func (w *world) fleet(now time.Time, rolePattern *regexp.Regexp) *fleet.Fleet {
	if rolePattern != w.rolePattern {
		w.rolePattern, w.stale = rolePattern, true
	}
	if w.stale || !w.staleAt.IsZero() && !now.Before(w.staleAt) {
		w.decodeAll(now)
	} else if len(w.changed) > 0 {
		w.decodeChanged(now)
	}
	clear(w.changed)
	w.decoded.Ledger, w.decoded.Index = w.rest.Ledger, w.index
	return &w.decoded
}

func (w *world) decodeAll(now time.Time) {
	w.decoded = keys.Decode(w.snapshot(), w.layout, keys.Options{Now: now, RolePattern: w.rolePattern})
	w.stale, w.staleAt, w.unknownHosts = false, time.Time{}, nil
	for _, h := range w.hosts {
		h.at = -1
	}
	for i := range w.decoded.Hosts {
		w.intern(&w.decoded.Hosts[i])
		w.hosts[w.decoded.Hosts[i].Name].at = i
	}
	for name, h := range w.hosts {
		if h.at < 0 {
			w.unknownHosts = append(w.unknownHosts, name)
		}
	}
	slices.Sort(w.unknownHosts)
	for _, p := range w.rest.Holds {
		if h := keys.DecodeHold(p); h != nil && h.Expires.After(now) && (w.staleAt.IsZero() || h.Expires.Before(w.staleAt)) {
			w.staleAt = h.Expires
		}
	}
}

// intern makes equal strings of hosts share their bytes, so that comparing them is cheap.
func (w *world) intern(h *fleet.Host) {
	for _, s := range []*string{&h.Role, &h.LookupRole, &h.Record.Version} {
		same, ok := w.interned[*s]
		if !ok {
			same = strings.Clone(*s)
			w.interned[same] = same
		}
		*s = same
	}
}

func (w *world) decodeChanged(now time.Time) {
	names := make([]string, 0, len(w.changed))
	for name := range w.changed {
		if w.hosts[name].at < 0 { // it may have become a known host
			w.decodeAll(now)
			return
		}
		names = append(names, name)
	}
	some := keys.Decode(w.snapshotOf(names), w.layout, keys.Options{Now: now, RolePattern: w.rolePattern})
	if !slices.Equal(some.Notes, w.decoded.Notes) { // a note is about any key, and does not say which
		w.decodeAll(now)
		return
	}
	for i := range some.Hosts {
		h := &some.Hosts[i]
		w.intern(h)
		w.decoded.Hosts[w.hosts[h.Name].at] = *h
	}
}

// apply writes the changes, all at one index.
func (w *world) apply(c diff.Changes) {
	w.index++
	for _, tree := range c.Trees {
		w.deleteTree(tree)
	}
	for _, change := range c.List {
		p := keys.Pair{Key: change.Key()}
		if change.Op == diff.Set {
			p.Value, p.Flags, p.CreateIndex, p.ModifyIndex = []byte(change.To.Value), change.To.Flags, w.index, w.index
		}
		w.put(p)
	}
}

func (w *world) deleteTree(tree string) {
	for key := range w.shared {
		if strings.HasPrefix(key, tree) {
			delete(w.shared, key)
		}
	}
	for _, h := range w.hosts {
		for _, p := range []*keys.Pair{&h.enable, &h.grant} {
			if strings.HasPrefix(p.Key, tree) {
				*p = keys.Pair{}
			}
		}
	}
	w.stale = true
}
