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

// counting is a store that counts what is asked of it.
type counting struct {
	store.Store
	mu       sync.Mutex
	waits    map[string]int
	waiting  int // now
	requests int
	down     bool
}

func (c *counting) Wait(ctx context.Context, target store.WatchTarget, index uint64) (store.WatchIndex, error) {
	c.mu.Lock()
	c.waits[target.Prefix]++
	c.waiting++
	down := c.down
	c.mu.Unlock()
	defer func() {
		if ctx.Err() != nil { // it takes a moment to end
			<-time.After(time.Millisecond)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
	}()
	if down {
		return store.WatchIndex{}, errors.New("no answer")
	}
	return c.Store.Wait(ctx, target, index)
}

func (c *counting) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	c.mu.Lock()
	c.requests++
	down := c.down
	c.mu.Unlock()
	if down {
		return nil, store.Meta{}, errors.New("no answer")
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

func (c *counting) turn(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// answer is what a pass over a plan returns.
type answer struct {
	next  time.Duration // from then
	watch []string
	// minInterval is that of each watch.
	minInterval time.Duration
	err         error
	takes       time.Duration
	// ends is how long it takes to end after its context has.
	ends time.Duration
}

// worker notes each pass.
type worker struct {
	mu      sync.Mutex
	answers map[string]answer // by plan; those that are not there are gone
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

// times are when the passes over a plan began.
func (w *worker) times(plan string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.passes[plan])
}

func (w *worker) told() []store.Changes {
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

// bench is a manager that runs on the bubble's own clock.
type bench struct {
	*testing.T
	store   *counting
	worker  *worker
	manager *manager.Manager
	told    told
	also    also
	stop    func() // and waits for its end
}

// told is what managers have told of what they do, one after the other.
type told struct {
	mu    sync.Mutex
	doing []manager.State
}

func (d *told) StateChanged(doing manager.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doing = append(d.doing, doing)
}

func (d *told) take() []manager.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	doing := d.doing
	d.doing = nil
	return doing
}

const resync = 5 * time.Minute

func run(t *testing.T, answers map[string]answer, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, store: &counting{Store: memory.New(time.Now), waits: map[string]int{}}}
		b.set(keys.PlansEpoch, "1")
		b.worker = &worker{answers: answers, passes: map[string][]time.Time{}}
		b.also.lose = make(chan error)
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
	b.manager = &manager.Manager{Store: b.store, Reconciler: b.worker, Holder: leaderelection.ControllerName + " test", Resync: resync,
		Log: logr.Discard(), Observer: &b.told, Runners: []manager.Runner{&b.also}}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.manager.Run(ctx) }()
	b.stop = func() { cancel(); <-ended }
}

// settle lets what was begun end, and pass lets time go by too.
func settle()                 { waitFor(10 * time.Millisecond) }
func waitFor(d time.Duration) { <-time.After(d); synctest.Wait() }

func (b *bench) set(key, value string) {
	b.Helper()
	if _, err := b.store.Txn(b.Context(), []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}}); err != nil {
		b.Fatal(err)
	}
}

// passes is how many passes over the plan a change makes.
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

func TestAChangeRingsItsPlanAndNoOther(t *testing.T) {
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

func TestARingIsAnsweredAtOnce(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		b.set("a/1", "1")
		waitFor(time.Minute)
		changed := time.Now()
		b.set("a/1", "2")
		settle()
		passes := b.worker.times("a")
		if took := passes[len(passes)-1].Sub(changed); took < 0 || took > 5*time.Millisecond {
			t.Errorf("looked %s after the change", took)
		}
	})
}

