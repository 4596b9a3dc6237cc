// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counting is a store that counts requests, and may be down.
type counting struct {
	store.Store
	mu       sync.Mutex
	waits    map[string]int
	waiting  int // now
	requests int
	down     bool
	refused  bool // waits only
	denied   bool // gets only
}

func (c *counting) Wait(ctx context.Context, target store.WatchTarget, index uint64, atMost time.Duration) (store.WatchIndex, error) {
	c.mu.Lock()
	c.waits[target.Prefix]++
	c.waiting++
	down := c.down || c.refused
	c.mu.Unlock()
	defer func() {
		if ctx.Err() != nil { // a query takes a moment to end
			<-time.After(time.Millisecond)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
	}()
	if down {
		return store.WatchIndex{}, errors.New("no answer")
	}
	return c.Store.Wait(ctx, target, index, atMost)
}

func (c *counting) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	c.mu.Lock()
	c.requests++
	down, denied := c.down, c.denied
	c.mu.Unlock()
	if down {
		return nil, store.Meta{}, errors.New("no answer")
	}
	if denied {
		return nil, store.Meta{}, &store.ForbiddenError{Key: key[0], Policy: "key", Err: errors.New("ACL not found")}
	}
	return c.Store.Get(ctx, key...)
}

func (c *counting) counts() (waits, requests int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.waits {
		waits += n
	}
	return waits, c.requests
}

func (c *counting) setDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// answer says how a pass over a plan ends.
type answer struct {
	next  time.Duration // from then
	watch []string
	// minInterval is that of each watch.
	minInterval time.Duration
	err         error
	takes       time.Duration
	// ends is how long the pass goes on after its context has ended.
	ends time.Duration
}

// worker is a reconciler that records each pass.
type worker struct {
	mu      sync.Mutex
	answers map[string]answer // by plan; other plans do not exist
	passes  map[string][]time.Time
	changes []store.Changes // of all passes
	session string
}

func (w *worker) Plans(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name := range w.answers {
		names = append(names, name)
	}
	return names, nil
}

func (w *worker) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	w.mu.Lock()
	a, ok := w.answers[r.Plan]
	w.changes = append(w.changes, r.Changes)
	w.passes[r.Plan] = append(w.passes[r.Plan], time.Now())
	w.session = r.Session
	w.mu.Unlock()
	if !ok {
		return reconcile.Result{}, fmt.Errorf("read: %w", reconcile.ErrGone)
	}
	if a.takes > 0 {
		select {
		case <-time.After(a.takes):
		case <-ctx.Done():
			<-time.After(a.ends)
		}
	}
	var result reconcile.Result
	if a.next > 0 {
		result.RequeueAt = time.Now().Add(a.next)
	}
	for _, prefix := range a.watch {
		watch := store.WatchKeys(prefix)
		watch.MinInterval = a.minInterval
		result.Watches = append(result.Watches, watch)
	}
	return result, a.err
}

func (w *worker) set(plan string, a answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[plan] = a
}

func (w *worker) remove(plan string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.answers, plan)
}

// times are the start times of the passes over a plan.
func (w *worker) times(plan string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.passes[plan])
}

func (w *worker) allChanges() []store.Changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

func (w *worker) count(plan string) int { return len(w.times(plan)) }

// last is the session of the last pass.
func (w *worker) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.session
}

// bench is a manager on the clock of a synctest bubble.
type bench struct {
	*testing.T
	store   *counting
	worker  *worker
	manager *manager.Manager
	states  observer
	runner  runner
	stop    func() // returns when the manager has ended
}

// observer records the states of managers in order.
type observer struct {
	mu     sync.Mutex
	states []manager.State
}

func (d *observer) StateChanged(s manager.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states = append(d.states, s)
}

func (d *observer) take() []manager.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	states := d.states
	d.states = nil
	return states
}

const resync = 5 * time.Minute

func run(t *testing.T, answers map[string]answer, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, store: &counting{Store: memory.New(time.Now), waits: map[string]int{}}}
		b.set(keys.PlansEpoch, "1")
		b.worker = &worker{answers: answers, passes: map[string][]time.Time{}}
		b.runner.lose = make(chan error)
		b.start()
		defer func() {
			b.stop()
			b.store.mu.Lock()
			defer b.store.mu.Unlock()
			if n := b.store.waiting; n > 0 {
				t.Errorf("Run has returned, and %d blocking queries go on", n)
			}
		}()
		settle()
		test(b)
	})
}

