// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/plantest"
)

// caching is a fixture whose passes are those of a worker, which learns from its watches what changed.
type caching struct {
	*fixture
	worker  *upgradeplan.Worker
	watches map[store.WatchTarget]store.WatchIndex // the index of the last event of each
	all     bool
	reads   *reads
	// reportsMayHide says that hosts report that are not in flight, and that another report may hide theirs. Then only decisions
	// must be right.
	reportsMayHide bool
}

func newCaching(f *fixture) *caching {
	r := &caching{fixture: f, watches: map[store.WatchTarget]store.WatchIndex{}, all: true, reads: &reads{Store: f.through}}
	r.worker = &upgradeplan.Worker{Store: r.reads, Now: f.clock.Now, Log: logr.Discard(), FullReadInterval: 1}
	return r
}

// changed returns what changed since the last pass, as store.Watch.Run reports it.
func (r *caching) changed() store.Changes {
	changed := store.Changes{All: r.all}
	for prefix, before := range r.watches {
		mark, err := r.store.Wait(r.ctx(), prefix, 0, store.MaxWait)
		r.must(err)
		if mark.Index != before.Index && (!mark.Empty || !before.Empty) {
			changed.Add(prefix, mark)
		}
		r.watches[prefix] = mark
	}
	return changed
}

func (r *caching) pass() (time.Time, error) {
	r.clock.Advance(r.worker.FullReadInterval % time.Millisecond)
	next, watch, err := onePass(r.ctx(), r.worker, r.session, "fleet", r.changed())
	r.all = err != nil
	if watch != nil {
		hang := map[store.WatchTarget]store.WatchIndex{}
		for _, b := range watch {
			hang[b.Target] = r.watches[b.Target]
		}
		r.watches = hang
	}
	return next, err
}

// believes compares the cache of the worker with the store, and with what would be decided from the store.
func (r *caching) believes() string {
	now := r.clock.Now()
	believed, err := r.worker.Cached(r.ctx(), "fleet", now)
	r.must(err)
	if believed == nil {
		return ""
	}
	fresh, err := planstore.Observe(r.ctx(), r.store, "fleet", now)
	if err != nil {
		return err.Error()
	}
	stored := fresh.Snapshot
	stored.Watermarks = believed.Watermarks // of which the newest may not be stored yet
	fresh = pass.Assess(stored)
	believed.Decision.Ledger = fresh.Decision.Ledger // its watermarks come from the index of the read
	believed.Keys.Records, believed.Keys.RecordIndex = among(believed.Keys.Records, fresh.Keys.Records), fresh.Keys.RecordIndex
	if r.reportsMayHide {
		believed.Keys.Reports = fresh.Keys.Reports
	}
	if reflect.DeepEqual(fresh.Keys, believed.Keys) && reflect.DeepEqual(fresh.Decision, believed.Decision) {
		return "" // to find what differs takes long
	}
	if d := gocmp.Diff(fresh.Keys, believed.Keys, cmpopts.EquateEmpty()); d != "" {
		return "-is there +is believed: " + d
	}
	if d := gocmp.Diff(fresh.Decision, believed.Decision); d != "" {
		return "decided: -from what is there +from what is believed: " + d
	}
	return ""
}

// among returns those of the pairs whose keys are wanted: the cache may hold more.
func among(pairs, wanted []keys.Pair) (out []keys.Pair) {
	for _, w := range wanted {
		if at := slices.IndexFunc(pairs, func(p keys.Pair) bool { return p.Key == w.Key }); at >= 0 {
			out = append(out, pairs[at])
		}
	}
	return out
}

// step makes a pass that must not fail, after which the cache must be correct.
func (r *caching) step() {
	r.t.Helper()
	_, err := r.pass()
	r.must(err)
	if wrong := r.believes(); wrong != "" {
		r.t.Fatal(wrong)
	}
}

