// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// bigWorld is a fleet in ten roles of which 50 each may be in flight. At the start no host has a key; midway half of it is
// upgraded, 500 are in flight, and each has a key of its own.
func bigWorld(b *testing.B, hosts int, midway bool) *world {
	w := newWorld(b, "", "instructions: {rollingRules: {global: 50}}")
	for _, role := range []string{"app", "cache", "compute", "controller", "db", "haproxy", "mq", "object", "stmon", "web"} {
		for i := range hosts / 10 {
			host, version := fmt.Sprintf("%s%d", role, i+1), "v1"
			if midway {
				if i < hosts/20 {
					version = "v2"
				}
				value, flags := keys.Disabled, uint64(0)
				if i < hosts/20+50 {
					value, flags = keys.Enabled, uint64(w.now.Unix()-60)
				}
				w.raw.Config = append(w.raw.Config, w.pair(w.layout.EnableHost(host), value, flags))
			}
			w.raw.RecordKeys = append(w.raw.RecordKeys, w.layout.Record(version, host))
		}
	}
	slices.Sort(w.raw.RecordKeys)
	slices.SortFunc(w.raw.Config, func(a, b keys.Pair) int { return strings.Compare(a.Key, b.Key) })
	return w
}

func overFleets(b *testing.B, run func(*testing.B, *world)) {
	for _, hosts := range []int{10_000, 100_000} {
		for _, at := range []string{"start", "midway"} {
			w := bigWorld(b, hosts, at == "midway")
			b.Run(fmt.Sprintf("hosts=%d/%s", hosts, at), func(b *testing.B) {
				b.ReportAllocs()
				run(b, w)
			})
		}
	}
}

func (w *world) decode() fleet.Fleet { return keys.Decode(w.raw, w.layout, keys.Options{Now: w.now}) }

func BenchmarkDecode(b *testing.B) {
	overFleets(b, func(b *testing.B, w *world) {
		for b.Loop() {
			w.decode()
		}
	})
}

func BenchmarkCompute(b *testing.B) {
	overFleets(b, func(b *testing.B, w *world) {
		f := w.decode()
		in := w.input(&f)
		if d := rollout.Compute(in); d.Starts() != 500 && len(w.raw.Config) == 1 {
			b.Fatalf("%d starts", d.Starts())
		}
		for b.Loop() {
			rollout.Compute(in)
		}
	})
}

func BenchmarkChanges(b *testing.B) {
	overFleets(b, func(b *testing.B, w *world) {
		f := w.decode()
		in := w.input(&f)
		d := rollout.Compute(in)
		for b.Loop() {
			w.layout.Changes(keys.Actual(w.raw, w.layout), d.Desired(in))
		}
	})
}