func (b *bench) start() {
	b.manager = &manager.Manager{Store: b.store, LeaseStore: b.store, Reconciler: b.worker, Holder: leaderelection.ControllerName + " test", Resync: resync,
		Log: logr.Discard(), Observer: &b.states, Runners: []manager.Runner{&b.runner}}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.manager.Run(ctx) }()
	b.stop = func() { cancel(); <-ended }
}

// settle waits until started work has ended, and waitFor lets time pass.
func settle()                 { waitFor(10 * time.Millisecond) }
func waitFor(d time.Duration) { <-time.After(d); synctest.Wait() }

func (b *bench) set(key, value string) {
	b.Helper()
	if _, err := b.store.Txn(b.Context(), []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}}); err != nil {
		b.Fatal(err)
	}
}

// passes is the number of passes over the plan that a change causes.
func (b *bench) passes(plan string, change func()) int {
	before := b.worker.count(plan)
	change()
	return b.worker.count(plan) - before
}

func (b *bench) want(what string, got, want int) {
	b.Helper()
	if got != want {
		b.Errorf("%s: %d passes, want %d", what, got, want)
	}
}

func TestManager_ReconcilesOnlyTheChangedPlan(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}, "b": {watch: []string{"b/"}}}, func(b *bench) {
		b.set("a/1", "1")
		b.set("b/1", "1")
		waitFor(time.Minute)
		other := b.worker.count("b")
		b.want("a change", b.passes("a", func() { b.set("a/1", "2"); settle() }), 1)
		b.want("the same value", b.passes("a", func() { b.set("a/1", "2"); settle() }), 0)
		b.want("of the other", b.worker.count("b")-other, 0)
	})
}

func TestManager_ReconcilesOnWatchEvent(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		b.set("a/1", "1")
		waitFor(time.Minute)
		changed := time.Now()
		b.set("a/1", "2")
		settle()
		passes := b.worker.times("a")
		if took := passes[len(passes)-1].Sub(changed); took < 0 || took > 5*time.Millisecond {
			t.Errorf("reconciled %s after the change", took)
		}
	})
}

func TestManager_MergesChanges(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/", "b/", "c/"}}}, func(b *bench) {
		for _, prefix := range []string{"a/", "b/", "c/"} {
			b.set(prefix, "1")
		}
		waitFor(time.Minute)
		b.want("three trees at once", b.passes("a", func() {
			for _, prefix := range []string{"a/", "b/", "c/"} {
				b.set(prefix, "2")
			}
			settle()
		}), 1)
		if got := b.passes("a", func() {
			for i := range 6000 {
				b.set("a/", fmt.Sprint("again", i))
				waitFor(10 * time.Millisecond)
			}
		}); got < 59 || got > 62 { // the first two follow each other at once
			t.Errorf("a tree that changes each 10 ms for a minute: %d passes, the gap is 1 s", got)
		}
	})
}

func TestManager_IgnoresOtherKeysOfAnEmptyTree(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		waitFor(time.Second)
		b.want("others", b.passes("a", func() {
			for i := range 60 {
				b.set("other", fmt.Sprint(i))
				waitFor(time.Second)
			}
		}), 0)
		b.want("the first key", b.passes("a", func() { b.set("a/1", "1"); settle() }), 1)
	})
}

func TestManager_IdleHour(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/", "b/", "c/", "d/", "e/", "f/", "g/", "h/"}}}, func(b *bench) {
		for _, prefix := range b.worker.answers["a"].watch {
			b.set(prefix, "1")
		}
		waitFor(time.Minute)
		waits, requests := b.store.counts()
		passes := b.passes("a", func() { waitFor(time.Hour) })
		if passes < 12 || passes > 14 {
			t.Errorf("%d passes, want one for each resync of five minutes, or up to a tenth more", passes)
		}
		moreWaits, moreRequests := b.store.counts()
		if got, want := moreWaits-waits, 9*int(time.Hour/store.MaxWait); got < want || got > want+9 {
			t.Errorf("%d blocking queries for nine prefixes, each of %s", got, store.MaxWait)
		}
		if got := moreRequests - requests; got != 720 {
			t.Errorf("%d reads, want one of the lock every 5 s", got)
		}
	})
}

