// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const reviewedPlan = "version: '2'\ninstructions: {rollingRules: {global: 2}}"

// review returns what applying a plan would write now, after a round trip through a file.
func (f *fixture) review(spec string) upgradeplan.Review {
	f.t.Helper()
	o, err := planstore.ObserveAs(f.ctx(), f.store, planOf(f.t, spec), f.clock.Now())
	f.must(err)
	data, err := json.Marshal(upgradeplan.NewReview(o))
	f.must(err)
	var r upgradeplan.Review
	f.must(json.Unmarshal(data, &r))
	return r
}

func (f *fixture) carry(r upgradeplan.Review) (upgradeplan.Result, error) {
	return f.reconciler().ReconcileReviewed(f.ctx(), r)
}

// reviewed returns a fleet at version 1, some of whose hosts have old keys.
func reviewed(t *testing.T) *fixture {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.set(f.layout.CurrentVersion(), "1")
	f.set(f.layout.EnableHost("web1"), "True")
	f.set(f.layout.EnableHost("web3"), "True")
	f.hosts(true, "1", names("web", 4)...)
	return f
}

func TestReconcileReviewed_WritesTheChanges(t *testing.T) {
	f := reviewed(t)
	r := f.review(reviewedPlan)
	if len(r.Steps) != 2 || !slices.Contains(r.Steps[0].DeletedTrees, f.layout.EnableTree()) || r.Generation != 0 {
		t.Fatalf("%+v", r)
	}
	result, err := f.carry(r)
	f.must(err)
	if want := []string{"global=False", "host/web1=True", "host/web2=True"}; cmp.Diff(want, f.enabled()) != "" {
		t.Errorf("%q", f.enabled())
	}
	if result.Starts != 2 || string(f.get(f.layout.CurrentVersion()).Value) != "2" {
		t.Errorf("%d starts", result.Starts)
	}
	if _, err := f.carry(r); !is[*upgradeplan.StaleReviewError](err) {
		t.Errorf("a second time: %v", err)
	}
}

// If a key changes after the review, nothing is written, and the error names the key.
func TestReconcileReviewed_RefusesAStaleReview(t *testing.T) {
	for name, tc := range map[string]struct {
		move func(*fixture)
		want string
	}{
		"a key that is to change": {func(f *fixture) { f.set(f.layout.EnableHost("web1"), "False") },
			"config_state/enable_puppet/host/web1 was True at index"},
		"current_version": {func(f *fixture) { f.set(f.layout.CurrentVersion(), "0.9") }, "current_version was 1 at index"},
		"a host that reports": {func(f *fixture) { f.hosts(true, "1", "web0") },
			"it would now also set config_state/enable_puppet/host/web0 to True"},
		"a hold":   {func(f *fixture) { f.set(f.layout.HoldEpoch(), "7") }, "holds/epoch was not there, and is 7 at index"},
		"the plan": {func(f *fixture) { f.apply("version: '3'") }, "plans/fleet/spec was not there"},
	} {
		t.Run(name, func(t *testing.T) {
			f := reviewed(t)
			r := f.review(reviewedPlan)
			tc.move(f)
			before := f.indexes()
			_, err := f.carry(r)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "nothing was written") {
				t.Errorf("%v", err)
			}
			if d := cmp.Diff(before, f.indexes()); d != "" {
				t.Error(d)
			}
		})
	}
}

// A review is for one generation of a plan and for one fleet.
func TestReconcileReviewed_RefusesAnotherFleetOrGeneration(t *testing.T) {
	f := reviewed(t)
	f.apply(reviewedPlan)
	r := f.review(reviewedPlan)
	if r.Generation != 1 {
		t.Fatalf("generation %d", r.Generation)
	}
	other := r
	other.Prefix = "eu"
	if _, err := f.carry(other); err == nil || !strings.Contains(err.Error(), "another fleet") {
		t.Errorf("%v", err)
	}
	other = r
	other.Digest = "0"
	if _, err := f.carry(other); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("%v", err)
	}
	other = r
	other.Generation = 7
	if _, err := f.carry(other); err == nil || !strings.Contains(err.Error(), "generation 1, not 7") {
		t.Errorf("%v", err)
	}
	if _, err := f.carry(r); err != nil {
		t.Error(err)
	}
}

// A key that changes between two transactions ends the pass: nothing is written that was not reviewed.
func TestReconcileReviewed_EndsAtAConflict(t *testing.T) {
	f := reviewed(t)
	r := f.review(reviewedPlan)
	after := 0
	f.through = &watched{Store: f.store, before: func(n int) {
		if n == 3 && after == 0 { // the plan, the switch, and now the starts
			after = n
			f.set(f.layout.EnableHost("web2"), "False")
		}
	}}
	_, err := f.carry(r)
	if moved, ok := errors.AsType[*upgradeplan.StaleReviewError](err); !ok || moved.Written.Writes == 0 || !strings.Contains(err.Error(), "stand, the rest was not written") {
		t.Fatalf("%v", err)
	}
	if !slices.Equal(f.enabled(), []string{"global=False", "host/web2=False"}) {
		t.Errorf("%q", f.enabled())
	}
}

func TestReconcileReviewed_NeedsTheLock(t *testing.T) {
	f := reviewed(t)
	r := f.review(reviewedPlan)
	reconciler := f.reconciler()
	f.lock() // by another
	if _, err := reconciler.ReconcileReviewed(f.ctx(), r); !errors.Is(err, leaderelection.ErrLost) {
		t.Errorf("%v", err)
	}
	if pairs, _, err := f.store.List(f.ctx(), f.layout.EnableTree()); err != nil || len(pairs) != 2 {
		t.Errorf("%v, %v", pairs, err)
	}
}
