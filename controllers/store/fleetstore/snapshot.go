// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetstore

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// SnapshotOptions say what of a fleet's keys is wanted.
type SnapshotOptions struct {
	// Ages asks for the values and indexes of the records of the current version: soak times need them.
	Ages bool
	// FindRecords looks for records below running_version when running/versions holds none.
	FindRecords bool
	// Checks asks for the checks that do not pass, and Nodes for the names of the catalog's nodes.
	Checks, Nodes bool
}

// manyKeys is from how many single keys on the whole tree is read instead.
const manyKeys = 1024

// ReadFleet reads all keys of a fleet, and of the catalog what is asked for, in parallel. Each read is consistent in
// itself. They are not of one moment: what a decision depends on across them is checked again by the commit, and hosts only
// ever move on. The layout comes back with the tree of records that was found.
func ReadFleet(ctx context.Context, s store.Reader, l keys.Layout, o SnapshotOptions) (keys.Snapshot, keys.Layout, error) {
	raw := keys.Snapshot{}
	current, _, err := s.Get(ctx, append([]string{l.CurrentVersion(), l.Action()}, probes(l)...)...)
	if err != nil {
		return raw, l, err
	}
	raw.Current, raw.Action = current[0], current[1]
	r := snapshotReader{store: s, raw: &raw}
	// What grants is read before what has been reached: a host that finishes in between is seen in flight once more.
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.list(gctx, l.StartedTree(), &raw.Started) })
	group.Go(func() error { return r.list(gctx, l.ReportTree(), &raw.Reports) })
	group.Go(func() error { return r.list(gctx, l.HoldTree(), &raw.Holds) })
	if o.Checks {
		group.Go(func() error { return r.checks(gctx) })
	}
	if o.Nodes {
		group.Go(func() error { return r.nodes(gctx) })
	}
	if err := group.Wait(); err != nil {
		return raw, l, err
	}
	group, gctx = errgroup.WithContext(ctx)
	found := l
	group.Go(func() error { return r.list(gctx, l.ConfigState(), &raw.Config) })
	group.Go(func() (err error) { found, err = r.records(gctx, l, o); return err })
	if err := group.Wait(); err != nil {
		return raw, l, err
	}
	err = r.values(ctx, found, o)
	raw.Incomplete = r.filtered.first()
	return raw, found, err
}

// ReadNames reads what the keys of a fleet's hosts are called, in parallel, and no value of theirs: Started and Reports hold
// pairs that have none. That is enough to tell which hosts there are. The layout comes back with the tree of records that
// was found.
func ReadNames(ctx context.Context, s store.Reader, l keys.Layout) (keys.Snapshot, keys.Layout, error) {
	raw, found := keys.Snapshot{}, l
	r := snapshotReader{store: s, raw: &raw}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.keys(gctx, l.StartedTree(), &raw.Started) })
	group.Go(func() error { return r.keys(gctx, l.ReportTree(), &raw.Reports) })
	group.Go(func() (err error) {
		found, err = r.records(gctx, l, SnapshotOptions{FindRecords: l.Records == ""})
		return err
	})
	group.Go(func() error {
		pairs, _, err := s.Get(gctx, l.CurrentVersion())
		if err == nil {
			raw.Current = pairs[0]
		}
		return err
	})
	err := group.Wait()
	raw.Incomplete = r.filtered.first()
	return raw, found, err
}

// ReadValues reads anew the records of a raw whose values decide something: after its marks, or the version, have changed.
func ReadValues(ctx context.Context, s store.Reader, raw keys.Snapshot, l keys.Layout, o SnapshotOptions) (keys.Snapshot, error) {
	raw.Records = nil
	r := snapshotReader{store: s, raw: &raw}
	err := r.values(ctx, l, o)
	if hidden := r.filtered.first(); hidden != "" {
		raw.Incomplete = hidden
	}
	return raw, err
}

// probes are keys that nobody writes, one below each tree. Without a token, Consul does not say that ACLs filtered a
// list: a tree that may not be read would look empty. A read of a single key does tell.
func probes(l keys.Layout) []string {
	return []string{l.ConfigState() + "-", l.RecordTree() + "-", l.StartedTree() + "-", l.ReportTree() + "-", l.HoldTree() + "-"}
}

type snapshotReader struct {
	store    store.Reader
	raw      *keys.Snapshot
	filtered filteredReads
}

func (r *snapshotReader) list(ctx context.Context, prefix string, into *[]keys.Pair) error {
	pairs, meta, err := r.store.List(ctx, prefix)
	*into = pairs
	r.filtered.note(below(prefix), meta)
	return err
}

// keys lists a tree without its values.
func (r *snapshotReader) keys(ctx context.Context, prefix string, into *[]keys.Pair) error {
	names, meta, err := r.store.Keys(ctx, prefix)
	for _, name := range names {
		*into = append(*into, keys.Pair{Key: name})
	}
	r.filtered.note(below(prefix), meta)
	return err
}

// records lists the keys of all records, in the old tree if only that one holds any.
func (r *snapshotReader) records(ctx context.Context, l keys.Layout, o SnapshotOptions) (keys.Layout, error) {
	found, meta, err := r.store.Keys(ctx, l.RecordTree())
	if err != nil {
		return l, err
	}
	r.filtered.note(below(l.RecordTree()), meta)
	if len(found) == 0 && o.FindRecords && l.Records == "" {
		old := l
		old.Records = keys.RunningVersionsOld
		older, oldMeta, err := r.store.Keys(ctx, old.RecordTree())
		if err != nil {
			return l, err
		}
		if len(older) > 0 {
			l, found, meta = old, older, oldMeta
			r.filtered.note(below(l.RecordTree()), meta)
		}
	}
	r.raw.RecordKeys, r.raw.RecordIndex = found, meta.Index
	return l, nil
}

// values reads those records whose values decide something.
func (r *snapshotReader) values(ctx context.Context, l keys.Layout, o SnapshotOptions) error {
	if version := keys.DecodeVersion(r.raw.Current.Value); o.Ages && version != "" {
		pairs, meta, err := r.store.List(ctx, l.RecordTree()+version+"/")
		if err != nil {
			return err
		}
		r.filtered.note(below(l.RecordTree()), meta)
		r.raw.Records = pairs
	}
	wanted := keys.WantedRecords(*r.raw, l)
	switch {
	case len(wanted) == 0:
		return nil
	case len(wanted) > manyKeys:
		return r.list(ctx, l.RecordTree(), &r.raw.Records)
	}
	pairs, _, err := r.store.Get(ctx, wanted...)
	r.raw.Records = append(r.raw.Records, pairs...)
	return err
}

func (r *snapshotReader) checks(ctx context.Context) error {
	checks, meta, err := r.store.Unhealthy(ctx)
	r.raw.Checks = checks
	r.filtered.note("ACLs hid checks: the token needs "+store.ChecksPolicy, meta)
	return err
}

func (r *snapshotReader) nodes(ctx context.Context) error {
	names, meta, err := r.store.Nodes(ctx)
	r.raw.Nodes = names
	r.filtered.note("ACLs hid nodes: the token needs "+store.NodesPolicy, meta)
	return err
}

// below says that something of a tree is hidden.
func below(prefix string) string {
	return fmt.Sprintf("ACLs hid something below %s: the token needs key_prefix %q { policy = \"read\" }", prefix, prefix)
}
