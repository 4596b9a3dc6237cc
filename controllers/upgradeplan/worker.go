// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Worker reconciles the plans of a store for a manager, and logs what each pass changed. It remembers of each plan what its
// last pass left: see memory. It is safe for concurrent passes over different plans.
type Worker struct {
	Store Store
	Now   func() time.Time
	Log   logr.Logger
	// Observer is told of each pass but those that are broken off by the end of their context. Nil: nobody is.
	Observer Observer
	// LookGap is how long a whole tree of hosts' keys is not read again because of rings that nothing else explains; 0: a
	// millisecond for each key, at most half a minute.
	LookGap time.Duration

	mu       sync.Mutex
	memories map[string]*memory // by plan
}

// rareGap is how rarely two trees ring in a fleet that is not small: that of the reports, since those that matter at once
// come with a record, and config_state/, which rings for each of our own commits, and is looked at before each.
const (
	rareGap    = 10 * time.Second
	checksGap  = 5 * time.Second
	smallFleet = 1000
)

// Plans are the names of all plans, those that cannot be read too.
func (w *Worker) Plans(ctx context.Context) ([]string, error) {
	found, err := Plans{w.Store}.names(ctx)
	names := make([]string, 0, len(found))
	for _, name := range found {
		names = append(names, string(name))
	}
	return names, err
}

// Reconcile makes one pass over a plan, of which that rang since the last one. Next is when time alone may change what it
// decided, and watch are the prefixes that it depends on; nil: those of the last pass, or that is not known.
func (w *Worker) Reconcile(ctx context.Context, session, plan string, rang store.ChangedPrefixes) (next time.Time, watch []store.WatchTarget, err error) {
	m := w.memory(session, plan)
	if m.idle(rang, w.Now()) {
		return m.wake, nil, nil
	}
	r := Reconciler{Store: whole{w.Store}, Session: session, Now: w.Now, Log: w.Log}
	begun := w.Now()
	result, err := r.reconcile(ctx, plan, m, rang)
	if w.Observer != nil && ctx.Err() == nil {
		w.observe(plan, begun, result, err)
	}
	if result.Written.Writes > 0 {
		w.Log.Info("reconciled", "plan", plan, "phase", result.Status.Phase, "starts", result.Starts,
			"hosts", status.Line(result.Status), "written", result.Written.String())
	}
	k := keys.Plan(plan)
	switch {
	case errors.As(err, new(*NotFoundError)):
		w.forget(plan)
		return time.Time{}, nil, err
	case errors.As(err, new(*InvalidPlanError)):
		return time.Time{}, []store.WatchTarget{{Prefix: k.Spec()}}, err
	case result.Observation == nil:
		return time.Time{}, nil, err
	}
	watch = append(watched(result.Observation), store.WatchTarget{Prefix: k.Spec()}, store.WatchTarget{Prefix: k.Control()})
	if m.last == nil { // what was not relied upon is all that there is to go by
		return result.Decision.RequeueAt(), watch, err
	}
	return m.wake, watch, err
}

// memory is what is remembered of a plan in this term; a new one when there is nothing.
func (w *Worker) memory(session, plan string) *memory {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.memories[plan]; m != nil && m.session == session {
		return m
	}
	if w.memories == nil {
		w.memories = map[string]*memory{}
	}
	w.memories[plan] = &memory{session: session, lookGap: w.LookGap}
	return w.memories[plan]
}

func (w *Worker) forget(plan string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.memories, plan)
}

// watched are the prefixes of a fleet. Marks are not among them: each is written with a report. The tree whose keys all
// stand on one level is named without the slash at its end: see store.Watcher.
func watched(o *Observation) []store.WatchTarget {
	l, rare := o.Layout, time.Duration(0)
	if len(o.Raw.RecordKeys) > smallFleet {
		rare = rareGap
	}
	bells := []store.WatchTarget{{Prefix: l.CurrentVersion()}, {Prefix: l.HoldTree()}, {Prefix: l.RecordTree()},
		{Prefix: l.ConfigState(), MinGap: rare}, {Prefix: strings.TrimSuffix(l.ReportTree(), "/"), MinGap: rare}}
	if l.Records == "" && len(o.Raw.RecordKeys) == 0 { // hosts that report there may come first
		l.Records = keys.RunningVersionsOld
		bells = append(bells, store.WatchTarget{Prefix: l.RecordTree()})
	}
	if o.Raw.Action.Exists() { // a watch on a key that does not exist wakes for every other
		bells = append(bells, store.WatchTarget{Prefix: l.Action()})
	}
	if o.Plan == nil {
		return bells
	}
	if readsChecks(&o.Plan.Spec) { // it rings for any check, also for what one that passes says
		bells = append(bells, store.WatchTarget{Prefix: store.ChecksTarget, MinGap: checksGap})
	}
	if o.Plan.Spec.Hosts.Source == v1alpha1.HostsFromCatalog {
		bells = append(bells, store.WatchTarget{Prefix: store.NodesTarget, MinGap: rareGap})
	}
	return bells
}

// whole is a store whose transactions are not broken off when the context ends while they are under way: what they did is
// known when the lock is given up. None is begun after that.
type whole struct{ Store }

func (w whole) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if err := ctx.Err(); err != nil {
		return store.Result{}, err
	}
	return w.Store.Txn(context.WithoutCancel(ctx), ops)
}

// Gone is true: there is nothing to reconcile.
func (e *NotFoundError) Gone() bool { return true }

// Stalled is true: reconciling it again is of no use until it is changed.
func (e *InvalidPlanError) Stalled() bool { return true }

// LostLockError is true: whoever leads must stop.
func (e *LostLockError) LostLock() bool { return true }
