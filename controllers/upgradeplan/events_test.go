// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// events returns the events of the plan since the last call, as "Warning Drift config_state/…".
func (f *fixture) events(since *uint64) []string {
	f.t.Helper()
	all, err := planstore.Plans{Store: f.store}.Events(f.ctx(), "fleet")
	f.must(err)
	var out []string
	for _, e := range all {
		if e.Number > *since {
			*since = e.Number
			out = append(out, fmt.Sprintf("%s %s %s", e.Type, e.Reason, e.Object))
		}
	}
	return out
}

func (f *fixture) stored() v1alpha1.UpgradePlanStatus {
	f.t.Helper()
	plan, err := planstore.Plans{Store: f.store}.Get(f.ctx(), "fleet")
	f.must(err)
	return plan.Status
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Each change of a rollout is an event, once, in the transaction of the change.
func TestEvents_DescribeARollout(t *testing.T) {
	onBoth(t, func(f *fixture) {
		var since uint64
		f.set("current_version", "v1")
		f.hosts(true, "v1", names("web", 2)...)
		f.apply("version: v2\ninstructions: {rollingRules: {global: 1}}")
		s := &watched{Store: f.through}
		f.through = s
		f.reconcile()
		wantLines(t, "first pass", f.events(&since), "Normal VersionSwitched plan", "Normal Granted host/web1")
		if s.txns != 2 {
			t.Errorf("%d transactions", s.txns)
		}
		f.reconcile()
		wantLines(t, "nothing new", f.events(&since))
		f.fail("web1", "v2")
		f.clock.Advance(time.Minute)
		f.reconcile()
		wantLines(t, "web1 fails", f.events(&since), "Warning ReportedFailure host/web1", "Warning Stalled plan")
		f.reach(true, "v1", "v2", "web1")
		f.reconcile()
		wantLines(t, "and recovers", f.events(&since), "Normal Granted host/web2", "Normal Progressing plan")
		f.reach(true, "v1", "v2", "web2")
		f.reconcile()
		wantLines(t, "complete", f.events(&since), "Normal Complete plan")
	})
}

// The number of events is bounded. New events replace the oldest.
func TestEvents_AreBounded(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.set("current_version", "v1")
	f.hosts(true, "v1", "web1")
	f.apply("version: v1")
	for i := range 2*keys.MaxEvents + 3 {
		pause := &fleet.Pause{By: "me"}
		if i%2 == 1 {
			pause = nil
		}
		_, err := planstore.Plans{Store: f.store}.SetPause(t.Context(), "fleet", pause)
		f.must(err)
		f.reconcile()
	}
	all, err := planstore.Plans{Store: f.store}.Events(t.Context(), "fleet")
	f.must(err)
	if len(all) != keys.MaxEvents || all[0].Number+keys.MaxEvents-1 != all[len(all)-1].Number || all[0].Number < keys.MaxEvents {
		t.Errorf("%d events, %d to %d", len(all), all[0].Number, all[len(all)-1].Number)
	}
}

// A worker reports that another writer changed keys of the plan, and corrects them.
func TestEvents_ReportDrift(t *testing.T) {
	f, w := workerFixture(t)
	pass := func(changed store.Changes) {
		t.Helper()
		_, _, err := onePass(t.Context(), w, f.session, "fleet", changed)
		f.must(err)
	}
	var since uint64
	pass(everything())
	f.events(&since)
	f.set(f.layout.EnableHost("web2"), "True")
	f.set(f.layout.EnableGlobal(), "True")
	config := store.WatchTarget{Prefix: f.layout.ConfigState()}
	mark, err := f.store.Wait(t.Context(), config, 0, store.MaxWait)
	f.must(err)
	f.clock.Advance(time.Minute)
	pass(store.Changes{At: map[store.WatchTarget]store.WatchIndex{config: mark}})
	events := f.events(&since)
	for _, want := range []string{"Warning Drift config_state/enable_puppet/global"} {
		if !slices.Contains(events, want) {
			t.Errorf("no %q in %q", want, events)
		}
	}
	if got := string(f.get(f.layout.EnableGlobal()).Value); got != "False" {
		t.Errorf("global is %s", got)
	}
	f.events(&since)
	f.txn(store.Op{Verb: store.Delete, Key: f.layout.EnableGlobal()})
	pass(everything())
	wantLines(t, "deleted", f.events(&since), "Warning Drift config_state/enable_puppet/global")
}

// After too many failures the last complete revision is pinned and carried out, once. A sync from Git does not end the pin.
func TestRollback_PinsTheLastCompleteRevision(t *testing.T) {
	onBoth(t, func(f *fixture) {
		const spec = "\nfailurePolicy: {maxFailed: 0, onExceeded: Rollback}\ninstructions: {rollingRules: {global: 1}}\nrevisionHistoryLimit: 0"
		f.set("current_version", "v1")
		f.hosts(true, "v1", names("web", 3)...)
		f.apply("version: v1" + spec)
		f.reconcile()
		for range 3 { // more than history keeps
			f.apply("version: v1\nminReadySeconds: 1" + spec)
			f.apply("version: v2" + spec)
		}
		f.reconcile()
		var since uint64
		f.events(&since)
		f.fail("web1", "v2")
		f.clock.Advance(time.Minute)
		f.reconcile()
		pin := f.control().Pin
		if pin == nil || pin.Revision != 1 || pin.By != fleet.ByController || f.control().Halt != nil ||
			!strings.HasPrefix(pin.Reason, "1 of 3 hosts have failed (web1)") {
			t.Fatalf("pin %+v, halt %+v", pin, f.control().Halt)
		}
		if got := string(f.get("current_version").Value); got != "v1" {
			t.Errorf("current_version %s", got)
		}
		if events := f.events(&since); !slices.Contains(events, "Warning RolledBack plan") || !slices.Contains(events, "Normal VersionSwitched plan") {
			t.Errorf("%q", events)
		}
		if f.apply("version: v2"+spec) != planstore.Unchanged {
			t.Error("the same spec is something new")
		}
		f.txn(append(f.reportOps(true, "v1", "web1"), store.Op{Verb: store.Delete, Key: f.layout.Record("v2", "web1")})...)
		f.complete()
		if s := f.stored(); s.Phase != v1alpha1.PhaseComplete || s.PinnedRevision != 1 || s.CurrentVersion != "v1" {
			t.Errorf("%+v", s)
		}
		// An operator who wants it all the same is not sent back for what had failed before.
		undone, err := planstore.Plans{Store: f.store}.Undo(f.ctx(), "fleet", planstore.Undo{Revision: f.generation(),
			Pause: fleet.Pause{By: "me", Time: f.clock.Now()}})
		if err != nil || !undone.Unpinned || f.control().Resumed == nil {
			t.Fatalf("%+v %v", undone, err)
		}
		f.complete()
		if got := string(f.get("current_version").Value); got != "v2" || f.control().Pin != nil {
			t.Errorf("current_version %s, pin %+v", got, f.control().Pin)
		}
	})
}

func (f *fixture) generation() int64 {
	f.t.Helper()
	plan, err := planstore.Plans{Store: f.store}.Get(f.ctx(), "fleet")
	f.must(err)
	return plan.Generation
}

// A second plan of a fleet, written by hand, does nothing and has a condition. The first one goes on.
func TestConflict_TheOlderPlanIsCarriedOut(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "v1")
		f.hosts(true, "v1", "web1")
		f.apply("version: v2")
		second := keys.Plan("second")
		f.set(second.Spec(), strings.Replace(string(f.get(keys.Plan("fleet").Spec()).Value), `"v2"`, `"v3"`, 1))
		f.set(second.Control(), "{}")
		f.set(second.Ledger(), "{}")
		f.complete()
		for range 2 {
			r, err := f.reconciler().Reconcile(f.ctx(), "second")
			f.must(err)
			c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionAccepted)
			if c.Status != "False" || c.Reason != string(v1alpha1.ReasonConflict) || !strings.Contains(c.Message, `upgradeplan "fleet"`) ||
				r.Decision.Gate.Reason != v1alpha1.ReasonConflict || r.Starts != 0 {
				t.Errorf("%+v", c)
			}
		}
		if got := string(f.get("current_version").Value); got != "v2" {
			t.Errorf("current_version %s", got)
		}
		f.must(planstore.Plans{Store: f.store}.Delete(f.ctx(), "fleet", false))
		r, err := f.reconciler().Reconcile(f.ctx(), "second")
		f.must(err)
		if !meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionAccepted) || string(f.get("current_version").Value) != "v3" {
			t.Errorf("%+v", r.Status.Conditions)
		}
	})
}

