// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// pendingChanges are changes that the cache has not handled. An index is that of the target; zero means that it did not change.
type pendingChanges struct {
	everything, config     bool
	reports, checks, nodes uint64
	records                [maxRecordTrees]uint64 // by tree, in the order of keys.Layout.RecordTrees
}

// maxRecordTrees is the number of trees of records that a layout has at most.
const maxRecordTrees = 2

// Pending reports whether there is anything to read after the changes.
func (c *Cache) Pending(changed store.Changes) bool {
	return c.state == Cold || changed.All || c.pending(changed) != pendingChanges{}
}

func (c *Cache) pending(changed store.Changes) pendingChanges {
	var p pendingChanges
	l := c.fleet.Layout
	for target, at := range changed.At {
		switch {
		case c.indexes.known[knownAs(target)] == at.Index || c.indexes.own[at.Index] || at.Empty && c.nothingBelow(target.Prefix):
		case target.Kind == store.Checks:
			p.checks = at.Index
		case target.Kind == store.Nodes:
			p.nodes = at.Index
		case target.Prefix == l.ConfigState():
			p.config = true
		case target.Prefix == l.ReportTree():
			p.reports = at.Index
		default:
			tree := slices.Index(l.RecordTrees(), target.Prefix)
			if tree < 0 {
				p.everything = true
				continue
			}
			p.records[tree] = at.Index
		}
	}
	return p
}

// nothingBelow reports whether the cache holds nothing of a tree.
func (c *Cache) nothingBelow(prefix string) bool {
	l, k := c.fleet.Layout, &c.fleet.Keys
	switch prefix {
	case l.ConfigState():
		return len(k.Config) == 0
	case l.ReportTree():
		return len(k.Reports) == 0
	}
	return slices.Contains(l.RecordTrees(), prefix) && !k.AnyRecord(prefix)
}

// knownAs returns the target under which an index is known: reads know prefixes only.
func knownAs(target store.WatchTarget) store.WatchTarget {
	if target.Kind == store.FlatKeyTree {
		target.Kind = store.KeyTree
	}
	return target
}

// needsMoreRecords reports whether a commit changes the set of records whose values are needed: those of hosts with a started
// marker of the controller, and those of the current version.
func needsMoreRecords(changes diff.Changes, written fleetstore.Committed, l keys.Layout) bool {
	return written.Index[l.CurrentVersion()] != 0 || slices.ContainsFunc(changes.List, func(c diff.Change) bool {
		return strings.HasPrefix(c.Key(), l.StartedTree())
	})
}

// drift returns what changed of the keys that only a controller writes. A nil baseline means that there is nothing to compare.
func drift(baseline, now *keys.Snapshot, l keys.Layout) []diff.Change {
	if baseline == nil {
		return nil
	}
	own := func(s *keys.Snapshot) diff.KeySet {
		return slices.DeleteFunc(keys.Actual(keys.Snapshot{Config: s.Config, Current: s.Current}, l), func(e diff.Entry) bool {
			return e.Key != l.CurrentVersion() && !strings.HasPrefix(e.Key, l.EnableTree())
		})
	}
	return diff.Compute(own(baseline), own(now)).List
}

// indexReader notes the index of each read, by prefix or key.
type indexReader struct {
	store.Reader
	mu sync.Mutex
	at map[store.WatchTarget]uint64
}

func (r *indexReader) note(prefix string, index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[store.WatchTarget{Prefix: prefix}] = index
}

func (r *indexReader) List(ctx context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	pairs, meta, err := r.Reader.List(ctx, prefix)
	r.note(prefix, meta.Index)
	return pairs, meta, err
}

func (r *indexReader) Keys(ctx context.Context, prefix string, hints ...store.ReadHint) ([]string, store.Meta, error) {
	found, meta, err := r.Reader.Keys(ctx, prefix, hints...)
	r.note(prefix, meta.Index)
	return found, meta, err
}

func (r *indexReader) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	pairs, meta, err := r.Reader.Get(ctx, key...)
	for _, p := range pairs {
		r.note(p.Key, p.ModifyIndex)
	}
	return pairs, meta, err
}
