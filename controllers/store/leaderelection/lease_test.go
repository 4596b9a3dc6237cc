// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package leaderelection_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

const ttl = 15 * time.Second

// faulty is a store whose calls fail, or block until their context ends, on demand.
type faulty struct {
	store.Store
	renewals    atomic.Int64
	down, hangs atomic.Bool
	loseLock    atomic.Bool // Lock is applied, its answer lost
	sessions    atomic.Int64
}

var errDown = &store.UnavailableError{Address: "here", Err: errors.New("refused")}

func (f *faulty) fault(ctx context.Context) error {
	if f.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.down.Load() {
		return errDown
	}
	return nil
}

func (f *faulty) CreateSession(ctx context.Context, o store.SessionOptions) (string, error) {
	f.sessions.Add(1)
	return f.Store.CreateSession(ctx, o)
}

func (f *faulty) RenewSession(ctx context.Context, id string) error {
	f.renewals.Add(1)
	if err := f.fault(ctx); err != nil {
		return err
	}
	return f.Store.RenewSession(ctx, id)
}

func (f *faulty) DestroySession(ctx context.Context, id string) error {
	if err := f.fault(ctx); err != nil {
		return err
	}
	return f.Store.DestroySession(ctx, id)
}

func (f *faulty) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if err := f.fault(ctx); err != nil {
		return store.Result{}, err
	}
	result, err := f.Store.Txn(ctx, ops)
	if f.loseLock.Load() && ops[0].Verb == store.Lock {
		return store.Result{}, errDown
	}
	return result, err
}

// inTime runs a test with a store on the bubble's own clock.
func inTime(t *testing.T, run func(t *testing.T, s *faulty)) {
	synctest.Test(t, func(t *testing.T) { run(t, &faulty{Store: memory.New(time.Now)}) })
}

func acquire(t *testing.T, s store.Store, holder string) *leaderelection.Lease {
	t.Helper()
	l, err := leaderelection.TryAcquire(t.Context(), s, keys.Leader, holder, leaderelection.Options{TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release() })
	return l
}

// sleep lets the bubble's clock go on.
func sleep(d time.Duration) { <-time.After(d); synctest.Wait() }

func TestLease_IsRenewed(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		l := acquire(t, s, "one")
		sleep(time.Hour)
		if err := context.Cause(l.Context()); err != nil {
			t.Fatalf("the lease ended: %v", err)
		}
		if got, want := s.renewals.Load(), int64(time.Hour/(ttl/3)); got != want {
			t.Errorf("%d renewals in an hour, want %d", got, want)
		}
		if _, err := s.Txn(t.Context(), []store.Op{l.Fence(), {Verb: store.Set, Key: "a"}}); err != nil {
			t.Errorf("the fence does not pass: %v", err)
		}
	})
}

func TestTryAcquire_ReturnsTheHolder(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		if held, err := leaderelection.LockHolder(t.Context(), s, keys.Leader); held != nil || err != nil {
			t.Errorf("before: %v, %v", held, err)
		}
		since := time.Now()
		first := acquire(t, s, "upgrade-controller on a")
		_, err := leaderelection.TryAcquire(t.Context(), s, keys.Leader, "b", leaderelection.Options{TTL: ttl})
		held, ok := errors.AsType[*leaderelection.LockHeldError](err)
		if !ok || held.Holder != "upgrade-controller on a" || !held.Since.Equal(since) {
			t.Fatalf("while held: %v", err)
		}
		if want := "the lock upgrade.jiocloud.com/leader is held by upgrade-controller on a since 2000-01-01T00:00:00Z"; held.Error() != want {
			t.Errorf("%q, want %q", held, want)
		}
		if got := s.sessions.Load(); got != 1 {
			t.Errorf("%d sessions were made, a lock that is held needs none", got)
		}
		if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: keys.Leader, Value: []byte("?")}}); err != nil {
			t.Fatal(err)
		}
		if held, err := leaderelection.LockHolder(t.Context(), s, keys.Leader); err != nil || held == nil || held.Holder != "" {
			t.Errorf("overwritten: %v, %v", held, err)
		}
		if err := first.Release(); err != nil {
			t.Fatal(err)
		}
		if held, err := leaderelection.LockHolder(t.Context(), s, keys.Leader); held != nil || err != nil {
			t.Errorf("released: %v, %v", held, err)
		}
		acquire(t, s, "b")
	})
}

