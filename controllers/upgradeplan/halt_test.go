// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func (f *fixture) control() fleet.Control {
	f.t.Helper()
	control, err := keys.DecodeControl(f.get(keys.Plan("fleet").Control()))
	f.must(err)
	return control
}

func (f *fixture) resume(r planstore.Resumption) bool {
	f.t.Helper()
	r.By, r.Time = "me", f.clock.Now()
	changed, err := planstore.Plans{Store: f.store}.Resume(f.ctx(), "fleet", r)
	f.must(err)
	return changed
}

// fail lets a host start and fail.
func (f *fixture) fail(name, version string) {
	f.t.Helper()
	f.txn(store.Op{Verb: store.Set, Key: f.layout.Started(name), Value: keys.EncodeStarted(fleet.Started{Version: version, Time: f.clock.Now()})},
		store.Op{Verb: store.Set, Key: f.layout.Report(name), Value: keys.EncodeReport(fleet.Report{Version: version,
			Phase: fleet.PhaseFailed, Time: f.clock.Now()})})
}

// failFirst starts a rollout that tolerates no failure, two of four hosts at a time, and lets the first host fail.
func (f *fixture) failFirst() {
	f.t.Helper()
	f.set("current_version", "1")
	f.hosts(true, "1", names("web", 4)...)
	f.apply("version: '2'\nfailurePolicy: {maxFailed: 0}\ninstructions: {rollingRules: {global: 2}}")
	f.reconcile()
	f.fail("web1", "2")
}

// After too many failures the rollout halts. The halt lasts when all hosts recover and when the spec changes, until an operator
// resumes. Failures after that count.
func TestHalt_LastsUntilResumed(t *testing.T) {
	onBoth(t, func(f *fixture) {
		spec := "version: '2'\nfailurePolicy: {maxFailed: 1}\ninstructions: {rollingRules: {global: 3}}"
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 8)...)
		f.apply(spec)
		f.reconcile()
		f.fail("web1", "2")
		f.fail("web2", "2")
		f.clock.Advance(time.Minute)
		r := f.reconcile()
		want := &fleet.Halt{Time: f.clock.Now(), Version: "2", Generation: 1,
			Reason: "2 of 8 hosts have failed (web1, web2), more than failurePolicy.maxFailed, which is 1"}
		if d := cmp.Diff(want, f.control().Halt); d != "" || r.Status.Phase != v1alpha1.PhaseHalted || r.Starts != 0 {
			t.Fatalf("%s\nphase %s, %d starts\n%s", d, r.Status.Phase, r.Starts, explain(r))
		}
		// The same pass revokes the grant of web3, which has not started.
		if got := strings.Join(f.enabled(), " "); got != "global=False host/web1=True host/web2=True" {
			t.Error(got)
		}
		f.reconcile() // tells that web3 waits now
		if again := f.reconcile(); again.Written.Transactions != 0 {
			t.Errorf("another pass wrote %s", again.Written)
		}
		f.reach(true, "1", "2", "web1")
		f.reach(true, "1", "2", "web2")
		f.apply(spec + "\nminReadySeconds: 1") // another generation, of the same rollout
		f.clock.Advance(time.Hour)
		f.lock()
		if r = f.reconcile(); r.Starts != 0 || r.Status.Phase != v1alpha1.PhaseHalted {
			t.Errorf("%d starts, %s\n%s", r.Starts, r.Status.Phase, explain(r))
		}
		f.clock.Advance(time.Second) // web1 and web2 have soaked since that pass saw them
		if !f.resume(planstore.Resumption{}) || f.resume(planstore.Resumption{}) {
			t.Error("the first resume changes something, the second nothing")
		}
		if r = f.reconcile(); r.Starts != 3 {
			t.Errorf("%d starts\n%s", r.Starts, explain(r))
		}
		f.clock.Advance(time.Minute)
		f.fail("web3", "2")
		f.fail("web4", "2")
		if r = f.reconcile(); r.Status.Phase != v1alpha1.PhaseHalted || f.control().Halt == nil {
			t.Errorf("it is not halted again\n%s", explain(r))
		}
	})
}

