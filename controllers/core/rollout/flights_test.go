// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

func TestFlightsPrecedeGrants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := anyWorld(t)
		f, d := w.observe(), w.decide()
		flights := rollout.Flights(w.input(&f))
		for i, v := range d.Verdicts {
			want, mark := v.InFlight, f.Hosts[i].Started
			if v.Reason == v1alpha1.ReasonStarting {
				want = mark != nil
			}
			if v.Reason == v1alpha1.ReasonStarting && want && mark.By == fleet.ByController {
				continue // it may have ended
			}
			if got := slices.ContainsFunc(flights, func(f rollout.Flight) bool { return f.Index == i }); got != want {
				t.Fatalf("%s in flight: %t, not %t\n%s", v.Host, got, want, verdictLines(d))
			}
		}
	})
}

func TestFlightTimes(t *testing.T) {
	w := newWorld(t, `
		record v1 web1..5
		agent web1..5
		key host/web1 True -50m
		key host/web2 True -50m
		started web2 v2 -10m
		key host/web3 True -2h
		record v2 web4 at -1m
		agent web4`, "minReadySeconds: 600")
	f := w.observe()
	got := rollout.Flights(w.input(&f))
	want := []rollout.Flight{
		{Index: 0, Since: noon.Add(-50 * time.Minute), Due: noon.Add(10 * time.Minute)},
		{Index: 1, Since: noon.Add(-10 * time.Minute), Due: noon.Add(50 * time.Minute)},
		{Index: 2, Since: noon.Add(-2 * time.Hour)}, // it has failed
		{Index: 3, Since: got[3].Since},             // it soaks
	}
	if diff := cmp.Diff(want, got); diff != "" || got[3].Since.IsZero() {
		t.Errorf("-want +got:\n%s", diff)
	}
}