// startCaching applies a plan and makes the first pass over it.
func (f *fixture) startCaching(spec string, fullReadInterval time.Duration) *caching {
	f.t.Helper()
	f.apply(spec)
	r := newCaching(f)
	r.worker.FullReadInterval = fullReadInterval
	r.step()
	return r
}

// reads counts the reads of a store.
type reads struct {
	store.Store
	trees, few, gets atomic.Int64
}

func (r *reads) List(ctx context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	r.trees.Add(1)
	return r.Store.List(ctx, prefix)
}

func (r *reads) Keys(ctx context.Context, prefix string, hints ...store.ReadHint) ([]string, store.Meta, error) {
	if slices.Contains(hints, store.ExpectFew) {
		r.few.Add(1)
	} else {
		r.trees.Add(1)
	}
	return r.Store.Keys(ctx, prefix, hints...)
}

func (r *reads) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	r.gets.Add(1)
	return r.Store.Get(ctx, key...)
}

// count returns the reads since the last count.
func (r *reads) count() (trees, few, gets int) {
	return int(r.trees.Swap(0)), int(r.few.Swap(0)), int(r.gets.Swap(0))
}

// begin writes what an agent writes as it starts.
func (f *fixture) begin(to, name string) {
	f.t.Helper()
	current := keys.DecodeCurrent(f.get(f.layout.CurrentVersion()))
	f.txn(store.Op{Verb: store.Set, Key: f.layout.Started(name),
		Value: keys.EncodeStarted(fleet.Started{Version: to, From: "1", Time: f.clock.Now(), Rollout: current.Rollout})},
		store.Op{Verb: store.Delete, Key: f.layout.Grant(name)},
		f.saysOp(to, fleet.PhaseUpgrading, name))
}

func (f *fixture) saysOp(version string, phase fleet.Phase, name string) store.Op {
	report := fleet.Report{Schema: fleet.ReportSchema, Version: version, Phase: phase, Time: f.clock.Now()}
	return store.Op{Verb: store.Set, Key: f.layout.Report(name), Value: keys.EncodeReport(report)}
}

const fiveAtATime = "version: '2'\ninstructions: {rollingRules: {global: 5}}"

// A pass reads what changed, and no whole tree of the fleet.
func TestWorker_ReadsWhatChanged(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 20)...)
		f.hosts(false, "1", names("db", 20)...)
		f.apply(fiveAtATime)
		r := newCaching(f)
		r.step()
		r.step() // the watches fire for the first time
		r.reads.count()
		for _, c := range []struct {
			what string
			do   func()
			// the trees that are read, and the reads of names of grants and markers and of single keys, at most
			trees, few, gets int
		}{
			{"nothing", func() {}, 0, 0, 0},
			{"an agent begins", func() { f.begin("2", "web1") }, 0, 2, 2},
			{"an agent finishes", func() { f.reach(true, "1", "2", "web1") }, 0, 2, 4},
			{"two finish, one of which had not been seen to begin", func() {
				f.begin("2", "web2")
				r.step()
				r.reads.count()
				f.reach(true, "1", "2", "web3")
				f.reach(true, "1", "2", "web2")
			}, 0, 2, 5},
			{"an agent fails", func() { f.txn(f.saysOp("2", fleet.PhaseFailed, "web4")) }, 0, 2, 2},
			{"a legacy host finishes", func() { f.reach(false, "1", "2", "db1") }, 0, 2, 3},
			{"a legacy host reports its version again", func() {
				f.clock.Advance(time.Second)
				f.hosts(false, "1", "db20")
			}, 1, 2, 2},
			{"a new host", func() { f.hosts(false, "1", "db21") }, 1, 2, 3},
			{"a host is forgotten", func() { f.txn(store.Op{Verb: store.Delete, Key: f.layout.Record("1", "db21")}) }, 1, 2, 3},
			{"a key is edited", func() { f.set(f.layout.EnableHost("db10"), "True") }, 1, 2, 0},
			{"time passes", func() { f.clock.Advance(time.Minute) }, 0, 0, 0},
		} {
			c.do()
			_, err := r.pass()
			f.must(err)
			trees, few, gets := r.reads.count()
			if trees > c.trees || few > c.few || gets > c.gets {
				t.Errorf("%s: read %d trees, %d times names and %d times keys, want at most %d, %d, %d", c.what, trees, few, gets,
					c.trees, c.few, c.gets)
			}
			if wrong := r.believes(); wrong != "" {
				t.Errorf("%s: %s", c.what, wrong)
			}
			r.reads.count()
		}
	})
}

