// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

const (
	// workers is how many plans are reconciled at the same time: a large fleet does not keep the others waiting.
	workers = 4
	// debounce is how long a change waits for others: one report of a host changes several trees.
	debounce = 5 * time.Millisecond
	// firstRetry and maxRetry bound the pause after a pass that failed.
	firstRetry = 200 * time.Millisecond
	maxRetry   = time.Minute
	// allPlans is the item of the queue that stands for the list of plans. No plan has this name.
	allPlans = ""
)

// loop is the work of one term of leadership.
type loop struct {
	*Manager
	session string
	resign  context.CancelCauseFunc
	queue   workqueue.TypedRateLimitingInterface[string]
	running sync.WaitGroup // runners, and watches that end

	mu    sync.Mutex
	plans map[string]*planState // allPlans too
}

// planState is what a loop knows of a plan.
type planState struct {
	watches *store.WatchSet
	// readAll says that the next pass reads everything.
	readAll bool
	// resync is when everything is read again.
	resync time.Time
}

func newLoop(m *Manager, session string, resign context.CancelCauseFunc) *loop {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, maxRetry)
	return &loop{Manager: m, session: session, resign: resign, queue: workqueue.NewTypedRateLimitingQueue(limiter),
		plans: map[string]*planState{}}
}

// run works until the context ends, and returns when all its goroutines have ended. See Manager.Run for the order.
func (l *loop) run(ctx context.Context) {
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	l.add(allPlans).watches.SetWatches(ctx, []store.Watch{store.WatchKeys(keys.PlansEpoch)})
	l.queue.Add(allPlans)
	for _, runner := range l.Runners {
		l.running.Go(func() {
			if err := runner.Run(ctx, l.session); err != nil {
				l.resign(err)
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	working.Wait()
	for _, state := range l.plans { // no worker adds one any more
		state.watches.Stop()
	}
	l.running.Wait()
}

// next handles one item of the queue. It returns false when the queue is closed.
func (l *loop) next(ctx context.Context) bool {
	item, closed := l.queue.Get()
	if closed {
		return false
	}
	defer l.queue.Done(item)
	if ctx.Err() != nil {
		return true
	}
	defer l.health.pass()()
	if item == allPlans {
		l.list(ctx)
	} else {
		l.pass(ctx, item)
	}
	return true
}

// list adds the plans that are new. A plan that is gone is found by its own pass.
func (l *loop) list(ctx context.Context) {
	plans, err := l.Reconciler.Plans(ctx)
	l.health.ended(allPlans, err)
	if err != nil {
		l.retry(ctx, allPlans, err, "cannot list plans")
		return
	}
	l.queue.Forget(allPlans)
	l.queue.AddAfter(allPlans, l.nextResync())
	for _, plan := range plans {
		if l.state(plan) == nil {
			l.add(plan)
			l.queue.Add(plan)
		}
	}
}

// pass makes one pass over a plan, and decides when the next one is due.
func (l *loop) pass(ctx context.Context, plan string) {
	state := l.state(plan)
	known := state != nil
	if !known { // a plan of that name was removed, and has perhaps been created again
		state = l.add(plan)
	}
	changes := l.changes(state)
	result, err := l.Reconciler.Reconcile(ctx, reconcile.Request{Session: l.session, Plan: plan, Changes: changes})
	if ctx.Err() != nil {
		return
	}
	l.health.ended(plan, err)
	state.readAll = err != nil
	lost, gone := errors.Is(err, leaderelection.ErrLost), errors.Is(err, reconcile.ErrGone)
	if result.Watches != nil && !lost && !gone { // else they would end at once
		state.watches.SetWatches(ctx, result.Watches)
	}
	switch {
	case lost:
		l.resign(err)
	case gone:
		l.queue.Forget(plan)
		l.remove(plan, state)
		if known {
			l.Log.Info("the plan is gone", "plan", plan)
		}
	case err != nil && !errors.Is(err, reconcile.ErrStalled):
		l.retry(ctx, plan, err, "reconcile failed; will retry")
	default:
		l.queue.Forget(plan)
		if err != nil {
			l.Log.Error(err, "the plan has stalled until it changes", "plan", plan)
		}
		next := result.RequeueAt
		if next.IsZero() || next.After(state.resync) {
			next = state.resync
		}
		l.queue.AddAfter(plan, max(time.Until(next), 0))
	}
}

// changes returns what may have changed since the last pass over a plan began.
func (l *loop) changes(state *planState) store.Changes {
	changes := state.watches.Take()
	changes.All = state.readAll
	if now := time.Now(); !now.Before(state.resync) {
		changes.All = true
		state.resync = now.Add(l.nextResync())
	}
	return changes
}

// retry queues an item again, later each time.
func (l *loop) retry(ctx context.Context, item string, err error, message string) {
	if ctx.Err() == nil {
		l.Log.Error(err, message, "plan", item)
		l.queue.AddRateLimited(item)
	}
}

// nextResync is spread at random, so that plans and controllers do not all read at the same time.
func (l *loop) nextResync() time.Duration {
	every := cmp.Or(l.Resync, DefaultResync)
	return backoff.Jitter(every-every/10, 1.0/9)
}

// state is that of a plan. Nil means that the plan is unknown. Only the worker that handles the plan changes it.
func (l *loop) state(plan string) *planState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plans[plan]
}

// add adds a plan that watches nothing yet.
func (l *loop) add(plan string) *planState {
	state := &planState{watches: store.NewWatchSet(l.Store, store.WatchSetOptions{
		MinInterval: cmp.Or(l.MinInterval, DefaultMinInterval),
		Failed: func(target store.WatchTarget, err error) {
			l.Log.Error(err, "watch failed; falling back to periodic resync", "target", target.String(),
				"resync", cmp.Or(l.Resync, DefaultResync).String())
		},
		Changed: func() { l.queue.AddAfter(plan, debounce) },
	})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plans[plan] = state
	return state
}

// remove forgets a plan. Its watches end on their own time: a blocking query takes a moment to end.
func (l *loop) remove(plan string, state *planState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.plans, plan)
	l.running.Go(state.watches.Stop)
}
