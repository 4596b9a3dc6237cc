// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// later gives an object the schema of a later release.
func (f *fixture) later(key string) {
	f.t.Helper()
	value := string(f.get(key).Value)
	later := strings.Replace(value, `{"schema":1`, `{"schema":3`, 1)
	if later == value {
		later = strings.Replace(value, "{", `{"schema":3,`, 1)
	}
	f.set(key, later)
}

// An order to stop, or what a restart must not forget, may be in what this program cannot read.
func TestSchema_ALaterControlOrLedgerStartsNothing(t *testing.T) {
	for name, key := range map[string]string{"control": keys.Plan("fleet").Control(), "ledger": keys.Plan("fleet").Ledger()} {
		for _, fleetAt := range []string{"1", ""} {
			t.Run(name+" of a fleet at "+fleetAt, func(t *testing.T) {
				c := newClock()
				f := newFixture(t, memory.New(c.Now), c)
				if fleetAt != "" {
					f.set("current_version", fleetAt)
					f.hosts(true, fleetAt, names("web", 3)...)
				}
				f.apply(twoAtATime)
				f.set(key, `{"schema":3,"counter":9}`)
				before := f.indexes()
				r := f.reconcile()
				want := key + " has schema 3, and this program knows 1: upgrade it"
				if g := r.Decision.Gate; g.Reason != v1alpha1.ReasonObservationIncomplete || !strings.HasSuffix(g.Message, want) {
					t.Errorf("%s: %s", g.Reason, g.Message)
				}
				if d := cmp.Diff(before, f.indexes()); d != "" {
					t.Errorf("the pass wrote %s", d)
				}
			})
		}
	}
}

func TestSchema_OrdersLeaveALaterControlAlone(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.apply(twoAtATime)
	f.later(keys.Plan("fleet").Control())
	_, err := planstore.Plans{Store: f.store}.SetPause(f.ctx(), "fleet", &fleet.Pause{By: "ops"})
	if _, ok := errors.AsType[*keys.SchemaError](err); !ok {
		t.Errorf("%v", err)
	}
}

func TestSchema_ALaterSpecIsNotCarriedOut(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.apply(twoAtATime)
	key := keys.Plan("fleet").Spec()
	_, err := planstore.DecodePlan("fleet", keys.Pair{Key: key, ModifyIndex: 1,
		Value: []byte(strings.Replace(string(f.get(key).Value), "{", `{"schema":1,`, 1))})
	f.must(err)
	f.later(key)
	_, err = f.reconciler().Reconcile(f.ctx(), "fleet")
	if _, ok := errors.AsType[*planstore.InvalidPlanError](err); !ok ||
		!strings.Contains(err.Error(), key+" has schema 3, and this program knows 1: upgrade it") {
		t.Errorf("%v", err)
	}
}

func TestSchema_SyncsLeaveALaterManagerAlone(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	f.apply(twoAtATime)
	f.set(keys.Plan("fleet").Manager(), `{"schema":2,"source":"git"}`)
	managed := planstore.ManagedPlans{Store: f.store, Session: f.session}
	_, err := managed.Origins(f.ctx())
	_, pruneErr := managed.Prune(f.ctx(), "fleet", "git", false)
	for _, err := range []error{err, pruneErr} {
		if _, ok := errors.AsType[*keys.SchemaError](err); !ok {
			t.Errorf("%v", err)
		}
	}
}

// A rollout goes on with the objects of the previous release, which had no schema. None of them is written for that.
func TestSchema_ObjectsOfThePreviousReleaseAreRead(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 3)...)
		f.hosts(false, "1", "db1", "db2")
		f.apply(twoAtATime)
		f.reconcile()
		f.reconcile()
		_, err := f.holds().Set(f.ctx(), hostWeb1(), fleet.Hold{Owner: "me"})
		f.must(err)
		f.set(f.layout.Started("db1"), string(keys.EncodeStarted(fleet.Started{Version: "2", Time: f.clock.Now(), By: fleet.ByController})))
		for range 3 {
			f.reconcile()
		}
		pairs, _, err := f.store.List(f.ctx(), "")
		f.must(err)
		stripped := 0
		for _, p := range pairs {
			if old, ok := strings.CutPrefix(string(p.Value), `{"schema":1,`); ok {
				f.set(p.Key, "{"+old)
				stripped++
			}
		}
		if !strings.HasPrefix(string(f.get(f.layout.Started("db1")).Value), `{"version"`) {
			t.Errorf("the marker is %s", f.get(f.layout.Started("db1")).Value)
		}
		r := f.reconcile()
		if stripped < 5 || r.Written.Transactions != 0 {
			t.Errorf("%d objects, the pass wrote %s", stripped, r.Written)
		}
	})
}
