// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/plantest"
)

// clock is the time of a test. It stands still until the test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a fleet in a store, whose lock the test holds.
type fixture struct {
	t       testing.TB
	clock   *clock
	store   store.Store // as hosts and operators reach it
	through store.Store // as the controller does
	layout  keys.Layout
	session string
}

func newFixture(t testing.TB, s store.Store, c *clock) *fixture {
	f := &fixture{t: t, clock: c, store: s, through: s}
	f.lock()
	return f
}

func (f *fixture) ctx() context.Context { return f.t.Context() }

// lock takes the lock from any other holder.
func (f *fixture) lock() {
	f.t.Helper()
	if f.session != "" {
		f.must(f.store.DestroySession(f.ctx(), f.session))
	}
	session, err := f.store.CreateSession(f.ctx(), store.SessionOptions{Name: "test", TTL: 10 * time.Minute})
	f.must(err)
	f.session = session
	lock := []store.Op{{Verb: store.Lock, Key: keys.Leader, Session: session, Value: []byte(f.t.Name())}}
	for { // Consul delays a lock that was lost
		_, err := f.store.Txn(f.ctx(), lock)
		if _, ok := errors.AsType[*store.ConflictError](err); !ok {
			f.must(err)
			return
		}
	}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) txn(ops ...store.Op) {
	f.t.Helper()
	for chunk := range slices.Chunk(ops, f.store.MaxOps()) {
		_, err := f.store.Txn(f.ctx(), chunk)
		f.must(err)
	}
}

func (f *fixture) set(key, value string) {
	f.t.Helper()
	f.txn(store.Op{Verb: store.Set, Key: key, Value: []byte(value)})
}

func (f *fixture) get(key string) keys.Pair {
	f.t.Helper()
	pairs, _, err := f.store.Get(f.ctx(), key)
	f.must(err)
	return pairs[0]
}

// hosts report a version: legacy hosts by their record alone, agents by their report, too.
func (f *fixture) hosts(agent bool, version string, names ...string) {
	f.t.Helper()
	var ops []store.Op
	for _, n := range names {
		ops = append(ops, f.reportOps(agent, version, n)...)
	}
	f.txn(ops...)
}

func (f *fixture) reportOps(agent bool, version, name string) []store.Op {
	ops := []store.Op{{Verb: store.Set, Key: f.layout.Record(version, name), Value: keys.EncodeTime(f.clock.Now())}}
	if agent {
		report := fleet.Report{Schema: fleet.ReportSchema, Version: version, Phase: fleet.PhaseIdle, Time: f.clock.Now()}
		ops = append(ops, store.Op{Verb: store.Set, Key: f.layout.Report(name), Value: keys.EncodeReport(report)},
			store.Op{Verb: store.Delete, Key: f.layout.Started(name)}, store.Op{Verb: store.Delete, Key: f.layout.Grant(name)})
	}
	return ops
}

// reach lets hosts reach a version that they did not have.
func (f *fixture) reach(agent bool, from, to, name string) {
	f.t.Helper()
	f.txn(append(f.reportOps(agent, to, name), store.Op{Verb: store.Delete, Key: f.layout.Record(from, name)})...)
}

func planOf(t testing.TB, spec string) *v1alpha1.UpgradePlan {
	t.Helper()
	p := &v1alpha1.UpgradePlan{}
	p.Name = "fleet"
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) apply(spec string) planstore.Outcome {
	f.t.Helper()
	p := planOf(f.t, spec)
	f.layout = planstore.Layout(p)
	_, outcome, err := planstore.Plans{Store: f.store}.Apply(f.ctx(), p, false)
	f.must(err)
	return outcome
}

func (f *fixture) reconciler() *upgradeplan.Reconciler {
	return &upgradeplan.Reconciler{Store: f.through, Session: f.session, Now: f.clock.Now, Log: testr.New(f.t.(*testing.T))}
}

func (f *fixture) reconcile() upgradeplan.Result {
	f.t.Helper()
	r, err := f.reconciler().Reconcile(f.ctx(), "fleet")
	f.must(err)
	return r
}