// Failures before a resume do not count: hosts that stay failed do not halt the rollout again.
func TestResume_ForgivesEarlierFailures(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.failFirst()
		f.reconcile()
		f.clock.Advance(time.Second)
		f.resume(planstore.Resumption{})
		if r := f.reconcile(); r.Starts != 1 || f.control().Halt != nil {
			t.Errorf("%d starts, halt %+v\n%s", r.Starts, f.control().Halt, explain(r))
		}
	})
}

// A halt that is recorded at the same moment does not overwrite a pause.
func TestHalt_DoesNotOverwriteAPause(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.failFirst()
		f.through = between{f.store, func() {
			_, err := planstore.Plans{Store: f.store}.SetPause(f.ctx(), "fleet", &fleet.Pause{By: "me"})
			f.must(err)
		}}
		f.reconcile()
		if c := f.control(); c.Pause == nil || c.Halt == nil {
			t.Errorf("%+v", c)
		}
		if !f.resume(planstore.Resumption{}) || f.control().Pause != nil || f.control().Halt != nil {
			t.Errorf("resuming ends both: %+v", f.control())
		}
	})
}

// between is a store that calls a function before each transaction.
type between struct {
	store.Store
	do func()
}

func (b between) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	b.do()
	return b.Store.Txn(ctx, ops)
}

func TestWindows_AllowGrantsWhileOpenOrOverridden(t *testing.T) {
	onBoth(t, func(f *fixture) { // it is 14:00
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 3)...)
		f.apply("version: '2'\nwindows: {allow: [{schedule: '0 22 * * *', duration: 2h}]}\nprogressDeadlineSeconds: 36000\ninstructions: {rollingRules: {global: 1}}")
		r := f.reconcile()
		if string(f.get("current_version").Value) != "1" || r.Status.Phase != v1alpha1.PhasePending || r.Decision.Gate.Reason != v1alpha1.ReasonOutsideWindow {
			t.Errorf("the version is switched outside of the maintenance windows: %s\n%s", r.Status.Phase, explain(r))
		}
		if stored := string(f.get(keys.Plan("fleet").Status()).Value); !strings.Contains(stored, `"phase":"Pending"`) {
			t.Errorf("the status does not tell: %s", stored)
		}
		if again := f.reconcile(); again.Written.Transactions != 0 {
			t.Errorf("a second pass wrote %s", again.Written)
		}
		if opens := time.Date(2026, 3, 6, 22, 0, 0, 0, time.UTC); !r.Decision.RequeueAt().Equal(opens) {
			t.Errorf("it wakes at %s", r.Decision.RequeueAt())
		}
		f.clock.Advance(8 * time.Hour)
		f.lock()
		if r = f.reconcile(); r.Starts != 1 {
			t.Errorf("%d starts when it opens\n%s", r.Starts, explain(r))
		}
		w := &upgradeplan.Worker{Store: f.store, Now: f.clock.Now, Log: testr.New(t)}
		closes := time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC)
		if next, _, err := onePass(f.ctx(), w, f.session, "fleet", everything()); err != nil || next.After(closes) || !next.After(f.clock.Now()) {
			t.Errorf("it must look again when the window closes, at %s: %s, %v", closes, next, err)
		}
		f.clock.Advance(2 * time.Hour)
		f.lock()
		f.reconcile()
		if got := strings.Join(f.enabled(), " "); got != "global=False host/web1=False" && got != "global=False" {
			t.Errorf("when it closes: %s", got)
		}
		f.resume(planstore.Resumption{OverrideWindows: true, Until: f.clock.Now().Add(time.Hour)})
		if o := f.control().Override; o == nil || o.Version != "2" || o.By != "me" {
			t.Errorf("%+v", o)
		}
		if r = f.reconcile(); r.Starts != 1 {
			t.Errorf("%d starts when it is overridden\n%s", r.Starts, explain(r))
		}
		f.clock.Advance(time.Hour)
		f.lock()
		if r = f.reconcile(); r.Decision.Gate.Reason != v1alpha1.ReasonOutsideWindow {
			t.Errorf("the override does not end\n%s", explain(r))
		}
	})
}
