// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/plantest"
)

const twoAtATime = "version: '2'\ninstructions: {rollingRules: {global: 2}}"

func onMemory(t *testing.T, test func(*fixture)) {
	t.Helper()
	c := newClock()
	test(newFixture(t, memory.New(c.Now), c))
}

// onBoth runs a test on the memory store and on a real Consul.
func onBoth(t *testing.T, test func(*fixture)) {
	t.Run("memory", func(t *testing.T) { onMemory(t, test) })
	t.Run("consul", func(t *testing.T) {
		t.Parallel()
		test(newFixture(t, openConsul(t, consultest.Start(t).Addr()), newClock()))
	})
}

func openConsul(t *testing.T, addr string) store.Store {
	t.Helper()
	s, err := consul.New(consul.Config{Address: addr, RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReconcile_SwitchesAndGrantsInOnePass(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "1")
		f.set("config_state/enable_puppet/host/gone9", "True")
		f.hosts(true, "1", names("web", 3)...)
		f.hosts(true, "2", "db1")
		f.apply(twoAtATime)
		f.reconcile()
		want := []string{"global=False", "host/db1=True", "host/web1=True", "host/web2=True", "role/db=True"}
		if d := cmp.Diff(want, f.enabled()); d != "" {
			t.Error(d)
		}
		if got := string(f.get("current_version").Value); got != "2" {
			t.Errorf("current_version is %s", got)
		}
	})
}

// Several goroutines share the hosts of a large fleet.
func TestReconcile_GrantsInALargeFleet(t *testing.T) {
	onMemory(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 2_000)...)
		f.hosts(true, "2", names("db", 18_000)...)
		f.apply(twoAtATime)
		r := f.reconcile()
		if r.Starts != 2 || r.Status.Hosts.Upgraded != 18_000 || r.Status.Hosts.Total != 20_000 {
			t.Errorf("%d starts, hosts %+v", r.Starts, r.Status.Hosts)
		}
	})
}

func TestReconcile_WritesNothingTheSecondTime(t *testing.T) {
	for name, spec := range map[string]string{
		"rolling": twoAtATime,
		"batch":   twoAtATime + "\nstrategy: Batch",
		"soaking": twoAtATime + "\nminReadySeconds: 600",
		"paused":  twoAtATime + "\npaused: true",
		"fleet":   "version: '2'\ninstructions: {rollingRules: {fleet: '30%'}, roleOrder: {web: db}}",
		"free":    "version: '2'",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.set("current_version", "1")
				f.hosts(true, "1", names("web", 7)...)
				f.hosts(false, "1", names("db", 3)...)
				f.hosts(false, "2", "db4", "odd")
				f.apply(spec)
				for range 3 {
					r := f.reconcile()
					before := f.indexes()
					f.clock.Advance(time.Second)
					again := f.reconcile()
					if d := cmp.Diff(before, f.indexes()); d != "" || again.Written.Transactions != 0 {
						t.Fatalf("the second pass wrote %s: %s", again.Written, d)
					}
					f.upgrade(r)
				}
			})
		})
	}
}

func TestReconcile_CompletesARollout(t *testing.T) {
	onBoth(t, func(f *fixture) {
		w := &watched{Store: f.store, referee: &plantest.InvariantChecker{Limits: map[string]int{"web": 2, "db": 2}}}
		f.through = w
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 7)...)
		f.hosts(false, "1", names("db", 5)...)
		f.apply(twoAtATime)
		f.complete()
		report(t, w.referee)
	})
}

func report(t testing.TB, r *plantest.InvariantChecker) {
	t.Helper()
	for _, fault := range r.Faults {
		t.Error(fault)
	}
}

// mixedFleet starts a rollout over agents and three legacy hosts. At most 170 agents are in flight, which takes several
// transactions.
func (f *fixture) mixedFleet(agents int) {
	f.t.Helper()
	f.set("current_version", "1")
	f.hosts(true, "1", names("web", agents)...)
	f.hosts(false, "1", names("db", 3)...)
	f.set("config_state/enable_puppet/global", "False")
	f.set("config_state/enable_puppet/host/db1", "True") // a legacy host at version 1: not in flight
	f.apply("version: '2'\ninstructions: {rollingRules: {global: 2, roles: {web: 170}}}")
}

