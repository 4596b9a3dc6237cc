// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The ledger keeps the last accepted size: each pass here is that of a new controller.
func TestReconcile_StopsWhenTheFleetShrinks(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 10)...)
		f.apply("version: '2'\ninstructions: {rollingRules: {global: 2}}")
		f.reconcile()
		gone := []store.Op{}
		for _, host := range []string{"web5", "web6", "web7", "web8", "web9", "web10"} {
			gone = append(gone, store.Op{Verb: store.Delete, Key: f.layout.Record("1", host)},
				store.Op{Verb: store.Delete, Key: f.layout.Report(host)})
		}
		f.txn(gone...)
		for range 2 {
			r := f.reconcile()
			if r.Decision.Gate.Reason != v1alpha1.ReasonFleetShrank || r.Starts > 0 {
				t.Fatalf("%d starts, %+v", r.Starts, r.Decision.Gate)
			}
		}
		if hold := f.get(f.layout.HoldFleet()); !hold.Exists() {
			t.Error("agents do not see the stop")
		}
		plans := planstore.Plans{Store: f.store}
		changed, err := plans.Resume(f.ctx(), "fleet", planstore.Resumption{Pause: fleet.Pause{By: "me", Time: f.clock.Now()}})
		if err != nil || !changed {
			t.Fatalf("resumed: %v, %v", changed, err)
		}
		if r := f.reconcile(); r.Decision.Gate.Reason != "" || r.Starts != 2 {
			t.Errorf("%d starts, %+v", r.Starts, r.Decision.Gate)
		}
		if l, err := keys.DecodeLedger(f.get(keys.Plan("fleet").Ledger())); err != nil || l.Size.Hosts != 4 {
			t.Errorf("the ledger has %+v, %v", l.Size, err)
		}
		if changed, err := plans.Resume(f.ctx(), "fleet", planstore.Resumption{}); err != nil || changed {
			t.Errorf("there is nothing to resume: %v, %v", changed, err)
		}
	})
}

// A ledger of an earlier release has no size: nothing is compared.
func TestReconcile_ReadsLedgersWithoutASize(t *testing.T) {
	onMemory(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", "web1")
		f.apply("version: '2'")
		f.set(keys.Plan("fleet").Ledger(), `{"counter":41,"version":"1","roles":["web"]}`)
		if r := f.reconcile(); r.Starts != 1 || r.Decision.Ledger.Size.Hosts != 1 {
			t.Errorf("%d starts, %+v", r.Starts, r.Decision.Ledger)
		}
	})
}
