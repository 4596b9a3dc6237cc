// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

const benchHosts = 100_000

// BenchmarkStatus measures upgradectl status as a process, on 100,000 hosts in a real single server. For comparison it measures
// curl of the recursive reads of both trees: at the start of a rollout, and halfway, when each host has a key.
func BenchmarkStatus(b *testing.B) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		b.Skip("curl is not installed: apt-get install curl")
	}
	binary := filepath.Join(b.TempDir(), "upgradectl")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary,
		"github.com/jiocloud/upgrade-controller/cmd/upgradectl")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	addr := consultest.StartWith(b, consuldev.Options{Server: true}).Addr()
	s, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		b.Fatal(err)
	}
	fill := func(of func(i int) store.Op) {
		ops := make([]store.Op, 0, benchHosts)
		for i := range benchHosts {
			ops = append(ops, of(i))
		}
		for chunk := range slices.Chunk(ops, store.MaxOps) {
			if _, err := s.Txn(b.Context(), chunk); err != nil {
				b.Fatal(err)
			}
		}
	}
	host := func(i int) string { return fmt.Sprintf("role%c%d-dc1", 'a'+i%10, i/10) }
	l := keys.Layout{}
	url := func(prefix string) string { return "http://" + addr + "/v1/kv/" + prefix + "?recurse" }
	fill(func(i int) store.Op {
		return store.Op{Verb: store.Set, Key: l.Record("v1", host(i)), Value: []byte("1782000000")}
	})
	fill(func(i int) store.Op {
		return [...]store.Op{{Verb: store.Set, Key: l.CurrentVersion(), Value: []byte("v2")},
			{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte(keys.Disabled)}}[i%2]
	})
	measure := func(name string, args ...string) {
		b.Run(name, func(b *testing.B) {
			var rss int64
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), args[0], args[1:]...)
				var stderr strings.Builder
				cmd.Stderr = &stderr
				if err := cmd.Run(); err != nil {
					b.Fatalf("%v\n%s", err, stderr.String())
				}
				if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
					rss = max(rss, usage.Maxrss)
				}
			}
			b.ReportMetric(float64(rss)/1024, "MiB-RSS")
		})
	}
	for _, at := range []string{"start", "midway"} {
		if at == "midway" {
			fill(func(i int) store.Op {
				return store.Op{Verb: store.Set, Key: l.EnableHost(host(i)), Value: []byte(keys.Enabled), Flags: 1782000000}
			})
		}
		measure(at+"/curl", curl, "-sf", "-o", "/dev/null", url(l.RecordTree()), "-o", "/dev/null", url(l.EnableTree()))
		measure(at+"/status", binary, "status", "--http-addr", addr)
	}
}
