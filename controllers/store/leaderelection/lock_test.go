// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package leaderelection_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// Versions before the field kind stored the holder's name only.
func TestLockHolder_Kind(t *testing.T) {
	for name, tt := range map[string]struct {
		value string
		want  leaderelection.Kind
	}{
		"controller":                {`{"holder":"x","kind":"controller"}`, leaderelection.KindController},
		"command":                   {`{"holder":"upgrade-controller","kind":"cli"}`, leaderelection.KindCLI},
		"controller without a kind": {`{"holder":"upgrade-controller on a (process 1)"}`, leaderelection.KindController},
		"command without a kind":    {`{"holder":"upgradectl of alice (pid 1)"}`, leaderelection.KindCLI},
		"unreadable value":          {`?`, ""},
	} {
		inTime(t, func(t *testing.T, s *faulty) {
			acquire(t, s, "a")
			if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: keys.Leader, Value: []byte(tt.value)}}); err != nil {
				t.Fatal(err)
			}
			held, err := leaderelection.LockHolder(t.Context(), s, keys.Leader)
			if err != nil || held == nil || held.Kind != tt.want {
				t.Errorf("%s: %+v (%v), want kind %q", name, held, err, tt.want)
			}
		})
	}
}

func TestAcquire_StopsAfterItsTimeout(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		acquire(t, s, "a")
		started := time.Now()
		_, err := leaderelection.Acquire(t.Context(), s, keys.Leader, "b", leaderelection.Options{TTL: ttl, Timeout: time.Minute})
		if held, ok := errors.AsType[*leaderelection.LockHeldError](err); !ok || held.Holder != "a" {
			t.Errorf("%v", err)
		}
		if waited := time.Since(started); waited != time.Minute {
			t.Errorf("waited %s, want 1m", waited)
		}
	})
}

func TestAcquire_StopsWithTheErrorOfWaiting(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		acquire(t, s, "a")
		stop := errors.New("follow the leader instead")
		_, err := leaderelection.Acquire(t.Context(), s, keys.Leader, "b", leaderelection.Options{TTL: ttl,
			Waiting: func(leaderelection.LockHeldError) error { return stop }})
		if !errors.Is(err, stop) {
			t.Errorf("%v, want %v", err, stop)
		}
	})
}

func TestCheckFence(t *testing.T) {
	conflict := func(key string) error {
		return fmt.Errorf("commit: %w", &store.ConflictError{Failed: []store.FailedOp{{Op: store.Op{Key: key}}}})
	}
	for name, tt := range map[string]struct {
		err  error
		lost bool
	}{
		"no error":                    {nil, false},
		"conflict on the lock":        {conflict(keys.Leader), true},
		"conflict on another key":     {conflict("a"), false},
		"the store does not answer":   {&store.UnavailableError{}, false},
		"the lease is lost otherwise": {leaderelection.ErrLost, true},
	} {
		err := leaderelection.CheckFence(tt.err, keys.Leader)
		if errors.Is(err, leaderelection.ErrLost) != tt.lost || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
