// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manager runs a controller that may have standbys: it waits for the lock of the one writer, and while it holds
// it, makes a pass over a plan whenever something that the plan depends on may have changed.
//
// It goes by level: a change only rings a bell, and what is to be done is found by looking at all of it. So a ring that
// is missed costs time, until the next one or the next look in any case, and one too many costs a look.
package manager

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// HolderPrefix begins what a controller writes into the lock, so that others can tell it from a command that ends.
const HolderPrefix = "upgrade-controller"

// The defaults of Manager.
const (
	DefaultMinGap = time.Second
	DefaultResync = 5 * time.Minute
)

// Worker is what the manager runs while it leads. Its methods end soon after their context.
type Worker interface {
	// Plans are the names of all plans.
	Plans(ctx context.Context) ([]string, error)
	// Reconcile makes one pass over a plan, fenced by the session. Rang is what may have changed since the last one: all of
	// it in the first pass of a term, after an error and at a resync. Next is when it is to be looked at again although
	// nothing has changed; zero: never. Watch are the prefixes that it depends on; nil: those of the last pass. An error
	// may have one of the methods Gone, LostLockError and Stalled of the kinds of errors: see after.
	Reconcile(ctx context.Context, session, plan string, rang store.ChangedPrefixes) (next time.Time, watch []store.WatchTarget, err error)
}

// Runner is other work that is done while the manager leads.
type Runner interface {
	// Run works, fenced by the session, until the context ends, and returns soon after that, when nothing of it goes on. An
	// error means that nothing may be written any more.
	Run(ctx context.Context, session string) error
}

// Manager leads when it can.
type Manager struct {
	Store  store.Store
	Worker Worker
	// Also run beside the worker.
	Also []Runner
	// Holder is written into the lock; it begins with HolderPrefix.
	Holder string
	// MinGap is the least time between two looks at the same prefix; 0: DefaultMinGap.
	MinGap time.Duration
	// Resync is about how often everything is looked at although nothing has changed; 0: DefaultResync.
	Resync time.Duration
	Lease  leaderelection.Options
	Log    logr.Logger
	// Observer is told what the manager does. Nil: nobody is.
	Observer Observer

	health health
}

// Observer is told what a manager does whenever that changes, one call after the other.
type Observer interface {
	StateChanged(d State)
}

// State is what a manager does. Between two terms of leadership there is always something else; nothing of a term goes on
// by then.
type State struct {
	// Leading says that it leads, and Ready that it leads or stands by.
	Leading, Ready bool
	// Text says it in a few words: "standing by: the leader is …".
	Text string
}

// retryAfter is the pause after the lock could not be asked for.
const retryAfter = time.Second

// Run campaigns and leads, again and again, until the context ends; then it lets the transactions under way end and
// releases the lock, so that the next one takes over at once. Nothing of it goes on when it returns.
func (m *Manager) Run(ctx context.Context) {
	m.does(starting, "")
	defer m.does(ended, "")
	options := m.Lease
	options.Waiting = func(held leaderelection.LockHeldError) {
		m.does(standingBy, ": the leader is "+cmp.Or(held.Holder, "unknown"))
		m.Log.Info("standing by", "leader", held.Holder, "since", held.Since)
	}
	for ctx.Err() == nil {
		lease, err := leaderelection.Acquire(ctx, m.Store, keys.Leader, m.Holder, options)
		if err != nil {
			if ctx.Err() == nil {
				m.Log.Error(err, "the lock could not be taken")
				sleep(ctx, retryAfter)
			}
			continue
		}
		m.Log.Info("leading", "holder", m.Holder)
		m.does(leading, "")
		err = m.lead(ctx, lease)
		m.does(starting, "")
		if err := lease.Release(); err != nil {
			m.Log.Error(err, "the lock could not be released: it expires by itself")
		}
		if err != nil {
			m.Log.Info("no longer leading", "why", err.Error())
			sleep(ctx, retryAfter)
		}
	}
}

// does notes what the manager does from now on, and tells it with a few words more.
func (m *Manager) does(now mode, more string) {
	m.health.set(now)
	if m.Observer != nil {
		m.Observer.StateChanged(State{Leading: now == leading, Ready: now == leading || now == standingBy, Text: now.String() + more})
	}
}

// lead works until the lease is lost, which is an error, or the context ends.
func (m *Manager) lead(ctx context.Context, lease *leaderelection.Lease) error { //nolint:contextcheck // the lease has its own
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	held := lease.Context()
	defer context.AfterFunc(held, func() { cancel(context.Cause(held)) })() //nolint:contextcheck // it ends with either
	l := newLoop(m, lease.Session(), cancel)
	l.run(work)
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(work)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// The kinds of errors that are not simply tried again, told by their methods, so that whoever makes a pass need not know
// who runs it.
type (
	// gone: there is no such plan.
	gone interface{ Gone() bool }
	// lost: the lock is no longer ours.
	lost interface{ LostLock() bool }
	// stalled: trying again is of no use until something changes.
	stalled interface{ Stalled() bool }
)

// action is what becomes of a plan after a pass.
type action uint8

const (
	wait   action = iota // for a bell, the time that the pass named, or the resync
	retry                // soon, and later each time
	forget               // it is gone
	resign               // nothing may be written any more
)

// after maps what a pass returned to what becomes of the plan.
func after(err error) action {
	var (
		isGone    gone
		isLost    lost
		isStalled stalled
	)
	switch {
	case err == nil:
		return wait
	case errors.As(err, &isLost) && isLost.LostLock():
		return resign
	case errors.As(err, &isGone) && isGone.Gone():
		return forget
	case errors.As(err, &isStalled) && isStalled.Stalled():
		return wait
	}
	return retry
}