// Hosts that write their record at each run of cron change nothing. The names of all records are read once in FullReadInterval.
func TestWorker_ReadsRepeatedRecordsRarely(t *testing.T) {
	onMemory(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(false, "1", names("db", 20)...)
		r := f.startCaching("version: '2'\ninstructions: {rollingRules: {global: 0}}", 30*time.Second)
		r.step()
		r.reads.count()
		for second := range 300 {
			f.clock.Advance(time.Second)
			f.hosts(false, "1", fmt.Sprintf("db%d", 1+second%20))
			r.step()
		}
		if trees, _, _ := r.reads.count(); trees < 8 || trees > 11 {
			t.Errorf("%d trees were read in 300 s, the gap is 30 s", trees)
		}
		f.reach(false, "1", "2", "db7") // by hand, without a grant
		next, err := r.pass()
		f.must(err)
		if gap := next.Sub(f.clock.Now()); gap <= 0 || gap > 30*time.Second {
			t.Fatalf("looks again in %s", gap)
		}
		f.clock.Advance(next.Sub(f.clock.Now()))
		r.step()
	})
}

// Drift is reported once: after a watch event, behind an own commit, after a conflict, by a resync.
func TestWorker_ReportsAndCorrectsDriftOnce(t *testing.T) {
	onMemory(t, func(f *fixture) {
		w := &watched{Store: f.store}
		f.through = w
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 20)...)
		f.apply(fiveAtATime)
		r := newCaching(f)
		var drift []string
		r.worker.Log = funcr.New(func(_, args string) {
			if strings.Contains(args, `"event"="Drift"`) {
				drift = append(drift, args)
			}
		}, funcr.Options{})
		r.step()
		r.step()
		host := f.layout.EnableHost("web2")
		for name, disturb := range map[string]func(){
			"edited": func() { f.set(host, "False") },
			"gone":   func() { f.txn(store.Op{Verb: store.Delete, Key: host}) },
			"whose event is lost before an own commit": func() {
				f.set(host, "False")
				r.changed()
				f.reach(true, "1", "2", "web1")
			},
			"during a pass": func() {
				f.txn(store.Op{Verb: store.Delete, Key: host})
				w.before = func(int) { w.before = nil; f.set(host, "False") }
			},
			"seen by a resync": func() { f.set(host, "False"); r.all = true },
		} {
			drift = nil
			disturb()
			r.step()
			r.step()
			if !strings.Contains(strings.Join(drift, "\n"), host) || len(drift) > 2 {
				t.Errorf("%s: drift messages %q", name, drift)
			}
			if got := string(f.get(host).Value); got != "True" {
				t.Errorf("%s: after a pass it is %q", name, got)
			}
		}
		drift = nil
		for range 3 {
			f.reach(true, "1", "2", fmt.Sprintf("web%d", 3+len(drift)))
			r.step()
		}
		if len(drift) > 0 {
			t.Errorf("its own writes are reported as drift: %q", drift)
		}
	})
}