// prefixes are those that changed, sorted.
func prefixes(c store.Changes) (out []string) {
	for target := range c.At {
		out = append(out, target.Prefix)
	}
	slices.Sort(out)
	return out
}

// A pass gets the changes since the previous pass began: everything in the first pass, after an error and at a resync.
func TestManager_PassesChangesToReconcile(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/", "b/"}}}, func(b *bench) {
		var got []string
		pass := func(what, want string, do func()) {
			t.Helper()
			waitFor(10 * time.Second) // the watches may fire at once again
			before := len(b.worker.allChanges())
			do()
			got = got[:0]
			for _, changes := range b.worker.allChanges()[before:] {
				if changes.All {
					got = append(got, "all")
					continue
				}
				got = append(got, strings.Join(prefixes(changes), " "))
			}
			if changes := strings.Join(got, ", "); changes != want {
				t.Errorf("%s: changes %q, want %q", what, changes, want)
			}
		}
		if first := b.worker.allChanges()[0]; !first.All {
			t.Errorf("the first pass got %+v", first)
		}
		pass("one", "a/", func() { b.set("a/1", "1"); settle() })
		a := store.WatchTarget{Prefix: "a/"}
		if now, err := b.store.Wait(t.Context(), a, 0, store.MaxWait); err != nil || b.worker.allChanges()[len(b.worker.allChanges())-1].At[a] != now {
			t.Errorf("got another index than %d (%v)", now.Index, err)
		}
		pass("both", "a/ b/", func() { b.set("a/1", "2"); b.set("b/1", "2"); settle() })
		b.worker.set("a", answer{watch: []string{"a/", "b/"}, err: errors.New("no answer")})
		pass("a failure, and again", "a/, all", func() {
			b.set("a/1", "3")
			settle()
			b.worker.set("a", answer{watch: []string{"a/", "b/"}})
			waitFor(time.Second)
		})
		pass("the resync", "all", func() { waitFor(resync) })
		b.worker.set("a", answer{watch: []string{"a/", "b/"}, next: 20 * time.Second})
		pass("its own time", "a/, , ", func() { b.set("a/1", "4"); waitFor(50 * time.Second) })
	})
}

func TestManager_KeepsTheMinIntervalOfAWatch(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}, minInterval: 10 * time.Second}}, func(b *bench) {
		b.set("a/1", "1")
		waitFor(time.Minute)
		if got := b.passes("a", func() {
			for i := range 60 {
				b.set("a/1", fmt.Sprint("again", i))
				waitFor(time.Second)
			}
		}); got < 6 || got > 8 {
			t.Errorf("a tree that changes each second for a minute: %d passes, the gap is 10 s", got)
		}
		b.worker.set("a", answer{watch: []string{"a/"}})
		b.set("a/1", "soon")
		waitFor(time.Minute)
		b.want("with no interval of its own", b.passes("a", func() {
			for i := range 5 {
				b.set("a/1", fmt.Sprint("soon", i))
				waitFor(2 * time.Second)
			}
		}), 5)
	})
}

func TestManager_RequeuesAtTheGivenTime(t *testing.T) {
	run(t, map[string]answer{"a": {next: 10 * time.Second}}, func(b *bench) {
		b.want("a minute", b.passes("a", func() { waitFor(time.Minute) }), 6)
	})
}

func TestManager_RetriesWithBackoff(t *testing.T) {
	run(t, map[string]answer{"a": {err: errors.New("no answer")}, "b": {next: time.Second}}, func(b *bench) {
		waitFor(10 * time.Minute)
		passes := b.worker.times("a")
		for i := 1; i < len(passes); i++ {
			want := min(200*time.Millisecond<<(i-1), time.Minute)
			if got := passes[i].Sub(passes[i-1]); got != want {
				t.Errorf("%d. pause: %s, want %s", i, got, want)
			}
		}
		if got := b.worker.count("b"); got < 590 {
			t.Errorf("the other plan had to wait: %d passes", got)
		}
		b.worker.set("a", answer{})
		waitFor(time.Minute)
		b.worker.set("a", answer{err: errors.New("no answer")})
		waitFor(resync)
		passes = b.worker.times("a")[len(passes)+1:]
		if len(passes) < 2 || passes[1].Sub(passes[0]) != 200*time.Millisecond {
			t.Errorf("success did not reset the backoff: %v", passes)
		}
	})
}

