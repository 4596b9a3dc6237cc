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

// DefaultTTL is how long a lease lasts without renewal when Options say nothing.
const DefaultTTL = 15 * time.Second

const (
	// callTimeout bounds each call by which a lease is taken, and releaseTimeout all by which it is given up.
	callTimeout    = 10 * time.Second
	releaseTimeout = 5 * time.Second
	// lookPause is the pause of Acquire between two attempts, and maxLook that after one that could not be made.
	lookPause = 100 * time.Millisecond
	maxLook   = time.Second
	// standbyWait bounds one wait for a lock that another holds.
	standbyWait = 30 * time.Second
)

// ErrLost is the cause of the end of Lease.Context when the lease was lost.
var ErrLost = errors.New("the lease was lost")

// Options say how a lease is held. The zero value is fine.
type Options struct {
	// TTL is how long the lease lasts without renewal, from 10 s to 24 h; 0: DefaultTTL.
	TTL time.Duration
	// Waiting is told who holds the lock that Acquire waits for: once for each holder.
	Waiting func(LockHeldError)
}

// LockHeldError says that another holds the lock. Holder and Since are what the holder wrote, empty when that cannot be read.
type LockHeldError struct {
	Key    string    `json:"-"`
	Holder string    `json:"holder"`
	Since  time.Time `json:"since"`
}

func (e *LockHeldError) Error() string {
	switch {
	case e.Holder == "":
		return fmt.Sprintf("the lock %s is held by somebody unknown", e.Key)
	case e.Since.IsZero():
		return fmt.Sprintf("the lock %s is held by %s", e.Key, e.Holder)
	}
	return fmt.Sprintf("the lock %s is held by %s since %s", e.Key, e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// Lease is the lock of the one writer, held until Release or until it is lost. That it is held is this process's belief,
// which may be wrong after a pause: so every transaction of the holder begins with Fence.
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

// LockHolder says who holds the lock; nil: nobody.
func LockHolder(ctx context.Context, s store.Store, key string) (*LockHeldError, error) {
	pairs, _, err := s.Get(ctx, key)
	if err != nil || pairs[0].Session == "" {
		return nil, err
	}
	held := &LockHeldError{}
	if json.Unmarshal(pairs[0].Value, held) != nil {
		held = &LockHeldError{} // somebody wrote over it: the lock stands all the same
	}
	held.Key = key
	return held, nil
}

// Acquire takes the lock of key for holder, a few words on who this is, and waits for it as long as another holds it.
// The context is the parent of Lease.Context.
func Acquire(ctx context.Context, s store.Store, key, holder string, o Options) (*Lease, error) {
	var told LockHeldError
	var seen store.WatchIndex
	for {
		lease, err := TryAcquire(ctx, s, key, holder, o)
		held, ok := errors.AsType[*LockHeldError](err)
		if !ok {
			return lease, err
		}
		if o.Waiting != nil && told != *held {
			o.Waiting(*held)
			told = *held
		}
		// Between two attempts there is a pause, lest a lock that changes hands quickly, or is in its lock-delay, be asked
		// for without rest. A failed wait is no reason to give up: the next attempt tells.
		if backoff.Sleep(ctx, lookPause) == nil {
			seen = untilMoved(ctx, s, key, seen)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", held, ctx.Err())
		}
	}
}

// untilMoved waits until the lock may be free. The wait is short for one of its kind: a connection that is dead without a
// word must not keep a standby from taking over.
func untilMoved(ctx context.Context, w store.Watcher, key string, seen store.WatchIndex) store.WatchIndex {
	bounded, cancel := context.WithTimeout(ctx, standbyWait)
	defer cancel()
	mark, err := w.Wait(bounded, key, seen.Index)
	switch {
	case err != nil && bounded.Err() == nil:
		_ = backoff.Sleep(ctx, maxLook)
		return store.WatchIndex{}
	case err != nil: // it took as long as it may
		return seen
	case mark.Index < seen.Index:
		return store.WatchIndex{}
	}
	return mark
}

// TryAcquire is Acquire without the wait: the error is Held when another holds the lock.
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
	value, err := json.Marshal(LockHeldError{Holder: holder, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	started := time.Now()
	session, err := s.CreateSession(bounded, holder, o.TTL)
	if err != nil {
		return nil, err
	}
	l := &Lease{store: s, key: key, value: value, session: session, ttl: o.TTL}
	if _, err := s.Txn(bounded, []store.Op{{Verb: store.Lock, Key: key, Value: value, Session: session}}); err != nil {
		// Destroying the session also ends a lock that was taken though the answer was lost.
		return nil, l.refused(ctx, err)
	}
	l.hold(ctx, started)
	return l, nil
}

// refused cleans up after a lock that was not taken, and says who was faster.
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
	if held == nil { // released meanwhile, or in the lock-delay: look again
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
	// Renewals go on when the parent ends: the last transaction of the holder has to pass.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop, l.stopped = stop, make(chan struct{})
	l.release = sync.OnceValue(l.giveUp)
	go func() {
		defer close(l.stopped)
		l.renew(renewing)
	}()
}

// renew renews the session each third of the TTL, sooner after a failure, until the lease is lost or given up.
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
		case err != nil: // the deadline decides
			next = l.ttl / 15
		case !l.expiry.Stop():
			return // too late: it is lost already
		default:
			l.expiry.Reset(time.Until(started.Add(l.ttl)))
		}
		again.Reset(time.Until(started.Add(next)))
	}
}

// renewOnce renews the session and looks whether it still holds the lock: somebody may have removed the key. The error
// is ErrLost when that is certain.
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
		return fmt.Errorf("%w: %s was taken from it", ErrLost, l.key)
	}
	return err
}

// Context ends when the lease is lost, with ErrLost as its cause, when it was released, and when the context that
// it was acquired with ends.
func (l *Lease) Context() context.Context { return l.ctx }

// Session is the session that holds the lock.
func (l *Lease) Session() string { return l.session }

// Fence is the operation that begins every transaction of the holder: it passes only as long as the lease is held.
func (l *Lease) Fence() store.Op {
	return store.Op{Verb: store.CheckSession, Key: l.key, Session: l.session}
}

// Release gives the lock up: it must be called once the lease is not needed any more, lost or not, and may be called
// again. It takes no longer than a few seconds. When it fails the lock falls to others when the session expires.
func (l *Lease) Release() error { return l.release() }

func (l *Lease) giveUp() error {
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
