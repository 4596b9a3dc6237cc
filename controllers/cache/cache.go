// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

const (
	// maxHosts is the number of hosts whose keys are read one by one. For more, everything is read.
	maxHosts = 1024
	// maxProgressKeys is the number of progress keys that are polled. Instead of more, everything is read.
	maxProgressKeys = 4096
	// fullReadBudgetPerKey and maxFullReadInterval bound how often everything is read because of changes that nothing explains.
	fullReadBudgetPerKey = time.Millisecond
	maxFullReadInterval  = 30 * time.Second
)

// Store is the part of a store that a cache reads.
type Store interface {
	store.Reader
	store.Watcher
}

// Fleet is the keys of a fleet.
type Fleet struct {
	Layout keys.Layout
	Keys   keys.Snapshot
	// Options say what is read beside the keys.
	Options fleetstore.SnapshotOptions
}

// Options are what a cache needs.
type Options struct {
	Store Store
	// Load reads everything through the reader that it is given.
	Load func(ctx context.Context, s store.Reader, now time.Time) (Fleet, error)
	// FullReadInterval is the least time between two full reads because of changes that nothing explains. Zero means a
	// millisecond for each key, 30 seconds at most.
	FullReadInterval time.Duration
}

// State is how far a cache may be relied on.
type State uint8

const (
	// Cold means that the cache holds nothing: the next Refresh reads everything.
	Cold State = iota
	// WarmUnverified means that the cache was brought up to date by changes. Nothing may be written that relies on it.
	WarmUnverified
	// Warm means that the last Refresh or Verify read the started markers, too.
	Warm
)

// Cache is a fleet as it was last seen, kept current by changes. An error, and a change of a key that operators write (spec,
// control, holds, current_version), make it cold.
//
// How quickly each kind of change is noticed after a watch event:
//
//   - A host starts or finishes: at once. Its started marker comes or goes. The names of all markers are read, and for each
//     such host all its keys in one transaction.
//   - A host in flight without a marker finishes: at once, by its progress keys (see keys.ProgressKeys). That is a legacy host,
//     or an agent that started and finished since the last read.
//   - A host in flight fails or sends another report: at once, too, but reports are watched at intervals in a large fleet.
//   - A host is new, is gone, or reported a version without having been in flight: when nothing else explains the event, by the
//     names of all records, once in FullReadInterval at most. If an explained event hides it, by the next unexplained one, or by
//     the resync.
//   - A report of a host that is not in flight: the same, by a full read.
//   - The first record of a tree that held none, by a legacy host that is not in flight: by the resync. Empty trees are not
//     watched.
//   - A check, or a node of the catalog: at once, by all failing checks or the names of all nodes.
//   - A key of the controller that another writer changed: at once, or before the next commit. Verify asks before each commit
//     whether config_state/ is as it was left. What is written between that question and the transaction can hide until the
//     resync.
//   - A grant that another writer wrote or deleted: before the next commit, or by the resync.
//
// With cached data a grant can exceed a limit in exactly one case: a host that goes by keys alone, and that was not in flight,
// returned to an old version while its key still allows it to start, and the cache has not noticed that yet. Agents that go by
// grants need a new one, so limits hold for them.
type Cache struct {
	options Options
	state   State
	fleet   Fleet
	indexes indexes
	// unexplained holds the trees that changed without a change that was found. lastFullRead is when all was last read.
	unexplained  map[string]bool
	lastFullRead time.Time
	// valuesStale is true if values of records may be needed that were not read: after a switch, or after own started markers.
	valuesStale bool
	// baseline holds the keys that only a controller writes, as it left them. Nil means that this is unknown. It outlives a
	// cold state, so that drift is found.
	baseline *keys.Snapshot
}

// indexes tell changes that the cache knows from others.
type indexes struct {
	// known is the index of each target up to which changes are handled. own are the indexes of own transactions.
	known map[store.WatchTarget]uint64
	own   map[uint64]bool
	// newest is the highest index that was read of records and of reports, by tree.
	newest map[string]uint64
}

// New returns a cold cache.
func New(o Options) *Cache { return &Cache{options: o} }

// Request asks for the state of a fleet.
type Request struct {
	Now time.Time
	// Changed are the targets that may have changed since the last request.
	Changed store.Changes
	// InFlight are the hosts in flight by the last decision.
	InFlight []string
	// Verify reads the started markers in any case. It saves a decision if the caller expects to write.
	Verify bool
}

