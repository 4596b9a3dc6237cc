// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// tree is the content of a store.
type tree struct {
	pairs map[string]keys.Pair
	index uint64
}

func (s *tree) set(key, value string) {
	p := s.pairs[key]
	if p.Exists() && string(p.Value) == value {
		return
	}
	s.index++
	if !p.Exists() {
		p.CreateIndex = s.index
	}
	p.Key, p.Value, p.ModifyIndex = key, []byte(value), s.index
	s.pairs[key] = p
}

func (s *tree) below(prefix string) (list []keys.Pair, names []string) {
	for _, key := range slices.Sorted(maps.Keys(s.pairs)) {
		if strings.HasPrefix(key, prefix) {
			list, names = append(list, s.pairs[key]), append(names, key)
		}
	}
	return list, names
}

func (s *tree) get(names []string) (out []keys.Pair) {
	for _, key := range names {
		p := s.pairs[key]
		p.Key = key
		out = append(out, p)
	}
	return out
}

// readAll returns a full snapshot.
func (s *tree) readAll(l keys.Layout, ages bool) keys.Snapshot {
	raw := keys.Snapshot{Current: s.pairs[l.CurrentVersion()], RecordIndex: s.index}
	raw.Config, _ = s.below(l.ConfigState())
	raw.Started, _ = s.below(l.StartedTree())
	raw.Reports, _ = s.below(l.ReportTree())
	for _, tree := range l.RecordTrees() {
		_, names := s.below(tree)
		raw.RecordKeys = append(raw.RecordKeys, names...)
		if ages {
			values, _ := s.below(tree + "v2/")
			raw.Records = append(raw.Records, values...)
		}
	}
	raw.Records = append(raw.Records, s.get(keys.WantedRecords(raw, l))...)
	return raw
}

// mutate makes a host write any of its keys, for the given versions.
func (s *tree) mutate(t *rapid.T, l keys.Layout, host string, versions []string) {
	choose := func(what string, values ...string) string { return rapid.SampledFrom(values).Draw(t, host+" "+what) }
	put := func(key, value string) {
		switch value {
		case "-":
		case "":
			s.index++
			delete(s.pairs, key)
		default:
			s.set(key, value)
		}
	}
	put(l.Started(host), choose("marker", "-", "", `{"version":"v2"}`, `{"version":"v2","by":"controller"}`))
	put(l.Report(host), choose("report", "-", "-", "", `{"version":"v1"}`, `{"version":"v2","phase":"Failed"}`))
	for _, v := range versions {
		for _, tree := range l.RecordTrees() {
			put(tree+v+"/"+host, choose("below "+tree+v, "-", "", "100", "200"))
		}
	}
}

// Patching a snapshot with the keys of the hosts that changed gives the same as a full read, and does not modify the input.
func TestPatch_EqualsFullRead(t *testing.T) {
	var l keys.Layout
	old := keys.Layout{Records: keys.RunningVersionsOld}
	rapid.Check(t, func(t *rapid.T) {
		s := &tree{pairs: map[string]keys.Pair{}}
		s.set(l.CurrentVersion(), "v2")
		s.set(l.EnableGlobal(), "False")
		var hosts []string
		for i := range rapid.IntRange(1, 5).Draw(t, "hosts") {
			hosts = append(hosts, fmt.Sprintf("web%d", i))
			s.mutate(t, l, hosts[i], []string{"v1", "v2", "v3"})
		}
		ages := rapid.Bool().Draw(t, "ages")
		raw := s.readAll(l, ages)
		for range rapid.IntRange(1, 4).Draw(t, "patches") {
			changed := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return !rapid.Bool().Draw(t, h+" changes") })
			for _, host := range changed {
				seen := []string{"v2"}
				for _, v := range []string{"v1", "v3"} {
					if slices.Contains(raw.RecordKeys, l.Record(v, host)) &&
						slices.Contains(raw.RecordKeys, old.Record(v, host)) {
						seen = append(seen, v)
					}
				}
				s.mutate(t, l, host, seen)
			}
			before, known := clone(raw), raw
			raw = keys.Patch(raw, l, s.get(keys.HostKeys(raw, l, changed)), ages)
			if d := cmp.Diff(before, known); d != "" {
				t.Fatalf("the input was modified: %s", d)
			}
			full := s.readAll(l, ages)
			if !slices.Equal(raw.RecordKeys, full.RecordKeys) {
				t.Fatalf("records\n%q, want\n%q", raw.RecordKeys, full.RecordKeys)
			}
			options := keys.Options{Now: time.Unix(1e9, 0)}
			if d := cmp.Diff(keys.Decode(full, l, options), keys.Decode(raw, l, options), cmpopts.IgnoreFields(fleet.Fleet{}, "Index")); d != "" {
				t.Fatalf("-read +patched: %s", d)
			}
		}
	})
}