// A failure at every transaction, applied or not: the next passes end in the same state, and no state between exceeds a limit.
func TestReconcile_RecoversFromAFailureAtEveryTransaction(t *testing.T) {
	scenario := func(t *testing.T, failAt int, lost bool) (txns int, end map[string]string) {
		onMemory(t, func(f *fixture) {
			w := &watched{Store: f.store, failAt: failAt, lost: lost,
				referee: &plantest.InvariantChecker{Limits: map[string]int{"web": 170, "db": 2}}}
			f.through = w
			f.mixedFleet(500)
			for range 40 {
				r, err := f.reconciler().Reconcile(f.ctx(), "fleet")
				if err != nil {
					if _, ok := errors.AsType[*store.UnavailableError](err); !ok {
						t.Fatal(err)
					}
					continue
				}
				if r.Decision.Complete {
					break
				}
				f.upgrade(r)
			}
			report(t, w.referee)
			txns, end = w.txns, f.values()
		})
		return txns, end
	}
	txns, want := scenario(t, 0, false)
	if txns < 8 {
		t.Fatalf("only %d transactions", txns)
	}
	for k := 1; k <= txns; k++ {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("transaction %d, applied %v", k, lost), func(t *testing.T) {
				if _, end := scenario(t, k, lost); !maps.Equal(want, end) {
					t.Error(cmp.Diff(want, end))
				}
			})
		}
	}
}

// values returns all keys that hosts read, and the plan's own keys without counters and times.
func (f *fixture) values() map[string]string {
	pairs, _, err := f.store.List(f.ctx(), "")
	f.must(err)
	out := map[string]string{}
	for _, p := range pairs {
		if !strings.HasPrefix(p.Key, "upgrade.jiocloud.com/") {
			out[p.Key] = string(p.Value)
		}
	}
	return out
}

// A pass writes nothing if an operator stops the rollout while it is computed.
func TestReconcile_WritesNothingAfterAStop(t *testing.T) {
	for name, stop := range map[string]func(*fixture){
		"pause": func(f *fixture) {
			_, err := planstore.Plans{Store: f.store}.SetPause(f.ctx(), "fleet", &fleet.Pause{By: "me"})
			f.must(err)
		},
		"hold": func(f *fixture) {
			_, err := planstore.Holds{Store: f.store}.Set(f.ctx(), roleWeb(), fleet.Hold{})
			f.must(err)
		},
		"undo":                    func(f *fixture) { f.undo(1) },
		"abort":                   func(f *fixture) { f.abort() },
		"another version by hand": func(f *fixture) { f.set("current_version", "2") },
		"a spec that is paused":   func(f *fixture) { f.apply(twoAtATime + "\npaused: true") },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.set("current_version", "2")
				f.hosts(true, "1", names("web", 4)...)
				f.apply("version: '2'\ninstructions: {rollingRules: {global: 0}}")
				f.apply(twoAtATime)
				stopped := false
				f.through = &watched{Store: f.store, before: func(int) {
					if !stopped {
						stopped = true
						stop(f)
					}
				}}
				f.reconcile()
				started := slices.DeleteFunc(f.enabled(), func(s string) bool { return !strings.HasSuffix(s, "True") })
				if len(started) > 0 && name != "another version by hand" {
					t.Errorf("started after the stop was acknowledged: %v", started)
				}
			})
		})
	}
}

// Drift correction does not undo global-disable-puppet, because that pauses the plan.
func TestDisablePuppet_OutlastsDriftCorrection(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "2")
		f.set("config_state/enable_puppet/global", "False")
		f.hosts(true, "2", "web1", "web2")
		f.hosts(false, "1", names("db", 3)...)
		f.apply(twoAtATime)
		f.reconcile()
		plans := planstore.Plans{Store: f.store}
		did, err := plans.DisablePuppet(f.ctx(), "fleet", f.layout, fleet.Pause{By: "me", Time: f.clock.Now()})
		f.must(err)
		if d := cmp.Diff([]string{"db1", "db2"}, did.Marked); d != "" || !did.Paused {
			t.Errorf("%+v", did)
		}
		f.reconcile()
		if d := cmp.Diff([]string{"global=False"}, f.enabled()); d != "" {
			t.Errorf("disabled, and after a pass: %s", d)
		}
		_, err = plans.SetPause(f.ctx(), "fleet", nil)
		f.must(err)
		r := f.reconcile()
		if v := verdict(t, r, "db3"); v.Reason != v1alpha1.ReasonNoFreeSlot || len(f.enabled()) != 6 {
			t.Errorf("after resume: %v\n%s", f.enabled(), explain(r))
		}
	})
}

// A former leader, whose lock another process holds, cannot write one key.
func TestReconcile_WritesNothingWithoutTheLock(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 4)...)
		f.apply(twoAtATime)
		stale := f.reconciler()
		f.lock()
		before := f.indexes()
		_, err := stale.Reconcile(f.ctx(), "fleet")
		if !errors.Is(err, leaderelection.ErrLost) {
			t.Errorf("got %v", err)
		}
		if d := cmp.Diff(before, f.indexes()); d != "" {
			t.Error(d)
		}
	})
}