func TestAcquire_Waits(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		first := acquire(t, s, "a")
		var holders []string
		got := make(chan *leaderelection.Lease)
		go func() {
			l, err := leaderelection.Acquire(t.Context(), s, keys.Leader, "b", leaderelection.Options{TTL: ttl,
				Waiting: func(h leaderelection.LockHeldError) error { holders = append(holders, h.Holder); return nil }})
			if err != nil {
				t.Error(err)
			}
			got <- l
		}()
		sleep(time.Minute)
		select {
		case <-got:
			t.Fatal("two hold the lock")
		default:
		}
		released := time.Now()
		if err := first.Release(); err != nil {
			t.Fatal(err)
		}
		second := <-got
		defer func() { _ = second.Release() }()
		if waited := time.Since(released); waited > time.Second {
			t.Errorf("the lock was taken %s after its release", waited)
		}
		if strings.Join(holders, ",") != "a" {
			t.Errorf("waited for %q, want a once", holders)
		}
	})
}

func TestAcquire_StopsWithItsContext(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		acquire(t, s, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := leaderelection.Acquire(ctx, s, keys.Leader, "b", leaderelection.Options{TTL: ttl})
		if held, ok := errors.AsType[*leaderelection.LockHeldError](err); !errors.Is(err, context.DeadlineExceeded) || !ok || held.Holder != "a" {
			t.Errorf("%v", err)
		}
	})
}

func TestLease_IsLostWithoutAnswers(t *testing.T) {
	for name, fail := range map[string]func(*faulty){
		"refuses": func(s *faulty) { s.down.Store(true) },
		"hangs":   func(s *faulty) { s.hangs.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *faulty) {
				l := acquire(t, s, "a")
				sleep(ttl/3 + time.Second) // renewed once, at TTL/3
				fail(s)
				failed := time.Now()
				<-l.Context().Done()
				if !errors.Is(context.Cause(l.Context()), leaderelection.ErrLost) {
					t.Errorf("cause: %v", context.Cause(l.Context()))
				}
				if lasted := time.Since(failed); lasted != ttl-time.Second {
					t.Errorf("it ended %s after the failure, want the TTL after the last good renewal, a second before", lasted)
				}
				// The store expires the session later than the holder gives up.
				if held, err := leaderelection.LockHolder(t.Context(), s.Store, keys.Leader); held == nil || err != nil {
					t.Errorf("the store let go of the lock before its holder did: %v", err)
				}
				started := time.Now()
				if err := l.Release(); err == nil || time.Since(started) > 10*time.Second {
					t.Errorf("release: %v after %s", err, time.Since(started))
				}
			})
		})
	}
}

func TestLease_IsNotRenewedAfterLoss(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		l := acquire(t, s, "a")
		s.down.Store(true)
		<-l.Context().Done()
		s.down.Store(false)
		sleep(4 * ttl)
		acquire(t, s, "b") // although the first was not released
	})
}

func TestLease_SurvivesAShortOutage(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		l := acquire(t, s, "a")
		for range 10 {
			s.down.Store(true)
			sleep(ttl/3 + time.Second)
			s.down.Store(false)
			sleep(ttl/3 + time.Second)
		}
		if err := context.Cause(l.Context()); err != nil {
			t.Errorf("the lease ended: %v", err)
		}
	})
}

