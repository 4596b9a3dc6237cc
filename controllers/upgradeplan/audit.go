// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// auditRetry is how long a log that may not be written waits for the next try. A token of an earlier release has no permission.
const auditRetry = time.Minute

// auditLog is the end of the audit log of a plan in a term. Only the leader writes it.
type auditLog struct {
	// last is the head that this term wrote or read last, and index that of its key. Zero means none.
	last  audit.Head
	index uint64
	// current is true if the store is known to hold last.
	current bool
	// pending are the entries of a transaction of which is unknown whether it was applied.
	pending []audit.Entry
	// covered identifies the last state that the log covers.
	covered auditIndexes
	retryAt time.Time
	problem string
}

// auditIndexes identify a state by the indexes of its keys.
type auditIndexes struct {
	spec, control, newestHold uint64
	holds                     int
	withHolds                 bool
	wentBack                  string
}

func indexesOf(s audit.State) auditIndexes {
	of := auditIndexes{spec: s.Spec.ModifyIndex, control: s.Control.ModifyIndex, holds: len(s.Holds), withHolds: s.HoldTree != "",
		wentBack: s.WentBack}
	for i := range s.Holds {
		of.newestHold = max(of.newestHold, s.Holds[i].ModifyIndex)
	}
	return of
}

// auditRead adds to the audit log what was read. A read that may lack keys waits until it is complete: it grants no host.
func (r *Reconciler) auditRead(ctx context.Context, l *auditLog, a *pass.Assessment) {
	if a.Fleet.Incomplete == "" {
		r.audit(ctx, l, auditState(a))
	}
}

// auditState returns what the audit log covers of an assessment.
func auditState(a *pass.Assessment) audit.State {
	s := audit.State{Plan: a.Stored.Name, Spec: a.Own.Spec, Control: a.Own.Control, Holds: a.Keys.Holds, HoldTree: a.Layout.HoldTree()}
	if a.Decision.Gate.Reason == v1alpha1.ReasonStoreWentBack {
		s.WentBack = a.Decision.Gate.Message
	}
	return s
}

// auditFirst reports whether the log must cover the orders before the decision is carried out: it starts hosts. A decision that
// stops hosts does not wait for the log.
func auditFirst(a *pass.Assessment) bool { return a.Decision.Switch || a.Decision.Starts() > 0 }

// audit adds what changed to the audit log of a plan, in a transaction of its own. A failure keeps nothing from being carried
// out: the next pass tries again.
func (r *Reconciler) audit(ctx context.Context, l *auditLog, s audit.State) {
	now, indexes := r.Now(), indexesOf(s)
	if l.current && l.covered == indexes || now.Before(l.retryAt) {
		return
	}
	err := store.RetryOnConflict(ctx, func() error { return r.tryAudit(ctx, l, s, now) })
	if err == nil {
		l.covered, l.problem, l.retryAt = indexes, "", time.Time{}
		return
	}
	conflict, refused := errors.AsType[*store.ConflictError](err)
	if ctx.Err() != nil || refused && conflict.FailedKey(keys.Leader) {
		return
	}
	if _, denied := errors.AsType[*store.ForbiddenError](err); denied {
		l.retryAt = now.Add(auditRetry)
	}
	if l.problem != err.Error() {
		l.problem = err.Error()
		r.Log.Error(err, "cannot write the audit log; trying again", "plan", s.Plan)
	}
}

// auditDeleted notes that a plan was deleted that had a log in this term.
func (r *Reconciler) auditDeleted(ctx context.Context, l *auditLog, plan string) {
	if l.last.Number != 0 {
		r.audit(ctx, l, audit.State{Plan: plan})
	}
}

func (r *Reconciler) tryAudit(ctx context.Context, l *auditLog, s audit.State, now time.Time) error {
	var noted []audit.Entry
	if !l.current {
		var err error
		if noted, err = r.readAudit(ctx, l, s); err != nil {
			return err
		}
	}
	entries, next := l.last.Next(s, now, noted...)
	if len(entries) == 0 {
		l.current = true
		return nil
	}
	head := audit.HeadKey(s.Plan)
	ops := []store.Op{{Verb: store.CheckSession, Key: keys.Leader, Session: r.Session},
		{Verb: store.CAS, Key: head, Index: l.index, Value: next.Encode()}}
	for i := range entries {
		e := &entries[i]
		ops = append(ops, store.Op{Verb: store.Set, Key: audit.EntryKey(s.Plan, e.Number), Value: e.Encode()})
		if e.Number > audit.MaxEntries {
			ops = append(ops, store.Op{Verb: store.Delete, Key: audit.EntryKey(s.Plan, e.Number-audit.MaxEntries)})
		}
	}
	written, err := r.Store.Txn(ctx, ops)
	if err != nil {
		l.current, l.pending = false, entries
		return err
	}
	l.last, l.index, l.current, l.pending = next, written.ModifyIndex[head], true, nil
	r.logAudit(entries)
	return nil
}

// readAudit reads the head of the log. It returns a note if the head is not the one that this term wrote last.
func (r *Reconciler) readAudit(ctx context.Context, l *auditLog, s audit.State) ([]audit.Entry, error) {
	pairs, _, err := r.Store.Get(ctx, audit.HeadKey(s.Plan))
	if err != nil {
		return nil, err
	}
	stored, before, index := pairs[0], l.last, l.index
	head, err := audit.DecodeHead(stored)
	if _, later := errors.AsType[*keys.SchemaError](err); later {
		return nil, err
	}
	l.index = stored.ModifyIndex
	if applied := l.pending; len(applied) > 0 && head.Hash == applied[len(applied)-1].Hash {
		l.last, l.pending = head, nil
		r.logAudit(applied)
		return nil, nil
	}
	l.pending = nil
	moved := fmt.Sprintf("the log was at %s, and is at %s", position(before), position(head))
	switch {
	case err == nil && (before.Number == 0 || head.Hash == before.Hash):
		l.last = head
		return nil, nil
	case before.Number == 0: // no head that can be read: the entries say where the log ended
		return r.readEntries(ctx, l, s.Plan)
	case err == nil && stored.ModifyIndex < index || s.WentBack != "": // a write would have a higher index
		l.last = head
		return []audit.Entry{{Kind: audit.StoreWentBack, What: moved}}, nil
	case err == nil:
		l.last = head
	}
	return []audit.Entry{{Kind: audit.LogChanged, What: moved}}, nil
}

// readEntries continues a log without a head after its last entry. Without entries, the log begins.
func (r *Reconciler) readEntries(ctx context.Context, l *auditLog, plan string) ([]audit.Entry, error) {
	pairs, _, err := r.Store.List(ctx, audit.Tree(plan))
	entries := audit.Decode(plan, pairs)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	last := entries[len(entries)-1]
	l.last = audit.Head{Number: last.Number, Hash: last.Hash}
	return []audit.Entry{{Kind: audit.LogChanged, What: "the head of the log cannot be read"}}, nil
}

// position says where a log ends.
func position(h audit.Head) string {
	if h.Number == 0 {
		return "no entry"
	}
	return fmt.Sprintf("entry %d (%s)", h.Number, h.Hash)
}

// logAudit logs entries that were written, so that an erased log can be compared with them.
func (r *Reconciler) logAudit(entries []audit.Entry) {
	for i := range entries {
		e := &entries[i]
		r.Log.Info("audit", "plan", e.Plan, "number", e.Number, "kind", e.Kind, "what", e.What, "by", e.By, "reason", e.Reason,
			"accessor", e.Accessor, "index", e.Index, "previous", e.Previous, "hash", e.Hash)
	}
}
