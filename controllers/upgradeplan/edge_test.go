// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// A plan that is deleted during its rollout leaves the keys of the hosts as they are. Applied again, it goes on.
func TestDeletedPlan_GoesOnWhenAppliedAgain(t *testing.T) {
	onBoth(t, func(f *fixture) {
		const spec = "version: v2\ninstructions: {rollingRules: {global: 1}}"
		f.set("current_version", "v1")
		f.hosts(true, "v1", names("web", 3)...)
		f.apply(spec)
		f.reconcile()
		before := strings.Join(f.enabled(), " ")
		f.must(planstore.Plans{Store: f.store}.Delete(f.ctx(), "fleet", false))
		if _, err := f.reconciler().Reconcile(f.ctx(), "fleet"); !is[*planstore.NotFoundError](err) {
			f.t.Errorf("%v", err)
		}
		if after := strings.Join(f.enabled(), " "); after != before || string(f.get("current_version").Value) != "v2" {
			f.t.Errorf("%s, was %s", after, before)
		}
		f.reach(true, "v1", "v2", "web1") // it had been released, and goes on
		f.apply(spec)
		f.complete()
	})
}

// Nothing is decided from a status.
func TestReconcile_ReplacesACorruptStatus(t *testing.T) {
	for _, invalid := range []string{"", "{", `{"phase":"Complete","hosts":{"total":7}}`, `{"conditions":[{"type":"Ready"}]}`, "\x00\xff"} {
		c := newClock()
		f := newFixture(t, memory.New(c.Now), c)
		f.set("current_version", "v1")
		f.hosts(true, "v1", names("web", 2)...)
		f.apply("version: v2\ninstructions: {rollingRules: {global: 1}}")
		f.set(keys.Plan("fleet").Status(), invalid)
		if r := f.reconcile(); r.Starts != 1 {
			t.Errorf("%q: %d starts", invalid, r.Starts)
		}
		if s := f.stored(); s.Phase != v1alpha1.PhaseProgressing || s.Hosts.Total != 2 {
			t.Errorf("%q: %+v", invalid, s)
		}
		f.complete()
	}
}

// A clock that jumps forward makes silent hosts fail, and no host starts above a limit. A clock that jumps back shortens no soak,
// and causes no write.
func TestReconcile_ToleratesAClockThatJumps(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(time.Now), c) // the lock does not go by that clock
	f.set("current_version", "v1")
	f.hosts(true, "v1", names("web", 3)...)
	f.apply("version: v2\nminReadySeconds: 600\nprogressDeadlineSeconds: 3600\ninstructions: {rollingRules: {global: 1}}")
	f.reconcile()
	c.Advance(24 * time.Hour)
	if r := f.reconcile(); r.Starts != 0 || r.Decision.Verdicts[0].Reason != v1alpha1.ReasonDeadlineExceeded {
		t.Errorf("a day later: %d starts, web1 %s", r.Starts, r.Decision.Verdicts[0].Reason)
	}
	f.reach(true, "v1", "v2", "web1")
	f.reconcile()
	c.Advance(-25 * time.Hour)
	r := f.reconcile()
	if v := r.Decision.Verdicts[0]; r.Starts != 0 || v.Reason != v1alpha1.ReasonSoaking {
		t.Errorf("back again: %d starts, web1 %s", r.Starts, v.Reason)
	}
	before := f.indexes()
	f.reconcile()
	if !maps.Equal(before, f.indexes()) {
		t.Error("a pass over the same wrote something")
	}
	c.Advance(10*time.Minute - time.Second)
	if r := f.reconcile(); r.Starts != 0 {
		t.Errorf("%d starts, although web1 has soaked for less than 10 minutes since the clock jumped back", r.Starts)
	}
	c.Advance(time.Second)
	if r := f.reconcile(); r.Starts != 1 {
		t.Errorf("%d starts, web1 has soaked", r.Starts)
	}
}

// A worker with a warm cache wakes when a hold expires.
func TestWorker_WakesWhenAHoldExpires(t *testing.T) {
	f, w := workerFixture(t)
	ends := f.clock.Now().Add(5 * time.Minute)
	_, err := planstore.Holds{Store: f.store, Layout: f.layout}.Set(t.Context(), fleet.Place{Scope: fleet.ScopeHost, Name: "web1"},
		fleet.Hold{Owner: "me", Time: f.clock.Now(), Expires: ends})
	f.must(err)
	f.apply("version: v2\ninstructions: {rollingRules: {global: 2}}")
	next, _, err := onePass(t.Context(), w, f.session, "fleet", everything())
	f.must(err)
	if next.IsZero() || next.After(ends) {
		t.Errorf("it looks again at %s, the hold ends at %s", next, ends)
	}
	if got := strings.Join(f.enabled(), " "); got != "global=False host/web2=True" {
		t.Error(got)
	}
	f.clock.Advance(5 * time.Minute)
	_, _, err = onePass(t.Context(), w, f.session, "fleet", everything())
	f.must(err)
	if got := strings.Join(f.enabled(), " "); got != "global=False host/web1=True host/web2=True role/web=True" && got != "global=False host/web1=True host/web2=True" {
		t.Error(got)
	}
}

// In a store that was restored from a backup, the numbers of rollouts and commits come again. A host that used a grant before must
// be able to tell the new one.
func TestReconcile_GrantsAfterARestoreHaveNewIDs(t *testing.T) {
	s, c := memory.New(time.Now), newClock()
	f := newFixture(t, s, c)
	f.set("current_version", "1")
	f.hosts(true, "1", "web1")
	f.apply(twoAtATime)
	backup := s.Snapshot()
	grant := func() fleet.Grant {
		t.Helper()
		f.reconcile()
		g := keys.DecodeGrant(f.get(f.layout.Grant("web1")))
		if g == nil {
			t.Fatal("web1 has no grant")
		}
		return *g
	}
	first := grant()
	s.Restore(backup)
	c.Advance(time.Minute)
	second := grant()
	if first.Rollout != second.Rollout || first.ID == second.ID {
		t.Errorf("first %+v, after the restore %+v", first, second)
	}
	if fleet.CompareNatural(first.ID, second.ID) >= 0 {
		t.Errorf("%s does not precede %s", first.ID, second.ID)
	}
}
