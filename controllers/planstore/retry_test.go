// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// failedFleet is a fixture at v2, rollout 1, in which web1 has failed twice and waits, web2 was set aside, web3 is idle and db1
// is silent since long ago.
func failedFleet(t *testing.T) *fixture {
	f, l := newFixture(t), keys.Layout{}
	set := func(key string, value []byte, flags uint64) {
		f.txn(store.Op{Verb: store.Set, Key: key, Value: value, Flags: flags})
	}
	set(l.CurrentVersion(), []byte("v2"), keys.CurrentFlags(1, false))
	ledger := f.control(keys.Plan("fleet").Ledger())
	set(ledger.Key, keys.EncodeLedger(fleet.Ledger{Rollout: 1}), 0)
	for _, host := range []string{"web1", "web2", "web3", "db1"} {
		set(l.Record("v1", host), []byte("1772800000"), 0)
		r := fleet.Report{Schema: fleet.ReportSchema, Version: "v1", Phase: fleet.PhaseIdle}
		if host == "web1" || host == "web2" {
			r.Version, r.Phase, r.Attempt, r.AttemptRollout = "v2", fleet.PhaseFailed, 2, 1
		}
		set(l.Report(host), keys.EncodeReport(r), 0)
		set(l.EnableHost(host), []byte("True"), 0)
	}
	old := noon.AddDate(0, 0, -1)
	set(l.Started("web1"), keys.EncodeStarted(fleet.Started{Version: "v2", From: "v1", Time: old, Rollout: 1, Attempt: 2, Waiting: true}), 0)
	set(l.Started("db1"), keys.EncodeStarted(fleet.Started{Version: "v2", From: "v1", Time: old, Rollout: 1, Attempt: 1}), 0)
	return f
}

func (f *fixture) control(key string) keys.Pair {
	f.Helper()
	pairs, _, err := f.store.Get(f.Context(), key)
	if err != nil {
		f.Fatal(err)
	}
	return pairs[0]
}

