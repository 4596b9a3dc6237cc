// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// recollection is an observation made of what is remembered, which is brought up to now. Its methods say whether that was
// enough; if not, all must be read.
type recollection struct {
	*memory
	*Observation
	store Store
}

// read reads what rang, and after a switch or a mending the marks: a host may have begun just before.
func (r *recollection) read(ctx context.Context, n news) (enough bool, err error) {
	if r.stale {
		r.Raw, err = fleetstore.ReadValues(ctx, r.store, r.Raw, r.Layout, r.options(r.Layout))
		if err != nil || r.Raw.Incomplete != "" {
			return false, err
		}
		r.stale = false
	}
	if n.config {
		if enough, err = r.readConfig(ctx); !enough || err != nil {
			return false, err
		}
	}
	if enough, err = r.readCatalog(ctx, n); !enough || err != nil {
		return false, err
	}
	if n.records == 0 && n.reports == 0 && len(r.owed) == 0 && !r.unfinished {
		return true, nil
	}
	if enough, err = r.readHosts(ctx, n); !enough || err != nil {
		return false, err
	}
	if len(r.owed) > 0 && !r.Now.Before(r.lookedAt.Add(r.gap(r.Observation))) {
		return r.readOwed(ctx)
	}
	return true, nil
}

// readCatalog reads what rang of checks and nodes.
func (r *recollection) readCatalog(ctx context.Context, n news) (enough bool, err error) {
	var meta store.Meta
	if n.checks != 0 {
		if r.Raw.Checks, meta, err = r.store.Unhealthy(ctx); err != nil || meta.Filtered {
			return false, err
		}
		r.known[store.WatchTarget{Kind: store.Checks}] = n.checks
	}
	if n.nodes != 0 {
		if r.Raw.Nodes, meta, err = r.store.Nodes(ctx); err != nil || meta.Filtered {
			return false, err
		}
		r.known[store.WatchTarget{Kind: store.Nodes}] = n.nodes
	}
	return true, nil
}

// readHosts reads the hosts that began or finished, and those in flight of which that does not show by a mark. What that
// does not explain of the ring is owed.
func (r *recollection) readHosts(ctx context.Context, n news) (enough bool, err error) {
	if enough, err = r.readMarks(ctx); !enough || err != nil {
		return false, err
	}
	agents, field := keys.ProgressKeys(r.Raw, r.Layout, r.flying)
	records, reports := r.Layout.RecordTree(), r.Layout.ReportTree()
	if n.records != 0 {
		if enough, err = r.readSigns(ctx, field); !enough || err != nil {
			return false, err
		}
	}
	if n.reports != 0 || n.records > r.newest[records] {
		if enough, err = r.readSigns(ctx, agents); !enough || err != nil {
			return false, err
		}
	}
	r.answer(records, n.records)
	r.answer(reports, n.reports)
	return true, nil
}

// answer notes that a ring was answered; if nothing of that index was read, what rang is owed.
func (r *recollection) answer(prefix string, index uint64) {
	if index == 0 {
		return
	}
	r.known[store.WatchTarget{Prefix: prefix}] = index
	if index > r.newest[prefix] {
		r.owed[prefix] = true
	}
}

// readMarks reads the names of all marks, and the hosts whose mark has come or gone.
func (r *recollection) readMarks(ctx context.Context) (enough bool, err error) {
	names, meta, err := r.store.Keys(ctx, r.Layout.StartedTree(), store.ExpectFew)
	if err != nil || meta.Filtered {
		return false, err
	}
	r.looked = true
	known := make([]string, 0, len(r.Raw.Started))
	for _, p := range r.Raw.Started {
		known = append(known, p.Key)
	}
	return r.readMoved(ctx, keys.HostsBetween(known, names, r.Layout))
}

