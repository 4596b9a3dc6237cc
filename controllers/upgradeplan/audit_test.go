// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// audited is a plan of two agents whose worker writes an audit log.
type audited struct {
	*fixture
	worker *upgradeplan.Worker
	// through refuses transactions of the log with refuse. With applied it refuses them after they were applied.
	refuse  error
	applied bool
	// order names the transactions: audit, or other.
	order []string
	log   []string
}

func newAudited(t *testing.T) *audited {
	t.Helper()
	f, w := workerFixture(t)
	a := &audited{fixture: f, worker: w}
	w.Store = refusing{f.store, a}
	w.Log = funcr.New(func(_, args string) { a.log = append(a.log, args) }, funcr.Options{})
	return a
}

type refusing struct {
	store.Store
	a *audited
}

func (r refusing) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if !ofAudit(ops) {
		r.a.order = append(r.a.order, "other")
		return r.Store.Txn(ctx, ops)
	}
	r.a.order = append(r.a.order, "audit")
	if r.a.refuse != nil && !r.a.applied {
		return store.Result{}, r.a.refuse
	}
	result, err := r.Store.Txn(ctx, ops)
	if r.a.refuse != nil {
		return store.Result{}, r.a.refuse
	}
	return result, err
}

func (a *audited) pass() {
	a.t.Helper()
	a.order = nil
	_, _, err := onePass(a.ctx(), a.worker, a.session, "fleet", everything())
	a.must(err)
}

func (a *audited) plans() planstore.Plans { return planstore.Plans{Store: a.store} }

func (a *audited) pairs() []keys.Pair {
	a.t.Helper()
	pairs, _, err := a.store.List(a.ctx(), audit.Tree("fleet"))
	a.must(err)
	return pairs
}

// verified returns the kinds of the entries, which must hold.
func (a *audited) verified() string {
	a.t.Helper()
	entries, err := audit.Verify("fleet", a.pairs())
	if err != nil {
		a.t.Errorf("%v", err)
	}
	return kinds(entries)
}

func kinds(entries []audit.Entry) string {
	var list []string
	for _, e := range entries {
		list = append(list, string(e.Kind))
	}
	return strings.Join(list, " ")
}

func (a *audited) pause() {
	a.t.Helper()
	_, err := a.plans().SetPause(a.ctx(), "fleet", &fleet.Pause{By: "ann", Reason: "storm", Time: a.clock.Now()})
	a.must(err)
}

func (a *audited) resume() {
	a.t.Helper()
	_, err := a.plans().Resume(a.ctx(), "fleet", planstore.Resumption{Pause: fleet.Pause{By: "bob", Time: a.clock.Now()}})
	a.must(err)
}

func (a *audited) want(kinds string) {
	a.t.Helper()
	if got := a.verified(); got != kinds {
		a.t.Errorf("the log has %q, want %q", got, kinds)
	}
}

func TestAudit_CoversOrdersBeforeGrantsAndAfterStops(t *testing.T) {
	a := newAudited(t)
	a.pause()
	a.pass()
	if a.order[0] != "other" || !slices.Contains(a.order, "audit") {
		t.Errorf("a pass that stops wrote %v", a.order)
	}
	a.want("Begin Spec Pause")
	a.resume()
	a.pass()
	if a.order[0] != "audit" {
		t.Errorf("a pass that grants wrote %v", a.order)
	}
	a.want("Begin Spec Pause Resume")
	last := audit.Decode("fleet", a.pairs())[3]
	if last.By != "bob" || last.What != "resumed pause" || last.Index != a.get(keys.Plan("fleet").Control()).ModifyIndex ||
		!last.Time.Equal(a.clock.Now()) {
		t.Errorf("%+v", last)
	}
	if line := strings.Join(a.log, "\n"); !strings.Contains(line, last.Hash) || !strings.Contains(line, `"kind"="Resume"`) {
		t.Errorf("the controller logged\n%s", line)
	}
	a.pass()
	if slices.Contains(a.order, "audit") {
		t.Errorf("a pass without an order wrote %v", a.order)
	}
}

func TestAudit_GoesOnAfterAChangeOfLeader(t *testing.T) {
	a := newAudited(t)
	a.pass()
	a.lock()
	a.pass()
	a.want("Begin Spec")
	a.pause()
	a.lock()
	a.pass()
	a.want("Begin Spec Pause")
	a.lock()
	a.resume()
	session := a.session
	a.lock()
	if _, _, err := onePass(a.ctx(), a.worker, session, "fleet", everything()); err == nil {
		t.Error("a worker without the lock made a pass")
	}
	a.want("Begin Spec Pause")
}

func TestAudit_IsNeededForNothing(t *testing.T) {
	for name, refuse := range map[string]error{
		"a token of an earlier release": &store.ForbiddenError{Key: audit.HeadKey("fleet"), Policy: "write"},
		"no answer":                     &store.UnavailableError{Address: "test", Err: fmt.Errorf("no answer")},
		"an error":                      fmt.Errorf("no"),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAudited(t)
			a.refuse = refuse
			a.pass()
			if a.get(a.layout.Grant("web1")).ModifyIndex == 0 {
				t.Error("web1 has no grant")
			}
			a.pause()
			a.pass()
			if a.get(a.layout.Grant("web1")).ModifyIndex != 0 {
				t.Error("the pause revoked no grant")
			}
			if n := strings.Count(strings.Join(a.log, "\n"), "cannot write the audit log"); n != 1 {
				t.Errorf("%d errors are logged:\n%s", n, strings.Join(a.log, "\n"))
			}
			a.refuse = nil
			a.clock.Advance(time.Minute)
			a.pass()
			a.want("Begin Spec Pause")
		})
	}
}