func (f *fixture) orders() fleet.Control {
	f.Helper()
	c, err := keys.DecodeControl(f.control(keys.Plan("fleet").Control()))
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func TestSetAside_TakesFailedHostsOnly(t *testing.T) {
	f := failedFleet(t)
	order := fleet.Pause{By: "alice", Time: noon}
	for _, host := range []string{"web3", "web9"} {
		if _, err := f.plans.SetAside(t.Context(), "fleet", []string{"web1", host}, order); !isA[*planstore.NotFailedError](err) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if c := f.orders(); c.SetAside != nil {
		t.Errorf("a refused order was written: %+v", c)
	}
	set, err := f.plans.SetAside(t.Context(), "fleet", []string{"web1", "web2"}, order)
	if err != nil || !slices.Equal(set, []string{"web1"}) { // web2 was before
		t.Errorf("set aside %q, %v", set, err)
	}
	if c := f.orders(); len(c.SetAside) != 1 || c.SetAside["web1"].By != "alice" || c.SetAside["web1"].Rollout != 1 ||
		c.SetAside["web1"].Seen != f.control(keys.Layout{}.Started("web1")).ModifyIndex {
		t.Errorf("control %+v", c)
	}
}

func TestRetry_TakesHostsThatReportedAFailure(t *testing.T) {
	f := failedFleet(t)
	order := fleet.Pause{By: "alice", Time: noon}
	if _, err := f.plans.Retry(t.Context(), "fleet", []fleet.Place{{Scope: fleet.ScopeHost, Name: "web3"}}, order); !isA[*planstore.NotFailedError](err) {
		t.Errorf("a host that has not failed: %v", err)
	}
	if _, err := f.plans.SetAside(t.Context(), "fleet", []string{"web1"}, order); err != nil {
		t.Fatal(err)
	}
	again, err := f.plans.Retry(t.Context(), "fleet", []fleet.Place{{Scope: fleet.ScopeRole, Name: "web"}}, order)
	if err != nil || !slices.Equal(again, []string{"web1", "web2"}) {
		t.Errorf("retried %q, %v", again, err)
	}
	c := f.orders()
	if len(c.SetAside) != 0 || c.Retry == nil || c.Retry.Rollout != 1 || c.Retry.Hosts["web1"] != 2 || c.Retry.Hosts["web2"] != 2 {
		t.Errorf("control %+v", c)
	}
}

// A host that was silent and set aside keeps its place in the failure budget when it is retried.
func TestRetry_NotesSilentHosts(t *testing.T) {
	f := failedFleet(t)
	at := f.control(keys.Layout{}.Started("db1")).ModifyIndex
	f.txn(store.Op{Verb: store.Set, Key: keys.Plan("fleet").Ledger(), Value: keys.EncodeLedger(fleet.Ledger{Rollout: 1,
		Watermarks: fleet.Watermarks{{Index: at, Time: noon.AddDate(0, 0, -1).Unix()}}})})
	order, place := fleet.Pause{By: "alice", Time: noon}, []fleet.Place{{Scope: fleet.ScopeHost, Name: "db1"}}
	if _, err := f.plans.Retry(t.Context(), "fleet", place, order); !isA[*planstore.NotFailedError](err) {
		t.Errorf("a host that may still work: %v", err)
	}
	if _, err := f.plans.SetAside(t.Context(), "fleet", []string{"db1"}, order); err != nil {
		t.Fatal(err)
	}
	again, err := f.plans.Retry(t.Context(), "fleet", place, order)
	attempts, noted := f.orders().Retry.Hosts["db1"]
	if err != nil || !slices.Equal(again, []string{"db1"}) || !noted || attempts != 0 {
		t.Errorf("retried %q, %v, noted %v with %d attempts", again, err, noted, attempts)
	}
}

// An order drops earlier ones that were used, and setting a host aside ends its retry.
func TestRetry_DropsUsedOrders(t *testing.T) {
	f := failedFleet(t)
	c := f.orders()
	c.Retry = &fleet.Retry{Rollout: 1, Hosts: map[string]int{"web3": 4, "web1": 1}}
	for i := range 999 {
		c.Retry.Hosts[fmt.Sprintf("gone%d", i)] = 1
	}
	f.txn(store.Op{Verb: store.Set, Key: keys.Plan("fleet").Control(), Value: keys.EncodeControl(c)})
	order := fleet.Pause{By: "alice", Time: noon}
	if _, err := f.plans.Retry(t.Context(), "fleet", nil, order); err != nil {
		t.Fatal(err)
	}
	if got := f.orders().Retry.Hosts; len(got) != 2 || got["web1"] != 2 || got["web2"] != 2 {
		t.Errorf("orders %v", got)
	}
	if _, err := f.plans.SetPause(t.Context(), "fleet", &order); err != nil { // so that web1 is not granted again
		t.Fatal(err)
	}
	if _, err := f.plans.SetAside(t.Context(), "fleet", []string{"web1"}, order); err != nil {
		t.Fatal(err)
	}
	if got := f.orders().Retry.Hosts; len(got) != 1 {
		t.Errorf("orders %v, and web1 is set aside", got)
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// Orders of one plan may come from operators whose clocks differ by a year.
func TestResume_ForgivesEarlierOrdersOnly(t *testing.T) {
	f := failedFleet(t)
	if _, _, err := f.plans.Apply(t.Context(), f.plan("fleet", "version: v2\nfailurePolicy: {maxFailed: 0}"), false); err != nil {
		t.Fatal(err)
	}
	seen := f.control(keys.Layout{}.Started("db1"))
	f.txn(store.Op{Verb: store.Set, Key: keys.Layout{}.Started("web3"), Value: seen.Value})
	at := f.control(keys.Layout{}.Started("web3")).ModifyIndex
	f.txn(store.Op{Verb: store.Set, Key: keys.Plan("fleet").Ledger(), Value: keys.EncodeLedger(fleet.Ledger{Rollout: 1,
		Watermarks: fleet.Watermarks{{Index: at, Time: noon.AddDate(0, 0, -1).Unix()}}})})
	setAside := func(host string, at time.Time) {
		t.Helper()
		if _, err := f.plans.SetAside(t.Context(), "fleet", []string{host}, fleet.Pause{Time: at}); err != nil {
			t.Fatal(err)
		}
	}
	resume := func() {
		t.Helper()
		halted := f.orders()
		halted.Halt = &fleet.Halt{Version: "v2", Reason: "1 of 4 hosts have failed"}
		f.txn(store.Op{Verb: store.Set, Key: keys.Plan("fleet").Control(), Value: keys.EncodeControl(halted)})
		if _, err := f.plans.Resume(t.Context(), "fleet", planstore.Resumption{Pause: fleet.Pause{Time: noon}}); err != nil {
			t.Fatal(err)
		}
	}
	exceeded := func() string {
		o, err := planstore.Observe(t.Context(), f.store, "fleet", noon)
		if err != nil {
			t.Fatal(err)
		}
		if o.Decision.Gate.Reason != v1alpha1.ReasonFailureBudgetExceeded {
			return ""
		}
		return o.Decision.Gate.Message
	}
	setAside("db1", noon.AddDate(1, 0, 0))
	resume()
	if got := exceeded(); got != "" {
		t.Errorf("resumed after an order by a clock ahead: %s", got)
	}
	setAside("web3", noon.Add(-time.Hour))
	if got := exceeded(); !strings.Contains(got, "1 of 4 hosts have failed (web3)") {
		t.Errorf("an order by a clock behind after the resume: %q", got)
	}
	first := f.orders().Resumed.Time
	resume()
	if got := exceeded(); got != "" || !f.orders().Resumed.Time.After(first) {
		t.Errorf("resumed again at %s, after %s: %s", f.orders().Resumed.Time, first, got)
	}
}
