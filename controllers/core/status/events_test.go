// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

var then = time.Unix(100, 0)

// eventLines returns the events of a decision that follows another, one line each.
func eventLines(before, after *rollout.Decision, drift ...string) string {
	old := status.Of(before, v1alpha1.UpgradePlanStatus{}, 1, then)
	var b strings.Builder
	for _, e := range status.Events(after, old, status.Of(after, old, 1, then), drift, then) {
		fmt.Fprintf(&b, "%s %s %s: %s\n", e.Type, e.Reason, e.Object, e.Message)
	}
	return b.String()
}

func TestEvents(t *testing.T) {
	with := func(changes ...func(*rollout.Decision)) *rollout.Decision {
		d := decision()
		for _, change := range changes {
			change(d)
		}
		return d
	}
	moving := func(d *rollout.Decision) { d.Next = time.Unix(200, 0) }
	gate := func(r v1alpha1.Reason, message string) func(*rollout.Decision) {
		return func(d *rollout.Decision) { d.Gate.Reason, d.Gate.Message = r, message }
	}
	hosts := func(n int, reason v1alpha1.Reason, state rollout.State) func(*rollout.Decision) {
		return func(d *rollout.Decision) {
			for i := range n {
				d.Verdicts = append(d.Verdicts, rollout.Verdict{Host: fmt.Sprintf("x%d", i+1), Role: "web", State: state, Counts: true,
					Base: rollout.Pending, Reason: reason, Message: "because"})
			}
		}
	}
	for _, e := range []struct {
		name          string
		before, after *rollout.Decision
		drift         []string
		want          string
	}{
		{"nothing new", with(moving), with(moving), nil, ""},
		{"switch", with(moving), with(func(d *rollout.Decision) { d.Switch, d.Current = true, "v1" }, gate(v1alpha1.ReasonVersionSwitch, "")), nil,
			"Normal VersionSwitched plan: current_version is switched from v1 to v2\n"},
		{"after the switch", with(gate(v1alpha1.ReasonVersionSwitch, "")), with(moving), nil, ""},
		{"one grant", with(moving), with(moving, hosts(1, v1alpha1.ReasonStarting, rollout.Upgrading)), nil, "Normal Granted host/x1: granted: x1\n"},
		{"many grants", with(moving), with(moving, hosts(7, v1alpha1.ReasonStarting, rollout.Upgrading)), nil,
			"Normal Granted plan: granted: x1, x2, x3, x4, x5 and 2 more\n"},
		{"paused, grants revoked", with(moving),
			with(gate(v1alpha1.ReasonPlanPaused, "paused by ops"), hosts(1, v1alpha1.ReasonRevoked, rollout.Upgrading)), nil,
			"Normal Revoked host/x1: revoked grants of hosts that have not started: x1\nNormal PlanPaused plan: paused by ops\n"},
		{"still paused", with(gate(v1alpha1.ReasonPlanPaused, "paused by ops")), with(gate(v1alpha1.ReasonPlanPaused, "paused by ops")), nil, ""},
		{"resumed", with(gate(v1alpha1.ReasonPlanPaused, "paused by ops")), with(moving), nil,
			"Normal Progressing plan: the rollout continues\n"},
		{"halted", with(moving), with(gate(v1alpha1.ReasonFailureBudgetExceeded, "3 have failed")), nil,
			"Warning FailureBudgetExceeded plan: 3 have failed\n"},
		{"hosts fail", with(moving), with(moving, hosts(2, v1alpha1.ReasonReportedFailure, rollout.Failed)), nil,
			"Warning ReportedFailure host/x1: because\nWarning ReportedFailure host/x2: because\n"},
		{"many hosts fail", with(moving), with(moving, hosts(15, v1alpha1.ReasonReportedFailure, rollout.Failed)), nil,
			"Warning ReportedFailure host/x1: because\nWarning ReportedFailure host/x2: because\n" +
				"Warning ReportedFailure host/x3: because\nWarning ReportedFailure host/x4: because\n" +
				"Warning ReportedFailure host/x5: because\nWarning ReportedFailure host/x6: because\n" +
				"Warning ReportedFailure host/x7: because\n" +
				"Warning HostsFailed plan: also failed: x8, x9, x10, x11, x12 and 3 more\n"},
		{"rollback", with(moving), with(gate(v1alpha1.ReasonFailureBudgetExceeded, "3 have failed"), func(d *rollout.Decision) {
			d.Rollback = &fleet.Pin{Revision: 4, Reason: "3 have failed"}
		}), nil, "Warning RolledBack plan: rolling back to revision 4: 3 have failed\n"},
		{"stalled", with(moving), with(), nil, "Warning Stalled plan: db1: because\n"},
		{"complete", with(moving), with(func(d *rollout.Decision) { d.Complete = true }), nil, "Normal Complete plan: 1 of 3 hosts upgraded, 1 failed, 1 held, 1 left out, 1 unknown\n"},
		{"promoted", with(moving, func(d *rollout.Decision) { d.Canary = &rollout.CanaryState{Total: 1} }),
			with(moving, func(d *rollout.Decision) { d.Ledger.Promoted = "v2" }), nil,
			"Normal CanariesPromoted plan: the canaries of v2 are promoted; the other hosts follow\n"},
		{"drift", with(moving), with(moving), []string{"a", "b", "c", "d", "e", "f", "g"},
			"Warning Drift a: changed by another writer; correcting it\n" +
				"Warning Drift b: changed by another writer; correcting it\n" +
				"Warning Drift c: changed by another writer; correcting it\n" +
				"Warning Drift d: changed by another writer; correcting it\n" +
				"Warning Drift e: changed by another writer; correcting it\n" +
				"Warning Drift plan: 2 more keys were changed by another writer\n"},
	} {
		if got := eventLines(e.before, e.after, e.drift...); got != e.want {
			t.Errorf("%s:\n%s\nwant\n%s", e.name, got, e.want)
		}
	}
}

// A status and its events stay small at any number of hosts and roles.
func TestStatusAndEventsAreBounded(t *testing.T) {
	d := &rollout.Decision{Version: "v2", Current: "v2"}
	long := strings.Repeat("ä", 10_000)
	for i := range 5_000 {
		role := fmt.Sprintf("role%d", i)
		d.Roles = append(d.Roles, rollout.Role{Name: role, Group: role, BlockedBy: long})
		d.Verdicts = append(d.Verdicts, rollout.Verdict{Host: role + "-1", Role: role, State: rollout.Failed, Counts: true,
			Reason: v1alpha1.ReasonReportedFailure, Message: long})
	}
	s := status.Of(d, v1alpha1.UpgradePlanStatus{}, 1, then)
	if len(s.Roles) != status.MaxRoles || s.RolesOmitted != 4_900 || len(s.Failures) != status.MaxFailures || s.Hosts.Failed != 5_000 {
		t.Errorf("%d roles, %d omitted, %d failures of %d", len(s.Roles), s.RolesOmitted, len(s.Failures), s.Hosts.Failed)
	}
	data, err := json.Marshal(s)
	if err != nil || len(data) > 48<<10 {
		t.Errorf("%d bytes (%v)", len(data), err)
	}
	size := 0
	for _, e := range status.Events(d, v1alpha1.UpgradePlanStatus{}, s, nil, then) {
		size += len(e.Message)
	}
	if size > 8<<10 {
		t.Errorf("%d bytes of events", size)
	}
}
