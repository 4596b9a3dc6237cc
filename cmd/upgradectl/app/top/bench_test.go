// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top_test

import (
	"fmt"
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// benchHosts is the number of hosts, in ten roles without limits, so that all are in flight.
const benchHosts = 10_000

// BenchmarkTop measures one change, and one frame, which is drawn each second and after each key.
func BenchmarkTop(b *testing.B) {
	s, l := memory.New(clock), keys.Layout{}
	ops := []store.Op{{Verb: store.Set, Key: l.CurrentVersion(), Value: []byte("v2")}, {Verb: store.Set, Key: l.EnableGlobal(), Value: []byte(keys.Enabled)}}
	for i := range benchHosts {
		ops = append(ops, store.Op{Verb: store.Set, Key: l.Record("v1", fmt.Sprintf("role%c%d", 'a'+i%10, i/10)), Value: []byte("1772800000")})
	}
	for len(ops) > 0 {
		n := min(len(ops), store.MaxOps)
		if _, err := s.Txn(b.Context(), ops[:n]); err != nil {
			b.Fatal(err)
		}
		ops = ops[n:]
	}
	plan := &v1alpha1.UpgradePlan{Spec: v1alpha1.UpgradePlanSpec{Version: "v2"}}
	plan.Name = "fleet"
	o, err := planstore.ObserveAs(b.Context(), s, plan, noon)
	if err != nil {
		b.Fatal(err)
	}
	p := top.Picture{Digest: top.Of(o)}
	if len(p.Flights) != benchHosts {
		b.Fatalf("%d hosts are in flight", len(p.Flights))
	}
	b.Run("change", func(b *testing.B) {
		for b.Loop() {
			top.Of(o)
		}
	})
	b.Run("frame", func(b *testing.B) {
		for b.Loop() {
			top.Frame(p, noon, top.Window{Width: 120, Height: 40, Color: true})
		}
	})
}