// An invalid spec gets a condition in the status, once, and loses it when the spec is valid again.
func TestInvalidSpec_IsNotAccepted(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.set("current_version", "v1")
	f.hosts(true, "v1", "web1")
	f.apply("version: v1")
	f.reconcile()
	var since uint64
	f.events(&since)
	good := f.get(keys.Plan("fleet").Spec()).Value
	f.set(keys.Plan("fleet").Spec(), strings.Replace(string(good), `"version"`, `"versoin"`, 1))
	for range 2 {
		if _, err := f.reconciler().Reconcile(t.Context(), "fleet"); !is[*planstore.InvalidPlanError](err) {
			t.Fatal(err)
		}
	}
	var broken v1alpha1.UpgradePlanStatus
	f.set("copy", string(f.get(keys.Plan("fleet").Status()).Value))
	f.set(keys.Plan("fleet").Spec(), string(good))
	broken = f.stored()
	accepted := meta.FindStatusCondition(broken.Conditions, v1alpha1.ConditionAccepted)
	if accepted.Status != "False" || accepted.Reason != string(v1alpha1.ReasonInvalid) || !strings.Contains(accepted.Message, "versoin") ||
		broken.Phase != v1alpha1.PhaseStalled || !meta.IsStatusConditionTrue(broken.Conditions, v1alpha1.ConditionStalled) ||
		broken.ObservedGeneration != 1 {
		t.Errorf("%+v", broken)
	}
	wantLines(t, "broken", f.events(&since), "Warning Invalid plan")
	f.reconcile()
	if s := f.stored(); !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionAccepted) || s.Phase != v1alpha1.PhaseComplete {
		t.Errorf("%+v", s)
	}
}

