// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/cache"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// planState is what one pass over a plan leaves to the next one of the same term.
type planState struct {
	reader  planstore.SnapshotReader
	cache   *cache.Cache
	decoder keys.Decoder
	// snapshot holds the last full read, without the keys of the fleet: the cache keeps these current.
	snapshot pass.Snapshot
	// inFlight are the hosts in flight by the last decision.
	inFlight []string
	// seen is the newest ledger that this process read or wrote. It outlives a term.
	seen *seenLedger
	// requeueAt is when the passing of time may change the last decision. Zero means never.
	requeueAt  time.Time
	status     statusLimit
	incomplete incompleteRetry
	// watermarks are those of the last decision. They are stored with the next commit, or when they are due. Nil means those
	// of the ledger.
	watermarks fleet.Watermarks
	audit      auditLog
	now        func() time.Time
}

type stateOptions struct {
	// ages asks for the times of all records. fullReadInterval is that of the cache.
	ages             bool
	fullReadInterval time.Duration
	// seen is that of an earlier term. Nil means none.
	seen *seenLedger
	now  func() time.Time
}

// seenLedger remembers a ledger, to find that the store was restored from a backup.
type seenLedger struct{ created, counter uint64 }

// compare says how a ledger is older than the last one that this process read or wrote. Empty means that it is not. The counter
// grows with each commit, so it decreases in a restored store only. A ledger that was created again starts again. Once the ledger
// itself records the restore, it is the new state.
func (s *seenLedger) compare(stored keys.Pair, l fleet.Ledger) string {
	if s.created == stored.CreateIndex && l.Counter < s.counter && l.WentBack == "" {
		return fmt.Sprintf("%s was at %d, and is at %d", stored.Key, s.counter, l.Counter)
	}
	s.created, s.counter = stored.CreateIndex, l.Counter
	return ""
}

func newPlanState(s cache.Store, plan string, o stateOptions) *planState {
	if o.seen == nil {
		o.seen = &seenLedger{}
	}
	p := &planState{seen: o.seen, now: o.now, reader: planstore.SnapshotReader{Plan: plan, Ages: o.ages}}
	p.cache = cache.New(cache.Options{Store: s, Load: p.load, FullReadInterval: o.fullReadInterval})
	return p
}

// load reads everything for the cache.
func (p *planState) load(ctx context.Context, s store.Reader, now time.Time) (cache.Fleet, error) {
	read, err := p.reader.Read(ctx, s, now)
	if err != nil {
		return cache.Fleet{}, err
	}
	read.WentBack = p.seen.compare(read.Own.Ledger, read.Keys.Ledger)
	if read.WentBack != "" || read.Own.Ledger.CreateIndex != p.snapshot.Own.Ledger.CreateIndex {
		p.watermarks = nil
	}
	p.watermarks = read.Keys.Ledger.Watermarks.Extend(p.watermarks)
	p.snapshot = read
	p.snapshot.Keys = keys.Snapshot{Ledger: read.Keys.Ledger}
	return cache.Fleet{Layout: read.Layout, Keys: read.Keys, Options: p.reader.Options(&read)}, nil
}

// observed is an assessment with what else the read found.
type observed struct {
	*pass.Assessment
	// drift is what another writer changed of the keys that only a controller writes.
	drift []diff.Change
}

// planChanges replaces a change of the shared watch on all plans by what it means for this one: all is to be read if its spec or
// its orders changed.
func (p *planState) planChanges(ctx context.Context, s store.Reader, changed store.Changes) (store.Changes, error) {
	shared := plansWatch().Target
	if _, fired := changed.At[shared]; !fired {
		return changed, nil
	}
	delete(changed.At, shared)
	if changed.All || p.cache.State() == cache.Cold {
		return changed, nil
	}
	pairs, _, err := s.Get(ctx, p.snapshot.Own.Spec.Key, p.snapshot.Own.Control.Key)
	if err != nil {
		return changed, err
	}
	changed.All = pairs[0].ModifyIndex != p.snapshot.Own.Spec.ModifyIndex || pairs[1].ModifyIndex != p.snapshot.Own.Control.ModifyIndex
	return changed, nil
}

// observe reads what changed and assesses it. A decision that switches the version or stops the plan relies on a full read,
// and any other that writes on a verified cache.
func (p *planState) observe(ctx context.Context, r cache.Request) (observed, error) {
	r.InFlight = p.inFlight
	s, err := p.cache.Refresh(ctx, r)
	if err != nil {
		return observed{}, err
	}
	o := observed{p.assess(s, p.now()), s.Drift}
	if !s.Full && !o.needsFullRead() && !o.Changes().Empty() {
		var changed bool
		if s, changed, err = p.cache.Verify(ctx, r); err != nil {
			return observed{}, err
		}
		if changed {
			o = observed{p.assess(s, p.now()), append(o.drift, s.Drift...)}
		}
	}
	if !s.Full && o.needsFullRead() {
		if s, err = p.cache.Load(ctx, r.Now); err != nil {
			return observed{}, err
		}
		o = observed{p.assess(s, p.now()), append(o.drift, s.Drift...)}
	}
	return o, nil
}

