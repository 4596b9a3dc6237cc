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

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func workerFixture(t *testing.T) (*fixture, upgradeplan.Worker) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.set(f.layout.CurrentVersion(), "v1")
	f.hosts(true, "v1", "web1", "web2")
	f.apply("version: v2\nprogressDeadlineSeconds: 600\ninstructions: {rollingRules: {global: 1}}")
	return f, upgradeplan.Worker{Store: f.store, Now: c.Now, Log: logr.Discard()}
}

func TestAWorkerSaysWhatAPassDependsOn(t *testing.T) {
	f, w := workerFixture(t)
	_, watch, err := w.Reconcile(t.Context(), f.session, "fleet")
	f.must(err)
	next, _, err := w.Reconcile(t.Context(), f.session, "fleet")
	f.must(err)
	if !next.Equal(f.clock.Now().Add(10 * time.Minute)) {
		t.Errorf("next look at %s, the deadline of web1 is in 10 minutes", next)
	}
	slices.Sort(watch)
	want := []string{"config_state/", "current_version", "running/versions/", "running_version/",
		"upgrade.jiocloud.com/holds/", "upgrade.jiocloud.com/hosts", "upgrade.jiocloud.com/plans/fleet/control",
		"upgrade.jiocloud.com/plans/fleet/spec", "upgrade.jiocloud.com/started"}
	if !slices.Equal(watch, want) {
		t.Errorf("watched\n%q, want\n%q", watch, want)
	}
	// Two of them would wake for every write to the store if they were empty, and are not.
	for _, prefix := range []string{f.layout.HoldTree(), keys.PlansEpoch} {
		if mark, err := f.store.Wait(t.Context(), prefix, 0); err != nil || mark.Empty {
			t.Errorf("%s: %+v %v", prefix, mark, err)
		}
	}
	f.set(keys.Plan("fleet").Spec(), "rubbish")
	if _, watch, err = w.Reconcile(t.Context(), f.session, "fleet"); len(watch) != 1 || err == nil {
		t.Errorf("an invalid plan: %q %v", watch, err)
	}
	if _, watch, err = w.Reconcile(t.Context(), f.session, "none"); watch != nil || err == nil {
		t.Errorf("no plan: %q %v", watch, err)
	}
}

func TestAWorkerThatIsToldToStopEndsItsTransactionAndBeginsNoOther(t *testing.T) {
	f, w := workerFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := &watched{Store: f.store, before: func(int) { cancel() }}
	w.Store = s
	ledger := f.get(keys.Plan("fleet").Ledger())
	if _, _, err := w.Reconcile(ctx, f.session, "fleet"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if s.txns != 1 || f.get(keys.Plan("fleet").Ledger()).ModifyIndex == ledger.ModifyIndex {
		t.Errorf("%d transactions, and the first was not applied", s.txns)
	}
}

func TestAWorkerTellsTheKindOfAnError(t *testing.T) {
	f, w := workerFixture(t)
	_, _, err := w.Reconcile(t.Context(), f.session, "none")
	if gone := interface{ Gone() bool }(nil); !errors.As(err, &gone) {
		t.Errorf("gone: %v", err)
	}
	f.txn(store.Op{Verb: store.Delete, Key: keys.Leader})
	_, _, err = w.Reconcile(t.Context(), f.session, "fleet")
	if lost := interface{ LostLock() bool }(nil); !errors.As(err, &lost) {
		t.Errorf("lost: %v", err)
	}
	f.set(keys.Plan("fleet").Spec(), "rubbish")
	_, _, err = w.Reconcile(t.Context(), f.session, "fleet")
	if stalled := interface{ Stalled() bool }(nil); !errors.As(err, &stalled) {
		t.Errorf("stalled: %v", err)
	}
}