// Checks and nodes have watches of their own, and are read alone.
func TestWorker_ReadsTheCatalogWhenItChanges(t *testing.T) {
	c := newClock()
	s := memory.New(c.Now)
	f := newFixture(t, s, c)
	f.set("current_version", "v1")
	f.hosts(true, "v1", "web1", "web2", "web3")
	s.SetNodes("web1", "web2", "web3")
	f.apply("version: v1\nhosts: {source: Catalog}\nhealthGate: {checks: [puppet], maxUnhealthy: 0}\ninstructions: {rollingRules: {global: 1}}")
	w := &upgradeplan.Worker{Store: f.store, Now: c.Now, Log: logr.Discard()}
	pass := func(changed store.Changes) []string {
		t.Helper()
		_, watch, err := onePass(t.Context(), w, f.session, "fleet", changed)
		f.must(err)
		f.clock.Advance(time.Minute)
		return prefixes(watch)
	}
	watches := pass(everything())
	for _, watch := range []string{"checks", "nodes"} {
		if !slices.Contains(watches, watch) {
			t.Errorf("no watch on %s: %q", watch, watches)
		}
	}
	rings := func(kind store.TargetKind) store.Changes {
		t.Helper()
		target := store.WatchTarget{Kind: kind}
		mark, err := s.Wait(t.Context(), target, 0, store.MaxWait)
		f.must(err)
		return store.Changes{At: map[store.WatchTarget]store.WatchIndex{target: mark}}
	}
	s.SetNodes("web1", "web3")
	pass(rings(store.Nodes))
	if got := f.stored().Hosts; got.Lost != 1 || got.Total != 2 {
		t.Errorf("%+v", got)
	}
	f.apply("version: v2\nhosts: {source: Catalog}\nhealthGate: {checks: [puppet], maxUnhealthy: 0}\ninstructions: {rollingRules: {global: 1}}")
	s.SetChecks("web3", fleet.Check{ID: "disk", Status: fleet.Critical})
	pass(everything())
	if got := f.stored().CurrentVersion; got != "v1" {
		t.Errorf("switched to %s although web3 is critical", got)
	}
	s.SetChecks("web3")
	pass(rings(store.Checks))
	if got := strings.Join(f.enabled(), " "); got != "global=False host/web1=True" {
		t.Error(got)
	}
	s.SetChecks("web1", fleet.Check{ID: "puppet", Status: fleet.Warning})
	pass(rings(store.Checks))
	if got := f.stored().Failures; len(got) != 1 || got[0].Reason != string(v1alpha1.ReasonChecksFailing) {
		t.Errorf("%+v", got)
	}
}

// An operator promotes the canaries.
func TestPromote_LetsTheOtherHostsFollow(t *testing.T) {
	onBoth(t, func(f *fixture) {
		plans := planstore.Plans{Store: f.store}
		promote := func(force bool) (bool, error) {
			return plans.Promote(f.ctx(), "fleet", fleet.Pause{By: "me", Time: f.clock.Now(), Reason: "quiet"}, force)
		}
		refused := func(why string) {
			f.t.Helper()
			_, err := promote(false)
			if _, ok := errors.AsType[*planstore.PromoteError](err); !ok || !strings.Contains(err.Error(), why) {
				f.t.Errorf("%v, want %q", err, why)
			}
		}
		f.set("current_version", "v1")
		f.hosts(true, "v1", names("web", 3)...)
		f.apply("version: v1")
		refused("it has none (spec.canary)")
		f.apply("version: v2\ncanary: {perRole: 1, promote: Manual}")
		refused("the version is not switched to v2 yet")
		f.reconcile()
		refused("0 of 1 are upgraded")
		f.reach(true, "v1", "v2", "web1")
		if r := f.reconcile(); r.Status.Phase != v1alpha1.PhaseAwaiting || r.Starts != 0 || r.Status.Canary.Complete != 1 {
			f.t.Errorf("%s, %d starts, %+v", r.Status.Phase, r.Starts, r.Status.Canary)
		}
		if changed, err := promote(false); !changed || err != nil {
			f.t.Errorf("%v %v", changed, err)
		}
		if changed, err := promote(false); changed || err != nil {
			f.t.Errorf("again: %v %v", changed, err)
		}
		for _, want := range []bool{true, false} {
			if changed, err := promote(true); changed != want || err != nil {
				f.t.Errorf("forced after all: %v %v, want %v", changed, err, want)
			}
		}
		var since uint64
		f.events(&since)
		if r := f.reconcile(); r.Starts != 2 || r.Status.Canary != nil {
			f.t.Errorf("%d starts", r.Starts)
		}
		if events := f.events(&since); !slices.Contains(events, "Normal CanariesPromoted plan") {
			f.t.Errorf("%q", events)
		}
		f.apply("version: v3\ncanary: {perRole: 1, promote: Manual}")
		f.reconcile()
		if changed, err := promote(true); !changed || err != nil {
			f.t.Errorf("forced: %v %v", changed, err)
		}
	})
}
