// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package leaderelection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// DefaultTTL is how long a lease lasts without renewal if Options do not say.
const DefaultTTL = 15 * time.Second

const (
	// callTimeout bounds each call that takes a lease, and releaseTimeout all calls that release it.
	callTimeout    = 10 * time.Second
	releaseTimeout = 5 * time.Second
	// acquireRetryInterval is the pause of Acquire between two attempts, and failedWaitPause the pause after a wait that failed.
	acquireRetryInterval = 100 * time.Millisecond
	failedWaitPause      = time.Second
	// standbyWait bounds one wait for a lock that another process holds, and standbyAnswer the time until its answer. Both are
	// short: a connection that died silently must not keep a standby from taking over.
	standbyWait   = 20 * time.Second
	standbyAnswer = 30 * time.Second
)

// Options say how a lease is taken and held. The zero value works.
type Options struct {
	// Kind is stored in the lock.
	Kind Kind
	// TTL is how long the lease lasts without renewal, from 10 s to 24 h. 0 means DefaultTTL.
	TTL time.Duration
	// Timeout is how long Acquire waits for a lock that another process holds. 0 means until the context ends.
	Timeout time.Duration
	// Waiting is called once for each process that holds the lock while Acquire waits for it. Its error ends the wait, and is
	// what Acquire returns. Nil means that nothing is called.
	Waiting func(LockHeldError) error
}

// Lease is the lock of the leader, held until Release or until it is lost. This process may believe that it holds the lock when
// it does not, as after a pause. So every transaction of the holder begins with Fence.
type Lease struct {
	store   store.Store
	key     string
	value   []byte
	session string
	ttl     time.Duration

	ctx    context.Context
	cancel context.CancelCauseFunc
	expiry *time.Timer // ends ctx at the start of the last good renewal plus the TTL

	stop    context.CancelFunc // ends the renewals
	stopped chan struct{}
	release func() error
}

// Acquire takes the lock key and waits while another process holds it. Holder is the readable name of this process. The context is
// the parent of Lease.Context. The error is *LockHeldError when Options.Timeout is over.
func Acquire(ctx context.Context, s store.Store, key, holder string, o Options) (*Lease, error) {
	waiting := ctx
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	var reported LockHeldError
	var last store.WatchIndex
	for {
		lease, err := TryAcquire(ctx, s, key, holder, o)
		held, ok := errors.AsType[*LockHeldError](err)
		if !ok {
			return lease, err
		}
		if o.Waiting != nil && reported != *held {
			if err := o.Waiting(*held); err != nil {
				return nil, err
			}
			reported = *held
		}
		// The pause keeps Acquire from trying without rest when the lock changes hands quickly, or is in its lock-delay.
		if backoff.Sleep(waiting, acquireRetryInterval) == nil {
			last = waitForChange(waiting, s, key, last)
		}
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", held, ctx.Err())
		case waiting.Err() != nil:
			return nil, held
		}
	}
}

// waitForChange waits until the lock may be free. A wait that failed is not reported: the next attempt fails as well.
func waitForChange(ctx context.Context, w store.Watcher, key string, last store.WatchIndex) store.WatchIndex {
	bounded, cancel := context.WithTimeout(ctx, standbyAnswer)
	defer cancel()
	now, err := w.Wait(bounded, store.WatchTarget{Prefix: key}, last.Index, standbyWait)
	switch {
	case err != nil && bounded.Err() == nil:
		_ = backoff.Sleep(ctx, failedWaitPause)
		return store.WatchIndex{}
	case err != nil: // standbyAnswer is over
		return last
	case now.Index < last.Index:
		return store.WatchIndex{}
	}
	return now
}

