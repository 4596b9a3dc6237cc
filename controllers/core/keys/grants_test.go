// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

func TestDecodeCurrent_ReadsFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		flags uint64
		want  fleet.CurrentVersion
	}{
		"by hand":                        {0, fleet.CurrentVersion{}},
		"an action, by a former release": {0x616374, fleet.CurrentVersion{HasAction: true}},
		"other flags":                    {7, fleet.CurrentVersion{}},
		"governed":                       {keys.CurrentFlags(7, false), fleet.CurrentVersion{Governed: true, Rollout: 7}},
		"governed, with an action":       {keys.CurrentFlags(7, true), fleet.CurrentVersion{Governed: true, Rollout: 7, HasAction: true}},
		"the largest rollout":            {keys.CurrentFlags(1<<60, false), fleet.CurrentVersion{Governed: true, Rollout: 1<<48 - 1}},
	} {
		tc.want.Name, tc.want.Index = "v2", 9
		if d := cmp.Diff(tc.want, keys.DecodeCurrent(keys.Pair{Value: []byte("v2"), Flags: tc.flags, ModifyIndex: 9})); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestDecodeGrant(t *testing.T) {
	g := fleet.Grant{Rollout: 7, Version: "v2", Time: time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC), ID: "7.42", Unhealthy: true}
	got := keys.DecodeGrant(keys.Pair{Value: keys.EncodeGrant(g), ModifyIndex: 5})
	g.Index = 5
	if d := cmp.Diff(&g, got); d != "" {
		t.Error(d)
	}
	current := fleet.CurrentVersion{Name: "v2", Rollout: 7}
	if !got.For(current) {
		t.Error("the grant is not for its rollout")
	}
	for name, value := range map[string]string{"malformed": "x", "empty": "{}", "without an id": `{"rollout":7,"version":"v2"}`,
		"another rollout": `{"rollout":8,"version":"v2","id":"1"}`} {
		if g := keys.DecodeGrant(keys.Pair{Value: []byte(value), ModifyIndex: 5}); g == nil || g.For(current) {
			t.Errorf("%s: %+v", name, g)
		}
	}
	if g := keys.DecodeGrant(keys.Pair{}); g != nil || g.For(current) {
		t.Errorf("no grant: %+v", g)
	}
}

// Values of the release before grants are read.
func TestDecode_ReadsValuesOfTheFormerRelease(t *testing.T) {
	pair := func(value string) keys.Pair { return keys.Pair{Value: []byte(value), ModifyIndex: 5} }
	report := keys.DecodeReport(pair(`{"role":"web","version":"v1","phase":"Idle","time":"2026-03-06T14:00:00Z"}`))
	if h := (fleet.Host{Report: report}); h.KnowsGrants() || !h.Agent() || report.Rollout != 0 {
		t.Errorf("report %+v", report)
	}
	if m := keys.DecodeStarted(pair(`{"version":"v2","from":"v1","time":"2026-03-06T14:00:00Z"}`)); m.Rollout != 0 || m.Version != "v2" {
		t.Errorf("started marker %+v", m)
	}
	copied := pair(`{"counter":41,"watermarks":[{"index":1,"time":5},{"index":999,"time":9}]}`)
	copied.CreateIndex, copied.ModifyIndex = 999, 999
	if l, err := keys.DecodeLedger(copied); err != nil || l.Watermarks != nil {
		t.Errorf("a ledger that was copied from another store: %v, watermarks %v", err, l.Watermarks)
	}
	copied.ModifyIndex = 1000
	if l, err := keys.DecodeLedger(copied); err != nil || len(l.Watermarks) != 2 {
		t.Errorf("%v, watermarks %v", err, l.Watermarks)
	}
	ledger, err := keys.DecodeLedger(pair(`{"counter":41,"version":"v2","roles":["db","web"],"completed":3}`))
	if err != nil || ledger.Rollout != 0 || ledger.Counter != 41 || ledger.WentBack != "" {
		t.Errorf("ledger %+v: %v", ledger, err)
	}
	control, err := keys.DecodeControl(pair(`{"pause":{"by":"alice","reason":"lunch"}}`))
	if err != nil || control.Restored != nil || control.Pause.By != "alice" {
		t.Errorf("control %+v: %v", control, err)
	}
}
