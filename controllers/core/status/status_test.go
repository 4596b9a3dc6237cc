// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

func decision() *rollout.Decision {
	v := func(host, role string, base, state rollout.State, counts, inFlight bool) rollout.Verdict {
		return rollout.Verdict{Host: host, Role: role, Base: base, State: state, Counts: counts, InFlight: inFlight, Reason: "Why", Message: "because"}
	}
	return &rollout.Decision{Version: "v2", Current: "v2", Roles: []rollout.Role{{Name: "db", Group: "dbs"}, {Name: "web", Group: "web"}},
		Verdicts: []rollout.Verdict{
			v("X", "", rollout.Pending, rollout.Unknown, false, false),
			v("db1", "db", rollout.Upgrading, rollout.Failed, true, true),
			v("db2", "db", rollout.Pending, rollout.Exempt, false, false),
			v("web2", "web", rollout.Upgraded, rollout.Upgraded, true, false),
			v("web10", "web", rollout.Pending, rollout.OnHold, true, false),
		}}
}

func TestHostListsOf_EachHostOnce(t *testing.T) {
	want := status.HostLists{Upgraded: []string{"web2"}, Upgrading: []string{"db1"}, Pending: []string{"X", "db2", "web10"}}
	if d := cmp.Diff(want, status.HostListsOf(decision())); d != "" {
		t.Error(d)
	}
	if got := status.HostListsOf(&rollout.Decision{}); got.Upgraded == nil || got.Upgrading == nil || got.Pending == nil {
		t.Errorf("an empty list would print as null: %+v", got)
	}
}

func TestOf_CountsHosts(t *testing.T) {
	s := status.Of(decision(), v1alpha1.UpgradePlanStatus{}, 7, time.Unix(100, 0))
	want := v1alpha1.HostCounts{Total: 3, Upgraded: 1, Failed: 1, Held: 1, InFlight: 1, Excluded: 1, Unknown: 1}
	if d := cmp.Diff(want, s.Hosts); d != "" {
		t.Error(d)
	}
	if s.Roles[0].Group != "dbs" || s.Roles[1].Group != "" || s.Roles[1].Total != 2 || s.ObservedGeneration != 7 {
		t.Errorf("%+v", s)
	}
	if got, want := status.Line(s), "1 of 3 hosts upgraded, 1 failed, 1 held, 1 left out, 1 unknown"; got != want {
		t.Errorf("%s", got)
	}
}

// A host that two machines report as is held, or upgraded if it has the version.
func TestOf_CountsDuplicatesAsHeld(t *testing.T) {
	d := decision()
	d.Verdicts[3].State, d.Verdicts[4].State = rollout.Duplicate, rollout.Duplicate
	want := v1alpha1.HostCounts{Total: 3, Upgraded: 1, Failed: 1, Held: 1, InFlight: 1, Excluded: 1, Unknown: 1}
	if d := cmp.Diff(want, status.Of(d, v1alpha1.UpgradePlanStatus{}, 7, time.Unix(100, 0)).Hosts); d != "" {
		t.Error(d)
	}
}