func TestManager_StalledPlanWaitsForAChange(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"spec"}, err: fmt.Errorf("read: %w", reconcile.ErrStalled)}}, func(b *bench) {
		b.set("spec", "1")
		waitFor(time.Second)
		b.want("until the resync", b.passes("a", func() { waitFor(4 * time.Minute) }), 0)
		b.want("its change", b.passes("a", func() { b.set("spec", "2"); settle() }), 1)
	})
}

func TestManager_AddsAndRemovesPlans(t *testing.T) {
	run(t, map[string]answer{}, func(b *bench) {
		waitFor(time.Second)
		b.worker.set("a", answer{watch: []string{"a/"}})
		b.want("a new plan, which is reconciled again when its tree is watched",
			b.passes("a", func() { b.set(keys.PlansEpoch, "2"); waitFor(20 * time.Millisecond) }), 2)
		waitFor(time.Second)
		b.worker.remove("a")
		b.want("a removed plan", b.passes("a", func() { b.set("a/spec", "1"); settle() }), 1)
		waitFor(10 * time.Second)
		b.want("a removed plan is not watched", b.passes("a", func() { b.set("a/spec", "2"); waitFor(time.Minute) }), 0)
		b.worker.set("a", answer{watch: []string{"a/"}})
		b.want("a plan that was created again", b.passes("a", func() { b.set(keys.PlansEpoch, "3"); waitFor(20 * time.Millisecond) }), 2)
		waitFor(time.Second)
		b.worker.set("a", answer{watch: []string{"b/"}})
		b.want("other watches", b.passes("a", func() { b.set("a/spec", "3"); waitFor(20 * time.Millisecond) }), 2)
		b.set("b/", "1")
		waitFor(10 * time.Second)
		b.want("the old watch", b.passes("a", func() { b.set("a/spec", "4"); settle() }), 0)
		b.want("the new watch", b.passes("a", func() { b.set("b/", "2"); settle() }), 1)
	})
}

func TestManager_ResyncFindsNewPlans(t *testing.T) {
	run(t, map[string]answer{}, func(b *bench) {
		b.worker.set("a", answer{})
		waitFor(resync)
		b.want("found", min(b.worker.count("a"), 1), 1)
	})
}

func TestManager_LostLockEndsTheTerm(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		b.set("a/1", "1")
		waitFor(time.Second)
		first := b.worker.last()
		b.worker.set("a", answer{err: fmt.Errorf("wrote: %w", leaderelection.ErrLost)})
		b.set("a/1", "2")
		settle()
		b.worker.set("a", answer{})
		waitFor(time.Minute) // it takes the lock again, with another session
		if b.worker.last() == first {
			t.Error("it continued with the session that it had lost")
		}
	})
}

func TestManager_ReconcilesAfterAnOutage(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		b.set("a/1", "1")
		waitFor(6 * time.Minute) // the blocking query has returned since
		b.store.setDown(true)
		waitFor(2 * time.Second)
		b.set("a/1", "2")
		waitFor(3 * time.Second)
		b.store.setDown(false)
		b.want("afterwards", min(b.passes("a", func() { waitFor(time.Minute) }), 1), 1)
	})
}

// Consul may refuse the connections of watches (429) while others pass. Then plans are reconciled by their resync.
func TestManager_LeadsWhileWatchesAreRefused(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		b.store.mu.Lock()
		b.store.refused = true
		b.store.mu.Unlock()
		waitFor(time.Minute)
		session := b.worker.session
		passes := b.passes("a", func() { waitFor(time.Hour) })
		if passes < 11 {
			t.Errorf("%d passes in an hour, want one for each resync", passes)
		}
		if doing, err := b.manager.Ready(t.Context()); doing != "leading" || err != nil {
			t.Errorf("the manager is %q, %v", doing, err)
		}
		if b.worker.session != session {
			t.Error("the term has ended")
		}
	})
}

