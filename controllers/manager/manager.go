// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// The defaults of Manager.
const (
	DefaultMinInterval = time.Second
	DefaultResync      = 5 * time.Minute
)

const (
	// retryAfter is the pause after a failure to take the lock, and after the lock was lost.
	retryAfter = time.Second
	// maxDeniedPause is the longest pause while the store denies the lock. The token is read again by then.
	maxDeniedPause = time.Minute
)

// Runner is other work that is done while the manager leads.
type Runner interface {
	// Run works, fenced by the session, until the context ends. It returns soon after that, when its goroutines have ended. An
	// error means that nothing may be written any more, and ends the term.
	Run(ctx context.Context, session string) error
	// Healthy returns an error if work is stuck. It is also called between two runs.
	Healthy() error
}

// Manager leads when it can.
type Manager struct {
	Store store.Store
	// LeaseStore is where the lock is held. It has connections of its own, so that a renewal waits for nothing else.
	LeaseStore store.Store
	Reconciler reconcile.Reconciler
	// Runners run beside the reconciler.
	Runners []Runner
	// Holder names this process in the lock. It begins with leaderelection.ControllerName.
	Holder string
	// MinInterval is the least time between two reports of one watch. 0 means DefaultMinInterval.
	MinInterval time.Duration
	// Resync is about how often everything is read even if nothing changes. 0 means DefaultResync.
	Resync time.Duration
	Lease  leaderelection.Options
	Log    logr.Logger
	// Observer is notified of what the manager does. It may be nil.
	Observer Observer

	health health
}

// Observer is notified of what a manager does.
type Observer interface {
	// StateChanged is called after each change, one call at a time.
	StateChanged(s State)
}

// State is what a manager does. Between two terms of leadership it is always something else, and by then nothing of the
// earlier term runs.
type State struct {
	// Leading says that it leads, and Ready that it leads or stands by.
	Leading, Ready bool
	// Text says it in a few words: "standing by: the leader is …".
	Text string
}

// Run waits for the lock and leads, again and again, until the context ends. A term ends in this order:
//
//  1. The queue accepts no more plans, and the passes under way return. A transaction that was sent may finish, and the lease
//     is still renewed, so that the transaction passes its fence.
//  2. Watches and Runners end.
//  3. The lock is released, so that a standby takes over at once.
//
// Nothing of the manager runs when Run returns.
func (m *Manager) Run(ctx context.Context) {
	m.setState(starting, "")
	defer m.setState(ended, "")
	denied := backoff.New(retryAfter, maxDeniedPause, 0)
	for ctx.Err() == nil {
		lease, err := leaderelection.Acquire(ctx, m.LeaseStore, keys.Leader, m.Holder, m.leaseOptions())
		if err != nil {
			if ctx.Err() == nil {
				m.Log.Error(err, "cannot take the lock")
				pause := retryAfter
				if _, ok := errors.AsType[*store.ForbiddenError](err); ok {
					m.setState(starting, "")
					pause = denied.Step()
				}
				_ = backoff.Sleep(ctx, pause)
			}
			continue
		}
		denied = backoff.New(retryAfter, maxDeniedPause, 0)
		m.Log.Info("leading", "holder", m.Holder)
		m.setState(leading, "")
		err = m.lead(ctx, lease)
		m.setState(starting, "")
		if err := lease.Release(); err != nil {
			m.Log.Error(err, "cannot release the lock; it expires by itself")
		}
		if err != nil {
			m.Log.Info("no longer leading", "why", err.Error())
			_ = backoff.Sleep(ctx, retryAfter)
		}
	}
}

// leaseOptions are those of Lease, as a controller that reports for whom it stands by.
func (m *Manager) leaseOptions() leaderelection.Options {
	o := m.Lease
	o.Kind = leaderelection.KindController
	o.Waiting = func(held leaderelection.LockHeldError) error {
		m.setState(standingBy, ": the leader is "+cmp.Or(held.Holder, "unknown"))
		m.Log.Info("standing by", "leader", held.Holder, "since", held.Since)
		return nil
	}
	return o
}

// setState records and reports what the manager does from now on. Details are added to the text.
func (m *Manager) setState(now mode, details string) {
	m.health.set(now)
	if m.Observer != nil {
		m.Observer.StateChanged(State{Leading: now == leading, Ready: now == leading || now == standingBy, Text: now.String() + details})
	}
}

// lead works until the lease is lost, which is an error, or the context ends.
func (m *Manager) lead(ctx context.Context, lease *leaderelection.Lease) error { //nolint:contextcheck // the lease has its own
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	held := lease.Context()
	defer context.AfterFunc(held, func() { cancel(context.Cause(held)) })() //nolint:contextcheck // it ends with either
	newLoop(m, lease.Session(), cancel).run(work)
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(work)
}