func TestRingsComeTogether(t *testing.T) {
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

func TestOtherKeysDoNotRingAnEmptyTree(t *testing.T) {
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

func TestAnIdleHour(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/", "b/", "c/", "d/", "e/", "f/", "g/", "h/"}}}, func(b *bench) {
		for _, prefix := range b.worker.answers["a"].watch {
			b.set(prefix, "1")
		}
		waitFor(time.Minute)
		waits, requests := b.store.counts()
		passes := b.passes("a", func() { waitFor(time.Hour) })
		if passes < 12 || passes > 14 {
			t.Errorf("%d passes, resync is each five minutes and up to a tenth earlier", passes)
		}
		moreWaits, moreRequests := b.store.counts()
		if got := moreWaits - waits; got != 9*12 {
			t.Errorf("%d blocking queries for nine prefixes, each of five minutes", got)
		}
		if got := moreRequests - requests; got != 720 {
			t.Errorf("%d reads: the lock is looked at each 5 s", got)
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

// A pass is told what rang since the one before it began: everything first, after an error and by the resync.
func TestAPassIsToldWhatRang(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/", "b/"}}}, func(b *bench) {
		var told []string
		pass := func(what, want string, do func()) {
			t.Helper()
			waitFor(10 * time.Second) // the bells may ring at once again
			before := len(b.worker.told())
			do()
			told = told[:0]
			for _, rang := range b.worker.told()[before:] {
				if rang.All {
					told = append(told, "all")
					continue
				}
				told = append(told, strings.Join(prefixes(rang), " "))
			}
			if got := strings.Join(told, ", "); got != want {
				t.Errorf("%s: told of %q, want %q", what, got, want)
			}
		}
		if first := b.worker.told()[0]; !first.All {
			t.Errorf("first told of %+v", first)
		}
		pass("one", "a/", func() { b.set("a/1", "1"); settle() })
		a := store.WatchTarget{Prefix: "a/"}
		if now, err := b.store.Wait(t.Context(), a, 0); err != nil || b.worker.told()[len(b.worker.told())-1].At[a] != now {
			t.Errorf("told of another index than %d (%v)", now.Index, err)
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

// A bell may ring more rarely than the others.
func TestABellMayRingRarely(t *testing.T) {
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
		b.want("with no gap of its own", b.passes("a", func() {
			for i := range 5 {
				b.set("a/1", fmt.Sprint("soon", i))
				waitFor(2 * time.Second)
			}
		}), 5)
	})
}

func TestAPlanIsLookedAtWhenItAsksForIt(t *testing.T) {
	run(t, map[string]answer{"a": {next: 10 * time.Second}}, func(b *bench) {
		b.want("a minute", b.passes("a", func() { waitFor(time.Minute) }), 6)
	})
}

func TestAPlanThatFailsIsTriedAgainLaterEachTime(t *testing.T) {
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
			t.Errorf("it was not forgiven: %v", passes)
		}
	})
}

func TestAStalledPlanWaitsForItsChange(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"spec"}, err: fmt.Errorf("read: %w", reconcile.ErrStalled)}}, func(b *bench) {
		b.set("spec", "1")
		waitFor(time.Second)
		b.want("until the resync", b.passes("a", func() { waitFor(4 * time.Minute) }), 0)
		b.want("its change", b.passes("a", func() { b.set("spec", "2"); settle() }), 1)
	})
}

func TestPlansComeAndGo(t *testing.T) {
	run(t, map[string]answer{}, func(b *bench) {
		waitFor(time.Second)
		b.worker.set("a", answer{watch: []string{"a/"}})
		b.want("it comes, and is looked at again once its tree is watched",
			b.passes("a", func() { b.set(keys.PlansEpoch, "2"); waitFor(20 * time.Millisecond) }), 2)
		waitFor(time.Second)
		b.worker.remove("a")
		b.want("it goes", b.passes("a", func() { b.set("a/spec", "1"); settle() }), 1)
		waitFor(10 * time.Second)
		b.want("nobody rings for it", b.passes("a", func() { b.set("a/spec", "2"); waitFor(time.Minute) }), 0)
		b.worker.set("a", answer{watch: []string{"a/"}})
		b.want("it comes again", b.passes("a", func() { b.set(keys.PlansEpoch, "3"); waitFor(20 * time.Millisecond) }), 2)
		waitFor(time.Second)
		b.worker.set("a", answer{watch: []string{"b/"}})
		b.want("it moves", b.passes("a", func() { b.set("a/spec", "3"); waitFor(20 * time.Millisecond) }), 2)
		b.set("b/", "1")
		waitFor(10 * time.Second)
		b.want("from there", b.passes("a", func() { b.set("a/spec", "4"); settle() }), 0)
		b.want("to there", b.passes("a", func() { b.set("b/", "2"); settle() }), 1)
	})
}

func TestAPlanNobodyToldOfIsFoundByTheResync(t *testing.T) {
	run(t, map[string]answer{}, func(b *bench) {
		b.worker.set("a", answer{})
		waitFor(resync)
		b.want("found", min(b.worker.count("a"), 1), 1)
	})
}

func TestALostLockEndsTheWorkAtOnce(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		b.set("a/1", "1")
		waitFor(time.Second)
		first := b.worker.last()
		b.worker.set("a", answer{err: fmt.Errorf("wrote: %w", leaderelection.ErrLost)})
		b.set("a/1", "2")
		settle()
		b.worker.set("a", answer{})
		waitFor(time.Minute) // it asks for the lock again, with another session
		if b.worker.last() == first {
			t.Error("it worked on with the session that it had lost")
		}
	})
}

func TestWhenConsulIsBackAllIsLookedAt(t *testing.T) {
	run(t, map[string]answer{"a": {watch: []string{"a/"}}}, func(b *bench) {
		b.set("a/1", "1")
		waitFor(6 * time.Minute) // the blocking query has returned since
		b.store.turn(true)
		waitFor(2 * time.Second)
		b.set("a/1", "2")
		waitFor(3 * time.Second)
		b.store.turn(false)
		b.want("afterwards", min(b.passes("a", func() { waitFor(time.Minute) }), 1), 1)
	})
}