func TestManager_StandbyTakesOver(t *testing.T) {
	run(t, map[string]answer{"a": {next: time.Second, takes: 500 * time.Millisecond}}, func(b *bench) {
		first, stop := b.worker, b.stop
		b.worker = &worker{answers: map[string]answer{"a": {next: time.Second}}, passes: map[string][]time.Time{}}
		b.start()
		waitFor(time.Hour)
		b.want("beside the leader", b.worker.count("a"), 0)
		if doing, err := b.manager.Ready(t.Context()); doing != "standing by" || err != nil {
			t.Errorf("the standby is %q, %v", doing, err)
		}
		stopped := time.Now()
		stop()
		worked := first.count("a")
		settle()
		passes := b.worker.times("a")
		if len(passes) != 1 || passes[0].Sub(stopped) > time.Second {
			t.Fatalf("took over by %v, the other stopped at %s", passes, stopped)
		}
		waitFor(time.Minute)
		b.want("after its end", first.count("a")-worked, 0)
		b.stop()
		if held, err := leaderelection.LockHolder(t.Context(), b.store, keys.Leader); err != nil || held != nil {
			t.Errorf("the lock is still held by %+v (%v)", held, err)
		}
	})
}

func TestManager_HoldsTheLockUntilPassesEnd(t *testing.T) {
	run(t, map[string]answer{"a": {takes: time.Hour, ends: 300 * time.Millisecond}}, func(b *bench) {
		stopping := time.Now()
		stopped := make(chan time.Time)
		go func() { b.stop(); stopped <- time.Now() }()
		waitFor(200 * time.Millisecond)
		if held, err := leaderelection.LockHolder(t.Context(), b.store, keys.Leader); err != nil || held == nil {
			t.Errorf("the lock was released during a pass (%v)", err)
		}
		if at := <-stopped; at.Sub(stopping) != 300*time.Millisecond {
			t.Errorf("it took %s to stop", at.Sub(stopping))
		}
		b.stop = func() {}
	})
}

func TestManager_NotifiesItsObserver(t *testing.T) {
	run(t, map[string]answer{"a": {takes: time.Hour, ends: 300 * time.Millisecond}}, func(b *bench) {
		asking := manager.State{Text: "asking for the lock"}
		leads := manager.State{Leading: true, Ready: true, Text: "leading"}
		standsBy := manager.State{Ready: true, Text: "standing by: the leader is " + leaderelection.ControllerName + " test"}
		ended := manager.State{Text: "ended"}
		want := func(what string, want ...manager.State) {
			t.Helper()
			if got := b.states.take(); !slices.Equal(got, want) {
				t.Errorf("%s: states %+v, want %+v", what, got, want)
			}
		}
		want("the first", asking, leads)
		stop := b.stop
		b.start()
		waitFor(time.Minute)
		want("another", asking, standsBy)
		go stop()
		waitFor(200 * time.Millisecond)
		want("a pass is still under way")
		waitFor(time.Minute)
		want("the first has stopped", asking, ended, leads)
		b.store.setDown(true)
		waitFor(20 * time.Second)
		want("the lock is lost", asking)
		b.store.setDown(false)
		waitFor(time.Minute)
		want("and taken again", leads)
	})
}

func TestManager_Health(t *testing.T) {
	run(t, map[string]answer{"a": {}, "stuck": {next: 30 * time.Minute}}, func(b *bench) {
		look := func(what string, healthy, ready bool) {
			t.Helper()
			if err := b.manager.Healthy(); (err == nil) != healthy {
				t.Errorf("%s: healthy: %v", what, err)
			}
			if doing, err := b.manager.Ready(t.Context()); (err == nil) != ready {
				t.Errorf("%s: ready: %q %v", what, doing, err)
			}
		}
		look("leading", true, true)
		b.store.setDown(true)
		look("without Consul", true, false)
		waitFor(time.Minute)
		look("the lock is lost", true, false)
		b.store.setDown(false)
		waitFor(time.Minute)
		look("leading again", true, true)
		b.worker.set("stuck", answer{takes: 20 * time.Minute})
		waitFor(resync + 11*time.Minute)
		look("stuck", false, true)
		waitFor(20 * time.Minute)
		b.worker.set("stuck", answer{})
		waitFor(25 * time.Minute)
		look("no longer", true, true)
		b.runner.setStuck(errors.New("a sync is stuck"))
		look("a runner is stuck", false, true)
		b.runner.setStuck(nil)
		look("the runner continues", true, true)
		b.stop()
		look("ended", false, false)
	})
	var never manager.Manager
	if never.Healthy() == nil {
		t.Error("healthy before it runs")
	}
}