// A status is written with the change that it describes, and alone at most once a second.
func TestWorker_WritesTheStatusAloneOnceASecond(t *testing.T) {
	onMemory(t, func(f *fixture) {
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 3)...)
		r := f.startCaching("version: '2'\ninstructions: {rollingRules: {global: 1}}\nfailurePolicy: {maxFailed: 3}", time.Minute)
		status := func() uint64 { return f.get(keys.Plan("fleet").Status()).ModifyIndex }
		written := status()
		f.txn(f.saysOp("2", fleet.PhaseFailed, "web1"))
		r.step()
		if status() == written {
			t.Error("the first is not written at once")
		}
		written = status()
		f.clock.Advance(300 * time.Millisecond)
		f.txn(f.saysOp("2", fleet.PhaseUpgrading, "web1"))
		next, err := r.pass()
		f.must(err)
		if in := next.Sub(f.clock.Now()); status() != written || in != 700*time.Millisecond {
			t.Errorf("written again (%v), or not to be in 700 ms but in %s", status() != written, in)
		}
		f.clock.Advance(700 * time.Millisecond)
		r.step()
		if status() == written {
			t.Error("the second is not written after a second")
		}
	})
}

// An agent that starts just before the switch keeps its slot, although the new rollout did not grant it.
func TestWorker_FindsAMarkerBetweenSwitchAndGrant(t *testing.T) {
	onBoth(t, func(f *fixture) {
		w := &watched{Store: f.store, referee: &plantest.InvariantChecker{Limits: map[string]int{"web": 2}}}
		f.through = w
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 9)...)
		f.apply("version: '2'\ninstructions: {rollingRules: {global: 2}}")
		r := newCaching(f)
		r.step()
		f.apply("version: '3'\ninstructions: {rollingRules: {global: 2}}")
		w.before = func(int) { w.before = nil; f.begin("2", "web9") }
		r.step()
		report(t, w.referee)
		if got := strings.Join(f.enabled(), " "); got != "global=False host/web1=True host/web9=True" {
			t.Errorf("web9 has begun and holds a slot of two, and there are %s", got)
		}
	})
}

// A failure at every transaction, a lost reply, a lost lock, keys by another writer: after each, the cache is correct, no start
// exceeded a limit, and the end is the same.
func TestWorker_RecoversFromAFailureAtEveryTransaction(t *testing.T) {
	scenario := func(t *testing.T, prepare func(*fixture, *watched), between func(*fixture, int)) (txns int, end map[string]string) {
		onMemory(t, func(f *fixture) {
			w := &watched{Store: f.store, referee: &plantest.InvariantChecker{Limits: map[string]int{"web": 170, "db": 2}}}
			f.through = w
			f.mixedFleet(400)
			prepare(f, w)
			r := newCaching(f)
			for range 40 {
				between(f, w.txns)
				if _, err := r.pass(); err != nil {
					if errors.Is(err, leaderelection.ErrLost) {
						f.lock()
					} else if !is[*store.UnavailableError](err) {
						t.Fatal(err)
					}
					continue
				}
				if wrong := r.believes(); wrong != "" {
					t.Fatal(wrong)
				}
				o, err := planstore.Observe(f.ctx(), f.store, "fleet", f.clock.Now())
				f.must(err)
				if o.Decision.Complete {
					break
				}
				f.upgrade(upgradeplan.Result{Assessment: o})
			}
			report(t, w.referee)
			txns, end = w.txns, f.values()
		})
		return txns, end
	}
	undisturbed := func(*fixture, int) {}
	txns, want := scenario(t, func(*fixture, *watched) {}, undisturbed)
	if txns < 7 {
		t.Fatalf("only %d transactions", txns)
	}
	at := func(k int, do func(*fixture)) func(*fixture, *watched) {
		return func(f *fixture, w *watched) {
			w.before = func(n int) {
				if n == k {
					do(f)
				}
			}
		}
	}
	for k := 1; k <= txns; k++ {
		for name, prepare := range map[string]func(*fixture, *watched){
			"fails":           func(_ *fixture, w *watched) { w.failAt = k },
			"loses its reply": func(_ *fixture, w *watched) { w.failAt, w.lost = k, true },
			"lost its lock":   at(k, func(f *fixture) { f.lock() }),
			"comes after a pause": at(k, func(f *fixture) {
				plans := planstore.Plans{Store: f.store}
				_, err := plans.SetPause(f.ctx(), "fleet", &fleet.Pause{By: "me"})
				f.must(err)
				_, err = plans.SetPause(f.ctx(), "fleet", nil)
				f.must(err)
			}),
		} {
			t.Run(fmt.Sprintf("transaction %d %s", k, name), func(t *testing.T) {
				if _, end := scenario(t, prepare, undisturbed); !maps.Equal(want, end) {
					t.Error(gocmp.Diff(want, end))
				}
			})
		}
		t.Run(fmt.Sprintf("keys are edited after transaction %d", k), func(t *testing.T) {
			_, end := scenario(t, func(*fixture, *watched) {}, func(f *fixture, txns int) {
				if txns == k {
					f.set(f.layout.EnableHost("web399"), "True")
					f.txn(store.Op{Verb: store.Delete, Key: f.layout.EnableHost("web1")})
				}
			})
			if end[keys.Layout{}.EnableHost("web1")] != "True" {
				t.Error("web1 is not enabled at the end")
			}
		})
	}
}

