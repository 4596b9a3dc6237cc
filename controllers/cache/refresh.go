// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// incrementalRead refreshes a cache. Its methods return false when a full read is required.
type incrementalRead struct {
	*Cache
	request Request
	drift   []diff.Change
}

// changes reads what changed. After a switch and a correction it reads the started markers, because a host may have started
// just before.
func (r *incrementalRead) changes(ctx context.Context, p pendingChanges) (ok bool, err error) {
	if r.valuesStale {
		r.fleet.Keys, err = fleetstore.ReadValues(ctx, r.options.Store, r.fleet.Keys, r.fleet.Layout, r.fleet.Options)
		if err != nil || r.fleet.Keys.Incomplete != "" {
			return false, err
		}
		r.valuesStale = false
	}
	if p.config {
		if ok, err = r.readConfig(ctx); !ok || err != nil {
			return false, err
		}
	}
	if ok, err = r.readCatalog(ctx, p); !ok || err != nil {
		return false, err
	}
	if p.records == [maxRecordTrees]uint64{} && p.reports == 0 && len(r.unexplained) == 0 && !r.request.Verify {
		return true, nil
	}
	if ok, err = r.readHosts(ctx, p); !ok || err != nil {
		return false, err
	}
	if due := r.FullReadDue(); !due.IsZero() && !r.request.Now.Before(due) {
		return r.readUnexplained(ctx)
	}
	return true, nil
}

// readCatalog reads the failing checks and the nodes, if they changed.
func (r *incrementalRead) readCatalog(ctx context.Context, p pendingChanges) (ok bool, err error) {
	var meta store.Meta
	if p.checks != 0 {
		if r.fleet.Keys.Checks, meta, err = r.options.Store.Unhealthy(ctx); err != nil || meta.Filtered {
			return false, err
		}
		r.indexes.known[store.WatchTarget{Kind: store.Checks}] = p.checks
	}
	if p.nodes != 0 {
		if r.fleet.Keys.Nodes, meta, err = r.options.Store.Nodes(ctx); err != nil || meta.Filtered {
			return false, err
		}
		r.indexes.known[store.WatchTarget{Kind: store.Nodes}] = p.nodes
	}
	return true, nil
}

// readHosts reads the hosts that started or finished, and those in flight of which no started marker tells that. A change
// that this does not explain is unexplained.
func (r *incrementalRead) readHosts(ctx context.Context, p pendingChanges) (ok bool, err error) {
	if ok, err = r.readMarkers(ctx); !ok || err != nil {
		return false, err
	}
	agents, legacy := keys.ProgressKeys(r.fleet.Keys, r.fleet.Layout, r.request.InFlight)
	if p.records != [maxRecordTrees]uint64{} {
		if ok, err = r.readProgress(ctx, legacy); !ok || err != nil {
			return false, err
		}
	}
	if p.reports != 0 || r.unreadRecords(p) {
		if ok, err = r.readProgress(ctx, agents); !ok || err != nil {
			return false, err
		}
	}
	for i, tree := range r.fleet.Layout.RecordTrees() {
		r.acknowledge(tree, p.records[i])
	}
	r.acknowledge(r.fleet.Layout.ReportTree(), p.reports)
	return true, nil
}

// unreadRecords reports whether a tree of records has changed after the newest record that was read of it.
func (r *incrementalRead) unreadRecords(p pendingChanges) bool {
	for i, tree := range r.fleet.Layout.RecordTrees() {
		if p.records[i] > r.indexes.newest[tree] {
			return true
		}
	}
	return false
}

// acknowledge marks a change as handled, and as unexplained if nothing at its index was read.
func (r *incrementalRead) acknowledge(tree string, index uint64) {
	if index == 0 {
		return
	}
	r.indexes.known[store.WatchTarget{Prefix: tree}] = index
	if index > r.indexes.newest[tree] {
		r.unexplained[tree] = true
	}
}

// readMarkers reads the names of all grants and started markers, and the hosts whose grant or marker has come or gone.
func (r *incrementalRead) readMarkers(ctx context.Context) (ok bool, err error) {
	l := r.fleet.Layout
	grants, ok, err := r.changedHosts(ctx, l.GrantTree(), r.fleet.Keys.Grants)
	if !ok || err != nil {
		return false, err
	}
	started, ok, err := r.changedHosts(ctx, l.StartedTree(), r.fleet.Keys.Started)
	if !ok || err != nil {
		return false, err
	}
	r.state = Warm
	hosts := slices.Concat(grants, started)
	slices.Sort(hosts)
	return r.readKeysOf(ctx, slices.Compact(hosts))
}

