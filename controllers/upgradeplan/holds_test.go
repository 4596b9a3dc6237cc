// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

func roleWeb() fleet.Place { return fleet.Place{Scope: fleet.ScopeRole, Name: "web"} }

func hostWeb1() fleet.Place { return fleet.Place{Scope: fleet.ScopeHost, Name: "web1"} }

const pauseOfWeb1 = "config_state/host/web1/enable_puppet"

func (f *fixture) holds() planstore.Holds {
	return planstore.Holds{Store: f.store, Layout: f.layout}
}

func TestHold_StopsLegacyHostsUntilItExpires(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "2")
		f.set("config_state/enable_puppet/global", "False")
		f.hosts(false, "1", names("web", 2)...)
		f.apply(twoAtATime)
		_, err := f.holds().Set(f.ctx(), hostWeb1(), fleet.Hold{Owner: "me", Expires: f.clock.Now().Add(5 * time.Minute)})
		f.must(err)
		if p := f.get(pauseOfWeb1); string(p.Value) != "False" || !keys.OfHold(p) {
			t.Errorf("the pause key is %q, flags %d", p.Value, p.Flags)
		}
		r := f.reconcile()
		if v := verdict(t, r, "web1"); v.Reason != v1alpha1.ReasonOnHold || !strings.Contains(v.Message, "on hold by me until") {
			t.Errorf("%s: %s", v.Reason, v.Message)
		}
		f.txn(store.Op{Verb: store.Delete, Key: pauseOfWeb1})
		f.reconcile()
		if !keys.OfHold(f.get(pauseOfWeb1)) {
			t.Error("a pass does not restore the pause key that shows the hold to legacy hosts")
		}
		f.clock.Advance(5 * time.Minute)
		r = f.reconcile()
		if f.get(pauseOfWeb1).Exists() {
			t.Error("the pause key outlives the hold")
		}
		if d := cmp.Diff([]string{"global=False", "host/web1=True", "host/web2=True"}, f.enabled()); d != "" {
			t.Errorf("%s\n%s", d, explain(r))
		}
		if again := f.reconcile(); again.Written.Transactions != 0 {
			t.Errorf("a second pass wrote %s", again.Written)
		}
	})
}

func TestUnhold_RemovesOnlyThePauseKeyOfTheHold(t *testing.T) {
	onBoth(t, func(f *fixture) {
		for _, tt := range []struct{ before, after string }{{"", ""}, {"False", "False"}, {"True", "True"}} {
			if tt.before != "" {
				f.set(pauseOfWeb1, tt.before)
			}
			held, err := f.holds().Set(f.ctx(), hostWeb1(), fleet.Hold{Reason: "x"})
			f.must(err)
			if held.OwnPause != "" != (tt.before != "") || held.OwnStops != (tt.before == "False") || !held.Changed {
				t.Errorf("%q: %+v", tt.before, held)
			}
			epoch := f.get(f.layout.HoldEpoch()).ModifyIndex
			again, err := f.holds().Set(f.ctx(), hostWeb1(), fleet.Hold{Reason: "x", Time: f.clock.Now()})
			f.must(err)
			if again.Changed || f.get(f.layout.HoldEpoch()).ModifyIndex != epoch {
				t.Errorf("holding again changed something: %+v", again)
			}
			released, err := f.holds().Unhold(f.ctx(), hostWeb1())
			f.must(err)
			if !released.Changed || f.get(f.layout.HoldEpoch()).ModifyIndex == epoch {
				t.Error("a release that no commit notices")
			}
			if got := string(f.get(pauseOfWeb1).Value); got != tt.after {
				t.Errorf("the pause key was %q, and is %q", tt.before, got)
			}
		}
	})
}

// An operator's own pause key on a host on hold is reported, and stays when the hold ends.
func TestHold_KeepsAnOperatorsPauseKey(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.set("current_version", "2")
		f.set("config_state/enable_puppet/global", "False")
		f.set(pauseOfWeb1, "False")
		f.hosts(false, "1", names("web", 2)...)
		f.apply(twoAtATime)
		_, err := f.holds().Set(f.ctx(), hostWeb1(), fleet.Hold{Expires: f.clock.Now().Add(5 * time.Minute)})
		f.must(err)
		f.clock.Advance(6 * time.Minute)
		r := f.reconcile()
		if v := verdict(t, r, "web1"); v.Reason != v1alpha1.ReasonPausedByKey || !f.get(pauseOfWeb1).Exists() {
			t.Errorf("%s: %s", v.Reason, v.Message)
		}
	})
}