// A transaction whose answer was lost is logged, and is no change by another writer.
func TestAudit_FindsItsOwnTransactionAfterALostAnswer(t *testing.T) {
	a := newAudited(t)
	a.refuse, a.applied = &store.UnavailableError{Address: "test", Err: fmt.Errorf("no answer")}, true
	a.pass()
	a.refuse = nil
	a.pause()
	a.pass()
	a.want("Begin Spec Pause")
	for _, kind := range []string{"Begin", "Spec", "Pause"} {
		if n := strings.Count(strings.Join(a.log, "\n"), `"kind"="`+kind+`"`); n != 1 {
			t.Errorf("%s is logged %d times", kind, n)
		}
	}
}

func TestAudit_ARestoredStoreIsNoChangeByAnotherWriter(t *testing.T) {
	a := newAudited(t)
	s := a.store.(*memory.Store)
	a.pass()
	backup := s.Snapshot()
	a.pause()
	a.pass()
	a.want("Begin Spec Pause")
	s.Restore(backup)
	a.pass()
	a.resume()
	a.pause()
	a.pass()
	got := a.verified()
	if !strings.HasPrefix(got, "Begin Spec StoreWentBack") || strings.Contains(got, "LogChanged") {
		t.Errorf("the log has %q", got)
	}
}

func TestAudit_NotesAChangeByAnotherWriter(t *testing.T) {
	truncated := func(a *audited) {
		entries := audit.Decode("fleet", a.pairs())
		a.set(audit.HeadKey("fleet"), string(audit.Head{Number: 2, Hash: entries[1].Hash}.Encode()))
		a.txn(store.Op{Verb: store.Delete, Key: audit.EntryKey("fleet", 3)})
	}
	for name, tt := range map[string]struct {
		change func(a *audited)
		says   string
	}{
		"truncated, with a head that fits": {truncated, "entry 3 says that the controller found a change: the log was at entry 3"},
		"erased":                           {func(a *audited) { a.txn(store.Op{Verb: store.DeleteTree, Key: audit.Tree("fleet")}) }, "entry 1 is missing"},
		"a head that cannot be read":       {func(a *audited) { a.set(audit.HeadKey("fleet"), "x") }, "entry 4 says that the controller found a change"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAudited(t)
			a.pass()
			a.pause()
			a.pass()
			a.want("Begin Spec Pause")
			tt.change(a)
			a.resume()
			a.pass()
			if _, err := audit.Verify("fleet", a.pairs()); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
	t.Run("no head, and another leader", func(t *testing.T) {
		a := newAudited(t)
		a.pass()
		a.txn(store.Op{Verb: store.Delete, Key: audit.HeadKey("fleet")})
		a.lock()
		a.pass()
		if _, err := audit.Verify("fleet", a.pairs()); err == nil || !strings.Contains(err.Error(), "entry 3 says that the controller found") {
			t.Errorf("%v", err)
		}
	})
}

func TestAudit_CoversInvalidAndDeletedPlans(t *testing.T) {
	a := newAudited(t)
	a.pass()
	spec := a.get(keys.Plan("fleet").Spec())
	a.set(spec.Key, "invalid")
	a.pause()
	if _, _, err := onePass(a.ctx(), a.worker, a.session, "fleet", everything()); err == nil {
		t.Error("the plan is valid")
	}
	a.want("Begin Spec Spec Pause")
	a.set(spec.Key, string(spec.Value))
	a.pass()
	a.must(a.plans().Delete(a.ctx(), "fleet", false))
	if _, _, err := onePass(a.ctx(), a.worker, a.session, "fleet", everything()); err == nil {
		t.Error("the plan exists")
	}
	a.want("Begin Spec Spec Pause Spec Delete")
}

func TestAudit_CoversHolds(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set(f.layout.CurrentVersion(), "v1")
		f.hosts(true, "v1", names("web", 2)...)
		f.apply("version: v2\ninstructions: {rollingRules: {global: 1}}")
		holds := planstore.Holds{Store: f.store}
		at, _ := keys.PlaceOf("host/web1")
		f.reconcile()
		_, err := holds.Set(f.ctx(), at, fleet.Hold{Owner: "ann", Reason: "disk", Time: f.clock.Now()})
		f.must(err)
		f.reconcile()
		_, err = holds.Unhold(f.ctx(), at)
		f.must(err)
		f.reconcile()
		pairs, _, err := f.store.List(f.ctx(), audit.Tree("fleet"))
		f.must(err)
		entries, err := audit.Verify("fleet", pairs)
		f.must(err)
		if got := kinds(entries); got != "Begin Spec Hold Unhold" || entries[2].By != "ann" || entries[2].What != "on hold: host/web1" {
			t.Errorf("%q: %+v", got, entries)
		}
	})
}
