// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// SnapshotOptions say what a snapshot of a fleet holds.
type SnapshotOptions struct {
	// Ages adds the values and indexes of the records of the current version. Soak times need them.
	Ages bool
	// Checks adds the warning and critical checks, and Nodes the names of the catalog's nodes.
	Checks, Nodes bool
}

// maxSingleKeys is how many keys are read one by one. If more are wanted, the whole tree is read.
const maxSingleKeys = 1024

// ReadFleet reads all keys of a fleet, and of the catalog what the options say, in parallel. Each read is consistent in
// itself, but they are of different moments. That is safe: the commit checks again what a decision depends on across reads, and
// hosts only ever progress.
func ReadFleet(ctx context.Context, s store.Reader, l keys.Layout, o SnapshotOptions) (keys.Snapshot, error) {
	raw := keys.Snapshot{}
	r := snapshotReader{store: s, raw: &raw}
	// What says that a host is in flight is read before what says that it has moved on: grants before started markers, and
	// those before reports and records. A host that moves between two reads counts as in flight once more, and never as neither.
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.list(gctx, l.GrantTree(), &raw.Grants) })
	group.Go(func() error { return r.current(gctx, l) })
	if err := group.Wait(); err != nil {
		return raw, err
	}
	group, gctx = errgroup.WithContext(ctx)
	group.Go(func() error { return r.list(gctx, l.StartedTree(), &raw.Started) })
	group.Go(func() error { return r.list(gctx, l.HoldTree(), &raw.Holds) })
	if o.Checks {
		group.Go(func() error { return r.checks(gctx) })
	}
	if o.Nodes {
		group.Go(func() error { return r.nodes(gctx) })
	}
	if err := group.Wait(); err != nil {
		return raw, err
	}
	group, gctx = errgroup.WithContext(ctx)
	group.Go(func() error { return r.list(gctx, l.ReportTree(), &raw.Reports) })
	group.Go(func() error { return r.list(gctx, l.ConfigState(), &raw.Config) })
	group.Go(func() error { return r.records(gctx, l) })
	if err := group.Wait(); err != nil {
		return raw, err
	}
	err := r.values(ctx, l, o)
	raw.Incomplete = r.firstHidden()
	return raw, err
}

// ReadNames reads the names of the keys of a fleet's hosts, in parallel, without their values: Started and Reports hold pairs
// that have a key only. That is enough to list the hosts.
func ReadNames(ctx context.Context, s store.Reader, l keys.Layout) (keys.Snapshot, error) {
	raw := keys.Snapshot{}
	r := snapshotReader{store: s, raw: &raw}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.keys(gctx, l.StartedTree(), &raw.Started) })
	group.Go(func() error { return r.keys(gctx, l.ReportTree(), &raw.Reports) })
	group.Go(func() error { return r.records(gctx, l) })
	group.Go(func() error {
		pairs, _, err := s.Get(gctx, l.CurrentVersion())
		if err == nil {
			raw.Current = pairs[0]
		}
		return err
	})
	err := group.Wait()
	raw.Incomplete = r.firstHidden()
	return raw, err
}

// ReadValues reads the records of a snapshot whose values matter again, after its started markers or the version changed.
func ReadValues(ctx context.Context, s store.Reader, raw keys.Snapshot, l keys.Layout, o SnapshotOptions) (keys.Snapshot, error) {
	raw.Records = nil
	r := snapshotReader{store: s, raw: &raw}
	err := r.values(ctx, l, o)
	if hidden := r.firstHidden(); hidden != "" {
		raw.Incomplete = hidden
	}
	return raw, err
}

// probes are keys that are never written, one below each tree. Consul does not tell a request without a token that ACLs
// filtered a list, so a tree that may not be read would look empty. The read of a single key fails instead.
func probes(l keys.Layout) []string {
	names := []string{l.ConfigState() + "-", l.GrantTree() + "-", l.StartedTree() + "-", l.ReportTree() + "-", l.HoldTree() + "-"}
	for _, tree := range l.RecordTrees() {
		names = append(names, tree+"-")
	}
	return names
}

// snapshotReader fills a snapshot by several goroutines, each of which writes other fields.
type snapshotReader struct {
	store store.Reader
	raw   *keys.Snapshot

	mu     sync.Mutex
	hidden []string // what ACLs hid, a sentence for each read
}

// noteHidden notes what is hidden if the read was filtered.
func (r *snapshotReader) noteHidden(hidden string, meta store.Meta) {
	if meta.Filtered {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hidden = append(r.hidden, hidden)
	}
}

