// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

func (f *fixture) abort() planstore.Aborted {
	f.t.Helper()
	did, err := planstore.Plans{Store: f.store}.Abort(f.ctx(), "fleet", fleet.Pause{By: "me", Time: f.clock.Now()})
	f.must(err)
	return did
}

func TestAbort_RevokesGrantsUntilTheSpecChanges(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "0")
		f.hosts(true, "0", names("web", 3)...)
		f.hosts(false, "0", names("db", 2)...)
		f.hosts(true, "2", "app1")
		f.apply(twoAtATime)
		f.reconcile()
		f.set(f.layout.Started("web2"), `{"version":"2"}`)
		if did := f.abort(); !did.Changed || did.Left != nil {
			t.Errorf("%+v", did)
		}
		want := []string{"global=False", "host/app1=True", "host/web2=True", "role/app=True"} // who has begun, and who is done
		if d := cmp.Diff(want, f.enabled()); d != "" {
			t.Error(d)
		}
		if m := keys.DecodeStarted(f.get(f.layout.Started("db1"))); m == nil || m.By != fleet.ByController {
			t.Errorf("a legacy host that may have started: %+v", m)
		}
		r := f.reconcile()
		for host, in := range map[string]bool{"web1": false, "web2": true, "web3": false, "db1": true} {
			if v := verdict(t, r, host); v.InFlight != in || host == "web3" && v.Reason != v1alpha1.ReasonAborted {
				t.Errorf("%s: %v %s: %s", host, v.InFlight, v.Reason, v.Message)
			}
		}
		if again := f.reconcile(); again.Written.Transactions != 0 {
			t.Errorf("a second pass wrote %s", again.Written)
		}
		f.apply("version: '3'\ninstructions: {rollingRules: {global: 9}}")
		f.wantVersion("3")
	})
}
