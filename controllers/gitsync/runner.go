// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

const (
	// firstRetry is the pause after a sync that failed; it doubles up to the interval.
	firstRetry = 2 * time.Second
	// atOnce is how many repositories are read at the same time: each may take the memory that its limits allow.
	atOnce = 2
	// DefaultMinGap is the least time between two looks for requests.
	DefaultMinGap = time.Second
)

// Store is what the runner keeps the status of its sources in.
type Store interface {
	store.Reader
	store.Writer
	store.Watcher
}

// Observer is told of each sync, by several goroutines at once.
type Observer interface {
	Synced(s Sync)
}

// Sync is one sync, as far as it came.
type Sync struct {
	Source string
	// Revision is what was found; empty: nothing was.
	Revision string
	Began    time.Time
	Took     time.Duration
	Err      error
}

// Runner follows sources while its controller leads.
type Runner struct {
	Sources []Source
	Store   Store
	// Plans stores plans, fenced by a session.
	Plans  func(session string) Plans
	Limits repository.Limits
	Now    func() time.Time
	// Random is a duration from 0 up to the one that it is given: looks are spread by it.
	Random func(time.Duration) time.Duration
	// MinGap is the least time between two looks for requests, two of which may follow each other at once; 0: DefaultMinGap.
	MinGap time.Duration
	Log    logr.Logger
	// Observer may be nil.
	Observer Observer
}

// Run follows all sources until the context ends, or the lock is lost: that is the error. What is kept of sources that are
// not configured any more is removed first, and their plans are let go.
func (r *Runner) Run(ctx context.Context, session string) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	turn := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for retry := firstRetry; ; retry = min(2*retry, DefaultInterval) {
		err := r.retire(ctx, session)
		if errors.Is(err, leaderelection.ErrLost) {
			return err
		}
		if err == nil {
			break
		}
		r.Log.Error(err, "what is kept of sources that are gone could not be removed")
		if !pause(ctx, retry, nil) {
			return nil
		}
	}
	for _, s := range r.Sources {
		f := &follower{Runner: r, session: session, source: s, reader: reader{source: s, limits: r.Limits}, turn: turn,
			bell: make(chan struct{}, 1)}
		running.Go(func() {
			if err := f.follow(ctx); err != nil {
				stop(err)
			}
		})
		running.Go(func() {
			w := store.WatchKeys(keys.Request(s.Name))
			w.MinInterval = cmp.Or(r.MinGap, DefaultMinGap)
			w.Run(ctx, r.Store, func(err error) {
				r.Log.Error(err, "cannot watch sync requests; syncing on interval only", "source", s.Name)
			}, func(store.WatchIndex) { f.ring() })
		})
	}
	running.Wait()
	if err := context.Cause(ctx); errors.Is(err, leaderelection.ErrLost) {
		return err
	}
	return nil
}

// retire removes what is kept of sources that are not configured, and lets their plans go.
func (r *Runner) retire(ctx context.Context, session string) error {
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
		if err := plans.Release(ctx, name); err != nil {
			return err
		}
		r.Log.Info("its source is not configured any more: nobody manages the plan now", "plan", name, "source", o.Source)
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

// write writes, if the session still holds the lock.
func (r *Runner) write(ctx context.Context, session string, ops ...store.Op) error {
	check := store.Op{Verb: store.CheckSession, Key: keys.Leader, Session: session}
	_, err := r.Store.Txn(ctx, slices.Concat([]store.Op{check}, ops))
	return leaderelection.CheckFence(err, keys.Leader)
}

// follower follows one source.
type follower struct {
	*Runner
	session string
	source  Source
	reader  reader
	turn    chan struct{}
	bell    chan struct{}
}

// ring wakes the follower up; rings that come meanwhile are one.
func (f *follower) ring() {
	select {
	case f.bell <- struct{}{}:
	default:
	}
}

// follow syncs at each interval and at each request, until the context ends or the lock is lost.
func (f *follower) follow(ctx context.Context) error {
	interval := duration(f.source.Interval, DefaultInterval)
	retry := firstRetry
	for {
		handled, err := f.sync(ctx)
		if errors.Is(err, leaderelection.ErrLost) {
			return err
		}
		next := interval - f.Random(interval/10+1)
		if err != nil {
			next = min(retry+f.Random(retry/2+1), next)
			retry = min(2*retry, interval)
		} else {
			retry = firstRetry
		}
		if ctx.Err() != nil || !f.wait(ctx, next, handled) {
			return nil //nolint:nilerr // that the context has ended is no failure
		}
	}
}

// wait waits for the time or a request that was not handled yet; false: the context has ended.
func (f *follower) wait(ctx context.Context, d time.Duration, handled string) bool {
	until := time.Now().Add(d)
	for {
		if !pause(ctx, time.Until(until), f.bell) {
			return false
		}
		if !time.Now().Before(until) {
			return true
		}
		if pairs, _, err := f.Store.Get(ctx, keys.Request(f.source.Name)); err == nil && requestOf(pairs[0]) != handled {
			return true
		}
	}
}

// pause waits for the time or the bell; false: the context has ended.
func pause(ctx context.Context, d time.Duration, bell <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-bell:
		return true
	case <-ctx.Done():
		return false
	}
}

