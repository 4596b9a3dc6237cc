// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

var shortLease = leaderelection.Options{TTL: 10 * time.Second}

func acquire(t *testing.T, s store.Store, holder string) *leaderelection.Lease {
	t.Helper()
	l, err := leaderelection.Acquire(t.Context(), s, keys.Leader, holder, shortLease)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release() })
	return l
}

func wantLost(t *testing.T, l *leaderelection.Lease, within time.Duration) {
	t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(within):
		t.Fatalf("the lease is still believed to be held after %s", within)
	}
	if err := context.Cause(l.Context()); !errors.Is(err, leaderelection.ErrLost) {
		t.Errorf("cause: %v", err)
	}
}

func TestLease_PassesToTheNextHolder(t *testing.T) {
	s := open(t, consul.Config{Address: consultest.Start(t).Addr()})
	first := acquire(t, s, "a")
	_, err := leaderelection.TryAcquire(t.Context(), s, keys.Leader, "b", shortLease)
	if held, ok := errors.AsType[*leaderelection.LockHeldError](err); !ok || held.Holder != "a" || held.Since.IsZero() {
		t.Fatalf("while held: %v", err)
	}
	write := func(l *leaderelection.Lease) error {
		_, err := s.Txn(t.Context(), []store.Op{l.Fence(), {Verb: store.Set, Key: "a"}})
		return err
	}
	if err := write(first); err != nil {
		t.Error(err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second := acquire(t, s, "b")
	err = write(first)
	if conflict, ok := errors.AsType[*store.ConflictError](err); !ok || !conflict.FailedKey(keys.Leader) {
		t.Errorf("the one that released wrote: %v", err)
	}
	if err := write(second); err != nil {
		t.Error(err)
	}
}

func TestLease_IsLostWithItsSession(t *testing.T) {
	t.Parallel()
	s := open(t, consul.Config{Address: consultest.Start(t).Addr()})
	first := acquire(t, s, "a")
	if err := s.DestroySession(t.Context(), first.Session()); err != nil {
		t.Fatal(err)
	}
	second := acquire(t, s, "b") // the lock-delay does not keep it waiting
	wantLost(t, first, shortLease.TTL)
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	if held, err := leaderelection.LockHolder(t.Context(), s, keys.Leader); err != nil || held == nil || held.Holder != "b" {
		t.Errorf("held by %v, %v", held, err)
	}
	if err := second.Context().Err(); err != nil {
		t.Error(err)
	}
}

func TestLease_IsLostWhenConsulStops(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	l := acquire(t, open(t, consul.Config{Address: agent.Addr()}), "a")
	agent.Kill()
	wantLost(t, l, 2*shortLease.TTL)
	started := time.Now()
	if err := l.Release(); err == nil || time.Since(started) > 20*time.Second {
		t.Errorf("release: %v after %s", err, time.Since(started))
	}
}
