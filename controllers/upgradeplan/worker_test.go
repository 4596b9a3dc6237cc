// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func workerFixture(t *testing.T) (*fixture, *upgradeplan.Worker) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.set(f.layout.CurrentVersion(), "v1")
	f.hosts(true, "v1", "web1", "web2")
	f.apply("version: v2\nprogressDeadlineSeconds: 600\ninstructions: {rollingRules: {global: 1}}")
	return f, &upgradeplan.Worker{Store: f.store, Now: c.Now, Log: logr.Discard()}
}

func everything() store.Changes { return store.Changes{All: true} }

// onePass makes one pass over a plan.
func onePass(ctx context.Context, w *upgradeplan.Worker, session, plan string, changes store.Changes) (time.Time, []store.Watch, error) {
	result, err := w.Reconcile(ctx, reconcile.Request{Session: session, Plan: plan, Changes: changes})
	return result.RequeueAt, result.Watches, err
}

// prefixes returns the targets of watches, sorted.
func prefixes(watches []store.Watch) (out []string) {
	for _, w := range watches {
		out = append(out, w.Target.String())
	}
	slices.Sort(out)
	return out
}

func TestWorker_ReturnsTheWatchesOfAPass(t *testing.T) {
	f, w := workerFixture(t)
	_, watch, err := onePass(t.Context(), w, f.session, "fleet", everything())
	f.must(err)
	next, _, err := onePass(t.Context(), w, f.session, "fleet", everything())
	f.must(err)
	if !next.Equal(f.clock.Now().Add(10 * time.Minute)) {
		t.Errorf("next look at %s, the deadline of web1 is in 10 minutes", next)
	}
	want := []string{"config_state/", "current_version", "running/versions/",
		"upgrade.jiocloud.com/holds/", "upgrade.jiocloud.com/hosts/", "upgrade.jiocloud.com/plans/epoch"}
	if got := prefixes(watch); !slices.Equal(got, want) {
		t.Errorf("watched\n%q, want\n%q", got, want)
	}
	// Two of them would wake for every write to the store if they were empty. They are not.
	for _, prefix := range []string{f.layout.HoldTree(), keys.PlansEpoch} {
		if mark, err := f.store.Wait(t.Context(), store.WatchTarget{Prefix: prefix}, 0, store.MaxWait); err != nil || mark.Empty {
			t.Errorf("%s: %+v %v", prefix, mark, err)
		}
	}
	f.set(keys.Plan("fleet").Spec(), "invalid")
	if _, watch, err = onePass(t.Context(), w, f.session, "fleet", everything()); len(watch) != 1 || err == nil {
		t.Errorf("an invalid plan: %v %v", watch, err)
	}
	if _, watch, err = onePass(t.Context(), w, f.session, "none", everything()); watch != nil || err == nil {
		t.Errorf("no plan: %v %v", watch, err)
	}
}

