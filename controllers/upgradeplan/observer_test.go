// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// passes are those that an observer received.
type passes []upgradeplan.Pass

func (p *passes) Reconciled(pass upgradeplan.Pass) { *p = append(*p, pass) }

func (p *passes) last() upgradeplan.Pass { return (*p)[len(*p)-1] }

func TestObserver_ReceivesEachPass(t *testing.T) {
	f, w := workerFixture(t)
	observed := &passes{}
	w.Observer = observed
	reconcile := func() upgradeplan.Pass {
		before := len(*observed)
		_, _, err := onePass(t.Context(), w, f.session, "fleet", everything())
		if len(*observed) != before+1 || !errors.Is(observed.last().Err, err) {
			t.Fatalf("%d passes were observed, the last with the error %v, want %v", len(*observed)-before, observed.last().Err, err)
		}
		return observed.last()
	}
	// A hold that is set during the pass makes it read again.
	moving := &watched{Store: f.store, before: func(n int) {
		if n == 1 {
			f.set(f.layout.HoldEpoch(), "moved")
			f.clock.Advance(2 * time.Second)
		}
	}}
	w.Store = moving
	begun := f.clock.Now()
	p := reconcile()
	if p.Plan != "fleet" || p.Version != "v2" || p.Starts != 1 || p.Conflicts != 1 || p.Transactions != moving.txns-1 ||
		!p.Begun.Equal(begun) || p.Took != 2*time.Second || p.Status.Phase != v1alpha1.PhaseProgressing {
		t.Errorf("the pass that released web1, after %d transactions: %+v", moving.txns, p)
	}
	f.fail("web1", "v2")
	if p = reconcile(); !slices.Equal(p.Failed, []string{"web1"}) || p.Status.Hosts.Failed != 1 || p.Starts != 0 || p.Agents[""] != 2 {
		t.Errorf("the pass that saw web1 fail: %+v", p)
	}
	f.set(keys.Plan("fleet").Spec(), "invalid")
	if p = reconcile(); !is[*planstore.InvalidPlanError](p.Err) || p.Version != "" || p.Failed != nil {
		t.Errorf("a plan that cannot be read: %+v", p)
	}
	f.txn(store.Op{Verb: store.Delete, Key: keys.Plan("fleet").Spec()})
	if p = reconcile(); !is[*planstore.NotFoundError](p.Err) {
		t.Errorf("a plan that is gone: %+v", p)
	}
}

func TestObserver_ReceivesNoInterruptedPass(t *testing.T) {
	f, w := workerFixture(t)
	observed := &passes{}
	w.Observer = observed
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := onePass(ctx, w, f.session, "fleet", everything()); err == nil || len(*observed) > 0 {
		t.Errorf("%v, and the observer received %+v", err, observed)
	}
}

// A status has the first roles only. The observer receives all.
func TestObserver_ReceivesAllRoles(t *testing.T) {
	f, w := workerFixture(t)
	observed := &passes{}
	w.Observer = observed
	for i := range 150 {
		f.hosts(true, "v1", fmt.Sprintf("role%c%c1", 'a'+i/26, 'a'+i%26))
	}
	_, _, err := onePass(t.Context(), w, f.session, "fleet", everything())
	f.must(err)
	if p := observed.last(); len(p.Roles) != 151 || len(p.Status.Roles) != status.MaxRoles {
		t.Errorf("%d roles, and %d in the status", len(p.Roles), len(p.Status.Roles))
	}
}
