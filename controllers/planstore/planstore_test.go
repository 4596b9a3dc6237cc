// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

// fixture is a store with one plan, fleet.
type fixture struct {
	*testing.T
	store *memory.Store
	plans planstore.Plans
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, store: memory.New(func() time.Time { return noon })}
	f.plans.Store = f.store
	f.txn(store.Op{Verb: store.Set, Key: keys.Layout{}.CurrentVersion(), Value: []byte("v1")})
	if _, outcome, err := f.plans.Apply(t.Context(), f.plan("fleet", "version: v2"), false); err != nil || outcome != planstore.Created {
		t.Fatalf("%s, %v", outcome, err)
	}
	return f
}

func (f *fixture) plan(name, spec string) *v1alpha1.UpgradePlan {
	f.Helper()
	plan := &v1alpha1.UpgradePlan{}
	plan.Name = name
	if err := yaml.UnmarshalStrict([]byte(spec), &plan.Spec); err != nil {
		f.Fatal(err)
	}
	return plan
}

func (f *fixture) txn(ops ...store.Op) {
	f.Helper()
	if _, err := f.store.Txn(f.Context(), ops); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) version() string {
	f.Helper()
	plan, err := f.plans.Get(f.Context(), "fleet")
	if err != nil {
		f.Fatal(err)
	}
	return plan.Spec.Version
}

func TestApply_WritesNothingInADryRun(t *testing.T) {
	f := newFixture(t)
	plan, outcome, err := f.plans.Apply(t.Context(), f.plan("fleet", "version: v3"), true)
	if err != nil || outcome != planstore.Configured || plan.Spec.Version != "v3" || plan.Generation != 2 {
		t.Errorf("%s of %+v, error %v", outcome, plan, err)
	}
	if got := f.version(); got != "v2" {
		t.Errorf("the stored plan is at %s", got)
	}
}

func TestReplace_RefusesAnotherGeneration(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.plans.Replace(t.Context(), f.plan("fleet", "version: v3"), 1); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.plans.Replace(t.Context(), f.plan("fleet", "version: v4"), 1)
	if e, ok := errors.AsType[*planstore.GenerationError](err); !ok || e.Generation != 1 || e.Now != 2 {
		t.Errorf("error %v", err)
	}
	if _, _, err := f.plans.Replace(t.Context(), f.plan("other", "version: v4"), 1); !errors.Is(err, reconcile.ErrGone) {
		t.Errorf("a plan that does not exist: error %v", err)
	}
	if got := f.version(); got != "v3" {
		t.Errorf("the stored plan is at %s", got)
	}
}

// A pass must not grant hosts when an order to stop may be in a key that it cannot read.
func TestObserve_WritesNothingWithoutItsOwnKeys(t *testing.T) {
	own, l := keys.Plan("fleet"), keys.Layout{}
	set := func(key, value string) []store.Op {
		return []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}}
	}
	remove := func(key string) []store.Op { return []store.Op{{Verb: store.Delete, Key: key}} }
	for name, c := range map[string]struct {
		ops  []store.Op
		want string // empty: the snapshot is complete
	}{
		"all keys":           {nil, ""},
		"invalid control":    {set(own.Control(), "x"), "delete that key and apply the plan again"},
		"no control":         {remove(own.Control()), "apply the plan again"},
		"no ledger, no keys": {remove(own.Ledger()), ""},
		"no ledger, a key that enables": {append(remove(own.Ledger()), set(l.EnableHost("web1"), "True")...),
			"while config_state/enable_puppet/ holds keys"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if c.ops != nil {
				f.txn(c.ops...)
			}
			o, err := planstore.Observe(t.Context(), f.store, "fleet", noon)
			if err != nil {
				t.Fatal(err)
			}
			got := o.Keys.Incomplete
			if !strings.Contains(got, c.want) || (got == "") != (c.want == "") || o.Decision.ReadOnly != (c.want != "") {
				t.Errorf("incomplete: %q, read-only %v, want %q", got, o.Decision.ReadOnly, c.want)
			}
		})
	}
}

// lateCancel is a store whose caller gives up during each transaction.
type lateCancel struct {
	planstore.Store
	cancel context.CancelFunc
	txns   int
}

func (s *lateCancel) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	s.txns++
	s.cancel()
	return s.Store.Txn(ctx, ops)
}

func TestUncancelableStore_FinishesATransactionAndStartsNoOther(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	late := &lateCancel{Store: f.store, cancel: cancel}
	s := planstore.UncancelableStore{Store: late}
	op := store.Op{Verb: store.Set, Key: "key", Value: []byte("1")}
	if _, err := s.Txn(ctx, []store.Op{op}); err != nil {
		t.Errorf("the transaction that was under way: %v", err)
	}
	if _, err := s.Txn(ctx, []store.Op{op}); !errors.Is(err, context.Canceled) || late.txns != 1 {
		t.Errorf("%d transactions, error %v, want one", late.txns, err)
	}
}

// A plan that an earlier release stored has no alsoCount: it reads no checks for it, and the same spec does not change it.
func TestGet_ReadsAPlanOfAnEarlierRelease(t *testing.T) {
	f := newFixture(t)
	const spec = `{"version":"v2","instructions":{"rollingRules":{"global":1,"roles":{"web":"10%"},"fleet":3}}`
	f.txn(store.Op{Verb: store.Set, Key: keys.Plan("fleet").Spec(), Value: []byte(`{"kind":"UpgradePlan",` +
		`"apiVersion":"upgrade.jiocloud.com/v1alpha1","metadata":{"name":"fleet","generation":1},"spec":` + spec + `,"strategy":"Rolling",` +
		`"progressDeadlineSeconds":3600,"revisionHistoryLimit":10}}`)})
	plan, err := f.plans.Get(t.Context(), "fleet")
	if err != nil {
		t.Fatal(err)
	}
	if rules := plan.Spec.Instructions.RollingRules; len(rules.AlsoCount) > 0 || plan.Spec.HealthGate.CountMaintenance {
		t.Errorf("alsoCount %q, countMaintenance %v", rules.AlsoCount, plan.Spec.HealthGate.CountMaintenance)
	}
	if planstore.ReadsChecks(&plan.Spec) {
		t.Error("it reads checks")
	}
	if _, outcome, err := f.plans.Apply(t.Context(), f.plan("fleet", spec+"}"), false); err != nil || outcome != planstore.Unchanged {
		t.Errorf("applied again: %s, %v", outcome, err)
	}
	plan.Spec.Instructions.RollingRules.AlsoCount = []v1alpha1.Outage{v1alpha1.OutageCritical}
	if !planstore.ReadsChecks(&plan.Spec) {
		t.Error("with alsoCount it reads no checks")
	}
}