// enabled returns the keys of the enable_puppet tree, as "host/web1=True".
func (f *fixture) enabled() []string {
	f.t.Helper()
	pairs, _, err := f.store.List(f.ctx(), f.layout.EnableTree())
	f.must(err)
	var out []string
	for _, p := range pairs {
		out = append(out, strings.TrimPrefix(p.Key, f.layout.EnableTree())+"="+string(p.Value))
	}
	return out
}

// indexes returns the ModifyIndex of every key in the store.
func (f *fixture) indexes() map[string]uint64 {
	f.t.Helper()
	pairs, _, err := f.store.List(f.ctx(), "")
	f.must(err)
	out := map[string]uint64{}
	for _, p := range pairs {
		out[p.Key] = p.ModifyIndex
	}
	return out
}

// upgrade lets every granted or started host reach the version as agents do, one at a time.
func (f *fixture) upgrade(r upgradeplan.Result) int {
	f.t.Helper()
	n := 0
	for _, h := range r.Fleet.Hosts {
		if h.Record.Version != r.Decision.Version && (h.Started != nil || f.may(h)) {
			f.reach(h.Agent(), h.Record.Version, r.Decision.Version, h.Name)
			n++
		}
	}
	return n
}

// may reports whether a host that reads its keys now may change its version.
func (f *fixture) may(h fleet.Host) bool {
	f.t.Helper()
	current := keys.DecodeCurrent(f.get(f.layout.CurrentVersion()))
	s := f.setting(h)
	switch {
	case h.KnowsGrants() && current.Governed:
		return keys.DecodeGrant(f.get(f.layout.Grant(h.Name))).For(current)
	case h.Agent():
		return s.Value == fleet.True && s.Index > current.Index
	}
	return s.Value == fleet.True
}

// setting returns the setting that a host reads now.
func (f *fixture) setting(h fleet.Host) fleet.EnableValue {
	f.t.Helper()
	pairs, _, err := f.store.Get(f.ctx(), f.layout.EnableHost(h.Name), f.layout.EnableRole(h.LookupRole), f.layout.EnableGlobal())
	f.must(err)
	for _, p := range pairs {
		if p.Exists() {
			return keys.DecodeEnableValue(p)
		}
	}
	return fleet.EnableValue{}
}

// complete reconciles and lets hosts upgrade until the plan is complete.
func (f *fixture) complete() {
	f.t.Helper()
	for range 100 {
		r := f.reconcile()
		if r.Decision.Complete {
			return
		}
		f.upgrade(r)
		f.clock.Advance(time.Minute)
	}
	f.t.Fatal("not complete after 100 passes")
}

func names(role string, n int) []string {
	var out []string
	for i := 1; i <= n; i++ {
		out = append(out, fmt.Sprintf("%s%d", role, i))
	}
	return out
}

// watched is a store that counts transactions, can fail them, and shows the state to an invariant checker after each.
type watched struct {
	store.Store
	referee *plantest.InvariantChecker
	txns    int
	// failAt is the number of the transaction that fails, from 1. With lost it is applied nevertheless.
	failAt int
	lost   bool
	// before runs before each transaction.
	before func(n int)
}

func (w *watched) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if ofAudit(ops) { // it has tests of its own
		return w.Store.Txn(ctx, ops)
	}
	w.txns++
	if w.before != nil {
		w.before(w.txns)
	}
	if w.txns == 1 {
		w.look(ctx)
	}
	broken := &store.UnavailableError{Address: "test", Err: fmt.Errorf("transaction %d is cut off", w.txns)}
	if w.txns == w.failAt && !w.lost {
		return store.Result{}, broken
	}
	result, err := w.Store.Txn(ctx, ops)
	w.look(ctx)
	if w.txns == w.failAt {
		return store.Result{}, broken
	}
	return result, err
}

// ofAudit reports whether a transaction writes the audit log.
func ofAudit(ops []store.Op) bool {
	return slices.ContainsFunc(ops, func(op store.Op) bool { return op.Key == audit.HeadKey("fleet") })
}

func (w *watched) look(ctx context.Context) {
	if w.referee == nil {
		return
	}
	pairs, _, err := w.Store.List(ctx, "")
	if err != nil {
		panic(err)
	}
	_ = w.referee.Look(pairs) // it keeps the faults
}

// is reports whether an error is or wraps one of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
