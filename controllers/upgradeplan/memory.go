// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

const (
	// mostHosts is of how many hosts single keys are read; of more, all is read.
	mostHosts = 1024
	// mostSigns is how many signs of hosts in flight are read; instead of more, all is.
	mostSigns = 4096
	// perHost and mostLookGap are how long all records, or all, are not read again because of a ring that nothing explains.
	perHost     = time.Millisecond
	mostLookGap = 30 * time.Second
	// statusGap is the least time between two transactions of the status alone.
	statusGap = time.Second
)

// memory is what a pass over a plan leaves to the next one of the same term, so that it reads only what has changed since.
// Any error, any conflict, and a ring of what operators write (spec, control, holds, current_version) end it: then all is
// read.
//
// What is seen when, after a ring:
//
//   - A host that finishes or begins: at once. Its mark goes or comes, the names of all marks are read, and of each such host
//     all its keys in one transaction.
//   - A host in flight without a mark (in the field, or one that began and finished since the last look) that finishes: at
//     once, by its sign (keys.Signs).
//   - A failure, or another report of a host in flight: at once, too, but their tree rings rarely (see Worker.Reconcile).
//   - A host that is new, has gone, or has reported a version without having been in flight: when nothing else explains the
//     ring, by the names of all records, at most once in a look gap. If a ring that is explained hides it, by the next one
//     that is not, or by the resync.
//   - A report of a host that is not in flight: the same, by reading all.
//   - A check, or a node of the catalog: at once, by reading all checks that do not pass, or all names of nodes.
//   - A key of ours that somebody else wrote: at once, or before our next commit. Before each it is asked whether config_state/
//     stands where it was left; what is written between that question and the transaction can hide until the resync.
//
// So a start that stands on what is remembered can exceed a limit in one case only: a host that was not in flight has come
// back at an old version although its key still enables it, and was not seen yet. Limits hold for hosts that only move on.
type memory struct {
	session string
	// last is the last observation, with its fleet's keys as they stand after what was written since; nil: there is none.
	last *Observation
	// known is the index of each prefix up to which its rings are answered, and ours are those of our transactions.
	known map[store.WatchTarget]uint64
	ours  map[uint64]bool
	// newest are the highest indexes that were read of records and of reports.
	newest map[string]uint64
	// flying are the hosts in flight by the last decision.
	flying []string
	// looked says that the marks were read since the last commit, and unfinished that they must be before the next: nobody
	// was to start before that was written. stale says that values of records may be wanted that were not read.
	looked, unfinished, stale bool
	// owed is what rang and is not explained yet, and lookedAt when all of it was read last.
	owed     map[string]bool
	lookedAt time.Time
	lookGap  time.Duration // 0: by the number of hosts
	// ages says that the times of all records are wanted, not only where they decide.
	ages bool
	// wake is when time alone may change something; zero: never.
	wake time.Time
	// statusAt is when the status was written alone the last time, and toldAt when it is to be next; zero: it is not.
	statusAt, toldAt time.Time
	// left is what the last pass left of the keys that only a controller writes; nil: that is not known.
	left *keys.Snapshot
}

// forget ends what is remembered, but for what drift is told by.
func (m *memory) forget() {
	*m = memory{session: m.session, left: m.left, statusAt: m.statusAt, lookGap: m.lookGap, ages: m.ages}
}

// observe reads what has changed since the last pass, and decides.
func (m *memory) observe(ctx context.Context, s Store, name string, now time.Time, rang store.Changes) (*Observation, error) {
	n := m.news(rang)
	if n.all {
		return m.readAll(ctx, s, name, now)
	}
	recalled := *m.last
	o := &recalled
	o.Now, o.Drift, o.changes = now, nil, nil
	r := recollection{memory: m, Observation: o, store: s}
	enough, err := r.read(ctx, n)
	if err == nil && enough {
		o.decide()
		enough, err = r.makeSure(ctx)
	}
	if err == nil && !enough {
		return m.readAll(ctx, s, name, now)
	}
	return o, err
}

// readAll reads the plan and its fleet, and decides.
func (m *memory) readAll(ctx context.Context, s Store, name string, now time.Time) (*Observation, error) {
	m.forget()
	reader := &indexReader{Reader: s, at: map[store.WatchTarget]uint64{}}
	o, err := observe(ctx, reader, name, now, m.ages)
	if err != nil {
		return nil, err
	}
	m.known, m.ours, m.newest, m.owed = reader.at, map[uint64]bool{}, map[string]uint64{}, map[string]bool{}
	m.looked, m.lookedAt = true, now
	o.Drift = drift(m.left, &o.Raw, o.Layout)
	return o, nil
}

// news are what rang and is not known yet.
type news struct {
	all, config      bool
	records, reports uint64 // where they stand; 0: they have not rung
	checks, nodes    uint64
}

func (n news) none() bool { return n == news{} }

func (m *memory) news(rang store.Changes) news {
	n := news{all: rang.All || m.last == nil}
	if n.all {
		return n
	}
	l := m.last.Layout
	for target, mark := range rang.At {
		switch {
		case m.known[knownAs(target)] == mark.Index || m.ours[mark.Index] || mark.Empty && m.last.nothingBelow(target.Prefix):
		case target.Kind == store.Checks:
			n.checks = mark.Index
		case target.Kind == store.Nodes:
			n.nodes = mark.Index
		case target.Prefix == l.ConfigState():
			n.config = true
		case target.Prefix == l.RecordTree():
			n.records = mark.Index
		case target.Prefix == l.ReportTree():
			n.reports = mark.Index
		default:
			n.all = true
		}
	}
	return n
}