// sync makes one sync and keeps how it went. Handled is the request that it answered.
func (f *follower) sync(ctx context.Context) (handled string, err error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	begun := f.Now()
	pairs, _, err := f.Store.Get(ctx, keys.Source(f.source.Name), keys.Request(f.source.Name))
	if err != nil {
		f.Log.Error(err, "the status of the source could not be read", "source", f.source.Name)
		return "", err
	}
	status, _ := DecodeStatus(pairs[0])
	status.Source, status.Handled = f.source.public(), requestOf(pairs[1])
	content, did, err := f.carryOut(ctx)
	if ctx.Err() != nil || errors.Is(err, leaderelection.ErrLost) {
		return "", cmp.Or(ctx.Err(), err)
	}
	now := f.Now()
	if err == nil {
		status.succeeded(content, did, begun, now)
		f.tell(content, did)
	} else {
		failure := failureOf(content, err)
		status.failed(failure, now)
		content.Revision = cmp.Or(content.Revision, failure.Revision)
		f.Log.Error(err, "the source could not be synced", "source", f.source.Name, "reason", failure.Reason)
	}
	if f.Observer != nil {
		f.Observer.Synced(Sync{Source: f.source.Name, Revision: content.Revision, Began: begun, Took: now.Sub(begun), Err: err})
	}
	return status.Handled, cmp.Or(f.keep(ctx, pairs, status), err)
}

// carryOut reads the source and applies what it holds.
func (f *follower) carryOut(ctx context.Context) (Content, Changes, error) {
	limited, cancel := bounded(ctx, f.source)
	defer cancel()
	content, err := f.reader.read(limited, f.Now())
	if err != nil {
		return content, Changes{}, err
	}
	did, err := apply(ctx, f.Plans(f.session), f.source, content)
	return content, did, err
}

func (f *follower) tell(c Content, did Changes) {
	if text := did.String(); text != "" {
		f.Log.Info("synced", "source", f.source.Name, "revision", c.Revision, "plans", text)
	} else {
		f.Log.V(1).Info("synced, nothing to do", "source", f.source.Name, "revision", c.Revision)
	}
}

// failureOf: what has no reason of its own is the store's trouble.
func failureOf(c Content, err error) *Failure {
	failure, ok := errors.AsType[*Failure](err)
	if !ok {
		failure = &Failure{ReasonStore, c.Revision, err}
	}
	return failure
}

// keep writes the status if it has changed. The request must exist: a watch on a key that does not wakes all the time.
func (f *follower) keep(ctx context.Context, pairs []keys.Pair, s Status) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("the status of source %s: %w", f.source.Name, err)
	}
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
	err = f.write(ctx, f.session, ops...)
	if errors.Is(err, leaderelection.ErrLost) {
		return err
	}
	if _, ok := errors.AsType[*store.ConflictError](err); ok {
		return nil // another request came meanwhile: its sync writes the status
	}
	if err != nil {
		f.Log.Error(err, "the status of the source could not be written", "source", f.source.Name)
	}
	return err
}
