// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// The ledger's size follows from the spec, not from what hosts report.
func TestLedger_IsBounded(t *testing.T) {
	w := newWorld(t, "record v1 db1\nagent db1", "instructions: {roleOrder: {web: [db, mon]}}\nhealthGate: {checks: [puppet]}")
	w.raw.Ledger.Roles = []string{"mon", "other"} // as an earlier release stored it
	for i := range 3000 {
		host := fmt.Sprintf("host-with-a-rather-long-name-in-some-domain-%d", i)
		w.report(host, fleet.Report{Schema: fleet.ReportSchema, Role: fmt.Sprintf("role%d", i), Version: "v2", Phase: fleet.PhaseIdle})
		w.raw.Checks = append(w.raw.Checks, fleet.Check{Node: host, ID: "puppet", Status: fleet.Critical})
		put(&w.raw.Config, w.pair(w.layout.EnableHost(host), "True", uint64(w.now.Unix())))
	}
	d := w.decide()
	if got := d.Ledger.Roles; !slices.Equal(got, []string{"db", "mon"}) {
		t.Errorf("%d roles, %v …", len(got), got[:min(len(got), 3)])
	}
	if size := len(keys.EncodeLedger(d.Ledger)); size > 64<<10 {
		t.Errorf("%d bytes", size)
	}
}
