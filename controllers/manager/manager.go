// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manager runs a controller that may have standbys: it waits for the lock of the one writer, and works while it
// holds it.
package manager

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// HolderPrefix begins what a controller writes into the lock, so that others can tell it from a command that ends.
const HolderPrefix = "upgrade-controller"

// Worker is what the manager runs while it leads. Both methods end with their context.
type Worker interface {
	// Plans are the names of all plans.
	Plans(ctx context.Context) ([]string, error)
	// Reconcile makes one pass over a plan, fenced by the session.
	Reconcile(ctx context.Context, session, plan string) error
}

// Manager leads when it can.
type Manager struct {
	Store  store.Store
	Worker Worker
	// Holder is written into the lock; it begins with HolderPrefix.
	Holder string
	// Interval is the time between two rounds over all plans.
	Interval time.Duration
	Lease    store.LeaseOptions
	Log      logr.Logger
}

// retryAfter is the pause after the lock could not be asked for.
const retryAfter = time.Second

// Run campaigns and leads, again and again, until the context ends; then it releases the lock, so that the next one takes
// over at once.
func (m *Manager) Run(ctx context.Context) {
	options := m.Lease
	options.Waiting = func(held store.Held) { m.Log.Info("standing by", "leader", held.Holder, "since", held.Since) }
	for ctx.Err() == nil {
		lease, err := store.Acquire(ctx, m.Store, keys.Leader, m.Holder, options)
		if err != nil {
			if ctx.Err() == nil {
				m.Log.Error(err, "the lock could not be taken")
				_ = sleep(ctx, retryAfter)
			}
			continue
		}
		m.Log.Info("leading", "holder", m.Holder)
		m.lead(ctx, lease)
		if err := lease.Release(); err != nil {
			m.Log.Error(err, "the lock could not be released: it expires by itself")
		}
	}
}

// lead works until the lease is lost or the context ends.
func (m *Manager) lead(ctx context.Context, lease *store.Lease) {
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	held := lease.Context()
	defer context.AfterFunc(held, func() { cancel(context.Cause(held)) })() //nolint:contextcheck // it ends with either
	for work.Err() == nil {
		m.round(work, lease.Session())
		_ = sleep(work, m.Interval)
	}
	if cause := context.Cause(work); errors.Is(cause, store.ErrLeaseLost) {
		m.Log.Info("no longer leading", "why", cause.Error())
	}
}

// round reconciles every plan once. A plan that fails does not keep the others waiting.
func (m *Manager) round(ctx context.Context, session string) {
	plans, err := m.Worker.Plans(ctx)
	if err != nil && ctx.Err() == nil {
		m.Log.Error(err, "the plans could not be listed")
	}
	for _, plan := range plans {
		if err := m.Worker.Reconcile(ctx, session, plan); err != nil && ctx.Err() == nil {
			m.Log.Error(err, "the plan could not be reconciled", "plan", plan)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