// Snapshot is the state of a fleet. It must not be changed.
type Snapshot struct {
	Fleet
	// Full is true if everything was read. Then the snapshot needs no Verify.
	Full bool
	// Drift is what another writer changed since the last commit of the keys that only a controller writes. From is what that
	// commit left.
	Drift []diff.Change
}

// State returns the state of the cache.
func (c *Cache) State() State { return c.state }

// Peek returns the fleet as it was last seen, and whether the next Refresh reads values of records that are missing in it.
func (c *Cache) Peek() (f Fleet, valuesMissing bool) { return c.fleet, c.valuesStale }

// Refresh reads what changed.
func (c *Cache) Refresh(ctx context.Context, r Request) (Snapshot, error) {
	if c.state == Cold || r.Changed.All {
		return c.Load(ctx, r.Now)
	}
	pending := c.pending(r.Changed)
	if pending.everything {
		return c.Load(ctx, r.Now)
	}
	c.state = WarmUnverified
	read := incrementalRead{Cache: c, request: r}
	return c.finish(ctx, &read, func() (bool, error) { return read.changes(ctx, pending) })
}

// Verify reads the started markers if the last Refresh did not, and config_state/ if another writer changed it. Call it before
// a write that relies on a snapshot that is not full. It reports whether the snapshot differs from the last one.
func (c *Cache) Verify(ctx context.Context, r Request) (snapshot Snapshot, changed bool, err error) {
	read := incrementalRead{Cache: c, request: r}
	snapshot, err = c.finish(ctx, &read, func() (ok bool, err error) {
		changed, ok, err = read.verify(ctx)
		return ok, err
	})
	return snapshot, changed || snapshot.Full, err
}

// finish returns the snapshot after an incremental read, or after a full read if that is not enough.
func (c *Cache) finish(ctx context.Context, r *incrementalRead, read func() (ok bool, err error)) (Snapshot, error) {
	switch ok, err := read(); {
	case err != nil:
		c.Invalidate()
		return Snapshot{}, err
	case !ok:
		return c.Load(ctx, r.request.Now)
	}
	return Snapshot{Fleet: c.fleet, Drift: r.drift}, nil
}

// Load reads everything. A snapshot that is incomplete is not cached.
func (c *Cache) Load(ctx context.Context, now time.Time) (Snapshot, error) {
	c.Invalidate()
	reader := &indexReader{Reader: c.options.Store, at: map[store.WatchTarget]uint64{}}
	fleet, err := c.options.Load(ctx, reader, now)
	if err != nil {
		return Snapshot{}, err
	}
	c.fleet, c.lastFullRead, c.unexplained = fleet, now, map[string]bool{}
	c.indexes = indexes{known: reader.at, own: map[uint64]bool{}, newest: map[string]uint64{}}
	if fleet.Keys.Incomplete == "" {
		c.state = Warm
	}
	return Snapshot{Fleet: fleet, Full: true, Drift: drift(c.baseline, &fleet.Keys, fleet.Layout)}, nil
}

// Applied brings the cache up to date with a commit: the changes that were to be written, and what of them was. It starts with
// the last snapshot that the cache returned.
func (c *Cache) Applied(changes diff.Changes, written fleetstore.Committed) {
	l := c.fleet.Layout
	c.fleet.Keys = keys.ApplyAt(c.fleet.Keys, l, changes, func(key string) uint64 { return written.Index[key] })
	c.baseline = &keys.Snapshot{Config: c.fleet.Keys.Config, Current: c.fleet.Keys.Current}
	for _, index := range written.Indexes {
		c.indexes.own[index] = true
	}
	c.valuesStale = c.valuesStale || needsMoreRecords(changes, written, l)
}

// Invalidate makes the cache cold.
func (c *Cache) Invalidate() { *c = Cache{options: c.options, baseline: c.baseline} }

// Reset makes the cache cold when it is unknown what was written: it cannot distinguish the changes of another writer from its own.
func (c *Cache) Reset() { *c = Cache{options: c.options} }

// FullReadDue returns when unexplained changes call for a full read. The zero time means that they do not.
func (c *Cache) FullReadDue() time.Time {
	if c.state == Cold || len(c.unexplained) == 0 {
		return time.Time{}
	}
	interval := c.options.FullReadInterval
	if interval == 0 {
		interval = min(maxFullReadInterval, fullReadBudgetPerKey*time.Duration(len(c.fleet.Keys.RecordKeys)+len(c.fleet.Keys.Reports)))
	}
	return c.lastFullRead.Add(interval)
}
