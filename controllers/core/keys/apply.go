// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
)

// Apply returns the snapshot that a read would give after the changes were written at index. Dry runs and simulations use it.
// It does not modify s.
func Apply(s Snapshot, l Layout, c diff.Changes, index uint64) Snapshot {
	return ApplyAt(s, l, c, func(string) uint64 { return index })
}

// ApplyAt returns the snapshot that a read would give after a commit. The function index returns the index at which a key
// was written or deleted, and that of each of the changes' trees for its prefix. Zero means that it was not. ApplyAt does not modify s.
func ApplyAt(s Snapshot, l Layout, c diff.Changes, index func(key string) uint64) Snapshot {
	for _, tree := range c.Trees {
		if index(tree) != 0 {
			below := func(p Pair) bool { return strings.HasPrefix(p.Key, tree) }
			s.Config = slices.DeleteFunc(slices.Clone(s.Config), below)
			s.Grants = slices.DeleteFunc(slices.Clone(s.Grants), below)
		}
	}
	var config, started, grants []Pair
	for _, change := range c.List {
		p := Pair{Key: change.Key()}
		at := index(p.Key)
		switch {
		case at == 0:
			continue
		case change.Op != diff.Delete:
			p.Value, p.Flags, p.ModifyIndex = []byte(change.To.Value), change.To.Flags, at
		}
		switch {
		case p.Key == l.CurrentVersion():
			p.CreateIndex = cmp.Or(s.Current.CreateIndex, at)
			s.Current = p
		case p.Key == l.Action():
			p.CreateIndex = cmp.Or(s.Action.CreateIndex, at)
			s.Action = p
		case strings.HasPrefix(p.Key, l.GrantTree()):
			grants = append(grants, p)
		case strings.HasPrefix(p.Key, l.StartedTree()):
			started = append(started, p)
		default:
			config = append(config, p)
		}
	}
	s.Config, s.Started, s.Grants = merge(s.Config, config), merge(s.Started, started), merge(s.Grants, grants)
	return s
}

// merge returns list with each pair of updates in place of the pair of the same key. An update that does not exist removes
// its key. An update without a CreateIndex keeps the old one, or takes its ModifyIndex. merge does not modify list.
func merge(list, updates []Pair) []Pair {
	if len(updates) == 0 {
		return list
	}
	list, updates = byKey(list), byKey(updates)
	out := make([]Pair, 0, len(list)+len(updates))
	for _, p := range updates {
		at, found := findPair(list, p.Key)
		out = append(out, list[:at]...)
		if found {
			p.CreateIndex = cmp.Or(p.CreateIndex, list[at].CreateIndex)
			at++
		}
		list = list[at:]
		if p.Exists() {
			p.CreateIndex = cmp.Or(p.CreateIndex, p.ModifyIndex)
			out = append(out, p)
		}
	}
	return append(out, list...)
}

// byKey returns the list sorted by key, a copy if it is not sorted yet. The store returns sorted lists.
func byKey(list []Pair) []Pair {
	compare := func(a, b Pair) int { return strings.Compare(a.Key, b.Key) }
	if slices.IsSortedFunc(list, compare) {
		return list
	}
	return slices.SortedFunc(slices.Values(list), compare)
}

// findPair returns the position of the key in a sorted list, and whether it is there.
func findPair(list []Pair, key string) (int, bool) {
	return slices.BinarySearchFunc(list, key, func(p Pair, key string) int { return strings.Compare(p.Key, key) })
}
