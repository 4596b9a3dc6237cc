// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// A simulation of an observed plan rolls back as the plan would: to the last complete revision.
func TestSimulation_RollsBackToTheLastCompleteRevision(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	const spec = "\nfailurePolicy: {maxFailed: 0, onExceeded: Rollback}\ninstructions: {rollingRules: {global: 1}}"
	f.set("current_version", "v1")
	f.hosts(true, "v1", names("web", 3)...)
	f.apply("version: v1" + spec)
	f.reconcile()
	f.apply("version: v2" + spec)
	o, err := planstore.Observe(f.ctx(), f.store, "fleet", c.Now())
	f.must(err)
	const takes = 10 * time.Minute
	got := simulate.From(o, simulate.Options{Start: c.Now(), Gap: time.Second, Duration: simulate.Span{Mean: takes}, Failures: 1,
		Rand: rand.New(rand.NewPCG(1, 1))}).Run(time.Hour)
	r := got.Rollback
	if r == nil || r.Revision != 1 || r.Version != "v1" || r.Time.Sub(c.Now()) != takes || r.Upgraded != 2 || r.Complete {
		t.Errorf("%+v: %q", r, got.BlockedBy)
	}
	if got.Complete || got.Version != "v2" || got.Upgraded != 0 || got.Duration() != 2*takes {
		t.Errorf("%+v", got)
	}
	if o.Control.Pin != nil || o.Plan.Spec.Version != "v2" {
		t.Error("what was observed has changed")
	}
}