func TestLease_IsLostWithItsSessionOrKey(t *testing.T) {
	for name, take := range map[string]func(ctx context.Context, s store.Store, l *leaderelection.Lease) error{
		"session destroyed": func(ctx context.Context, s store.Store, l *leaderelection.Lease) error {
			return s.DestroySession(ctx, l.Session())
		},
		"key removed": func(ctx context.Context, s store.Store, _ *leaderelection.Lease) error {
			_, err := s.Txn(ctx, []store.Op{{Verb: store.Delete, Key: keys.Leader}})
			return err
		},
		"key unlocked": func(ctx context.Context, s store.Store, l *leaderelection.Lease) error {
			_, err := s.Txn(ctx, []store.Op{{Verb: store.Unlock, Key: keys.Leader, Session: l.Session()}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *faulty) {
				l := acquire(t, s, "a")
				if err := take(t.Context(), s, l); err != nil {
					t.Fatal(err)
				}
				_, err := s.Txn(t.Context(), []store.Op{l.Fence(), {Verb: store.Set, Key: "a"}})
				if conflict, ok := errors.AsType[*store.ConflictError](err); !ok || !conflict.FailedKey(keys.Leader) {
					t.Errorf("the fence let a write through: %v", err)
				}
				sleep(ttl/3 + time.Millisecond)
				if !errors.Is(context.Cause(l.Context()), leaderelection.ErrLost) {
					t.Errorf("cause: %v", context.Cause(l.Context()))
				}
				if err := l.Release(); err != nil {
					t.Errorf("release of a lost lease: %v", err)
				}
				acquire(t, s, "b")
			})
		})
	}
}

func TestRelease_LeavesTheNextHolderAlone(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		first := acquire(t, s, "a")
		if err := s.DestroySession(t.Context(), first.Session()); err != nil {
			t.Fatal(err)
		}
		second := acquire(t, s, "b")
		for range 2 {
			if err := first.Release(); err != nil {
				t.Error(err)
			}
		}
		if held, err := leaderelection.LockHolder(t.Context(), s, keys.Leader); err != nil || held == nil || held.Holder != "b" {
			t.Errorf("held by %v, %v", held, err)
		}
		if _, err := s.Txn(t.Context(), []store.Op{second.Fence()}); err != nil {
			t.Error(err)
		}
	})
}

func TestLease_IsRenewedUntilRelease(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		ctx, cancel := context.WithCancel(t.Context())
		l, err := leaderelection.Acquire(ctx, s, keys.Leader, "a", leaderelection.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := context.Cause(l.Context()); !errors.Is(err, context.Canceled) || errors.Is(err, leaderelection.ErrLost) {
			t.Errorf("cause: %v", err)
		}
		sleep(time.Hour)
		if _, err := s.Txn(t.Context(), []store.Op{l.Fence()}); err != nil {
			t.Errorf("the lock was lost before its release: %v", err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
		renewals := s.renewals.Load()
		sleep(time.Hour)
		if got := s.renewals.Load(); got != renewals {
			t.Errorf("%d renewals after the release", got-renewals)
		}
	})
}

func TestTryAcquire_ReleasesALockWithoutReply(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		s.loseLock.Store(true)
		_, err := leaderelection.TryAcquire(t.Context(), s, keys.Leader, "a", leaderelection.Options{TTL: ttl})
		if _, ok := errors.AsType[*store.UnavailableError](err); !ok {
			t.Fatalf("%v", err)
		}
		s.loseLock.Store(false)
		acquire(t, s, "b")
	})
}

func TestLock_StoredValue(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		acquire(t, s, "a \"quoted\" name")
		pairs, _, err := s.Get(t.Context(), keys.Leader)
		if err != nil {
			t.Fatal(err)
		}
		var value map[string]any
		if err := json.Unmarshal(pairs[0].Value, &value); err != nil || len(value) != 2 ||
			value["holder"] != `a "quoted" name` || value["since"] != "2000-01-01T00:00:00Z" {
			t.Errorf("%s, %v", pairs[0].Value, err)
		}
	})
}
