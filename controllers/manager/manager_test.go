// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// worker tells of each pass.
type worker struct {
	name   string
	passes chan<- pass
}

type pass struct{ worker, session, plan string }

func (w worker) Plans(context.Context) ([]string, error) { return []string{"broken", "fleet"}, nil }

func (w worker) Reconcile(ctx context.Context, session, plan string) error {
	select {
	case w.passes <- pass{w.name, session, plan}:
	case <-ctx.Done():
	}
	if plan == "broken" {
		return errors.New("cannot be read")
	}
	return nil
}

func TestOneLeadsAndTheOtherTakesOver(t *testing.T) {
	s := memory.New(time.Now)
	passes := make(chan pass)
	run := func(name string) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		m := manager.Manager{Store: s, Worker: worker{name, passes}, Holder: manager.HolderPrefix + " " + name,
			Interval: time.Millisecond, Log: testr.New(t)}
		go func() { defer close(done); m.Run(ctx) }()
		return func() { cancel(); <-done }
	}
	stopFirst := run("first")
	first := <-passes
	stopSecond := run("second")
	for range 10 { // both plans get their turn, although one fails; and always from the same one
		if next := <-passes; next.worker != first.worker || next.session != first.session {
			t.Fatalf("%+v worked beside %+v", next, first)
		}
	}
	stopFirst()
	if next := <-passes; next.worker != "second" || next.session == first.session {
		t.Errorf("%+v took over from %+v", next, first)
	}
	held, err := store.HeldBy(t.Context(), s, keys.Leader)
	if err != nil || held == nil || held.Holder != "upgrade-controller second" {
		t.Errorf("the lock is held by %+v (%v)", held, err)
	}
	stopSecond()
	if held, err := store.HeldBy(t.Context(), s, keys.Leader); err != nil || held != nil {
		t.Errorf("the lock was left to %+v (%v)", held, err)
	}
}