// TryAcquire is Acquire without the wait. The error is *LockHeldError when another process holds the lock.
func TryAcquire(ctx context.Context, s store.Store, key, holder string, o Options) (*Lease, error) {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if held, err := LockHolder(bounded, s, key); err != nil {
		return nil, err
	} else if held != nil {
		return nil, held
	}
	value, err := json.Marshal(LockHeldError{Holder: holder, Kind: o.Kind, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	started := time.Now()
	session, err := s.CreateSession(bounded, store.SessionOptions{Name: holder, TTL: o.TTL})
	if err != nil {
		return nil, err
	}
	l := &Lease{store: s, key: key, value: value, session: session, ttl: o.TTL}
	if _, err := s.Txn(bounded, []store.Op{{Verb: store.Lock, Key: key, Value: value, Session: session}}); err != nil {
		// This also releases a lock that was taken although the answer was lost.
		return nil, l.refused(ctx, err)
	}
	l.hold(ctx, started)
	return l, nil
}

// refused destroys the session of a lock that was not taken, and returns who was faster.
func (l *Lease) refused(ctx context.Context, err error) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	destroyed := l.store.DestroySession(clean, l.session)
	if _, ok := errors.AsType[*store.ConflictError](err); !ok {
		return errors.Join(err, destroyed)
	}
	held, err := LockHolder(clean, l.store, l.key)
	if err != nil {
		return err
	}
	if held == nil { // it was released meanwhile, or is in its lock-delay
		held = &LockHeldError{Key: l.key}
	}
	return held
}

// hold starts the renewals of a lock that was taken.
func (l *Lease) hold(ctx context.Context, started time.Time) {
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.expiry = time.AfterFunc(time.Until(started.Add(l.ttl)), func() {
		l.cancel(fmt.Errorf("%w: it could not be renewed for %s", ErrLost, l.ttl))
	})
	// Renewals continue when the parent ends: the last transaction of the holder must still pass.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop, l.stopped = stop, make(chan struct{})
	l.release = sync.OnceValue(l.releaseOnce)
	go func() {
		defer close(l.stopped)
		l.renew(renewing)
	}()
}

// renew renews the session each third of the TTL, sooner after a failure, until the lease is lost or released.
func (l *Lease) renew(ctx context.Context) {
	again := time.NewTimer(l.ttl / 3)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		next := l.ttl / 3
		started := time.Now()
		switch err := l.renewOnce(ctx); {
		case errors.Is(err, ErrLost):
			l.cancel(err)
			return
		case err != nil: // expiry decides
			next = l.ttl / 15
		case !l.expiry.Stop():
			return // the lease has expired
		default:
			l.expiry.Reset(time.Until(started.Add(l.ttl)))
		}
		again.Reset(time.Until(started.Add(next)))
	}
}

// renewOnce renews the session and checks that it still holds the lock: an operator may have removed the key. The error wraps
// ErrLost when the lock is certainly lost.
func (l *Lease) renewOnce(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	err := l.store.RenewSession(bounded, l.session)
	if errors.Is(err, store.ErrSessionGone) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err != nil {
		return err
	}
	pairs, _, err := l.store.Get(bounded, l.key)
	if err == nil && pairs[0].Session != l.session {
		return fmt.Errorf("%w: another session holds %s, or the key was removed", ErrLost, l.key)
	}
	return err
}

// Context ends when the lease is lost, with a cause that wraps ErrLost; when it is released; and when the context that it was
// acquired with ends.
func (l *Lease) Context() context.Context { return l.ctx }

// Session is the session that holds the lock.
func (l *Lease) Session() string { return l.session }

// Fence is the operation that begins every transaction of the holder. It passes only while the lease is held.
func (l *Lease) Fence() store.Op {
	return store.Op{Verb: store.CheckSession, Key: l.key, Session: l.session}
}

// Release gives the lock up. Call it when the lease is not needed any more, lost or not. Further calls return the same result.
// It takes at most a few seconds. If it fails, others get the lock when the session expires.
func (l *Lease) Release() error { return l.release() }

func (l *Lease) releaseOnce() error {
	l.stop()
	<-l.stopped
	l.expiry.Stop()
	l.cancel(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), releaseTimeout)
	defer cancel()
	_, unlocked := l.store.Txn(ctx, []store.Op{{Verb: store.Unlock, Key: l.key, Value: l.value, Session: l.session}})
	if _, ok := errors.AsType[*store.ConflictError](unlocked); ok {
		unlocked = nil // it was lost before
	}
	if err := errors.Join(unlocked, l.store.DestroySession(ctx, l.session)); err != nil {
		return fmt.Errorf("release the lock %s: %w", l.key, err)
	}
	return nil
}
