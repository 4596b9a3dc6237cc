// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// startAt lets a host use its grant. Its clock shows another time.
func (f *fixture) startAt(at time.Time, version, name string) {
	f.t.Helper()
	grant := keys.DecodeGrant(f.get(f.layout.Grant(name)))
	if grant == nil {
		f.t.Fatalf("%s has no grant", name)
	}
	marker := fleet.Started{Version: version, Time: at, Rollout: grant.Rollout, Grant: grant.ID}
	f.txn(store.Op{Verb: store.Delete, Key: f.layout.Grant(name)},
		store.Op{Verb: store.Set, Key: f.layout.Started(name), Value: keys.EncodeStarted(marker)})
}

// reachAt lets a host reach a version. Its clock shows another time.
func (f *fixture) reachAt(at time.Time, from, to, name string) {
	f.t.Helper()
	started := keys.DecodeStarted(f.get(f.layout.Started(name)))
	report := fleet.Report{Schema: fleet.ReportSchema, Version: to, Phase: fleet.PhaseIdle, Time: at, Rollout: started.Rollout}
	f.txn(store.Op{Verb: store.Set, Key: f.layout.Record(to, name), Value: keys.EncodeTime(at)},
		store.Op{Verb: store.Delete, Key: f.layout.Record(from, name)},
		store.Op{Verb: store.Set, Key: f.layout.Report(name), Value: keys.EncodeReport(report)},
		store.Op{Verb: store.Delete, Key: f.layout.Started(name)})
}

// Each pass is by a controller that was just started: what it knows of times is in the store.
func TestReconcile_IgnoresHostClocks(t *testing.T) {
	onBoth(t, func(f *fixture) {
		wrong := map[string]time.Duration{"web1": 3 * 365 * 24 * time.Hour, "db1": -time.Hour}
		f.set("current_version", "1")
		f.hosts(true, "1", "web1", "web2", "db1", "db2")
		f.apply("version: '2'\nminReadySeconds: 600\ninstructions: {rollingRules: {global: 1}}")
		pass := func(after time.Duration, starts int) upgradeplan.Result {
			f.t.Helper()
			f.clock.Advance(after)
			f.lock()
			r := f.reconcile()
			if r.Starts != starts {
				f.t.Fatalf("%d starts, want %d\n%s", r.Starts, starts, explain(r))
			}
			return r
		}
		pass(0, 2)
		for name, offset := range wrong {
			f.startAt(f.clock.Now().Add(offset), "2", name)
		}
		pass(time.Minute, 0)
		for name, offset := range wrong {
			f.reachAt(f.clock.Now().Add(offset), "1", "2", name)
		}
		r := pass(time.Minute, 0)
		if got := strings.Join(r.Decision.Warnings, "\n"); !strings.Contains(got, "2 of 4 hosts are more than a minute off (db1 behind, web1 ahead)") {
			f.t.Errorf("warnings %q", got)
		}
		pass(599*time.Second, 0)
		if again := pass(0, 0); again.Written.Transactions != 0 {
			f.t.Errorf("a pass over the same wrote %s", again.Written)
		}
		pass(time.Second, 2)

		f.startAt(f.clock.Now().Add(wrong["web1"]), "2", "web2")
		f.startAt(f.clock.Now().Add(wrong["db1"]), "2", "db2")
		pass(time.Minute, 0)
		for i, v := range pass(time.Hour-time.Second, 0).Decision.Verdicts {
			if v.State == "Failed" {
				f.t.Errorf("host %d: %s", i, v.Message)
			}
		}
		failed := 0
		for _, v := range pass(time.Second, 0).Decision.Verdicts {
			if v.Reason == v1alpha1.ReasonDeadlineExceeded {
				failed++
			}
		}
		if failed != 2 {
			f.t.Errorf("%d of 2 silent hosts have failed", failed)
		}
	})
}

// A ledger of an earlier release has no watermarks. A soak that it does not date begins with the first pass, and ends.
func TestReconcile_DatesTheKeysOfAnEarlierRelease(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "2")
		f.hosts(true, "2", "web1")
		f.clock.Advance(time.Hour)
		f.lock()
		f.apply("version: '2'\nminReadySeconds: 600")
		f.set(keys.Plan("fleet").Ledger(), `{"counter":7,"version":"2","rollout":1}`)
		f.reconcile()
		f.clock.Advance(599 * time.Second)
		if r := f.reconcile(); r.Decision.Complete {
			f.t.Errorf("complete\n%s", explain(r))
		}
		f.clock.Advance(time.Second)
		if r := f.reconcile(); !r.Decision.Complete {
			f.t.Errorf("not complete\n%s", explain(r))
		}
	})
}