func TestOf_PhasesAndConditions(t *testing.T) {
	for _, e := range []struct {
		name    string
		change  func(*rollout.Decision)
		want    v1alpha1.Phase
		stalled string
	}{
		{"nothing moves, not even with time", func(*rollout.Decision) {}, v1alpha1.PhaseStalled, "Why"},
		{"time moves it", func(d *rollout.Decision) { d.Next = time.Unix(200, 0) }, v1alpha1.PhaseProgressing, ""},
		{"a host starts", func(d *rollout.Decision) { d.Verdicts[4].Reason = v1alpha1.ReasonStarting }, v1alpha1.PhaseProgressing, ""},
		{"a host is in flight", func(d *rollout.Decision) { d.Verdicts[4].InFlight = true }, v1alpha1.PhaseProgressing, ""},
		{"all wait for hosts that do not count", func(d *rollout.Decision) {
			for i := range d.Verdicts {
				d.Verdicts[i].Counts = false
			}
			d.Verdicts[4].Reason = v1alpha1.ReasonNotAdmitted
		}, v1alpha1.PhaseStalled, "NotAdmitted"},
		{"complete", func(d *rollout.Decision) { d.Complete = true }, v1alpha1.PhaseComplete, ""},
		{"paused", func(d *rollout.Decision) { d.Gate.Reason = v1alpha1.ReasonPlanPaused }, v1alpha1.PhasePaused, ""},
		{"failure budget exceeded", func(d *rollout.Decision) { d.Gate.Reason = v1alpha1.ReasonFailureBudgetExceeded }, v1alpha1.PhaseHalted, "FailureBudgetExceeded"},
		{"a window will open", func(d *rollout.Decision) { d.Gate.Reason = v1alpha1.ReasonOutsideWindow; d.Next = time.Unix(200, 0) },
			v1alpha1.PhaseProgressing, ""},
		{"a window will open before the switch", func(d *rollout.Decision) {
			d.Gate.Reason, d.Current, d.ReadOnly, d.Next = v1alpha1.ReasonOutsideWindow, "v1", true, time.Unix(200, 0)
		}, v1alpha1.PhasePending, ""},
		{"no window will open", func(d *rollout.Decision) { d.Gate.Reason = v1alpha1.ReasonOutsideWindow }, v1alpha1.PhaseStalled, "OutsideWindow"},
		{"no window will open before the switch", func(d *rollout.Decision) {
			d.Gate.Reason, d.Current, d.ReadOnly = v1alpha1.ReasonOutsideWindow, "v1", true
		}, v1alpha1.PhaseStalled, "OutsideWindow"},
		{"a closing window moves nothing", func(d *rollout.Decision) { d.WindowClosesAt = time.Unix(200, 0) }, v1alpha1.PhaseStalled, "Why"},
		{"the switch is due", func(d *rollout.Decision) { d.Switch = true; d.Gate.Reason = v1alpha1.ReasonVersionSwitch }, v1alpha1.PhasePending, ""},
		{"too many hosts are critical", func(d *rollout.Decision) { d.Gate.Reason = v1alpha1.ReasonTooManyUnhealthy },
			v1alpha1.PhaseProgressing, ""},
		{"a host in maintenance takes the last slot", func(d *rollout.Decision) {
			d.Verdicts[4].Blocker = &rollout.Blocker{Have: 2, Limit: 2, Outages: []rollout.Outage{{Kind: v1alpha1.OutageMaintenance, Total: 1}}}
		}, v1alpha1.PhaseProgressing, ""},
		{"failed hosts take all slots beside it", func(d *rollout.Decision) {
			d.Verdicts[4].Blocker = &rollout.Blocker{Have: 3, Limit: 2, Outages: []rollout.Outage{{Kind: v1alpha1.OutageMaintenance, Total: 1}}}
		}, v1alpha1.PhaseStalled, "Why"},
		{"canaries await promotion", func(d *rollout.Decision) { d.Canary = &rollout.CanaryState{Total: 1, Complete: 1, Awaiting: true} },
			v1alpha1.PhaseAwaiting, ""},
		{"rolling back", func(d *rollout.Decision) {
			d.Gate.Reason, d.Rollback = v1alpha1.ReasonFailureBudgetExceeded, &fleet.Pin{Revision: 1}
		}, v1alpha1.PhaseProgressing, ""},
		{"conflict with another plan", func(d *rollout.Decision) { d.ReadOnly = true; d.Gate.Reason = v1alpha1.ReasonConflict },
			v1alpha1.PhaseStalled, "Conflict"},
		{"incomplete snapshot", func(d *rollout.Decision) { d.ReadOnly = true; d.Gate.Reason = v1alpha1.ReasonObservationIncomplete },
			v1alpha1.PhaseStalled, "ObservationIncomplete"},
	} {
		d := decision()
		e.change(d)
		s := status.Of(d, v1alpha1.UpgradePlanStatus{}, 1, time.Unix(100, 0))
		if s.Phase != e.want {
			t.Errorf("%s: %s", e.name, s.Phase)
		}
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled)
		if got := c.Status == "True"; got != (e.stalled != "") || got && c.Reason != e.stalled {
			t.Errorf("%s: %+v", e.name, c)
		}
		if accepted := meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionAccepted); accepted != (e.stalled != "Conflict") {
			t.Errorf("%s: accepted %v", e.name, accepted)
		}
		if meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionComplete) != (e.want == v1alpha1.PhaseComplete) {
			t.Errorf("%s: %+v", e.name, s.Conditions)
		}
		// A condition that does not change keeps its time.
		later := status.Of(d, s, 1, time.Unix(500, 0))
		for _, c := range later.Conditions {
			if c.LastTransitionTime.Unix() != 100 {
				t.Errorf("%s: %s moved", e.name, c.Type)
			}
		}
	}
}
