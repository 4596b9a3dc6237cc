// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

const (
	// firstRetry is the delay after a failed sync. It doubles up to the interval of the source.
	firstRetry = 2 * time.Second
	// maxConcurrentSyncs bounds memory: each sync may use as much as its limits allow.
	maxConcurrentSyncs = 2
	// readGrace is how long a read may take to end after its context.
	readGrace = time.Second
	// stuckAfter is how long a sync or a read may take after the timeout of its source before the controller is unhealthy.
	stuckAfter = 5 * time.Minute
	// DefaultMinInterval is the default of Runner.MinInterval.
	DefaultMinInterval = time.Second
)

// Store keeps the status of the sources.
type Store interface {
	store.Reader
	store.Writer
	store.Watcher
}

// Observer gets each sync. Several goroutines call it at the same time.
type Observer interface {
	Synced(s Sync)
}

// Sync describes one sync, successful or not.
type Sync struct {
	Source string
	// Revision is empty if the sync failed before it found one.
	Revision string
	Started  time.Time
	Duration time.Duration
	// Err is nil if the sync succeeded.
	Err error
}

// elapsed returns the time between two readings of the clock. It is zero if the clock went back.
func elapsed(from, to time.Time) time.Duration { return max(to.Sub(from), 0) }

func newSync(source, revision string, started, ended time.Time, err error) Sync {
	return Sync{Source: source, Revision: revision, Started: started, Duration: elapsed(started, ended), Err: err}
}

// Runner syncs sources while its controller is the leader.
type Runner struct {
	Sources []Source
	Store   Store
	// Plans returns a store of plans whose writes are fenced by the session.
	Plans  func(session string) Plans
	Limits repository.Limits
	Now    func() time.Time
	// Random returns a duration from 0 up to its argument. It spreads the syncs of several sources.
	Random func(time.Duration) time.Duration
	// MinInterval is the minimum interval between two reads of sync requests. Zero means DefaultMinInterval.
	MinInterval time.Duration
	Log         logr.Logger
	// Observer may be nil.
	Observer Observer

	watchdog watchdog
}

// Healthy returns an error if a sync, or a read of a repository, has not ended long after its timeout.
func (r *Runner) Healthy() error { return r.watchdog.check(r.Now()) }

// Run syncs all sources until the context ends, which is no error, or the lock is lost: that error wraps
// leaderelection.ErrLost. First it removes the state of sources that are no longer configured and disowns their plans.
func (r *Runner) Run(ctx context.Context, session string) error {
	if err := r.removeUntilDone(ctx, session); err != nil {
		return onlyLost(err)
	}
	slots := make(chan struct{}, maxConcurrentSyncs)
	running, ctx := errgroup.WithContext(ctx)
	for _, s := range r.Sources {
		f := &follower{Runner: r, session: session, source: s, reader: reader{source: s, limits: r.Limits}, slots: slots,
			requests: make(chan struct{}, 1)}
		running.Go(func() error { return f.follow(ctx) })
		running.Go(func() error { f.watchRequests(ctx); return nil })
	}
	return onlyLost(running.Wait())
}

// onlyLost returns the error if the lock was lost. All other errors mean that the context has ended.
func onlyLost(err error) error {
	if errors.Is(err, leaderelection.ErrLost) {
		return err
	}
	return nil
}

// removeUntilDone retries removeUnconfigured until it succeeds, the lock is lost or the context ends.
func (r *Runner) removeUntilDone(ctx context.Context, session string) error {
	delays := backoff.New(firstRetry, DefaultInterval, 0)
	for {
		err := r.removeUnconfigured(ctx, session)
		if err == nil || errors.Is(err, leaderelection.ErrLost) {
			return err
		}
		r.Log.Error(err, "cannot remove state of deleted sources")
		if err := backoff.Sleep(ctx, delays.Step()); err != nil {
			return err
		}
	}
}

