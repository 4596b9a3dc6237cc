// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// The reconciler, the preview and the simulation make the same pass: they leave the same keys, also after a rollback and a halt.
func TestPass_IsTheSameForReconcilePreviewAndSimulate(t *testing.T) {
	const limits = "\ninstructions: {rollingRules: {global: 2}}"
	for _, tt := range []struct {
		name    string
		prepare func(f *fixture)
		version string // current_version after the pass
	}{
		{"grants", func(f *fixture) { f.apply("version: v1" + limits) }, "v1"},
		{"switch", func(f *fixture) { f.apply("version: v2" + limits) }, "v2"},
		{"correction", func(f *fixture) {
			f.apply("version: v2" + limits)
			f.reconcile()
			f.set(f.layout.EnableHost("web3"), "True")
		}, "v2"},
		{"halt", func(f *fixture) {
			f.apply("version: v2\nfailurePolicy: {maxFailed: 0}" + limits)
			f.reconcile()
			f.fail("web1", "v2")
		}, "v2"},
		{"rollback", func(f *fixture) {
			f.apply("version: v1\nfailurePolicy: {maxFailed: 0, onExceeded: Rollback}" + limits)
			f.reconcile()
			f.apply("version: v2\nfailurePolicy: {maxFailed: 0, onExceeded: Rollback}" + limits)
			f.reconcile()
			f.fail("web1", "v2")
		}, "v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			f := newFixture(t, memory.New(c.Now), c)
			f.set("current_version", "v1")
			f.hosts(true, "v1", names("web", 4)...)
			tt.prepare(f)
			o, err := planstore.Observe(f.ctx(), f.store, "fleet", c.Now())
			f.must(err)
			preview := o.Preview()
			simulation := simulate.From(o, simulate.Options{Start: c.Now(), Rand: rand.New(rand.NewPCG(1, 1))})
			last := simulation.Pass()
			r := f.reconcile()
			after, err := planstore.Observe(f.ctx(), f.store, "fleet", c.Now())
			f.must(err)

			if got := string(after.Keys.Current.Value); got != tt.version {
				t.Errorf("current_version is %s, want %s", got, tt.version)
			}
			want := plain(diff.Compute(keys.Actual(o.Keys, o.Layout), keys.Actual(after.Keys, after.Layout)))
			if d := cmp.Diff(want, plain(preview.Changes)); d != "" {
				t.Errorf("preview: -reconcile +preview:\n%s", d)
			}
			if d := cmp.Diff(want, plain(diff.Compute(keys.Actual(o.Keys, o.Layout), keys.Actual(simulation.Snapshot(), o.Layout)))); d != "" {
				t.Errorf("simulate: -reconcile +simulate:\n%s", d)
			}
			ignoreIndexes := cmpopts.IgnoreFields(r.Decision, "Ledger")
			if d := cmp.Diff(r.Decision, preview.Last.Decision, ignoreIndexes, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("preview: last decision: -reconcile +preview:\n%s", d)
			}
			if d := cmp.Diff(r.Decision, last, ignoreIndexes, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("simulate: last decision: -reconcile +simulate:\n%s", d)
			}
		})
	}
}

// plain returns changes as "set key=value" and "delete key".
func plain(changes diff.Changes) []string {
	out := []string{}
	for _, c := range changes.List {
		if c.Op == diff.Delete {
			out = append(out, "delete "+c.Key())
		} else {
			out = append(out, "set "+c.Key()+"="+c.To.Value)
		}
	}
	return out
}
