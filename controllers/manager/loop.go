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
	plans map[string]*known
}

// known is what a loop knows of a plan.
type known struct {
	bells map[string]hung // by prefix
	// rang is what rang since the last pass began.
	rang store.ChangedPrefixes
	// resync is when all is looked at again.
	resync time.Time
}

// hung is a bell that watches.
type hung struct {
	minGap time.Duration
	stop   context.CancelFunc
}

func newLoop(m *Manager, session string, resign context.CancelCauseFunc) *loop {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, maxRetry)
	return &loop{Manager: m, session: session, resign: resign, queue: workqueue.NewTypedRateLimitingQueue(limiter),
		plans: map[string]*known{}}
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
	l.hang(ctx, allPlans, []store.WatchTarget{{Prefix: keys.PlansEpoch}})
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
		if !l.knows(plan) {
			l.hang(ctx, plan, []store.WatchTarget{}) // it is known now
			l.queue.Add(plan)
		}
	}
}

func (l *loop) pass(ctx context.Context, plan string) {
	rang, resync := l.take(plan)
	next, watch, err := l.Worker.Reconcile(ctx, l.session, plan, rang)
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
		if l.knows(plan) {
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
		if next.IsZero() || next.After(resync) {
			next = resync
		}
		l.queue.AddAfter(plan, max(time.Until(next), 0))
	}
	if err != nil {
		l.ring(plan, func(r *store.ChangedPrefixes) { r.All = true })
	}
}

// take is what rang since the last pass over a plan began, and when all is looked at again.
func (l *loop) take(plan string) (rang store.ChangedPrefixes, resync time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.plans[plan]
	if k == nil {
		return store.ChangedPrefixes{All: true}, time.Now()
	}
	rang, k.rang = k.rang, store.ChangedPrefixes{}
	if now := time.Now(); !now.Before(k.resync) {
		rang.All = true
		k.resync = now.Add(l.nextResync())
	}
	return rang, k.resync
}

// ring notes what the next pass over a plan shall look at.
func (l *loop) ring(plan string, note func(*store.ChangedPrefixes)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.plans[plan]; k != nil {
		note(&k.rang)
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

func (l *loop) knows(plan string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plans[plan] != nil
}

// hang hangs the bells of a plan that do not hang yet, and takes down its others. Nil: the plan is gone. A new bell rings
// once: something may have changed between the pass that named it and the moment from which it watches.
func (l *loop) hang(ctx context.Context, plan string, bells []store.WatchTarget) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.plans[plan]
	if k == nil {
		k = &known{bells: map[string]hung{}}
		l.plans[plan] = k
	}
	for prefix, h := range k.bells {
		if !slices.Contains(bells, store.WatchTarget{Prefix: prefix, MinGap: h.minGap}) {
			h.stop()
			delete(k.bells, prefix)
		}
	}
	if bells == nil {
		delete(l.plans, plan)
	}
	for _, bell := range bells {
		if _, hangs := k.bells[bell.Prefix]; hangs {
			continue
		}
		watched, stop := context.WithCancel(ctx)
		k.bells[bell.Prefix] = hung{bell.MinGap, stop}
		l.running.Go(func() { l.watch(watched, plan, bell) })
	}
}

// watch rings for a plan whenever something below the bell's prefix may have changed.
func (l *loop) watch(ctx context.Context, plan string, bell store.WatchTarget) {
	o := store.WatchOptions{MinGap: max(bell.MinGap, cmp.Or(l.MinGap, DefaultMinGap)), Failed: func(err error) {
		l.Log.Error(err, "it is not seen when something changes: all is looked at by the clock", "prefix", bell.Prefix,
			"resync", cmp.Or(l.Resync, DefaultResync).String())
	}}
	store.Watch(ctx, l.Store, bell.Prefix, o, func(m store.WatchIndex) {
		l.ring(plan, func(r *store.ChangedPrefixes) { r.Add(bell.Prefix, m) })
		l.queue.AddAfter(plan, settle)
	})
}
