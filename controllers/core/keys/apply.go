// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
)

// Apply is what would be read after the changes were written at the index: the basis of dry runs and simulations. The
// raw that it is given stays as it is.
func Apply(raw Snapshot, l Layout, c diff.Changes, index uint64) Snapshot {
	return ApplyAt(raw, l, c, func(string) uint64 { return index })
}

// ApplyAt is what would be read after a commit of which index tells at which index each key was written or removed, the
// tree of the changes by its prefix; 0: it was not. The raw that it is given stays as it is.
func ApplyAt(raw Snapshot, l Layout, c diff.Changes, index func(key string) uint64) Snapshot {
	if c.Tree != "" && index(c.Tree) != 0 {
		raw.Config = slices.DeleteFunc(slices.Clone(raw.Config), func(p Pair) bool { return strings.HasPrefix(p.Key, c.Tree) })
	}
	var config, started []Pair
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
			p.CreateIndex = cmp.Or(raw.Current.CreateIndex, at)
			raw.Current = p
		case p.Key == l.Action():
			p.CreateIndex = cmp.Or(raw.Action.CreateIndex, at)
			raw.Action = p
		case strings.HasPrefix(p.Key, l.StartedTree()):
			started = append(started, p)
		default:
			config = append(config, p)
		}
	}
	raw.Config, raw.Started = merge(raw.Config, config), merge(raw.Started, started)
	return raw
}

// merge is the list with each of the news in the place of what it had of that key; what does not exist is left out.
// Where the news have no CreateIndex, the old one stays, or it is that of the change. The list is not written to.
func merge(list, news []Pair) []Pair {
	list, news = byKey(list), byKey(news)
	out := make([]Pair, 0, len(list)+len(news))
	for _, p := range news {
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

// byKey is the list sorted by key, as the store gives it; a copy if it was not.
func byKey(list []Pair) []Pair {
	compare := func(a, b Pair) int { return strings.Compare(a.Key, b.Key) }
	if slices.IsSortedFunc(list, compare) {
		return list
	}
	return slices.SortedFunc(slices.Values(list), compare)
}

// findPair is where the key stands in a sorted list, or where it would.
func findPair(list []Pair, key string) (int, bool) {
	return slices.BinarySearchFunc(list, key, func(p Pair, key string) int { return strings.Compare(p.Key, key) })
}
