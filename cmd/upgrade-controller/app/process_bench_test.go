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

// measured is a process of the real binary.
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

// memory returns a field of /proc/<pid>/status in MiB.
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

// cpu returns the CPU time of the process, from the clock ticks of /proc/<pid>/stat. Linux counts 100 per second.
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

// idleFor is how long an idle controller is measured.
const idleFor = 30 * time.Second

// BenchmarkIdle measures a controller with 10,000 idle hosts: its CPU time, and the bytes that it reads from Consul.
func BenchmarkIdle(b *testing.B) {
	f := newBenchFleet(b, 10_000)
	f.apply("v2", benchInFlight)
	m := newMeter(b, f.addr)
	p := f.binary(m.Addr().String())
	f.waitForGrant(benchHost(benchInFlight - 1))
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
	runs := 0
	for b.Loop() {
		before := ledger()
		cpu, bytes = cpu-p.cpu(), bytes-m.bytes.Load()
		<-time.After(idleFor)
		cpu, bytes = cpu+p.cpu(), bytes+m.bytes.Load()
		if ledger() != before {
			b.Fatal("an idle controller wrote the ledger")
		}
		runs++
	}
	b.ReportMetric(cpu.Seconds()/idleFor.Seconds()/float64(runs)*100, "%CPU")
	b.ReportMetric(float64(bytes)/float64(runs)/idleFor.Seconds(), "bytes/s")
}

// BenchmarkMemory measures the peak memory of a controller with 100,000 hosts, through a first pass, a switch, thousands of
// grants and full reads.
func BenchmarkMemory(b *testing.B) {
	const inFlight = 2000
	for b.Loop() {
		f := newBenchFleet(b, 100_000)
		f.apply("v2", inFlight)
		p := f.binary(f.addr, "--resync", "5s")
		f.waitForGrant(benchHost(inFlight - 1))
		for i := range 2 * inFlight {
			f.write(f.finishes("v1", "v2", benchHost(i))...)
		}
		f.waitForGrant(benchHost(3*inFlight - 1))
		f.apply("v3", inFlight)
		f.waitForGrant(benchHost(inFlight))
		<-time.After(20 * time.Second) // some resyncs
		b.ReportMetric(p.memory("VmHWM"), "MiB-peak")
		b.ReportMetric(p.memory("VmRSS"), "MiB-now")
	}
}