// runner runs until its context ends, or until the test makes it fail.
type runner struct {
	mu       sync.Mutex
	sessions []string // of each run
	running  int
	lose     chan error
	stuck    error
}

func (r *runner) Healthy() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stuck
}

func (r *runner) setStuck(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = err
}

func (r *runner) Run(ctx context.Context, session string) error {
	r.note(session, 1)
	defer r.note("", -1)
	select {
	case err := <-r.lose:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (r *runner) note(session string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running += n
	if session != "" {
		r.sessions = append(r.sessions, session)
	}
}

func TestManager_RunsRunnersWhileItLeads(t *testing.T) {
	run(t, nil, func(b *bench) {
		look := func(what string, runs, running int) {
			t.Helper()
			b.runner.mu.Lock()
			defer b.runner.mu.Unlock()
			if len(b.runner.sessions) != runs || b.runner.running != running {
				t.Errorf("%s: %d runs, %d of them active; want %d and %d", what, len(b.runner.sessions), b.runner.running, runs, running)
			}
		}
		look("it leads", 1, 1)
		pairs, _, err := b.store.Get(t.Context(), keys.Leader)
		if err != nil || pairs[0].Session != b.runner.sessions[0] {
			t.Errorf("the lock is held by %q (%v), and the run has the session %q", pairs[0].Session, err, b.runner.sessions[0])
		}
		b.runner.lose <- errors.New("the lock is lost")
		settle()
		look("the lock is lost", 1, 0)
		waitFor(time.Minute)
		look("it leads again", 2, 1)
		if b.runner.sessions[0] == b.runner.sessions[1] {
			t.Error("the new term has the session of the old one")
		}
		b.stop()
		look("it has stopped", 2, 0)
	})
}

// TestManager_IsNotReadyWithoutPermission refuses the passes over one of two plans, as Consul does after its token was replaced.
func TestManager_IsNotReadyWithoutPermission(t *testing.T) {
	run(t, map[string]answer{"a": {next: time.Second}, "b": {next: time.Second}}, func(b *bench) {
		ready := func() string {
			if _, err := b.manager.Ready(t.Context()); err != nil {
				return err.Error()
			}
			return ""
		}
		waitFor(time.Minute)
		if got := ready(); got != "" {
			t.Errorf("at first: %s", got)
		}
		denied := &store.ForbiddenError{Key: "upgrade.jiocloud.com/plans/a/ledger", Policy: "key", Err: errors.New("ACL not found")}
		b.worker.set("a", answer{err: fmt.Errorf("write: %w", denied)})
		waitFor(time.Minute)
		if got := ready(); !strings.Contains(got, "leading, but write: permission denied on upgrade.jiocloud.com/plans/a/ledger") {
			t.Errorf("without permission: %q", got)
		}
		passes := b.passes("a", func() { waitFor(time.Hour) })
		if passes > 70 {
			t.Errorf("%d passes in an hour without permission, want one each minute", passes)
		}
		b.worker.set("a", answer{next: time.Second})
		waitFor(5 * time.Minute)
		if got := ready(); got != "" {
			t.Errorf("with permission again: %s", got)
		}
	})
}

// TestManager_WaitsLongerForPermissionToLead refuses the lock, as Consul does for a token that has expired.
func TestManager_WaitsLongerForPermissionToLead(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.store.mu.Lock()
		b.store.denied = true
		b.store.mu.Unlock()
		waitFor(5 * time.Minute)
		if _, err := b.manager.Ready(t.Context()); err == nil {
			t.Error("ready without permission")
		}
		_, before := b.store.counts()
		waitFor(time.Hour)
		if _, after := b.store.counts(); after-before > 200 {
			t.Errorf("%d requests in an hour without permission", after-before)
		}
		b.store.mu.Lock()
		b.store.denied = false
		b.store.mu.Unlock()
		waitFor(2 * time.Minute)
		if doing, err := b.manager.Ready(t.Context()); err != nil || doing != "leading" {
			t.Errorf("with permission again: %q, %v", doing, err)
		}
	})
}