// changedHosts reads the names of a tree, and returns the hosts whose key there has come or gone.
func (r *incrementalRead) changedHosts(ctx context.Context, tree string, cached []keys.Pair) (hosts []string, ok bool, err error) {
	names, meta, err := r.options.Store.Keys(ctx, tree, store.ExpectFew)
	if err != nil || meta.Filtered {
		return nil, false, err
	}
	known := make([]string, 0, len(cached))
	for _, p := range cached {
		known = append(known, p.Key)
	}
	return keys.HostsBetween(known, names, r.fleet.Layout), true, nil
}

// readProgress reads progress keys, and the hosts whose progress keys have changed. Too many keys make the tree unexplained.
func (r *incrementalRead) readProgress(ctx context.Context, progress []string) (ok bool, err error) {
	switch {
	case len(progress) == 0:
		return true, nil
	case len(progress) > maxProgressKeys:
		r.unexplained[r.fleet.Layout.ReportTree()] = true
		return true, nil
	}
	pairs, _, err := r.options.Store.Get(ctx, progress...)
	if err != nil {
		return false, err
	}
	return r.readKeysOf(ctx, keys.ChangedHosts(r.fleet.Keys, r.fleet.Layout, pairs))
}

// readKeysOf reads all keys of some hosts.
func (r *incrementalRead) readKeysOf(ctx context.Context, hosts []string) (ok bool, err error) {
	switch {
	case len(hosts) == 0:
		return true, nil
	case len(hosts) > maxHosts:
		return false, nil
	}
	l := r.fleet.Layout
	pairs, _, err := r.options.Store.Get(ctx, keys.HostKeys(r.fleet.Keys, l, hosts)...)
	if err != nil {
		return false, err
	}
	trees := append(l.RecordTrees(), l.ReportTree())
	for _, p := range pairs {
		for _, tree := range trees {
			if strings.HasPrefix(p.Key, tree) {
				r.indexes.newest[tree] = max(r.indexes.newest[tree], p.ModifyIndex)
			}
		}
	}
	r.fleet.Keys = keys.Patch(r.fleet.Keys, l, pairs, r.fleet.Options.Ages)
	return true, nil
}

// readUnexplained reads the names of the records of each tree that has changed, and the hosts whose records have changed or that
// have several records. Unexplained reports require a full read.
func (r *incrementalRead) readUnexplained(ctx context.Context) (ok bool, err error) {
	l := r.fleet.Layout
	if r.unexplained[l.ReportTree()] {
		return false, nil
	}
	var all []string
	for _, tree := range l.RecordTrees() {
		if !r.unexplained[tree] {
			all = append(all, r.fleet.Keys.RecordsBelow(tree)...)
			continue
		}
		names, meta, err := r.options.Store.Keys(ctx, tree)
		if err != nil || meta.Filtered {
			return false, err
		}
		all = append(all, names...)
		r.indexes.known[store.WatchTarget{Prefix: tree}] = meta.Index
		r.fleet.Keys.RecordIndex = max(r.fleet.Keys.RecordIndex, meta.Index)
	}
	changed := keys.HostsBetween(r.fleet.Keys.RecordKeys, all, l)
	r.fleet.Keys.RecordKeys = all
	changed = append(changed, keys.HostsBetween(nil, keys.WantedRecords(r.fleet.Keys, l), l)...)
	slices.Sort(changed)
	r.lastFullRead = r.request.Now
	clear(r.unexplained)
	return r.readKeysOf(ctx, slices.Compact(changed))
}

// readConfig reads config_state/, which another writer changed.
func (r *incrementalRead) readConfig(ctx context.Context) (ok bool, err error) {
	config := r.fleet.Layout.ConfigState()
	pairs, meta, err := r.options.Store.List(ctx, config)
	if err != nil || meta.Filtered {
		return false, err
	}
	r.fleet.Keys.Config, r.indexes.known[store.WatchTarget{Prefix: config}] = pairs, meta.Index
	r.drift = append(r.drift, drift(r.baseline, &r.fleet.Keys, r.fleet.Layout)...)
	r.baseline = &keys.Snapshot{Config: pairs, Current: r.fleet.Keys.Current}
	return true, nil
}

// verify reads the started markers if they were not read, and config_state/ if another writer changed it.
func (r *incrementalRead) verify(ctx context.Context) (changed, ok bool, err error) {
	if r.state != Warm {
		if ok, err = r.readMarkers(ctx); !ok || err != nil {
			return false, false, err
		}
		changed = true
	}
	config := store.WatchTarget{Prefix: r.fleet.Layout.ConfigState()}
	at, err := r.options.Store.Wait(ctx, config, 0, 0)
	if err != nil {
		return false, false, err
	}
	if at.Index != r.indexes.known[config] && !r.indexes.own[at.Index] {
		if ok, err = r.readConfig(ctx); !ok || err != nil {
			return false, false, err
		}
		changed = true
	}
	return changed, true, nil
}