// The cache finds all that hosts in flight do between two passes, and one change by others.
func TestWorker_CacheEqualsAFullRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		f := newFixture(t, memory.New(c.Now), c)
		w := &watched{Store: f.store, referee: &plantest.InvariantChecker{Limits: map[string]int{"web": 3, "db": 3}}}
		f.through = w
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 6)...)
		f.hosts(false, "1", names("db", 3)...)
		f.inTree(keys.RunningVersionsOld, func() { f.hosts(false, "1", "db3", "db4", "db5", "db6") })
		spec := "version: '%s'\ninstructions: {rollingRules: {global: 3}}\nprogressDeadlineSeconds: 3600\n" + rapid.SampledFrom([]string{
			"", "minReadySeconds: 60\n", "strategy: Batch\n"}).Draw(rt, "spec")
		if rapid.Bool().Draw(rt, "also counts") {
			spec = strings.Replace(spec, "{global: 3}", "{global: 3, alsoCount: [Maintenance, Critical]}", 1)
		}
		version := 2
		f.apply(fmt.Sprintf(spec, "2"))
		r := newCaching(f)
		var did []string
		for range rapid.IntRange(1, 12).Draw(rt, "passes") {
			did = append(did, "pass")
			if _, err := r.pass(); err != nil {
				rt.Fatal(err)
			}
			if wrong := r.believes(); wrong != "" {
				rt.Fatalf("%s\nafter %q", wrong, did)
			}
			o, err := planstore.Observe(f.ctx(), f.store, "fleet", c.Now())
			f.must(err)
			for _, h := range o.Fleet.Hosts {
				if (f.may(h) || h.Started != nil) && h.Record.Version != "" {
					did = append(did, f.act(rt, h, o.Fleet.Current.Name))
				}
			}
			did = append(did, r.disturb(rt, spec, &version))
		}
	})
}

// act lets a granted host do one thing that hosts do.
func (f *fixture) act(t *rapid.T, h fleet.Host, to string) string {
	what := rapid.SampledFrom([]string{"waits", "begins", "fails", "finishes"}).Draw(t, h.Name)
	at := h.Record.Version
	switch {
	case at == to:
		return ""
	case what == "finishes" && !h.Agent():
		f.inTree(rapid.SampledFrom([]string{keys.RunningVersions, keys.RunningVersionsOld}).Draw(t, "tree"),
			func() { f.reach(false, at, to, h.Name) })
	case what == "finishes":
		f.reach(true, at, to, h.Name)
	case what == "begins" && h.Agent():
		f.begin(to, h.Name)
	case what == "fails" && h.Started != nil && h.Agent():
		f.txn(f.saysOp(to, fleet.PhaseFailed, h.Name))
	}
	return h.Name + " " + what
}

