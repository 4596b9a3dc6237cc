// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// setChecks sets the checks of a node in the catalog of a memory store.
func (f *fixture) setChecks(node string, checks ...fleet.Check) {
	f.t.Helper()
	s, ok := f.store.(*memory.Store)
	if !ok {
		f.t.Fatalf("%T has no catalog to edit", f.store)
	}
	s.SetChecks(node, checks...)
}

// A plan without a health gate watches checks for alsoCount, and grants when maintenance ends.
func TestWorker_MaintenanceTakesASlotUntilItEnds(t *testing.T) {
	onMemory(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", "db1", "db2")
		f.setChecks("db2", fleet.Check{ID: fleet.NodeMaintenance, Status: fleet.Critical})
		f.apply("version: '2'\ninstructions: {rollingRules: {global: 1, alsoCount: [Maintenance]}}")
		w := &upgradeplan.Worker{Store: f.store, Now: f.clock.Now, Log: logr.Discard()}
		_, watches, err := onePass(f.ctx(), w, f.session, "fleet", everything())
		f.must(err)
		if !slices.Contains(prefixes(watches), "checks") {
			t.Errorf("no watch on checks: %q", prefixes(watches))
		}
		o, err := planstore.Observe(f.ctx(), f.store, "fleet", f.clock.Now())
		f.must(err)
		for _, v := range o.Decision.Verdicts {
			if want := "1 of 1 slots of db are taken: db2 is in maintenance"; v.Message != want {
				t.Errorf("%s: %s %q, want %q", v.Host, v.Reason, v.Message, want)
			}
		}
		f.setChecks("db2")
		target := store.WatchTarget{Kind: store.Checks}
		index, err := f.store.Wait(f.ctx(), target, 0, store.MaxWait)
		f.must(err)
		_, _, err = onePass(f.ctx(), w, f.session, "fleet", store.Changes{At: map[store.WatchTarget]store.WatchIndex{target: index}})
		f.must(err)
		if got := strings.Join(f.enabled(), " "); got != "global=False host/db1=True" {
			t.Errorf("after the maintenance: %s", got)
		}
	})
}
