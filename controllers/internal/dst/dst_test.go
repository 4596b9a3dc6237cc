// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

//go:debug randseednop=0
package dst

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestSimulation(t *testing.T) {
	seeds, first := 20, uint64(1)
	if v := os.Getenv("UPGRADE_DST_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, seeds = n, 1
	}
	if v := os.Getenv("UPGRADE_DST_SEEDS"); v != "" {
		seeds, _ = strconv.Atoi(v)
	}
	steps, begun := 0, time.Now()
	var virtual time.Duration
	starts := 0
	for seed := first; seed < first+uint64(seeds); seed++ {
		r := run(t, newScenario(seed, 2500), seams{})
		steps += r.steps
		starts += r.starts
		virtual += r.virtual
		if r.violation != "" {
			t.Errorf("seed %d: %s: %s", seed, r.rule, r.violation)
			if seeds == 1 {
				t.Log("\n" + r.text())
			}
		}
	}
	t.Logf("%d steps in %s, %s of virtual time, %d starts", steps, time.Since(begun), virtual, starts)
}

// The same seed makes the same history, call by call.
func TestRun_ReplaysExactly(t *testing.T) {
	for seed := range uint64(10) {
		s := newScenario(1000+seed, 1500)
		first, second := run(t, s, seams{}), run(t, s, seams{})
		a, b := first.history, second.history
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				from := max(0, i-20)
				t.Fatalf("seed %d: the histories differ at line %d:\n%s\n\n%s", s.Seed, i,
					result{history: a[from:min(i+3, len(a))]}.text(), result{history: b[from:min(i+3, len(b))]}.text())
			}
		}
	}
}
