// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/upgrade-controller/app"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// meter forwards connections to Consul and counts the bytes that Consul sends.
type meter struct {
	net.Listener
	bytes atomic.Int64
}

func newMeter(b *testing.B, target string) *meter {
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	m := &meter{Listener: l}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(b.Context(), "tcp", target)
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() { _, _ = io.Copy(client, io.TeeReader(server, m)); _ = client.Close() }()
		}
	}()
	return m
}

func (m *meter) Write(p []byte) (int, error) {
	m.bytes.Add(int64(len(p)))
	return len(p), nil
}

const benchInFlight = 50

func benchHost(i int) string { return fmt.Sprintf("compute%06d-dc1", i) }

// benchFleet is a fleet of agents in a Consul server.
type benchFleet struct {
	testing.TB
	addr   string
	store  *consul.Store
	layout keys.Layout
}

// newBenchFleet returns a fleet of hosts at v1.
func newBenchFleet(tb testing.TB, hosts int) *benchFleet {
	addr := consultest.StartWith(tb, consuldev.Options{Server: true}).Addr()
	s, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		tb.Fatal(err)
	}
	f := &benchFleet{TB: tb, addr: addr, store: s}
	var setup []store.Op
	for i := range hosts {
		setup = append(setup, f.is("v1", benchHost(i))...)
	}
	f.write(setup...)
	return f
}

func (f *benchFleet) write(ops ...store.Op) {
	f.Helper()
	for chunk := range slices.Chunk(ops, store.MaxOps) {
		if _, err := f.store.Txn(f.Context(), chunk); err != nil {
			f.Fatal(err)
		}
	}
}

func (f *benchFleet) report(version string, phase fleet.Phase, host string) store.Op {
	return store.Op{Verb: store.Set, Key: f.layout.Report(host), Value: keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema,
		Role: "compute", Version: version, Phase: phase, Time: time.Now(), Machine: fmt.Sprintf("%032x", host)})}
}

// is returns what an agent writes that is at a version.
func (f *benchFleet) is(version, host string) []store.Op {
	return []store.Op{{Verb: store.Set, Key: f.layout.Record(version, host), Value: keys.EncodeTime(time.Now())},
		f.report(version, fleet.PhaseIdle, host)}
}

// starts returns what an agent writes when it starts a change: see controllers/agent/transactions.go.
func (f *benchFleet) starts(from, to, host string) []store.Op {
	return []store.Op{{Verb: store.Delete, Key: f.layout.Grant(host)}, {Verb: store.Set, Key: f.layout.Started(host),
		Value: keys.EncodeStarted(fleet.Started{Version: to, From: from, Time: time.Now(), Rollout: 1, Grant: "1.1.1"})},
		f.report(to, fleet.PhaseUpgrading, host)}
}

// finishes returns what an agent writes when it has reached a version.
func (f *benchFleet) finishes(from, to, host string) []store.Op {
	return append(f.is(to, host), store.Op{Verb: store.Delete, Key: f.layout.Record(from, host)},
		store.Op{Verb: store.Delete, Key: f.layout.Started(host)})
}

func (f *benchFleet) apply(version string, inFlight int) {
	f.Helper()
	plan := &v1alpha1.UpgradePlan{}
	plan.Name = "fleet"
	spec := fmt.Sprintf("version: %s\ninstructions: {rollingRules: {global: %d}}", version, inFlight)
	if err := yaml.UnmarshalStrict([]byte(spec), &plan.Spec); err != nil {
		f.Fatal(err)
	}
	if _, _, err := (planstore.Plans{Store: f.store}).Apply(f.Context(), plan, false); err != nil {
		f.Fatal(err)
	}
}

// waitForGrant waits until a host has a grant.
func (f *benchFleet) waitForGrant(host string) {
	f.Helper()
	for last := (store.WatchIndex{}); ; {
		pairs, _, err := f.store.Get(f.Context(), f.layout.Grant(host))
		if err != nil {
			f.Fatal(err)
		}
		if pairs[0].Exists() {
			return
		}
		if last, err = f.store.Wait(f.Context(), store.WatchTarget{Prefix: f.layout.Grant(host)}, last.Index, store.MaxWait); err != nil {
			f.Fatal(err)
		}
	}
}

// controller runs a controller in this process until the benchmark ends.
func (f *benchFleet) controller(addr string, args ...string) {
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- app.Main(ctx, append([]string{"--http-addr", addr, "--health-probe-bind-address", "0", "--metrics-bind-address", "0", "--dashboard-bind-address", "0"}, args...), io.Discard, io.Discard)
	}()
	f.Cleanup(func() { cancel(); <-ended })
}

// quiet waits until Consul has sent nothing for a while.
func (m *meter) quiet() {
	for before := int64(-1); before != m.bytes.Load(); {
		before = m.bytes.Load()
		<-time.After(500 * time.Millisecond)
	}
}

// BenchmarkHost measures how long it takes from the moment when a host finishes until the next one has a grant. It reports the
// bytes that the controller read from Consul for one host, with headers, and the duration of one full read for comparison.
func BenchmarkHost(b *testing.B) {
	for _, hosts := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) { benchmarkHost(b, hosts) })
	}
}

func benchmarkHost(b *testing.B, hosts int) {
	f := newBenchFleet(b, hosts)
	f.apply("v2", benchInFlight)
	m := newMeter(b, f.addr)
	f.controller(m.Addr().String(), "--min-gap", "1ms")
	f.waitForGrant(benchHost(benchInFlight - 1))
	for i := range benchInFlight {
		f.write(f.starts("v1", "v2", benchHost(i))...)
	}
	start := time.Now()
	if _, err := planstore.ObserveFleet(b.Context(), f.store, f.layout, time.Now()); err != nil {
		b.Fatal(err)
	}
	read := time.Since(start)
	m.quiet()
	var bytes int64
	finished := 0
	for b.Loop() {
		bytes -= m.bytes.Load()
		f.write(f.finishes("v1", "v2", benchHost(finished))...)
		f.waitForGrant(benchHost(finished + benchInFlight))
		b.StopTimer()
		f.write(f.starts("v1", "v2", benchHost(finished+benchInFlight))...)
		m.quiet()
		bytes += m.bytes.Load()
		finished++
		b.StartTimer()
	}
	b.ReportMetric(float64(bytes)/float64(finished), "bytes/host")
	b.ReportMetric(float64(read.Milliseconds()), "ms/whole-read")
}