func TestReconcile_CorrectsUnexpectedKeys(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*fixture)
		spec    string
		want    []string                 // keys of the tree after a pass
		states  map[string]rollout.State // of hosts after a pass
	}{
		"a version set by hand starts no agent, and is switched back": {
			arrange: func(f *fixture) {
				f.hosts(true, "1", "web1", "web2", "web3")
				f.set("config_state/enable_puppet/host/web3", "True") // older than current_version
				f.set("current_version", "9")
			},
			want: []string{"global=False", "host/web1=True", "host/web2=True"},
		},
		"a wiped tree: agents stay where they are, and the field is marked": {
			arrange: func(f *fixture) {
				f.set("current_version", "2")
				f.hosts(true, "1", "web1")
				f.hosts(false, "1", "db1", "db2", "db3")
			},
			want:   []string{"global=False", "host/web1=True"}, // each of the three may have started, and two may
			states: map[string]rollout.State{"db1": rollout.Pending, "web1": rollout.Upgrading},
		},
		"false in lower case enables a legacy host, and is corrected": {
			arrange: func(f *fixture) {
				f.set("current_version", "2")
				f.hosts(false, "1", "db1", "db2", "db3")
				f.set("config_state/enable_puppet/global", "False")
				f.set("config_state/enable_puppet/host/db2", "false")
			},
			want: []string{"global=False", "host/db1=True", "host/db2=True"},
		},
		"a record under two versions: the newer one counts": {
			arrange: func(f *fixture) {
				f.set("current_version", "2")
				f.set("config_state/enable_puppet/global", "False")
				f.hosts(false, "2", "db1")
				f.hosts(false, "1", "db1")
				f.hosts(false, "1", "db2")
				f.hosts(false, "2", "db2")
			},
			want:   []string{"global=False", "host/db1=True", "host/db2=True"},
			states: map[string]rollout.State{"db1": rollout.Upgrading, "db2": rollout.Upgraded},
		},
		"binary values of keys disable, and are corrected": {
			arrange: func(f *fixture) {
				f.set("current_version", "2")
				f.hosts(true, "1", "web1", "web2", "web3")
				f.set("config_state/enable_puppet/global", "\x00\xff\xfe")
				f.set("config_state/enable_puppet/host/web3", "\xff")
				f.set("running/versions/1/\xff\x01", "x")
				f.set("upgrade.jiocloud.com/hosts/web2", "\x00{")
				f.set("upgrade.jiocloud.com/holds/host/web1", "\x00")
			},
			want:   []string{"global=False", "host/web2=True", "host/web3=True"},
			states: map[string]rollout.State{"web1": rollout.OnHold, "web2": rollout.Upgrading, "web3": rollout.Upgrading},
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.apply(cmpOr(c.spec, twoAtATime))
				c.arrange(f)
				r := f.reconcile()
				if d := cmp.Diff(c.want, f.enabled()); d != "" {
					t.Errorf("%s\n%s", d, explain(r))
				}
				for host, want := range c.states {
					if v := verdict(t, r, host); v.State != want {
						t.Errorf("%s is %s (%s: %s), want %s", host, v.State, v.Reason, v.Message, want)
					}
				}
				if again := f.reconcile(); again.Written.Transactions != 0 {
					t.Errorf("a second pass wrote %s", again.Written)
				}
			})
		})
	}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func explain(r upgradeplan.Result) string {
	var b strings.Builder
	for _, v := range r.Decision.Verdicts {
		fmt.Fprintf(&b, "%s %s %s: %s\n", v.Host, v.State, v.Reason, v.Message)
	}
	return b.String()
}

func verdict(t *testing.T, r upgradeplan.Result, host string) rollout.Verdict {
	t.Helper()
	for _, v := range r.Decision.Verdicts {
		if v.Host == host {
			return v
		}
	}
	t.Fatalf("no verdict for %s", host)
	return rollout.Verdict{}
}

