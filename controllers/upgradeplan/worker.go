// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Worker reconciles the plans of a store for a manager, and logs what each pass changed.
type Worker struct {
	Store Store
	Now   func() time.Time
	Log   logr.Logger
	// Observer is told of each pass but those that are broken off by the end of their context. Nil: nobody is.
	Observer Observer
}

// Plans are the names of all plans, those that cannot be read too.
func (w Worker) Plans(ctx context.Context) ([]string, error) {
	found, err := Plans{w.Store}.names(ctx)
	names := make([]string, 0, len(found))
	for _, name := range found {
		names = append(names, string(name))
	}
	return names, err
}

// Reconcile makes one pass over a plan. Next is when time alone may change what it decided, and watch are the prefixes
// that it depends on; nil: that is not known.
func (w Worker) Reconcile(ctx context.Context, session, plan string) (next time.Time, watch []string, err error) {
	r := Reconciler{Store: whole{w.Store}, Session: session, Now: w.Now, Log: w.Log}
	begun := w.Now()
	result, err := r.Reconcile(ctx, plan)
	if w.Observer != nil && ctx.Err() == nil {
		w.observe(plan, begun, result, err)
	}
	if result.Written.Writes > 0 {
		w.Log.Info("reconciled", "plan", plan, "phase", result.Status.Phase, "starts", result.Starts,
			"hosts", status.Line(result.Status), "written", result.Written.String())
	}
	k := keys.Plan(plan)
	switch {
	case errors.As(err, new(*Invalid)):
		return time.Time{}, []string{k.Spec()}, err
	case result.Observation == nil:
		return time.Time{}, nil, err
	}
	return result.Decision.Wake(), append(watched(result.Observation), k.Spec(), k.Control()), err
}

// watched are the prefixes of a fleet. The two trees whose keys all stand on one level are named without the slash at
// their end: see store.Watcher.
func watched(o *Observation) []string {
	l := o.Layout
	prefixes := []string{l.CurrentVersion(), l.ConfigState(), l.HoldTree(), l.RecordTree(),
		strings.TrimSuffix(l.StartedTree(), "/"), strings.TrimSuffix(l.ReportTree(), "/")}
	if l.Records == "" { // hosts that report there may still come
		l.Records = keys.RunningVersionsOld
		prefixes = append(prefixes, l.RecordTree())
	}
	return prefixes
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
func (e *NotFound) Gone() bool { return true }

// Stalled is true: reconciling it again is of no use until it is changed.
func (e *Invalid) Stalled() bool { return true }

// LostLock is true: whoever leads must stop.
func (e *LostLock) LostLock() bool { return true }
