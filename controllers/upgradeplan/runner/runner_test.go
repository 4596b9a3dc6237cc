// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package runner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/runner"
)

var now = time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)

// recorder records what it observes, and calls observed, which may be nil, after each pass.
type recorder struct {
	waiting, following []string
	passes             int
	observed           func()
}

func (r *recorder) Waiting(held *leaderelection.LockHeldError) {
	r.waiting = append(r.waiting, held.Holder)
}
func (r *recorder) Following(held *leaderelection.LockHeldError) {
	r.following = append(r.following, held.Holder)
}
func (r *recorder) Retrying(error) {}
func (r *recorder) Observed(*pass.Assessment, v1alpha1.UpgradePlanStatus) {
	r.passes++
	if r.observed != nil {
		r.observed()
	}
}

// newFleet returns a store with the plan fleet for version v2, and the legacy hosts web1 and web2 at v1.
func newFleet(t *testing.T) store.Store {
	t.Helper()
	s, l := memory.New(func() time.Time { return now }), keys.Layout{}
	write(t, s, store.Op{Verb: store.Set, Key: l.CurrentVersion(), Value: []byte("v1")})
	for _, host := range []string{"web1", "web2"} {
		write(t, s, store.Op{Verb: store.Set, Key: l.Record("v1", host), Value: []byte("1772800000")})
	}
	plan := &v1alpha1.UpgradePlan{Spec: v1alpha1.UpgradePlanSpec{Version: "v2"}}
	plan.Name = "fleet"
	if _, _, err := (planstore.Plans{Store: s}).Apply(t.Context(), plan, false); err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s store.Store, ops ...store.Op) {
	t.Helper()
	if _, err := s.Txn(context.WithoutCancel(t.Context()), ops); err != nil {
		t.Fatal(err)
	}
}

// upgradeHosts records both hosts at v2.
func upgradeHosts(t *testing.T, s store.Store) {
	t.Helper()
	for _, host := range []string{"web1", "web2"} {
		write(t, s, store.Op{Verb: store.Set, Key: keys.Layout{}.Record("v2", host), Value: []byte("1772805600")},
			store.Op{Verb: store.Delete, Key: keys.Layout{}.Record("v1", host)})
	}
}

func newRunner(s store.Store, o runner.Observer) *runner.Runner {
	return &runner.Runner{Store: s, Plan: "fleet", Holder: "test", Now: func() time.Time { return now }, Log: logr.Discard(),
		Interval: time.Millisecond, Observer: o}
}

func hold(t *testing.T, s store.Store, kind leaderelection.Kind, holder string) *leaderelection.Lease {
	t.Helper()
	lease, err := leaderelection.TryAcquire(t.Context(), s, keys.Leader, holder, leaderelection.Options{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Release() })
	return lease
}

func TestRun_MakesOnePassAndReleasesTheLock(t *testing.T) {
	s, seen := newFleet(t), &recorder{}
	outcome, err := newRunner(s, seen).Run(t.Context())
	if err != nil || outcome.Result == nil || outcome.Result.Starts != 2 || seen.passes != 1 {
		t.Fatalf("outcome %+v, %d passes, %v", outcome, seen.passes, err)
	}
	if held, err := leaderelection.LockHolder(t.Context(), s, keys.Leader); held != nil || err != nil {
		t.Errorf("the lock is held by %v, %v", held, err)
	}
}

func TestRun_MakesPassesUntilComplete(t *testing.T) {
	s := newFleet(t)
	seen := &recorder{}
	seen.observed = func() {
		if seen.passes == 1 {
			upgradeHosts(t, s)
		}
	}
	r := newRunner(s, seen)
	r.UntilComplete = true
	outcome, err := r.Run(t.Context())
	if err != nil || outcome.Status.Phase != v1alpha1.PhaseComplete || seen.passes < 2 {
		t.Errorf("outcome %+v, %d passes, %v", outcome, seen.passes, err)
	}
}

func TestRun_FollowsAController(t *testing.T) {
	s, seen := newFleet(t), &recorder{}
	if _, err := newRunner(s, seen).Run(t.Context()); err != nil { // grants both hosts
		t.Fatal(err)
	}
	hold(t, s, leaderelection.KindController, "upgrade-controller on ctl1")
	prepared := 0
	r := newRunner(s, seen)
	r.UntilComplete = true
	r.Prepare = func(context.Context) error {
		prepared++
		upgradeHosts(t, s)
		return nil
	}
	outcome, err := r.Run(t.Context())
	if err != nil || outcome.Result != nil || outcome.Status.Phase != v1alpha1.PhaseComplete {
		t.Errorf("outcome %+v, %v", outcome, err)
	}
	if prepared != 1 || len(seen.following) != 1 || seen.following[0] != "upgrade-controller on ctl1" {
		t.Errorf("prepared %d times, following %q", prepared, seen.following)
	}
}

func TestRun_TakesOverFromAControllerThatStops(t *testing.T) {
	s, seen := newFleet(t), &recorder{}
	lease := hold(t, s, leaderelection.KindController, "upgrade-controller on ctl1")
	seen.observed = func() { _ = lease.Release() }
	prepared := 0
	r := newRunner(s, seen)
	r.Prepare = func(context.Context) error {
		prepared++
		return nil
	}
	outcome, err := r.Run(t.Context())
	if err != nil || outcome.Result == nil || outcome.Result.Starts != 2 || prepared != 1 {
		t.Errorf("outcome %+v, prepared %d times, %v", outcome, prepared, err)
	}
}

func TestRun_GivesUpOnALockThatAnotherCommandHolds(t *testing.T) {
	s, seen := newFleet(t), &recorder{}
	hold(t, s, leaderelection.KindCLI, "upgradectl of bob")
	for _, timeout := range []time.Duration{0, 10 * time.Millisecond} {
		r := newRunner(s, seen)
		r.LockTimeout = timeout
		_, err := r.Run(t.Context())
		if held, ok := errors.AsType[*leaderelection.LockHeldError](err); !ok || held.Holder != "upgradectl of bob" ||
			!strings.HasSuffix(err.Error(), "gave up after "+timeout.String()+" (--lock-timeout)") {
			t.Errorf("timeout %s: %v", timeout, err)
		}
	}
	if len(seen.waiting) != 1 || seen.waiting[0] != "upgradectl of bob" || seen.passes != 0 {
		t.Errorf("waiting for %q, %d passes", seen.waiting, seen.passes)
	}
}

func TestRun_ReportsAPausedPlan(t *testing.T) {
	s := newFleet(t)
	write(t, s, store.Op{Verb: store.Set, Key: keys.Plan("fleet").Control(), Value: []byte(`{"pause":{"by":"bob","reason":"lunch"}}`)})
	r := newRunner(s, &recorder{})
	r.UntilComplete = true
	if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "lunch") {
		t.Errorf("%v", err)
	}
}

func TestAwait_EndsWithTheContext(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := newRunner(newFleet(t), &recorder{observed: func() { cancel(stop) }})
	r.UntilComplete = true
	if err := r.Await(ctx); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}
