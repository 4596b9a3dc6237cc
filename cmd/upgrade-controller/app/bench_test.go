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
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/devagent"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// meter forwards connections to a Consul and counts the bytes that come back.
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

// BenchmarkHost is one host of many that reports that it has finished, until the next one is released: the bytes that the
// controller read from Consul for it, beside the time of one read of the whole fleet and one transaction.
func BenchmarkHost(b *testing.B) {
	for _, hosts := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) { benchmarkHost(b, hosts) })
	}
}

func benchmarkHost(b *testing.B, hosts int) {
	addr := consultest.StartWith(b, devagent.Options{Server: true}).Addr()
	s, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		b.Fatal(err)
	}
	l := keys.Layout{}
	write := func(ops ...store.Op) {
		b.Helper()
		for chunk := range slices.Chunk(ops, store.MaxOps) {
			if _, err := s.Txn(b.Context(), chunk); err != nil {
				b.Fatal(err)
			}
		}
	}
	report := func(host, version string) []store.Op {
		now := time.Now()
		return []store.Op{{Verb: store.Set, Key: l.Record(version, host), Value: keys.EncodeTime(now)},
			{Verb: store.Set, Key: l.Report(host), Value: keys.EncodeReport(fleet.Report{Role: "compute", Version: version,
				Phase: fleet.PhaseIdle, Time: now})},
			{Verb: store.Delete, Key: l.Started(host)}}
	}
	var setup []store.Op
	for i := range hosts {
		setup = append(setup, report(benchHost(i), "v1")...)
	}
	write(setup...)
	plan := &v1alpha1.UpgradePlan{}
	plan.Name = "fleet"
	spec := fmt.Sprintf("version: v2\ninstructions: {rollingRules: {global: %d}}", benchInFlight)
	if err := yaml.UnmarshalStrict([]byte(spec), &plan.Spec); err != nil {
		b.Fatal(err)
	}
	if _, _, err := (upgradeplan.Plans{Store: s}).Apply(b.Context(), plan, false); err != nil {
		b.Fatal(err)
	}
	m := newMeter(b, addr)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- app.Main(ctx, []string{"--http-addr", m.Addr().String(), "--min-gap", "1ms",
			"--health-probe-bind-address", "0", "--metrics-bind-address", "0"}, io.Discard, io.Discard)
	}()
	defer func() { cancel(); <-ended }()
	released := func(host string) {
		for mark := (store.Mark{}); ; {
			pairs, _, err := s.Get(b.Context(), l.EnableHost(host))
			if err != nil {
				b.Fatal(err)
			}
			if string(pairs[0].Value) == keys.Enabled {
				return
			}
			if mark, err = s.Wait(b.Context(), l.EnableHost(host), mark.Index); err != nil {
				b.Fatal(err)
			}
		}
	}
	quiet := func() { // until nothing was read for a while
		for before := int64(-1); before != m.bytes.Load(); {
			before = m.bytes.Load()
			<-time.After(3 * time.Second)
		}
	}
	released(benchHost(benchInFlight - 1))
	begun := time.Now()
	if _, err := upgradeplan.ObserveFleet(b.Context(), s, l, time.Now()); err != nil {
		b.Fatal(err)
	}
	read := time.Since(begun)
	quiet()
	var bytes int64
	finished := 0
	for b.Loop() {
		bytes -= m.bytes.Load()
		write(report(benchHost(finished), "v2")...)
		write(store.Op{Verb: store.Delete, Key: l.Record("v1", benchHost(finished))})
		released(benchHost(finished + benchInFlight))
		b.StopTimer()
		quiet()
		bytes += m.bytes.Load()
		finished++
		b.StartTimer()
	}
	b.ReportMetric(float64(bytes)/float64(finished), "bytes/host")
	b.ReportMetric(float64(read.Milliseconds()), "ms/whole-read")
}
