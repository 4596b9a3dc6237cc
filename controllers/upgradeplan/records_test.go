// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// inTree writes records to another tree than that of the fixture.
func (f *fixture) inTree(tree string, write func()) {
	f.layout.Records = tree
	write()
	f.layout.Records = ""
}

// Nine hosts record below running_version, and one agent with default flags below running/versions.
func TestReconcile_CountsRecordsOfBothTrees(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "1")
		f.inTree(keys.RunningVersionsOld, func() { f.hosts(false, "1", names("web", 10)...) })
		f.apply("version: '2'\ninstructions: {rollingRules: {global: 2}}")
		f.reconcile()
		want := []string{"global=False", "host/web1=True", "host/web2=True"}
		if d := cmp.Diff(want, f.enabled()); d != "" {
			t.Fatalf("-want +got:\n%s", d)
		}
		f.hosts(true, "1", "web9")
		r := f.reconcile()
		if d := cmp.Diff(want, f.enabled()); d != "" || len(r.Fleet.Hosts) != 10 {
			t.Errorf("%d hosts, -want +got:\n%s", len(r.Fleet.Hosts), d)
		}
		f.hosts(false, "2", "web1") // its record of version 1 stays in the other tree
		r = f.reconcile()
		want = append(want, "host/web3=True")
		if d := cmp.Diff(want, f.enabled()); d != "" {
			t.Errorf("after web1: -want +got:\n%s", d)
		}
		if h, _ := r.Fleet.Host("web1"); h.Record.Version != "2" {
			t.Errorf("web1 has %q", h.Record.Version)
		}
	})
}

// Once spec.keys.runningVersions is set, the other tree does not count.
func TestReconcile_CountsRecordsOfTheTreeOfThePlan(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("running_version/1/web1", "1")
		f.set("running/versions/1/web2", "1")
		f.set("own/tree/1/web3", "1")
		for tree, want := range map[string][]string{"": {"web1", "web2"}, "own/tree": {"web3"},
			keys.RunningVersions: {"web2"}, keys.RunningVersionsOld: {"web1"}} {
			plan := planOf(t, "version: '2'")
			plan.Spec.Keys.RunningVersions = tree
			o, err := planstore.ObserveAs(f.ctx(), f.store, plan, f.clock.Now())
			f.must(err)
			var got []string
			for _, h := range o.Fleet.Hosts {
				got = append(got, h.Name)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%q: -want +got:\n%s", tree, d)
			}
		}
	})
}

func TestForget_DeletesRecordsOfBothTrees(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.apply(twoAtATime)
		f.set("current_version", "2")
		f.set("config_state/enable_puppet/global", "False")
		f.set("running_version/1/web1", "1")
		f.set("running/versions/0/web1", "1")
		did, err := f.forget("web1", false)
		f.must(err)
		want := []string{"running/versions/0/web1", "running_version/1/web1"}
		if d := cmp.Diff(want, did.Removed); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// A watch on a tree without keys wakes for every write to the store.
func TestWorker_WatchesTreesThatHoldRecords(t *testing.T) {
	onMemory(t, func(f *fixture) {
		f.set("current_version", "1")
		f.inTree(keys.RunningVersionsOld, func() { f.hosts(false, "1", names("web", 10)...) })
		f.apply("version: '2'\ninstructions: {rollingRules: {global: 2}}")
		r := newCaching(f)
		watched := func() (trees []string) {
			for _, tree := range []string{"running/versions/", "running_version/"} {
				if _, ok := r.watches[store.WatchTarget{Prefix: tree}]; ok {
					trees = append(trees, tree)
				}
			}
			return trees
		}
		r.step()
		if got := watched(); !slices.Equal(got, []string{"running_version/"}) {
			t.Errorf("watched: %v", got)
		}
		f.hosts(true, "1", "web9")
		r.step()
		if got := watched(); !slices.Equal(got, []string{"running/versions/", "running_version/"}) {
			t.Errorf("watched: %v", got)
		}
		f.reach(true, "1", "2", "web1")
		r.step()
		f.inTree(keys.RunningVersionsOld, func() { f.reach(false, "1", "2", "web2") })
		r.step()
		if got := len(f.enabled()); got != 5 {
			t.Errorf("web3 and web4 are not granted: %v", f.enabled())
		}
	})
}
