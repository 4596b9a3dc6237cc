// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
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

// Reconcile makes one pass over a plan, and reads what changed since the last one.
func (w *Worker) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	plan := request.Plan
	m := w.memory(request.Session, plan)
	if m.idle(request.Changes, w.Now()) {
		return reconcile.Result{RequeueAt: m.wake}, nil
	}
	r := Reconciler{Store: whole{w.Store}, Session: request.Session, Now: w.Now, Log: w.Log}
	begun := w.Now()
	result, err := r.reconcile(ctx, plan, m, request.Changes)
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
		return reconcile.Result{}, err
	case errors.As(err, new(*InvalidPlanError)):
		return reconcile.Result{Watches: []store.Watch{store.WatchKeys(k.Spec())}}, err
	case result.Observation == nil:
		return reconcile.Result{}, err
	}
	watches := append(watched(result.Observation), store.WatchKeys(k.Spec()), store.WatchKeys(k.Control()))
	if m.last == nil { // what was not relied upon is all that there is to go by
		return reconcile.Result{RequeueAt: result.Decision.RequeueAt(), Watches: watches}, err
	}
	return reconcile.Result{RequeueAt: m.wake, Watches: watches}, err
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

// watched are the prefixes of a fleet. Marks are not among them: each is written with a report.
func watched(o *Observation) []store.Watch {
	l, rare := o.Layout, time.Duration(0)
	if len(o.Raw.RecordKeys) > smallFleet {
		rare = rareGap
	}
	watches := []store.Watch{store.WatchKeys(l.CurrentVersion()), store.WatchKeys(l.HoldTree()), store.WatchKeys(l.RecordTree()),
		{Target: store.WatchTarget{Prefix: l.ConfigState()}, MinInterval: rare},
		{Target: store.WatchTarget{Kind: store.FlatKeyTree, Prefix: l.ReportTree()}, MinInterval: rare}}
	if l.Records == "" && len(o.Raw.RecordKeys) == 0 { // hosts that report there may come first
		l.Records = keys.RunningVersionsOld
		watches = append(watches, store.WatchKeys(l.RecordTree()))
	}
	if o.Raw.Action.Exists() { // a watch on a key that does not exist wakes for every other
		watches = append(watches, store.WatchKeys(l.Action()))
	}
	if o.Plan == nil {
		return watches
	}
	if readsChecks(&o.Plan.Spec) { // it rings for any check, also for what one that passes says
		watches = append(watches, store.Watch{Target: store.WatchTarget{Kind: store.Checks}, MinInterval: checksGap})
	}
	if o.Plan.Spec.Hosts.Source == v1alpha1.HostsFromCatalog {
		watches = append(watches, store.Watch{Target: store.WatchTarget{Kind: store.Nodes}, MinInterval: rareGap})
	}
	return watches
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

// Is says that the error is reconcile.ErrGone.
func (e *NotFoundError) Is(target error) bool { return target == reconcile.ErrGone }

// Is says that the error is reconcile.ErrStalled.
func (e *InvalidPlanError) Is(target error) bool { return target == reconcile.ErrStalled }
