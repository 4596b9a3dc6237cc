// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/cache"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// followMinInterval is the least time between two reads of the same tree by a Follower.
	followMinInterval = 500 * time.Millisecond
	// followRetry is the delay of a Follower after a failed read.
	followRetry = 2 * time.Second
	// followResync is how often it reads everything: see cache.Cache for what can hide until then.
	followResync = 5 * time.Minute
)

// Follower reads a plan and its fleet for viewers. It writes nothing, needs no lock, and, as a worker does, reads only what
// changed since its last read.
type Follower struct {
	Store planstore.Store
	Plan  string
	Now   func() time.Time
	// Failed is called with the error of each failed read and watch, by several goroutines at once. Both are tried again.
	Failed func(error)
}

// Follow calls seen with an assessment: at once, whenever something changed, and when the passing of time changed a verdict.
// It ends with its context, without an error; with the error of seen, unless it is a *RetryError; and with a *NotFoundError or an
// *InvalidPlanError.
func (f *Follower) Follow(ctx context.Context, seen func(*pass.Assessment) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watches := store.NewWatchSet(f.Store, store.WatchSetOptions{MinInterval: followMinInterval,
		Failed: func(_ store.WatchTarget, err error) { f.Failed(err) }})
	defer watches.Stop()
	p := newPlanState(f.Store, f.Plan, stateOptions{ages: true, now: f.Now})
	status := store.WatchKeys(keys.Plan(f.Plan).Status())
	changed, resync := store.Changes{All: true}, f.Now().Add(followResync)
	for {
		a, err := f.read(ctx, p, changed)
		switch {
		case ctx.Err() != nil:
			return nil
		case permanent(err):
			return err
		case err != nil:
			f.Failed(err)
			p.cache.Invalidate()
		default:
			if err = f.show(ctx, a, seen); err != nil && !isRetry(err) {
				return err
			}
			watches.SetWatches(ctx, append(Watches(a), status))
		}
		var ok bool
		if changed, ok = watches.Wait(ctx, f.delay(p, err)); !ok {
			return nil
		}
		delete(changed.At, status.Target) // every read includes it
		if now := f.Now(); err != nil || !now.Before(resync) {
			changed.All, resync = true, now.Add(followResync)
		}
	}
}

// RetryError is returned by a viewer that failed to show an assessment. The follower reads again soon, as after a failed read.
type RetryError struct{ Err error }

// Error implements error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

func isRetry(err error) bool {
	_, retry := errors.AsType[*RetryError](err)
	return retry
}

// show calls seen, and Failed for a *RetryError.
func (f *Follower) show(ctx context.Context, a *pass.Assessment, seen func(*pass.Assessment) error) error {
	err := seen(a)
	if isRetry(err) && ctx.Err() == nil {
		f.Failed(err)
	}
	return err
}

// permanent reports whether another read would fail with the same error.
func permanent(err error) bool {
	_, gone := errors.AsType[*planstore.NotFoundError](err)
	_, invalid := errors.AsType[*planstore.InvalidPlanError](err)
	return gone || invalid
}

// delay returns how long the next read may wait.
func (f *Follower) delay(p *planState, err error) time.Duration {
	if err != nil {
		return followRetry
	}
	due := p.dueAt()
	if due.IsZero() {
		return followResync
	}
	return min(max(due.Sub(f.Now()), followMinInterval), followResync)
}

func (f *Follower) read(ctx context.Context, p *planState, changed store.Changes) (*pass.Assessment, error) {
	changed, err := p.planChanges(ctx, f.Store, changed)
	if err != nil {
		return nil, err
	}
	if err := p.readOwn(ctx, f.Store); err != nil {
		return nil, err
	}
	o, err := p.observe(ctx, cache.Request{Now: f.Now(), Changed: changed})
	if err != nil {
		return nil, err
	}
	p.decided(o.Assessment)
	return o.Assessment, nil
}

// readOwn reads the keys of a plan that only its controller writes and that no watch covers: the ledger and the status.
func (p *planState) readOwn(ctx context.Context, s store.Reader) error {
	if p.cache.State() == cache.Cold {
		return nil
	}
	k := keys.Plan(p.reader.Plan)
	pairs, _, err := s.Get(ctx, k.Ledger(), k.Status())
	if err != nil {
		return err
	}
	p.setStatus(pairs[1])
	p.snapshot.Own.Ledger = pairs[0]
	if p.snapshot.Keys.Ledger, err = keys.DecodeLedger(pairs[0]); err != nil {
		p.cache.Invalidate() // the full read reports what is wrong
	}
	p.watermarks = p.snapshot.Keys.Ledger.Watermarks.Extend(p.watermarks)
	return nil
}
