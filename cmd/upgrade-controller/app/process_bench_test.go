// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// measured is the real binary at work.
type measured struct {
	testing.TB
	cmd *exec.Cmd
}

func (f *benchFleet) binary(addr string, args ...string) *measured {
	cmd := exec.CommandContext(f.Context(), build(f.TB), append([]string{"--http-addr", addr, "--health-probe-bind-address", "0",
		"--metrics-bind-address", "0", "--dashboard-bind-address", "0"}, args...)...)
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	return &measured{f.TB, cmd}
}

// memory is a field of /proc/<pid>/status, in MiB.
func (p *measured) memory(field string) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), field+":")
	kilobytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		p.Fatal(err)
	}
	return kilobytes / 1024
}

// cpu is the time that the process has had a CPU: the clock ticks of /proc/<pid>/stat, of which Linux counts 100 a second.
func (p *measured) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	fields := strings.Fields(string(data)[strings.LastIndex(string(data), ")")+1:])
	var ticks int
	for _, field := range fields[11:13] { // user and system
		n, err := strconv.Atoi(field)
		if err != nil {
			p.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// idleFor is how long an idle controller is watched.
const idleFor = 30 * time.Second

// BenchmarkIdle is a controller over 10,000 hosts of which none does anything: what it takes of the CPU, reads of Consul and
// writes.
func BenchmarkIdle(b *testing.B) {
	f := newBenchFleet(b, 10_000)
	f.apply("v2", benchInFlight)
	m := newMeter(b, f.addr)
	p := f.binary(m.Addr().String())
	f.released(benchHost(benchInFlight - 1))
	m.quiet()
	ledger := func() uint64 {
		pairs, _, err := f.store.Get(b.Context(), keys.Plan("fleet").Ledger())
		if err != nil {
			b.Fatal(err)
		}
		return pairs[0].ModifyIndex
	}
	var cpu time.Duration
	var bytes int64
	rounds := 0
	for b.Loop() {
		before := ledger()
		cpu, bytes = cpu-p.cpu(), bytes-m.bytes.Load()
		<-time.After(idleFor)
		cpu, bytes = cpu+p.cpu(), bytes+m.bytes.Load()
		if ledger() != before {
			b.Fatal("an idle controller has written")
		}
		rounds++
	}
	b.ReportMetric(cpu.Seconds()/idleFor.Seconds()/float64(rounds)*100, "%CPU")
	b.ReportMetric(float64(bytes)/float64(rounds)/idleFor.Seconds(), "bytes/s")
}

// BenchmarkMemory is a controller over 100,000 hosts through a first pass, a switch of the version, thousands of releases,
// hosts that finish, and looks at everything: the most memory that it ever had.
func BenchmarkMemory(b *testing.B) {
	const inFlight = 2000
	for b.Loop() {
		f := newBenchFleet(b, 100_000)
		f.apply("v2", inFlight)
		p := f.binary(f.addr, "--resync", "5s")
		f.released(benchHost(inFlight - 1))
		for i := range 2 * inFlight {
			f.write(f.finishes("v1", "v2", benchHost(i))...)
		}
		f.released(benchHost(3*inFlight - 1))
		f.apply("v3", inFlight)
		f.released(benchHost(inFlight))
		<-time.After(20 * time.Second) // some resyncs
		b.ReportMetric(p.memory("VmHWM"), "MiB-peak")
		b.ReportMetric(p.memory("VmRSS"), "MiB-now")
	}
}