func TestWorker_FinishesItsTransactionWhenItStops(t *testing.T) {
	f, w := workerFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := &watched{Store: f.store, before: func(int) { cancel() }}
	w.Store = s
	ledger := f.get(keys.Plan("fleet").Ledger())
	if _, _, err := onePass(ctx, w, f.session, "fleet", everything()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if s.txns != 1 || f.get(keys.Plan("fleet").Ledger()).ModifyIndex == ledger.ModifyIndex {
		t.Errorf("%d transactions, and the first was not applied", s.txns)
	}
}

func TestWorker_ReturnsTheKindOfAnError(t *testing.T) {
	f, w := workerFixture(t)
	_, _, err := onePass(t.Context(), w, f.session, "none", everything())
	if !errors.Is(err, reconcile.ErrGone) {
		t.Errorf("gone: %v", err)
	}
	f.txn(store.Op{Verb: store.Delete, Key: keys.Leader})
	_, _, err = onePass(t.Context(), w, f.session, "fleet", everything())
	if !errors.Is(err, leaderelection.ErrLost) {
		t.Errorf("lost: %v", err)
	}
	f.set(keys.Plan("fleet").Spec(), "invalid")
	_, _, err = onePass(t.Context(), w, f.session, "fleet", everything())
	if !errors.Is(err, reconcile.ErrStalled) {
		t.Errorf("stalled: %v", err)
	}
}

// The first host may write its record to either tree.
func TestWorker_WatchesBothTreesForTheFirstRecord(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.apply("version: v2")
	w := &upgradeplan.Worker{Store: f.store, Now: c.Now, Log: logr.Discard()}
	_, watch, err := onePass(t.Context(), w, f.session, "fleet", everything())
	f.must(err)
	for _, tree := range []string{"running/versions/", "running_version/"} {
		if !slices.Contains(prefixes(watch), tree) {
			t.Errorf("%s is not watched: %v", tree, watch)
		}
	}
}

// In a large fleet, watches that fire for each host that starts, and for each own commit, fire rarely.
func TestWatches_OfALargeFleetFireRarely(t *testing.T) {
	f, w := workerFixture(t)
	for _, want := range []time.Duration{0, 10 * time.Second} {
		hosts := 900 + 200*int(min(want, 1))
		f.hosts(true, "v1", names("db", hosts)...)
		_, watch, err := onePass(t.Context(), w, f.session, "fleet", everything())
		f.must(err)
		for _, b := range watch {
			gap := time.Duration(0)
			if b.Target.Prefix == "upgrade.jiocloud.com/hosts/" || b.Target.Prefix == "config_state/" {
				gap = want
			}
			if b.MinInterval != gap {
				t.Errorf("%d hosts: %s has an interval of %s, want %s", hosts, b.Target, b.MinInterval, gap)
			}
		}
	}
}

// The watch on all plans fires for each of them. A pass over another plan then costs one read of two keys.
func TestWorker_ReadsAPlanInFullOnlyIfItChanged(t *testing.T) {
	f, _ := workerFixture(t)
	r := newCaching(f)
	r.step()
	r.step()
	full, gets := r.reads.trees.Load(), r.reads.gets.Load()
	r.txn(planstore.NotifyWatches(keys.Pair{Key: keys.Plan("other").Spec(), ModifyIndex: 7}))
	r.step()
	if r.reads.trees.Load() != full || r.reads.gets.Load() != gets+1 {
		t.Errorf("another plan changed: %d trees and %d keys were read", r.reads.trees.Load()-full, r.reads.gets.Load()-gets)
	}
	if _, err := (planstore.Plans{Store: r.store}).SetPause(t.Context(), "fleet", &fleet.Pause{By: "alice"}); err != nil {
		t.Fatal(err)
	}
	r.step()
	if r.reads.trees.Load() == full {
		t.Error("the plan was paused, and was not read")
	}
}

// A read that is incomplete is repeated soon, later each time: no watch may report the repair.
func TestWorker_ReadsAgainAfterAnIncompleteRead(t *testing.T) {
	f, w := workerFixture(t)
	k := keys.Plan("fleet")
	after := func() time.Duration {
		t.Helper()
		next, _, err := onePass(t.Context(), w, f.session, "fleet", store.Changes{})
		f.must(err)
		return next.Sub(f.clock.Now())
	}
	after()
	f.txn(store.Op{Verb: store.Delete, Key: k.Ledger()})
	_, _, err := onePass(t.Context(), w, f.session, "fleet", everything())
	f.must(err)
	for _, want := range []time.Duration{20 * time.Second, 40 * time.Second, 80 * time.Second, 2 * time.Minute, 2 * time.Minute} {
		f.clock.Advance(want)
		if got := after(); got != want {
			t.Errorf("the next read is in %s, want %s", got, want)
		}
	}
	f.set(k.Ledger(), string(keys.EncodeLedger(fleet.Ledger{})))
	if got := after(); got <= 2*time.Minute {
		t.Errorf("after the repair the next read is in %s", got)
	}
}
