// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// defaultSteps is how many calls go test simulates. UPGRADE_DST_STEPS is another number, or a duration.
	defaultSteps = 1_000_000
	// stepsOfRun is how many calls of each run come with faults.
	stepsOfRun = 2500
	// maxFailures is after how many violations the test ends, and shrinkSteps how many steps it takes to shrink each.
	maxFailures = 3
	shrinkSteps = 500_000
)

// budget says how long to simulate.
type budget struct {
	steps int
	until time.Time
}

func budgetOf(t *testing.T) budget {
	t.Helper()
	text := os.Getenv("UPGRADE_DST_STEPS")
	if text == "" {
		if quick() {
			return budget{steps: defaultSteps / 50}
		}
		return budget{steps: defaultSteps}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return budget{until: time.Now().Add(d)}
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("UPGRADE_DST_STEPS: %q is neither a number nor a duration", text)
	}
	return budget{steps: n}
}

func (b budget) over(steps int) bool {
	if !b.until.IsZero() {
		return time.Now().After(b.until)
	}
	return steps >= b.steps
}

// quick says that tests simulate less.
func quick() bool { return testing.Short() || raceDetector() }

// raceDetector says that the test was built with the race detector, which makes it slow.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// seedOf is UPGRADE_DST_SEED: the seed to begin with, and whether it is given.
func seedOf(t *testing.T) (uint64, bool) {
	t.Helper()
	text := os.Getenv("UPGRADE_DST_SEED")
	if text == "" {
		return 1, false
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("UPGRADE_DST_SEED: %q is not a number", text)
	}
	return seed, true
}

// TestSimulation simulates one scenario after another. A failing seed prints its history, with as few faults as possible.
func TestSimulation(t *testing.T) {
	seed, one := seedOf(t)
	limit, begun := budgetOf(t), time.Now()
	if !one && !limit.until.IsZero() {
		seed = uint64(begun.Unix()) * 1_000_000 // others each time
	}
	steps, runs, starts, failures := 0, 0, 0, 0
	var virtual time.Duration
	for ; !limit.over(steps) && failures < maxFailures && (!one || runs == 0); seed++ {
		s := newScenario(seed, stepsOfRun)
		r := run(t, s, seams{})
		steps, runs, starts, virtual = steps+r.steps, runs+1, starts+r.starts, virtual+r.virtual
		if r.violation != "" {
			failures++
			report(t, s, r)
		}
	}
	took := time.Since(begun)
	t.Logf("%d steps in %d runs, %s (%.0f steps per second): %d hours of virtual time, %d starts", steps, runs,
		took.Round(time.Millisecond), float64(steps)/took.Seconds(), int(virtual.Hours()), starts)
}

// report shrinks a failing scenario and prints it.
func report(t *testing.T, s scenario, r result) {
	t.Helper()
	small := shrink(s, r.rule, shrinkSteps, func(s scenario) result { return run(t, s, seams{}) })
	r = run(t, small, seams{})
	var events strings.Builder
	for _, e := range small.Events {
		fmt.Fprintln(&events, e)
	}
	t.Errorf("seed %d breaks a rule: %s: %s\nrun it again: UPGRADE_DST_SEED=%d go test ./controllers/internal/dst -run 'TestSimulation$'\n"+
		"plan: %+v\nhosts: %q, legacy: %q, old agents: %q\n%d of %d faults are needed:\n%s\nhistory:\n%s", s.Seed, r.rule, r.violation, s.Seed, s.Plan, s.Hosts,
		s.Legacy, s.Old, len(small.Events), len(s.Events), events.String(), r.text())
}

// replaySeeds is how many seeds are replayed. UPGRADE_DST_REPLAY is another number.
const replaySeeds = 20

// The same seed makes the same history, call by call, however many other processes use the processors.
func TestRun_ReplaysExactly(t *testing.T) {
	seeds := uint64(replaySeeds)
	if quick() {
		seeds /= 5
	}
	if text := os.Getenv("UPGRADE_DST_REPLAY"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("UPGRADE_DST_REPLAY: %q is not a number", text)
		}
		seeds = n
	}
	for seed := range seeds {
		s := newScenario(1000+seed, 1500)
		a, b := run(t, s, seams{}).history, run(t, s, seams{}).history
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				from := max(0, i-20)
				t.Fatalf("seed %d: the histories differ at line %d:\n%s\n\n%s", s.Seed, i,
					result{history: a[from:min(i+3, len(a))]}.text(), result{history: b[from:min(i+3, len(b))]}.text())
			}
		}
	}
}

// A fault of the product is found, and only the events that it needs are left.
func TestShrink_KeepsTheFaultsThatAreNeeded(t *testing.T) {
	if quick() {
		t.Skip("it takes a minute with the race detector")
	}
	broken := seams{only: "stop", ops: without(func(p *process, op store.Op) bool { return p.machine == nil && op.Key == keys.Layout{}.HoldFleet() })}
	for seed := uint64(1); seed < 200; seed++ {
		s := newScenario(seed, stepsOfRun)
		r := run(t, s, broken)
		if r.rule != "stop" {
			continue
		}
		small := shrink(s, r.rule, shrinkSteps/5, func(s scenario) result { return run(t, s, broken) })
		if again := run(t, small, broken); again.rule != r.rule || len(small.Events) > len(s.Events)/2 {
			t.Errorf("seed %d: %d of %d events are left, and the rule is %q", seed, len(small.Events), len(s.Events), again.rule)
		}
		t.Logf("seed %d: %d of %d events are left: %v", seed, len(small.Events), len(s.Events), small.Events)
		return
	}
	t.Error("not found")
}
