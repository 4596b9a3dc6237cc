// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// noValues is a store that refuses to read trees with their values.
type noValues struct{ store.Store }

func (noValues) List(_ context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	return nil, store.Meta{}, fmt.Errorf("%s was read with its values", prefix)
}

func TestNames_AreReadWithoutValues(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.hosts(false, "1", "web10", "web2", "42")
		f.hosts(true, "2", "web2", "db1")
		f.set(f.layout.Started("db2"), "{}")
		f.set(f.layout.Report("db3"), "{}")
		f.set(f.layout.Record("3", "a:b"), "1")
		f.set(f.layout.CurrentVersion(), "10")
		s := noValues{f.store}
		got, err := planstore.ReadNames(f.ctx(), s, nil, f.layout)
		f.must(err)
		want := planstore.Names{Hosts: []string{"42", "db1", "db2", "db3", "web2", "web10"}, Roles: []string{"db", "web"},
			Versions: []string{"1", "2", "3", "10"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}

		plan := planOf(t, `{version: "2", hosts: {rolePattern: "^(d|w)"}}`)
		plan.Status.Roles = []v1alpha1.RoleStatus{{Name: "reported"}}
		got, err = planstore.ReadNames(f.ctx(), s, plan, keys.Layout{Prefix: "another"})
		f.must(err)
		want.Roles = []string{"d", "reported", "w"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("of a plan: -want +got:\n%s", d)
		}
	})
}

func TestNames_IncludeTheOldTree(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("running_version/1/web1", "1")
		got, err := planstore.ReadNames(f.ctx(), f.store, nil, f.layout)
		f.must(err)
		want := planstore.Names{Hosts: []string{"web1"}, Roles: []string{"web"}, Versions: []string{"1"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

func TestPlans_Briefs(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.apply(twoAtATime)
		f.set(keys.Plan("fleet").Status(), `{"phase":"Paused"}`)
		f.set(keys.Plan("fleet2").Spec(), "{")
		f.set(keys.Plan("other").Spec(), "{}")
		plans := planstore.Plans{Store: noValues{f.store}}
		got, err := plans.Briefs(f.ctx(), "fl")
		f.must(err)
		want := []planstore.Brief{{Name: "fleet", Version: "2", Phase: v1alpha1.PhasePaused}, {Name: "fleet2"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		for i := range store.MaxOps / 2 {
			f.set(keys.Plan(fmt.Sprint("fleet", i)).Spec(), "{}")
		}
		got, err = plans.Briefs(f.ctx(), "fl")
		f.must(err)
		if n := store.MaxOps/2 + 1; len(got) != n || got[0].Version != "" {
			t.Errorf("%d plans, the first %+v, want %d and names alone", len(got), got[0], n)
		}
	})
}

func TestHolds_Places(t *testing.T) {
	onBoth(t, func(f *fixture) {
		for _, name := range []string{"web10", "web2"} {
			_, err := f.holds().Set(f.ctx(), fleet.Place{Scope: fleet.ScopeHost, Name: name}, fleet.Hold{Reason: "x"})
			f.must(err)
		}
		_, err := f.holds().Set(f.ctx(), roleWeb(), fleet.Hold{Reason: "x"})
		f.must(err)
		got, err := planstore.Holds{Store: noValues{f.store}, Layout: f.layout}.Places(f.ctx())
		f.must(err)
		want := []fleet.Place{roleWeb(), {Scope: fleet.ScopeHost, Name: "web2"}, {Scope: fleet.ScopeHost, Name: "web10"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}
