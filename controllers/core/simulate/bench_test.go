// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

// BenchmarkRun measures a whole rollout over agents in ten roles with a limit of 5 %. MiB-RSS is the peak memory of the
// process.
func BenchmarkRun(b *testing.B) {
	for _, hosts := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			var all []simulate.Host
			for i := range hosts {
				all = append(all, simulate.Host{Name: fmt.Sprintf("role%c%d", 'a'+i%10, i/10+1), Version: "v1", Agent: true})
			}
			b.ReportAllocs()
			var o simulate.Outcome
			for b.Loop() {
				s := simulate.New(simulate.Options{Plan: plan(b, "version: v2\ninstructions: {rollingRules: {global: 5%}}"), Hosts: all,
					Start: start, Gap: time.Minute, Duration: simulate.Span{Mean: 5 * time.Minute, Spread: 0.2}, Quiet: true,
					Rand: rand.New(rand.NewPCG(1, 1))})
				s.SetVersion("v1")
				if o = s.Run(24 * time.Hour); !o.Complete || o.Upgraded != hosts {
					b.Fatalf("%d of %d hosts: %q", o.Upgraded, hosts, o.BlockedBy)
				}
			}
			var usage syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(usage.Maxrss)/1024, "MiB-RSS")
			b.ReportMetric(float64(o.Passes), "passes")
		})
	}
}