// removeUnconfigured deletes the status and requests of sources that are not configured, and disowns their plans.
func (r *Runner) removeUnconfigured(ctx context.Context, session string) error {
	known := func(name string) bool {
		return slices.ContainsFunc(r.Sources, func(s Source) bool { return s.Name == name })
	}
	plans := r.Plans(session)
	origins, err := plans.Origins(ctx)
	if err != nil {
		return err
	}
	for name, o := range origins {
		if known(o.Source) {
			continue
		}
		if err := plans.Disown(ctx, name); err != nil {
			return err
		}
		r.Log.Info("plan is no longer managed: its source is not configured", "plan", name, "source", o.Source)
	}
	kept, _, err := r.Store.Keys(ctx, keys.Sources)
	if err != nil {
		return err
	}
	for _, key := range kept {
		name := strings.TrimPrefix(key, keys.Sources)
		if known(name) {
			continue
		}
		if err := r.write(ctx, session, store.Op{Verb: store.Delete, Key: key},
			store.Op{Verb: store.Delete, Key: keys.Request(name)}); err != nil {
			return err
		}
	}
	return nil
}

// write commits the operations if the session still holds the lock.
func (r *Runner) write(ctx context.Context, session string, ops ...store.Op) error {
	check := store.Op{Verb: store.CheckSession, Key: keys.Leader, Session: session}
	_, err := r.Store.Txn(ctx, slices.Concat([]store.Op{check}, ops))
	return leaderelection.CheckFence(err, keys.Leader)
}

// follower syncs one source.
type follower struct {
	*Runner
	session string
	source  Source
	reader  reader
	// stuck receives the end of a read that had not ended with its context. Nil means that there is no such read.
	stuck chan readResult
	// slots is shared by all followers. It limits how many sync at the same time.
	slots chan struct{}
	// requests holds one token if a sync request may have arrived.
	requests chan struct{}
}

// watchRequests wakes the follower when the sync request of its source changes, until the context ends.
func (f *follower) watchRequests(ctx context.Context) {
	w := store.WatchKeys(keys.Request(f.source.Name))
	w.MinInterval = cmp.Or(f.MinInterval, DefaultMinInterval)
	w.Run(ctx, f.Store, func(err error) {
		f.Log.Error(err, "cannot watch sync requests; syncing on interval only", "source", f.source.Name)
	}, func(store.WatchIndex) { f.wake() })
}

// wake never blocks: several requests before the next sync count as one.
func (f *follower) wake() {
	select {
	case f.requests <- struct{}{}:
	default:
	}
}

// follow syncs at each interval and at each request. It returns nil when the context ends, and an error if the lock is lost.
func (f *follower) follow(ctx context.Context) error {
	interval := f.source.interval()
	retries := backoff.New(firstRetry, interval, 0.5)
	for {
		handled, err := f.sync(ctx)
		if errors.Is(err, leaderelection.ErrLost) {
			return err
		}
		next := interval - f.Random(interval/10+1)
		if err != nil {
			next = min(retries.Step(), next)
		} else {
			retries = backoff.New(firstRetry, interval, 0.5)
		}
		if ctx.Err() != nil || !f.wait(ctx, next, handled) {
			return nil //nolint:nilerr // the end of the context is not a failure
		}
	}
}