// nothingBelow says whether nothing was read below the tree of config, records or reports.
func (o *Observation) nothingBelow(prefix string) bool {
	old := keys.Layout{Prefix: o.Layout.Prefix, Records: keys.RunningVersionsOld}
	switch prefix {
	case o.Layout.ConfigState():
		return len(o.Raw.Config) == 0
	case o.Layout.ReportTree():
		return len(o.Raw.Reports) == 0
	case o.Layout.RecordTree(), old.RecordTree():
		return len(o.Raw.RecordKeys) == 0
	}
	return false
}

// knownAs is the target under which an index is known: reads know prefixes only.
func knownAs(target store.WatchTarget) store.WatchTarget {
	if target.Kind == store.FlatKeyTree {
		target.Kind = store.KeyTree
	}
	return target
}

// idle says that nothing rang that is not known, and that it is not time yet for anything.
func (m *memory) idle(rang store.Changes, now time.Time) bool {
	return m.news(rang).none() && (m.wake.IsZero() || now.Before(m.wake))
}

// keep remembers an observation with what was written after it. One that may lack something, or that halted the plan, is
// not relied upon.
func (m *memory) keep(o *Observation, written fleetstore.Committed, status v1alpha1.UpgradePlanStatus) {
	after := o.after(written, status)
	m.left = &keys.Snapshot{Config: after.Raw.Config, Current: after.Raw.Current}
	for _, index := range written.Indexes {
		m.ours[index] = true
	}
	m.stale = m.stale || wantsOthers(o, written)
	m.rely(o, after)
}

// rely remembers an observation, and what stands after it.
func (m *memory) rely(o, after *Observation) {
	if o.Raw.Incomplete != "" || o.Decision.UpdatesControl() {
		m.forget()
		return
	}
	m.flying = m.flying[:0]
	for i := range o.Decision.Verdicts {
		if v := &o.Decision.Verdicts[i]; v.InFlight {
			m.flying = append(m.flying, v.Host)
		}
	}
	m.wake = o.Decision.RequeueAt()
	m.wakeAt(m.toldAt)
	if len(m.owed) > 0 {
		m.wakeAt(m.lookedAt.Add(m.gap(o)))
	}
	m.last, m.looked, m.unfinished = after, false, o.Decision.NeedsAnotherPass()
}

// wakeAt makes the next pass come no later than that.
func (m *memory) wakeAt(t time.Time) {
	if !t.IsZero() && (m.wake.IsZero() || t.Before(m.wake)) {
		m.wake = t
	}
}

// mayTell says whether the status may be written alone now; if not, the next pass comes when it may.
func (m *memory) mayTell(now time.Time) bool {
	if due := m.statusAt.Add(statusGap); now.Before(due) {
		m.toldAt = due
		return false
	}
	m.statusAt, m.toldAt = now, time.Time{}
	return true
}

// gap is how long all is not read again because of a ring that nothing explains: longer for a larger fleet.
func (m *memory) gap(o *Observation) time.Duration {
	if m.lookGap > 0 {
		return m.lookGap
	}
	return min(mostLookGap, perHost*time.Duration(len(o.Raw.RecordKeys)+len(o.Raw.Reports)))
}

// refused remembers nothing but what a commit has written of which the rest was refused.
func (m *memory) refused(o *Observation, written fleetstore.Committed) {
	after := o.after(written, o.Plan.Status)
	m.left = &keys.Snapshot{Config: after.Raw.Config, Current: after.Raw.Current}
	m.forget()
}

// lost: nobody knows what was written.
func (m *memory) lost() {
	m.left = nil
	m.forget()
}

// after is the observation with what was written after it, without what is decided anew.
func (o *Observation) after(written fleetstore.Committed, status v1alpha1.UpgradePlanStatus) *Observation {
	at := func(key string) uint64 { return written.Index[key] }
	next := *o
	next.Raw = keys.ApplyAt(o.Raw, o.Layout, o.Changes(), at)
	next.Fleet, next.Decision, next.changes = fleet.Fleet{}, rollout.Decision{}, nil
	if index := at(o.ledger.Key); index != 0 {
		next.ledger.ModifyIndex, next.Raw.Ledger = index, written.Ledger
	}
	if index := at(o.status.Key); index != 0 {
		plan := *o.Plan
		plan.Status = status
		next.Plan, next.status.Value = &plan, encodeStatus(status)
	}
	return &next
}

// wantsOthers says whether what was written changes which records' values are wanted: those of hosts that bear a mark of
// ours, and of the current version.
func wantsOthers(o *Observation, written fleetstore.Committed) bool {
	return written.Index[o.Layout.CurrentVersion()] != 0 || slices.ContainsFunc(o.Changes().List, func(c diff.Change) bool {
		return strings.HasPrefix(c.Key(), o.Layout.StartedTree())
	})
}

// drift is what has changed of the keys that only a controller writes.
func drift(left, now *keys.Snapshot, l keys.Layout) []diff.Change {
	if left == nil {
		return nil
	}
	ours := func(raw *keys.Snapshot) diff.KeySet {
		return slices.DeleteFunc(keys.Actual(keys.Snapshot{Config: raw.Config, Current: raw.Current}, l), func(e diff.Entry) bool {
			return e.Key != l.CurrentVersion() && !strings.HasPrefix(e.Key, l.EnableTree())
		})
	}
	return diff.Compute(ours(left), ours(now)).List
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
