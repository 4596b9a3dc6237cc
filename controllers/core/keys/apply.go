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
func Apply(raw Raw, l Layout, c diff.Changes, index uint64) Raw {
	config, started := newPairs(raw.Config), newPairs(raw.Started)
	if c.Tree != "" {
		config = newPairs(slices.DeleteFunc(config.list, func(p Pair) bool { return strings.HasPrefix(p.Key, c.Tree) }))
	}
	for _, change := range c.List {
		key := change.Key()
		target := &config
		switch {
		case key == l.CurrentVersion():
			raw.Current = single(raw.Current, change, index)
			continue
		case key == l.Action():
			raw.Action = single(raw.Action, change, index)
			continue
		case strings.HasPrefix(key, l.StartedTree()):
			target = &started
		}
		if change.Op == diff.Delete {
			target.delete(key)
			continue
		}
		target.set(Pair{Key: key, Value: []byte(change.To.Value), Flags: change.To.Flags, CreateIndex: index, ModifyIndex: index})
	}
	raw.Config, raw.Started = config.sorted(), started.sorted()
	return raw
}

// single is a key of its own after a change.
func single(was Pair, c diff.Change, index uint64) Pair {
	if c.Op == diff.Delete {
		return Pair{Key: was.Key}
	}
	return Pair{Key: c.Key(), Value: []byte(c.To.Value), Flags: c.To.Flags, CreateIndex: cmp.Or(was.CreateIndex, index),
		ModifyIndex: index}
}

type pairs struct {
	list []Pair
	at   map[string]int
}

func newPairs(list []Pair) pairs {
	p := pairs{list: slices.Clone(list), at: make(map[string]int, len(list))}
	for i := range list {
		p.at[list[i].Key] = i
	}
	return p
}

func (p *pairs) set(pair Pair) {
	if i, ok := p.at[pair.Key]; ok {
		pair.CreateIndex = p.list[i].CreateIndex
		p.list[i] = pair
		return
	}
	p.at[pair.Key] = len(p.list)
	p.list = append(p.list, pair)
}

func (p *pairs) delete(key string) {
	if i, ok := p.at[key]; ok {
		p.list[i].ModifyIndex = 0
		delete(p.at, key)
	}
}

func (p *pairs) sorted() []Pair {
	list := slices.DeleteFunc(p.list, func(p Pair) bool { return !p.Exists() })
	slices.SortFunc(list, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return list
}
