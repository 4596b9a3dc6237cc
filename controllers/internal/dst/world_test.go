// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// world is one simulated run. Its scheduler is the goroutine of the test. It executes one call of one process at a time, and waits
// until every process waits again. So no two calls race, and a seed decides the order of all.
type world struct {
	scenario scenario
	// seams are faults of the product, to calibrate the referee. The zero value is the product as it is.
	seams   seams
	store   *memory.Store
	random  *rand.Rand
	begun   time.Time
	referee *referee

	controllers []*controller
	machines    []*machine
	operators   int
	branch      branch
	ended       []ended // commands whose end the scheduler has not noted
	backup      *memory.Snapshot
	// byHand are the versions to which hosts came without a grant: by their images, or as a second machine.
	byHand map[string]bool
	// starting is the host whose start an event waited for.
	starting *machine
	// installed counts the installations of machines.
	installed int
	// clockSet says that the clock of a controller was set.
	clockSet bool

	mu       sync.Mutex
	parked   []*call // in order of arrival
	arrivals uint64
	arrived  chan struct{}
	running  sync.WaitGroup

	// steps counts the calls that were executed, and quiet says that no more faults come.
	steps int
	quiet bool
	// busy is the step of the last start.
	busy int
	// over says that the run has ended, and its processes end.
	over bool
	// next is what happens to the next call.
	next    []faultKind
	history []line
}

// line is one event of a history.
type line struct {
	at                  time.Duration
	process, what, done string
}

func (l line) String() string {
	text := fmt.Sprintf("%-13s %-15s %s", l.at.Round(time.Millisecond), l.process, l.what)
	if l.done != "" {
		text += "  -> " + l.done
	}
	return text
}

// result is the outcome of a run.
type result struct {
	steps   int
	virtual time.Duration
	starts  int
	history []line
	// violation is empty if all rules held, and rule is the broken one.
	rule, violation string
	complete        bool
}

// text is the readable history.
func (r result) text() string {
	var b strings.Builder
	for _, l := range r.history {
		b.WriteString(l.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// run simulates a scenario once.
func run(t *testing.T, s scenario, with seams) (out result) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		if s.Plan.Windows && s.Plan.Zone != "" {
			<-time.After(time.Until(s.Begin))
		}
		w := &world{scenario: s, seams: with, random: rand.New(rand.NewPCG(s.Seed, 2)), begun: time.Now(), arrived: make(chan struct{}, 1),
			byHand: map[string]bool{}}
		w.store = memory.New(time.Now)
		w.referee = newReferee(w)
		w.simulate()
		w.shutDown()
		out = result{steps: w.steps, virtual: time.Since(w.begun), starts: w.referee.starts, history: w.history,
			rule: w.referee.rule, violation: w.referee.violation, complete: w.referee.completed}
	})
	return out
}

// simulate runs the scenario: first with faults, and then without, until the plan is complete.
func (w *world) simulate() {
	w.install()
	events := w.scenario.Events
	var armed []event
	for w.steps < w.scenario.Steps && w.referee.ok() {
		w.settle()
		for len(events) > 0 && events[0].Step <= w.steps {
			armed, events = append(armed, events[0]), events[1:]
		}
		armed = slices.DeleteFunc(armed, func(e event) bool {
			due := w.due(e)
			if due {
				w.inject(e)
			}
			return due
		})
		if w.steps > w.busy+maxQuiet {
			w.keepBusy()
		}
		w.step()
	}
	if w.referee.ok() {
		w.recover()
	}
}

// maxQuiet is after how many steps without a start operators end what blocks the plan, or go on to the next version.
const maxQuiet = 120

// keepBusy lets operators go on, so that a run does not spend its time at rest.
func (w *world) keepBusy() {
	w.busy = w.steps
	if w.incomplete() == "" {
		plan := w.scenario.Plan.clone()
		plan.Version = versions()[1+w.random.IntN(3)]
		if plan.MaxFailed >= 0 {
			plan.MaxFailed = w.random.IntN(3)
		}
		w.apply(plan)
		return
	}
	w.unblock()
}

// step executes one call. If none waits, it lets time pass until one does.
func (w *world) step() {
	w.settle()
	c, next := w.choose()
	if c == nil {
		w.idle(next)
		return
	}
	w.advance(time.Duration(1+w.random.IntN(2000)) * time.Microsecond)
	w.settle() // calls may have arrived, or been given up
	w.steps++
	w.execute(c)
}

// advance lets time pass on the clock of the bubble of testing/synctest. It waits for nothing real.
func (w *world) advance(d time.Duration) { <-time.After(d) }

// idle lets time pass until a call arrives, at most until a time.
func (w *world) idle(until time.Time) {
	select { // what arrived before is known
	case <-w.arrived:
	default:
	}
	wait := maxIdle
	if !until.IsZero() {
		wait = max(min(wait, time.Until(until)), time.Millisecond)
	}
	begun := time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.arrived:
	case <-timer.C:
	}
	if time.Since(begun) >= wait { // whether or not a call arrived at the same moment
		w.steps++ // so that the next fault comes even if no process runs
	}
}

