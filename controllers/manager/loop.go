// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// workers is how many plans are looked at at once: a large fleet does not keep the others waiting.
	workers = 4
	// settle is how long a ring waits for others: one report of a host changes several trees.
	settle = 5 * time.Millisecond
	// The pauses after a pass that failed.
	firstRetry = 200 * time.Millisecond
	maxRetry   = time.Minute
	// allPlans is the item of the queue that stands for the list of plans: no plan has this name.
	allPlans = ""
)

// loop is the work of one term of leadership.
type loop struct {
	*Manager
	session string
	resign  context.CancelCauseFunc
	queue   workqueue.TypedRateLimitingInterface[string]
	running sync.WaitGroup // bells, and other runners

	mu    sync.Mutex
	bells map[string]map[string]context.CancelFunc // by plan and prefix; also tells which plans are known
}

func newLoop(m *Manager, session string, resign context.CancelCauseFunc) *loop {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, maxRetry)
	return &loop{Manager: m, session: session, resign: resign, queue: workqueue.NewTypedRateLimitingQueue(limiter),
		bells: map[string]map[string]context.CancelFunc{}}
}

// run works until the context ends, and returns when nothing of it goes on.
func (l *loop) run(ctx context.Context) {
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	l.hang(ctx, allPlans, []string{keys.PlansEpoch})
	l.queue.Add(allPlans)
	for _, runner := range l.Also {
		l.running.Go(func() {
			if err := runner.Run(ctx, l.session); err != nil {
				l.resign(err)
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	working.Wait()
	l.running.Wait()
}

// next makes one pass; false: the queue is closed.
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

// list looks which plans there are. Those that are gone are found by their own pass.
func (l *loop) list(ctx context.Context) {
	plans, err := l.Worker.Plans(ctx)
	if err != nil {
		l.again(ctx, allPlans, err, "the plans could not be listed")
		return
	}
	l.queue.Forget(allPlans)
	l.queue.AddAfter(allPlans, l.nextResync())
	for _, plan := range plans {
		if !l.known(plan) {
			l.hang(ctx, plan, []string{}) // it is known now
			l.queue.Add(plan)
		}
	}
}

func (l *loop) pass(ctx context.Context, plan string) {
	next, watch, err := l.Worker.Reconcile(ctx, l.session, plan)
	if ctx.Err() != nil {
		return
	}
	if watch != nil {
		l.hang(ctx, plan, watch)
	}
	switch after(err) {
	case resign:
		l.resign(err)
	case forget:
		l.queue.Forget(plan)
		if l.known(plan) {
			l.hang(ctx, plan, nil)
			l.Log.Info("the plan is gone", "plan", plan)
		}
	case retry:
		l.again(ctx, plan, err, "the plan could not be reconciled")
	case wait:
		l.queue.Forget(plan)
		if err != nil {
			l.Log.Error(err, "the plan waits for a change", "plan", plan)
		}
		in := l.nextResync()
		if !next.IsZero() {
			in = min(in, max(time.Until(next), 0))
		}
		l.queue.AddAfter(plan, in)
	}
}

// again tries an item again, later each time.
func (l *loop) again(ctx context.Context, item string, err error, what string) {
	if ctx.Err() == nil {
		l.Log.Error(err, what, "plan", item)
		l.queue.AddRateLimited(item)
	}
}

// nextResync is spread, so that plans and controllers do not all look at once.
func (l *loop) nextResync() time.Duration {
	every := cmp.Or(l.Resync, DefaultResync)
	return every - rand.N(every/10+1)
}

func (l *loop) known(plan string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bells[plan] != nil
}

// hang hangs a bell for each prefix that has none, and takes down the others of the plan. Nil: the plan is gone. A new
// bell rings once: something may have changed between the pass that named it and the moment from which it watches.
func (l *loop) hang(ctx context.Context, plan string, prefixes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bells := l.bells[plan]
	if bells == nil {
		bells = map[string]context.CancelFunc{}
		l.bells[plan] = bells
	}
	for prefix, stop := range bells {
		if !slices.Contains(prefixes, prefix) {
			stop()
			delete(bells, prefix)
		}
	}
	if prefixes == nil {
		delete(l.bells, plan)
	}
	for _, prefix := range prefixes {
		if bells[prefix] != nil {
			continue
		}
		watched, stop := context.WithCancel(ctx)
		bells[prefix] = stop
		l.running.Go(func() {
			o := store.WatchOptions{MinGap: cmp.Or(l.MinGap, DefaultMinGap), Failed: func(err error) {
				l.Log.Error(err, "it is not seen when something changes: all is looked at by the clock", "prefix", prefix,
					"resync", cmp.Or(l.Resync, DefaultResync).String())
			}}
			store.Watch(watched, l.Store, prefix, o, func() { l.queue.AddAfter(plan, settle) })
		})
	}
}