// firstHidden returns one of the sentences, always the same. Empty means that nothing was hidden.
func (r *snapshotReader) firstHidden() string {
	if len(r.hidden) == 0 {
		return ""
	}
	return slices.Min(r.hidden)
}

// current reads current_version and its action, and the probes.
func (r *snapshotReader) current(ctx context.Context, l keys.Layout) error {
	pairs, _, err := r.store.Get(ctx, append([]string{l.CurrentVersion(), l.Action()}, probes(l)...)...)
	if err == nil {
		r.raw.Current, r.raw.Action = pairs[0], pairs[1]
	}
	return err
}

// noteTooLarge notes that a tree is too large to be read. Its pairs are missing then. It returns any other error.
func (r *snapshotReader) noteTooLarge(err error) error {
	if large, ok := errors.AsType[*store.TooLargeError](err); ok {
		r.noteHidden(large.Error(), store.Meta{Filtered: true})
		return nil
	}
	return err
}

func (r *snapshotReader) list(ctx context.Context, prefix string, into *[]keys.Pair) error {
	pairs, meta, err := r.store.List(ctx, prefix)
	if err == nil {
		*into = pairs
	}
	r.noteHidden(below(prefix), meta)
	return r.noteTooLarge(err)
}

// keys lists a tree without its values.
func (r *snapshotReader) keys(ctx context.Context, prefix string, into *[]keys.Pair) error {
	names, meta, err := r.store.Keys(ctx, prefix)
	if err == nil {
		for _, name := range names {
			*into = append(*into, keys.Pair{Key: name})
		}
	}
	r.noteHidden(below(prefix), meta)
	return r.noteTooLarge(err)
}

// records lists the keys of all records. The index is the highest of the trees that hold records, because that of an empty tree
// grows with every write to the store. The new tree comes last, so that a host that moves there from the old one between two
// reads is not missing.
func (r *snapshotReader) records(ctx context.Context, l keys.Layout) error {
	var index, empty uint64
	for _, tree := range slices.Backward(l.RecordTrees()) {
		names, meta, err := r.store.Keys(ctx, tree)
		if err != nil {
			if err := r.noteTooLarge(err); err != nil {
				return err
			}
			continue
		}
		r.noteHidden(below(tree), meta)
		if len(names) == 0 {
			empty = max(empty, meta.Index)
			continue
		}
		r.raw.RecordKeys, index = append(names, r.raw.RecordKeys...), max(index, meta.Index)
	}
	r.raw.RecordIndex = cmp.Or(index, empty)
	return nil
}

// values reads the records whose values matter.
func (r *snapshotReader) values(ctx context.Context, l keys.Layout, o SnapshotOptions) error {
	if version := keys.DecodeVersion(r.raw.Current.Value); o.Ages && version != "" {
		for _, tree := range l.RecordTrees() {
			if prefix := tree + version + "/"; r.raw.AnyRecord(prefix) {
				if err := r.addRecords(ctx, tree, prefix); err != nil {
					return err
				}
			}
		}
	}
	wanted := keys.WantedRecords(*r.raw, l)
	switch {
	case len(wanted) == 0:
		return nil
	case len(wanted) <= maxSingleKeys:
		pairs, _, err := r.store.Get(ctx, wanted...)
		r.raw.Records = append(r.raw.Records, pairs...)
		return err
	}
	r.raw.Records = nil
	for _, tree := range l.RecordTrees() {
		if err := r.addRecords(ctx, tree, tree); err != nil {
			return err
		}
	}
	return nil
}

// addRecords reads the records below a prefix of a tree.
func (r *snapshotReader) addRecords(ctx context.Context, tree, prefix string) error {
	pairs, meta, err := r.store.List(ctx, prefix)
	r.noteHidden(below(tree), meta)
	if err == nil {
		r.raw.Records = append(r.raw.Records, pairs...)
	}
	return r.noteTooLarge(err)
}

func (r *snapshotReader) checks(ctx context.Context) error {
	checks, meta, err := r.store.Unhealthy(ctx)
	if err = r.noteTooLarge(err); err == nil {
		r.raw.Checks = checks
	}
	r.noteHidden("ACLs hid checks: the token needs "+store.ChecksPolicy, meta)
	return err
}

func (r *snapshotReader) nodes(ctx context.Context) error {
	names, meta, err := r.store.Nodes(ctx)
	if err = r.noteTooLarge(err); err == nil {
		r.raw.Nodes = names
	}
	r.noteHidden("ACLs hid nodes: the token needs "+store.NodesPolicy, meta)
	return err
}

// below is the sentence for a tree of which something is hidden.
func below(prefix string) string {
	return fmt.Sprintf("ACLs hid something below %s: the token needs key_prefix %q { policy = \"read\" }", prefix, prefix)
}