// An incomplete snapshot grants no host, and a pass over it writes nothing.
func TestReconcile_GrantsNoHostFromAnIncompleteSnapshot(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*fixture)
		want  string
	}{
		"current_version gone": {func(f *fixture) { f.txn(store.Op{Verb: store.Delete, Key: "current_version"}) }, "current_version is gone"},
		"ledger gone":          {func(f *fixture) { f.txn(store.Op{Verb: store.Delete, Key: keys.Plan("fleet").Ledger()}) }, "ledger does not exist"},
		"ledger unreadable":    {func(f *fixture) { f.set(keys.Plan("fleet").Ledger(), "{") }, "ledger cannot be read"},
		"control gone":         {func(f *fixture) { f.txn(store.Op{Verb: store.Delete, Key: keys.Plan("fleet").Control()}) }, "control does not exist"},
		"control unreadable":   {func(f *fixture) { f.set(keys.Plan("fleet").Control(), "\x00") }, "control cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.set("current_version", "1")
				f.hosts(true, "1", names("web", 4)...)
				f.apply(twoAtATime)
				f.upgrade(f.reconcile())
				c.spoil(f)
				before := f.indexes()
				r := f.reconcile()
				if d := cmp.Diff(before, f.indexes()); d != "" {
					t.Error(d)
				}
				if v := verdict(t, r, "web3"); v.Reason != v1alpha1.ReasonObservationIncomplete || !strings.Contains(v.Message, c.want) {
					t.Errorf("%s: %s", v.Reason, v.Message)
				}
				f.apply(twoAtATime) // applying again restores what is missing
			})
		})
	}
}

func TestPreview_EqualsThePass(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 5)...)
		f.hosts(false, "1", names("db", 5)...)
		f.set("config_state/enable_puppet/global", "False")
		f.set("config_state/enable_puppet/role/db", "True")
		f.apply(twoAtATime)
		o, err := planstore.Observe(f.ctx(), f.store, "fleet", f.clock.Now())
		f.must(err)
		changes := o.Preview().Changes
		before := f.values()
		f.reconcile()
		for _, c := range changes.List {
			if c.To.Key != "" {
				before[c.To.Key] = c.To.Value
			} else {
				delete(before, c.From.Key)
			}
		}
		after := f.values()
		for key, value := range before {
			if strings.HasPrefix(key, f.layout.GrantTree()) {
				if got := string(f.get(key).Value); got != value {
					t.Errorf("%s is %s, want %s", key, got, value)
				}
				delete(before, key)
			}
			if strings.Contains(key, "started/") {
				delete(before, key)
			}
		}
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("the preview was wrong (-preview +done):\n%s", d)
		}
	})
}

func TestPlans_ApplyKeepsRevisions(t *testing.T) {
	onBoth(t, func(f *fixture) {
		plans := planstore.Plans{Store: f.store}
		for i, want := range []planstore.Outcome{planstore.Created, planstore.Unchanged} {
			if got := f.apply(twoAtATime); got != want {
				t.Errorf("apply %d: %s, want %s", i, got, want)
			}
		}
		for v := 3; v < 20; v++ {
			if got := f.apply(fmt.Sprintf("version: '%d'\nrevisionHistoryLimit: 3", v)); got != planstore.Configured {
				t.Errorf("version %d: %s", v, got)
			}
		}
		p, err := plans.Get(f.ctx(), "fleet")
		f.must(err)
		revisions, err := plans.Revisions(f.ctx(), "fleet")
		f.must(err)
		if p.Generation != 18 || len(revisions) != 4 || revisions[3].Generation != 18 {
			t.Errorf("generation %d, %d revisions: %+v", p.Generation, len(revisions), revisions)
		}
	})
}

func TestPlans_RejectASecondPlanForAFleet(t *testing.T) {
	onBoth(t, func(f *fixture) {
		plans := planstore.Plans{Store: f.store}
		f.apply(twoAtATime)
		other := planOf(t, twoAtATime)
		other.Name = "second"
		if _, _, err := plans.Apply(f.ctx(), other, false); err == nil || !strings.Contains(err.Error(), "a fleet has one plan") {
			t.Errorf("a second plan for the same fleet: %v", err)
		}
		other.Spec.Keys.Prefix = "dc2"
		_, outcome, err := plans.Apply(f.ctx(), other, false)
		f.must(err)
		if outcome != planstore.Created {
			t.Error(outcome)
		}
		tree := planOf(t, twoAtATime)
		tree.Spec.Keys.RunningVersions = "dc2/running"
		if _, _, err := plans.Apply(f.ctx(), tree, false); err == nil || !strings.Contains(err.Error(), "a fleet has one plan") {
			t.Errorf("a tree of records inside of another plan's prefix: %v", err)
		}
	})
}

func TestPlans_DeleteRemovesThePlan(t *testing.T) {
	onBoth(t, func(f *fixture) {
		plans := planstore.Plans{Store: f.store}
		f.apply(twoAtATime)
		f.must(plans.Delete(f.ctx(), "fleet", false))
		if _, err := plans.Get(f.ctx(), "fleet"); !is[*planstore.NotFoundError](err) {
			t.Errorf("got %v", err)
		}
	})
}