func clone(raw keys.Snapshot) keys.Snapshot {
	raw.RecordKeys = slices.Clone(raw.RecordKeys)
	for _, list := range []*[]keys.Pair{&raw.Records, &raw.Started, &raw.Reports, &raw.Config} {
		*list = slices.Clone(*list)
	}
	return raw
}

func TestChangedHosts(t *testing.T) {
	var l keys.Layout
	s := &tree{pairs: map[string]keys.Pair{}}
	s.set(l.CurrentVersion(), "v2")
	for _, host := range []string{"db1", "db2", "web1", "web2"} {
		s.set(l.Record("v1", host), "1")
	}
	s.set(l.Report("web1"), "{}")
	s.set(l.Report("web2"), "{}")
	raw := s.readAll(l, false)
	hosts := []string{"db1", "db2", "web1", "web2"}
	agents, legacy := keys.ProgressKeys(raw, l, hosts)
	if want := []string{l.Report("web1"), l.Report("web2")}; !slices.Equal(agents, want) {
		t.Errorf("progress keys of agents %q, want %q", agents, want)
	}
	old := keys.Layout{Records: keys.RunningVersionsOld}
	if want := []string{l.Record("v1", "db1"), l.Record("v2", "db1"), old.Record("v2", "db1"), l.Record("v1", "db2"),
		l.Record("v2", "db2"), old.Record("v2", "db2")}; !slices.Equal(legacy, want) {
		t.Errorf("progress keys of legacy hosts %q, want %q", legacy, want)
	}
	progress := slices.Concat(agents, legacy)
	if changed := keys.ChangedHosts(raw, l, s.get(progress)); len(changed) > 0 {
		t.Errorf("got %q, want no change", changed)
	}
	s.set(l.Record("v2", "db2"), "2")
	s.set(l.Report("web1"), `{"phase":"Failed"}`)
	delete(s.pairs, l.Report("web2"))
	if changed := keys.ChangedHosts(raw, l, s.get(progress)); !slices.Equal(changed, []string{"db2", "web1", "web2"}) {
		t.Errorf("got %q", changed)
	}
	delete(s.pairs, l.Record("v1", "db1"))
	s.set(l.Record("odd", ""), "1")
	if between := keys.HostsBetween(raw.RecordKeys, s.readAll(l, false).RecordKeys, l); !slices.Equal(between, []string{"db1", "db2"}) {
		t.Errorf("got %q", between)
	}
}

// ApplyAt applies only the keys that were written, each at its own index. An existing key keeps its CreateIndex.
func TestApplyAt_PartOfACommit(t *testing.T) {
	var l keys.Layout
	s := &tree{pairs: map[string]keys.Pair{}}
	s.set(l.CurrentVersion(), "v1")
	for _, host := range []string{"a1", "b1", "c1"} {
		s.set(l.EnableHost(host), "False")
	}
	raw := s.readAll(l, false)
	entry := func(host, value string) diff.Entry {
		return diff.Entry{Key: l.EnableHost(host), Value: value, Flags: 9}
	}
	c := diff.Changes{List: []diff.Change{
		{Op: diff.Set, From: entry("b1", "False"), To: entry("b1", "True")},
		{Op: diff.Set, To: entry("d1", "True")},
		{Op: diff.Set, To: entry("e1", "True")},
		{Op: diff.Delete, From: entry("a1", "False")},
		{Op: diff.Delete, From: entry("c1", "False")},
	}}
	at := map[string]uint64{l.EnableHost("b1"): 50, l.EnableHost("d1"): 51, l.EnableHost("a1"): 52}
	after := keys.ApplyAt(raw, l, c, func(key string) uint64 { return at[key] })
	want := []keys.Pair{
		{Key: l.EnableHost("b1"), Value: []byte("True"), Flags: 9, CreateIndex: 3, ModifyIndex: 50},
		{Key: l.EnableHost("c1"), Value: []byte("False"), CreateIndex: 4, ModifyIndex: 4},
		{Key: l.EnableHost("d1"), Value: []byte("True"), Flags: 9, CreateIndex: 51, ModifyIndex: 51}}
	if d := cmp.Diff(want, after.Config); d != "" {
		t.Error(d)
	}
	c.Trees = []string{l.EnableTree()}
	if left := keys.ApplyAt(raw, l, c, func(string) uint64 { return 0 }); len(left.Config) != 3 {
		t.Errorf("the tree was not deleted, got %v", left.Config)
	}
}