func TestOneLeadsAndTheOtherTakesOverWithinASecond(t *testing.T) {
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
			t.Errorf("the lock was left to %+v (%v)", held, err)
		}
	})
}

func TestTheLockIsHeldUntilThePassUnderWayHasEnded(t *testing.T) {
	run(t, map[string]answer{"a": {takes: time.Hour, ends: 300 * time.Millisecond}}, func(b *bench) {
		told := time.Now()
		stopped := make(chan time.Time)
		go func() { b.stop(); stopped <- time.Now() }()
		waitFor(200 * time.Millisecond)
		if held, err := leaderelection.LockHolder(t.Context(), b.store, keys.Leader); err != nil || held == nil {
			t.Errorf("the lock was given up during a pass (%v)", err)
		}
		if at := <-stopped; at.Sub(told) != 300*time.Millisecond {
			t.Errorf("it took %s to stop", at.Sub(told))
		}
		b.stop = func() {}
	})
}

func TestAnObserverIsToldWhatTheManagerDoes(t *testing.T) {
	run(t, map[string]answer{"a": {takes: time.Hour, ends: 300 * time.Millisecond}}, func(b *bench) {
		asking := manager.State{Text: "asking for the lock"}
		leads := manager.State{Leading: true, Ready: true, Text: "leading"}
		standsBy := manager.State{Ready: true, Text: "standing by: the leader is " + leaderelection.ControllerName + " test"}
		ended := manager.State{Text: "ended"}
		want := func(what string, want ...manager.State) {
			t.Helper()
			if got := b.told.take(); !slices.Equal(got, want) {
				t.Errorf("%s: told %+v, want %+v", what, got, want)
			}
		}
		want("the first", asking, leads)
		stop := b.stop
		b.start()
		waitFor(time.Minute)
		want("another", asking, standsBy)
		go stop()
		waitFor(200 * time.Millisecond)
		want("a pass is under way yet")
		waitFor(time.Minute)
		want("the first has stopped", asking, ended, leads)
		b.store.turn(true)
		waitFor(20 * time.Second)
		want("the lock is lost", asking)
		b.store.turn(false)
		waitFor(time.Minute)
		want("and taken again", leads)
	})
}

func TestHealthTellsTheTruth(t *testing.T) {
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
		b.store.turn(true)
		look("without Consul", true, false)
		waitFor(time.Minute)
		look("the lock is lost", true, false)
		b.store.turn(false)
		waitFor(time.Minute)
		look("leading again", true, true)
		b.worker.set("stuck", answer{takes: 20 * time.Minute})
		waitFor(resync + 11*time.Minute)
		look("stuck", false, true)
		waitFor(20 * time.Minute)
		b.worker.set("stuck", answer{})
		waitFor(25 * time.Minute)
		look("no longer", true, true)
		b.stop()
		look("ended", false, false)
	})
	var never manager.Manager
	if never.Healthy() == nil {
		t.Error("healthy before it runs")
	}
}

// also runs until its context ends, or it is told that the lock is lost.
type also struct {
	mu       sync.Mutex
	sessions []string // of each run
	running  int
	lose     chan error
}

func (a *also) Run(ctx context.Context, session string) error {
	a.note(session, 1)
	defer a.note("", -1)
	select {
	case err := <-a.lose:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (a *also) note(session string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running += n
	if session != "" {
		a.sessions = append(a.sessions, session)
	}
}

func TestOtherWorkIsDoneWhileItLeads(t *testing.T) {
	run(t, nil, func(b *bench) {
		look := func(what string, runs, running int) {
			t.Helper()
			b.also.mu.Lock()
			defer b.also.mu.Unlock()
			if len(b.also.sessions) != runs || b.also.running != running {
				t.Errorf("%s: %d runs, of which %d go on; want %d and %d", what, len(b.also.sessions), b.also.running, runs, running)
			}
		}
		look("it leads", 1, 1)
		pairs, _, err := b.store.Get(t.Context(), keys.Leader)
		if err != nil || pairs[0].Session != b.also.sessions[0] {
			t.Errorf("the lock is held by %q (%v), and the run has the session %q", pairs[0].Session, err, b.also.sessions[0])
		}
		b.also.lose <- errors.New("the lock is lost")
		settle()
		look("the lock is lost", 1, 0)
		waitFor(time.Minute)
		look("it leads again", 2, 1)
		if b.also.sessions[0] == b.also.sessions[1] {
			t.Error("with the session of the term before")
		}
		b.stop()
		look("it has stopped", 2, 0)
	})
}