func (o observed) needsFullRead() bool {
	return o.Decision.Switch || o.Decision.Rewrite || o.Decision.UpdatesControl() || len(fleetHoldOps(o.Assessment)) > 0
}

// assess assesses the plan as it was last read with the fleet as it is now. The time is that after the read.
func (p *planState) assess(f cache.Snapshot, now time.Time) *pass.Assessment {
	s := p.snapshot
	s.Now, s.Keys = now, f.Keys
	s.Keys.Ledger, s.Watermarks = p.snapshot.Keys.Ledger, p.watermarks
	return pass.AssessWith(&p.decoder, s)
}

// applied notes a commit of what the assessment changes, with the status that it wrote.
func (p *planState) applied(a *pass.Assessment, written fleetstore.Committed, status v1alpha1.UpgradePlanStatus) {
	p.cache.Applied(a.Changes(), written)
	own := &p.snapshot.Own
	if index := written.Index[own.Ledger.Key]; index != 0 {
		own.Ledger.ModifyIndex, p.snapshot.Keys.Ledger = index, written.Ledger
		p.seen.counter = written.Ledger.Counter
	}
	if written.Index[own.Status.Key] != 0 {
		p.setStatus(keys.Pair{Key: own.Status.Key, ModifyIndex: written.Index[own.Status.Key], Value: encodeStatus(status)})
	}
	p.decided(a)
}

func (p *planState) setStatus(pair keys.Pair) {
	plan := *p.snapshot.Plan.UpgradePlan
	plan.Status = planstore.DecodeStatus(pair)
	p.snapshot.Plan, p.snapshot.Own.Status = planstore.WithPlan(p.snapshot.Plan, &plan), pair
}

// decided notes a decision. One that changes the orders ends the cache, which reads them only in full.
func (p *planState) decided(a *pass.Assessment) {
	if a.Decision.UpdatesControl() || len(fleetHoldOps(a)) > 0 {
		p.cache.Invalidate()
	}
	p.inFlight = p.inFlight[:0]
	for i := range a.Decision.Verdicts {
		if v := &a.Decision.Verdicts[i]; v.InFlight {
			p.inFlight = append(p.inFlight, v.Host)
		}
	}
	p.requeueAt = a.Decision.RequeueAt()
	p.incomplete.observed(a)
	if a.Decision.ReadOnly {
		return
	}
	p.watermarks = a.Decision.Ledger.Watermarks
	if due := a.Decision.WatermarksDue; due.After(a.Now) {
		p.requeueAt = earliest(p.requeueAt, due)
	}
}

// dueAt returns when the next pass is due even if nothing changes. Zero means never.
func (p *planState) dueAt() time.Time {
	return earliest(p.requeueAt, p.status.due, p.cache.FullReadDue(), p.incomplete.due)
}

// idle reports whether a pass would find nothing to do.
func (p *planState) idle(changed store.Changes, now time.Time) bool {
	due := p.dueAt()
	return !p.cache.Pending(changed) && (due.IsZero() || now.Before(due))
}

// earliest returns the earliest time that is not zero.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// firstIncompleteRetry and maxIncompleteRetry bound how long a plan that could not be read in full waits for the next read. No
// watch may report the repair: of an ACL, for example.
const (
	firstIncompleteRetry = 10 * time.Second
	maxIncompleteRetry   = 2 * time.Minute
)

// incompleteRetry says when to read again after incomplete reads: later each time.
type incompleteRetry struct {
	delay time.Duration
	// due is zero after a complete read.
	due time.Time
}

func (r *incompleteRetry) observed(a *pass.Assessment) {
	if a.Decision.Gate.Reason != v1alpha1.ReasonObservationIncomplete {
		*r = incompleteRetry{}
		return
	}
	r.delay = min(max(2*r.delay, firstIncompleteRetry), maxIncompleteRetry)
	r.due = a.Now.Add(r.delay)
}

// statusInterval is the least time between two transactions that write the status alone.
const statusInterval = time.Second

// statusLimit limits the rate of transactions that write the status alone.
type statusLimit struct {
	written time.Time
	// due is when a status that had to wait may be written. Zero means that none waits.
	due time.Time
}

// allow reports whether the status may be written alone. If not, due says when.
func (l *statusLimit) allow(now time.Time) bool {
	if next := l.written.Add(statusInterval); now.Before(next) {
		l.due = next
		return false
	}
	l.written, l.due = now, time.Time{}
	return true
}