// disturb changes something that no host in flight changes.
func (r *caching) disturb(t *rapid.T, spec string, version *int) string {
	what := rapid.SampledFrom([]string{"nothing", "time", "more time", "edit", "delete", "pause", "resume", "hold", "spec", "new host",
		"new agent", "gone", "again", "by hand", "agent", "current", "maintenance", "critical", "in service"}).Draw(t, "what")
	f, plans := r.fixture, planstore.Plans{Store: r.store}
	host := rapid.SampledFrom([]string{"web5", "db5"}).Draw(t, "host")
	switch what {
	case "time":
		f.clock.Advance(time.Second)
	case "more time":
		f.clock.Advance(time.Hour)
		f.lock()
		r.all = true
	case "edit":
		f.set(f.layout.EnableHost(host), rapid.SampledFrom([]string{"False", "True", "x"}).Draw(t, "value"))
	case "delete":
		f.txn(store.Op{Verb: store.Delete, Key: f.layout.EnableHost(host)})
	case "pause":
		_, err := plans.SetPause(f.ctx(), "fleet", &fleet.Pause{By: "me"})
		f.must(err)
	case "resume":
		_, err := plans.SetPause(f.ctx(), "fleet", nil)
		f.must(err)
	case "hold":
		_, err := planstore.Holds{Store: f.store}.Set(f.ctx(), roleWeb(), fleet.Hold{})
		f.must(err)
	case "spec":
		*version++
		f.apply(fmt.Sprintf(spec, fmt.Sprint(*version)))
	case "new host":
		f.hosts(false, "1", "db7")
	case "new agent":
		f.hosts(true, "1", "web7")
	case "gone":
		f.txn(store.Op{Verb: store.Delete, Key: f.layout.Record("1", "db7")})
	case "again":
		f.clock.Advance(time.Second)
		f.hosts(false, "1", host)
	case "by hand":
		f.hosts(false, "3", host)
	case "agent":
		f.txn(f.saysOp("1", fleet.PhaseIdle, "db6"))
	case "current":
		f.set("current_version", "9")
	case "maintenance":
		f.setChecks(host, fleet.Check{ID: fleet.NodeMaintenance, Status: fleet.Critical}, fleet.Check{ID: "disk", Status: fleet.Critical})
	case "critical":
		f.setChecks(host, fleet.Check{ID: fleet.SerfHealth, Status: fleet.Critical})
	case "in service":
		f.setChecks(host)
	}
	r.forgive(t)
	return what + " " + host
}

// forgive resets the checker: another writer may have granted hosts.
func (r *caching) forgive(t *rapid.T) {
	w := r.through.(*watched)
	if len(w.referee.Faults) > 0 {
		t.Fatal(w.referee.Faults)
	}
	w.referee = &plantest.InvariantChecker{Limits: w.referee.Limits}
	w.look(r.ctx())
}

// A decision that only time changed also relies on verified markers, and a switch on a full read.
func TestWorker_VerifiesBeforeATimedDecision(t *testing.T) {
	onMemory(t, func(f *fixture) { // it is 14:00
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 9)...)
		f.apply("version: '2'\nwindows: {allow: [{schedule: '5 14 * * *', duration: 2h}]}\ninstructions: {rollingRules: {global: 2}}")
		_, err := planstore.Holds{Store: f.store}.Set(f.ctx(), roleWeb(), fleet.Hold{Expires: f.clock.Now().Add(9 * time.Minute)})
		f.must(err)
		r := newCaching(f)
		r.step()
		f.hosts(false, "1", "db1")
		r.changed() // it is lost
		r.reads.count()
		f.clock.Advance(5 * time.Minute)
		r.step()
		if trees, _, _ := r.reads.count(); trees < 5 || string(f.get("current_version").Value) != "2" {
			t.Errorf("%d trees were read for the switch to %s", trees, f.get("current_version").Value)
		}
		mark := fleet.Started{Version: "2", From: "1", Time: f.clock.Now()}
		f.txn(store.Op{Verb: store.Set, Key: f.layout.Started("web9"), Value: keys.EncodeStarted(mark)})
		f.clock.Advance(5 * time.Minute)
		r.step()
		want := "global=False host/db1=True host/web1=True host/web9=True"
		if got := strings.Join(f.enabled(), " "); got != want {
			t.Errorf("web9 has begun and holds a slot of two: %s, want %s", got, want)
		}
	})
}