// maxIdle bounds how long no process calls anything.
const maxIdle = 10 * time.Minute

// choose returns a call that may be executed. If there is none, it returns when the next one may be. Zero means unknown.
func (w *world) choose() (c *call, next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var ready []*call
	for _, c := range w.parked {
		at := c.readyAt()
		if !at.After(now) {
			ready = append(ready, c)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(ready) == 0 {
		return nil, next
	}
	slices.SortFunc(ready, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.process.name, b.process.name), cmp.Compare(a.op, b.op), cmp.Compare(a.what, b.what),
			cmp.Compare(a.arrival, b.arrival))
	})
	ready = slices.CompactFunc(ready, func(a, b *call) bool { return a.twin(b) })
	if w.scenario.Priorities {
		return w.first(ready), time.Time{}
	}
	return ready[w.random.IntN(len(ready))], time.Time{}
}

// first returns a call of the process with the highest priority, which changes each priorityStep. So some processes wait while others
// do all that they have to do.
func (w *world) first(ready []*call) *call {
	best, highest := ready[0], uint64(0)
	for _, c := range ready {
		h := fnv.New64a()
		fmt.Fprint(h, w.scenario.Seed, w.steps/priorityStep, c.process.name)
		if p := h.Sum64(); p > highest {
			best, highest = c, p
		}
	}
	return best
}

// priorityStep is how many steps the priorities of processes last.
const priorityStep = 100

// execute executes a call, or does to it what a fault says.
func (w *world) execute(c *call) {
	fault := noFault
	if len(w.next) > 0 && c.faulty() {
		fault, w.next = w.next[0], w.next[1:]
		c.process.disturbed = time.Now()
	}
	if fault == delayCall {
		w.delay(c, time.Now().Add(time.Duration(1+w.random.IntN(120))*time.Second))
		w.note(c.process.name, c.op+" "+c.what, "delayed")
		return
	}
	twins := w.remove(c)
	if len(twins) == 0 {
		return
	}
	if c.orphan && !c.late && w.random.IntN(2) == 0 {
		w.note(c.process.name, c.op+" "+c.what, "lost on its way")
		return
	}
	var err error
	switch fault {
	case failCall:
		err = &store.UnavailableError{Address: "memory", Err: errors.New("503 no leader")}
	case throttleCall:
		err = &store.UnavailableError{Address: "memory", Err: errors.New("429 too many requests")}
	default:
		err = w.applyCall(c)
		if fault == loseReply && err == nil {
			err = &store.UnavailableError{Address: "memory", Err: errors.New("the reply was lost")}
		}
	}
	w.note(c.process.name, c.op+" "+c.what, outcome(err, fault, c.orphan))
	if !c.orphan {
		for _, twin := range twins {
			twin.at = c.at
			twin.done <- err
		}
	}
	w.settle()
}

// applyCall executes a call on the store. The referee sees each transaction.
func (w *world) applyCall(c *call) error {
	if c.ops == nil {
		return c.do()
	}
	before := w.referee.before(c)
	err := c.do()
	if err == nil {
		w.referee.applied(c, before)
	}
	return err
}

func outcome(err error, fault faultKind, orphan bool) string {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if fault == loseReply {
		text = "applied, " + text
	}
	if orphan {
		text += " (its caller is gone)"
	}
	return text
}

// remove takes a call and its twins from those that wait. It returns them in the order of arrival, or none if the call is gone.
func (w *world) remove(c *call) (twins []*call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.parked, c) {
		return nil
	}
	w.parked = slices.DeleteFunc(w.parked, func(o *call) bool {
		twin := o == c || o.twin(c)
		if twin {
			twins = append(twins, o)
		}
		return twin
	})
	return twins
}

// delay lets a call and its twins wait until a time.
func (w *world) delay(c *call, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.parked {
		if o == c || o.twin(c) {
			o.notBefore = until
		}
	}
}

// note adds a line to the history, until the run is over.
func (w *world) note(process, what, done string) {
	w.add(line{time.Since(w.begun), process, what, done})
}

func (w *world) add(l line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.history = append(w.history, l)
	}
}

// shutDown ends all processes.
func (w *world) shutDown() {
	w.settle()
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	for _, c := range w.controllers {
		c.kill()
	}
	for _, m := range w.machines {
		m.kill()
	}
	ended := make(chan struct{})
	go func() {
		w.running.Wait()
		close(ended)
	}()
	for over := false; !over; {
		w.settle()
		w.mu.Lock()
		parked := w.parked
		w.parked = nil
		w.mu.Unlock()
		for _, c := range parked {
			if !c.orphan {
				c.done <- errKilled
			}
		}
		timer := time.NewTimer(time.Minute)
		select {
		case <-ended:
			over = true
		case <-w.arrived:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// newContext returns a context that ends with its process.
func newContext() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}
