// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

func (f *fixture) forget(host string, force bool) (planstore.Forgotten, error) {
	return planstore.Plans{Store: f.through}.Forget(f.ctx(), planstore.ForgetOptions{Plan: "fleet", Host: host, Force: force,
		Now: f.clock.Now()})
}

func TestForget_DeletesAllKeysOfAHost(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.apply(twoAtATime)
		f.set("current_version", "2")
		f.set("config_state/enable_puppet/global", "False")
		f.hosts(true, "1", "web1", "web2")
		f.hosts(true, "0", "web1")
		f.set(f.layout.EnableHost("web1"), "False")
		_, err := f.holds().Set(f.ctx(), hostWeb1(), fleet.Hold{})
		f.must(err)
		f.clock.Advance(61 * time.Minute)
		epoch := f.get(f.layout.HoldEpoch()).ModifyIndex
		did, err := f.forget("web1", false)
		f.must(err)
		want := []string{"config_state/enable_puppet/host/web1", pauseOfWeb1, "running/versions/0/web1", "running/versions/1/web1",
			"upgrade.jiocloud.com/holds/host/web1", "upgrade.jiocloud.com/hosts/web1"}
		if d := cmp.Diff(want, did.Removed); d != "" {
			t.Error(d)
		}
		for key := range f.indexes() {
			if strings.Contains(key, "web1") {
				t.Errorf("%s is left", key)
			}
		}
		if f.get(f.layout.HoldEpoch()).ModifyIndex == epoch {
			t.Error("a commit under way does not notice that the hold is gone")
		}
	})
}

// The ledger dates the last report of a host by its index.
func TestForget_GoesByTheControllersClock(t *testing.T) {
	for _, tt := range []struct {
		name string
		// clock is how far the host's clock is ahead. silent is for how long the host has not reported.
		clock, silent time.Duration
		// dated says that the controller saw the store just before and just after the report.
		dated, gone bool
	}{
		{"clock ahead, gone", 3 * time.Hour, 2 * time.Hour, true, true},
		{"clock behind, alive", -3 * time.Hour, 10 * time.Minute, true, false},
		{"clock right, gone", 0, 2 * time.Hour, false, true},
		{"clock right, alive", 0, 10 * time.Minute, false, false},
		{"clock ahead, not dated", 3 * time.Hour, 2 * time.Hour, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.apply(twoAtATime)
				f.set("current_version", "2")
				marks := fleet.Watermarks{{Index: f.get("current_version").ModifyIndex, Time: f.clock.Now().Unix()}}
				at := f.clock.Now().Add(tt.clock)
				f.set(f.layout.Record("1", "web1"), string(keys.EncodeTime(at)))
				f.set(f.layout.Report("web1"), string(keys.EncodeReport(fleet.Report{Version: "1", Phase: fleet.PhaseIdle, Time: at})))
				if tt.dated {
					marks = append(marks, fleet.Watermark{Index: f.get(f.layout.Report("web1")).ModifyIndex, Time: f.clock.Now().Unix() + 1})
					f.set(keys.Plan("fleet").Ledger(), string(keys.EncodeLedger(fleet.Ledger{Watermarks: marks})))
				}
				f.clock.Advance(tt.silent)
				_, err := f.forget("web1", false)
				if _, active := errors.AsType[*planstore.HostActiveError](err); active == tt.gone || !active && err != nil {
					t.Errorf("gone: %v, got %v", tt.gone, err)
				}
			})
		})
	}
}

func TestForget_RefusesAHostThatMayExist(t *testing.T) {
	for name, arrange := range map[string]func(*fixture){
		"has begun": func(f *fixture) { f.set(f.layout.Started("web1"), `{"version":"2"}`); f.clock.Advance(2 * time.Hour) },
		"reported":  func(f *fixture) { f.clock.Advance(time.Hour - time.Second) },
		// The first look finds it silent for hours; its report comes before the transaction.
		"reports just now": func(f *fixture) {
			f.clock.Advance(2 * time.Hour)
			did := false
			f.through = &watched{Store: f.store, before: func(int) {
				if !did {
					did = true
					f.hosts(false, "2", "web1") // under a key that was not there
				}
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.apply(twoAtATime)
				f.set("current_version", "2")
				f.set("config_state/enable_puppet/global", "False")
				f.hosts(true, "1", "web1")
				arrange(f)
				_, err := f.forget("web1", false)
				if _, ok := errors.AsType[*planstore.HostActiveError](err); !ok {
					t.Fatalf("got %v", err)
				}
				if !f.get(f.layout.Record("1", "web1")).Exists() {
					t.Error("refused, and removed")
				}
				if did, err := f.forget("web1", true); err != nil || len(did.Removed) < 2 {
					t.Errorf("forced: %v %+v", err, did)
				}
			})
		})
	}
}