// readSigns reads signs, and the hosts whose sign is another than before. Of too many all is owed.
func (r *recollection) readSigns(ctx context.Context, signs []string) (enough bool, err error) {
	switch {
	case len(signs) == 0:
		return true, nil
	case len(signs) > mostSigns:
		r.owed[r.Layout.ReportTree()] = true
		return true, nil
	}
	pairs, _, err := r.store.Get(ctx, signs...)
	if err != nil {
		return false, err
	}
	return r.readMoved(ctx, keys.ChangedHosts(r.Raw, r.Layout, pairs))
}

// readMoved reads all that there is of some hosts.
func (r *recollection) readMoved(ctx context.Context, hosts []string) (enough bool, err error) {
	switch {
	case len(hosts) == 0:
		return true, nil
	case len(hosts) > mostHosts:
		return false, nil
	}
	pairs, _, err := r.store.Get(ctx, keys.HostKeys(r.Raw, r.Layout, hosts)...)
	if err != nil {
		return false, err
	}
	for _, p := range pairs {
		for _, prefix := range []string{r.Layout.RecordTree(), r.Layout.ReportTree()} {
			if strings.HasPrefix(p.Key, prefix) {
				r.newest[prefix] = max(r.newest[prefix], p.ModifyIndex)
			}
		}
	}
	r.Raw = keys.Patch(r.Raw, r.Layout, pairs, r.options(r.Layout).Ages)
	return true, nil
}

// readOwed reads the names of all records, and the hosts whose records are others, or of which more than one tells. Of
// reports, all would have to be read.
func (r *recollection) readOwed(ctx context.Context) (enough bool, err error) {
	if r.owed[r.Layout.ReportTree()] {
		return false, nil
	}
	names, meta, err := r.store.Keys(ctx, r.Layout.RecordTree())
	if err != nil || meta.Filtered {
		return false, err
	}
	moved := keys.HostsBetween(r.Raw.RecordKeys, names, r.Layout)
	r.Raw.RecordKeys, r.Raw.RecordIndex = names, meta.Index
	moved = append(moved, keys.HostsBetween(nil, keys.WantedRecords(r.Raw, r.Layout), r.Layout)...)
	slices.Sort(moved)
	r.known[store.WatchTarget{Prefix: r.Layout.RecordTree()}], r.lookedAt = meta.Index, r.Now
	clear(r.owed)
	return r.readMoved(ctx, slices.Compact(moved))
}

// readConfig reads config_state/, in which somebody else has written.
func (r *recollection) readConfig(ctx context.Context) (enough bool, err error) {
	pairs, meta, err := r.store.List(ctx, r.Layout.ConfigState())
	if err != nil || meta.Filtered {
		return false, err
	}
	r.Raw.Config, r.known[store.WatchTarget{Prefix: r.Layout.ConfigState()}] = pairs, meta.Index
	r.Drift = append(r.Drift, drift(r.left, &r.Raw, r.Layout)...)
	r.left = &keys.Snapshot{Config: pairs, Current: r.Raw.Current}
	return true, nil
}

// makeSure lets nothing be written that does not stand on marks read in this pass, and on a config_state/ in which nobody
// else has written since. What switches the version or stops the plan stands on a read of all.
func (r *recollection) makeSure(ctx context.Context) (enough bool, err error) {
	if r.Decision.Switch || r.Decision.UpdatesControl() {
		return false, nil
	}
	if r.Changes().Empty() {
		return true, nil
	}
	again := !r.looked
	if !r.looked {
		if enough, err = r.readMarks(ctx); !enough || err != nil {
			return false, err
		}
	}
	config := store.WatchTarget{Prefix: r.Layout.ConfigState()}
	stands, err := r.store.Wait(ctx, config, 0)
	if err != nil {
		return false, err
	}
	if stands.Index != r.known[config] && !r.ours[stands.Index] {
		if enough, err = r.readConfig(ctx); !enough || err != nil {
			return false, err
		}
		again = true
	}
	if again {
		r.decide()
	}
	return !r.Decision.Switch && !r.Decision.UpdatesControl(), nil
}