// wait returns true after d, or when a sync request arrives whose ID is not handled. It returns false when the context ends.
func (f *follower) wait(ctx context.Context, d time.Duration, handled string) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-f.requests:
			pairs, _, err := f.Store.Get(ctx, keys.Request(f.source.Name))
			if err == nil && decodeRequest(pairs[0]).ID != handled {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// sync runs one sync and stores its outcome. It returns the ID of the request that it handled.
func (f *follower) sync(ctx context.Context) (handled string, err error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	started := f.Now()
	defer f.watchdog.begin("sync of source "+f.source.Name, started.Add(f.source.timeout()+stuckAfter))()
	pairs, _, err := f.Store.Get(ctx, keys.Source(f.source.Name), keys.Request(f.source.Name))
	if err != nil {
		f.Log.Error(err, "cannot read the status of the source", "source", f.source.Name)
		return "", err
	}
	status := storedStatus(pairs[0])
	status.Source = f.source.public()
	request := decodeRequest(pairs[1])
	m := status.memory(request)
	status.handled(request)
	content, changes, err := f.syncOnce(ctx, m)
	if ctx.Err() != nil || errors.Is(err, leaderelection.ErrLost) {
		return "", cmp.Or(ctx.Err(), err)
	}
	now := f.Now()
	if content.object != "" && f.source.Verify.Enabled() {
		status.verified(content.object, m, started)
	}
	if err == nil || len(changes.Applied)+len(changes.Pruned) > 0 {
		status.moved(content, now)
	}
	if err == nil {
		status.succeeded(content, changes, started, now)
		f.logChanges(content, changes)
	} else {
		failure := asSyncError(content, err)
		status.failed(failure, now)
		content.Revision = cmp.Or(content.Revision, failure.Revision)
		f.Log.Error(err, "sync failed", "source", f.source.Name, "reason", failure.Reason)
	}
	status.accepted(m, now)
	if f.Observer != nil {
		f.Observer.Synced(newSync(f.source.Name, content.Revision, started, now, err))
	}
	return status.HandledRequest, cmp.Or(f.writeStatus(ctx, pairs, status), err)
}

// syncOnce reads the source and applies its plans.
func (f *follower) syncOnce(ctx context.Context, m memory) (Content, Changes, error) {
	limited, cancel := withTimeout(ctx, f.source)
	defer cancel()
	content, err := f.read(limited, m)
	if err != nil {
		return content, Changes{}, err
	}
	changes, err := apply(ctx, f.Plans(f.session), f.source, content)
	return content, changes, err
}

// readResult is what a read of the repository returned.
type readResult struct {
	content Content
	err     error
}

// read reads the repository. It returns soon after the context has ended, even if the read itself does not. No other read begins
// before that one has ended.
func (f *follower) read(ctx context.Context, m memory) (Content, error) {
	select {
	case <-f.stuck:
		f.stuck = nil
	default:
		if f.stuck != nil {
			return Content{}, &SyncError{Reason: string(repository.Unreachable),
				Err: errors.New("an earlier read of the repository has not ended")}
		}
	}
	done := make(chan readResult, 1)
	now := f.Now()
	ended := f.watchdog.begin("read of source "+f.source.Name, now.Add(f.source.timeout()+stuckAfter))
	go func() {
		defer ended()
		content, err := f.reader.read(ctx, now, m)
		done <- readResult{content, err}
	}()
	select {
	case r := <-done:
		return r.content, r.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(readGrace)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.content, r.err
	case <-timer.C:
		f.stuck = done
		return Content{}, &SyncError{Reason: string(repository.Unreachable), Err: context.Cause(ctx)}
	}
}

func (f *follower) logChanges(c Content, changes Changes) {
	if text := changes.String(); text != "" {
		f.Log.Info("synced", "source", f.source.Name, "revision", c.Revision, "plans", text)
	} else {
		f.Log.V(1).Info("synced; nothing changed", "source", f.source.Name, "revision", c.Revision)
	}
}

// asSyncError returns the SyncError in err. All other errors come from the store.
func asSyncError(c Content, err error) *SyncError {
	failure, ok := errors.AsType[*SyncError](err)
	if !ok {
		failure = &SyncError{ReasonStore, c.Revision, err}
	}
	return failure
}

// writeStatus writes the status if it has changed. It also creates the request key if it does not exist, because a watch on
// a missing key returns whenever anything in the store changes.
func (f *follower) writeStatus(ctx context.Context, pairs []keys.Pair, s Status) error {
	data := keys.EncodeObject(s)
	var ops []store.Op
	if !bytes.Equal(data, pairs[0].Value) {
		ops = append(ops, store.Op{Verb: store.Set, Key: pairs[0].Key, Value: data})
	}
	if !pairs[1].Exists() {
		ops = append(ops, store.Op{Verb: store.CAS, Key: pairs[1].Key, Value: []byte("{}")})
	}
	if len(ops) == 0 {
		return nil
	}
	err := f.write(ctx, f.session, ops...)
	if errors.Is(err, leaderelection.ErrLost) {
		return err
	}
	if _, ok := errors.AsType[*store.ConflictError](err); ok {
		return nil // another request has arrived: its sync writes the status
	}
	if err != nil {
		f.Log.Error(err, "cannot write the status of the source", "source", f.source.Name)
	}
	return err
}
