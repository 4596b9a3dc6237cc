// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// HostLists are the three lists of python -m jiocloud.upgrade status. Each host is in exactly one of them.
type HostLists struct {
	Upgraded  []string `json:"upgraded"`
	Upgrading []string `json:"upgrading"`
	Pending   []string `json:"pending"`
}

// HostListsOf returns the three lists, each in natural order and never nil.
func HostListsOf(d *rollout.Decision) HostLists {
	s := HostLists{Upgraded: []string{}, Upgrading: []string{}, Pending: []string{}}
	for i := range d.Verdicts {
		switch v := &d.Verdicts[i]; v.Base {
		case rollout.Upgraded:
			s.Upgraded = append(s.Upgraded, v.Host)
		case rollout.Upgrading:
			s.Upgrading = append(s.Upgrading, v.Host)
		default:
			s.Pending = append(s.Pending, v.Host)
		}
	}
	return s
}

// Of returns the status of a plan after a decision. A condition that does not change keeps its transition time from old.
func Of(d *rollout.Decision, old v1alpha1.UpgradePlanStatus, generation int64, now time.Time) v1alpha1.UpgradePlanStatus {
	s := v1alpha1.UpgradePlanStatus{ObservedGeneration: generation, CurrentVersion: d.Current, PinnedRevision: d.Pinned}
	if d.Canary != nil {
		s.Canary = &v1alpha1.CanaryStatus{Total: d.Canary.Total, Complete: d.Canary.Complete}
	}
	s.Roles = Roles(d)
	if s.RolesOmitted = max(0, len(s.Roles)-MaxRoles); s.RolesOmitted > 0 {
		s.Roles = s.Roles[:MaxRoles:MaxRoles]
	}
	for i := range s.Roles {
		s.Roles[i].BlockedBy = bounded(s.Roles[i].BlockedBy, maxRoleText)
	}
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		count(&s.Hosts, v)
		if v.State == rollout.Failed && len(s.Failures) < MaxFailures {
			s.Failures = append(s.Failures,
				v1alpha1.HostFailure{Host: v.Host, Reason: string(v.Reason), Message: bounded(v.Message, maxText)})
		}
	}
	s.Phase = phase(d)
	for _, c := range old.Conditions {
		s.Conditions = append(s.Conditions, *c.DeepCopy())
	}
	for _, c := range conditions(d, s) {
		c.ObservedGeneration = generation
		c.LastTransitionTime = metav1.NewTime(now.UTC().Truncate(time.Second))
		meta.SetStatusCondition(&s.Conditions, c)
	}
	return s
}

// Roles returns all roles of a decision with their host counts.
func Roles(d *rollout.Decision) []v1alpha1.RoleStatus {
	var roles []v1alpha1.RoleStatus
	at := make(map[string]int, len(d.Roles))
	for i, r := range d.Roles {
		at[r.Name] = i
		row := v1alpha1.RoleStatus{Name: r.Name, Limit: r.Limit, BlockedBy: r.BlockedBy}
		if r.Group != r.Name {
			row.Group = r.Group
		}
		roles = append(roles, row)
	}
	for i := range d.Verdicts {
		if j, ok := at[d.Verdicts[i].Role]; ok {
			count(&roles[j].HostCounts, &d.Verdicts[i])
		}
	}
	return roles
}

// The bounds that keep a status small at any size of the fleet.
const (
	// MaxRoles is the number of roles in a status, and MaxFailures the number of failed hosts.
	MaxRoles    = 100
	MaxFailures = 20
	// maxText bounds a sentence, and maxRoleText the sentence of a role, in bytes.
	maxText     = 512
	maxRoleText = 128
)

func bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}

func count(c *v1alpha1.HostCounts, v *rollout.Verdict) {
	if v.InFlight {
		c.InFlight++
	}
	switch {
	case v.Role == "" || v.State == rollout.Unknown:
		c.Unknown++
		return
	case v.State == rollout.Lost:
		c.Lost++
		return
	case !v.Counts:
		c.Excluded++
		return
	}
	c.Total++
	state := v.State
	if state == rollout.Duplicate && v.Base == rollout.Upgraded { // one of its machines is upgraded
		state = rollout.Upgraded
	}
	switch state {
	case rollout.Upgraded:
		c.Upgraded++
	case rollout.Upgrading:
		c.Upgrading++
	case rollout.Failed:
		c.Failed++
	case rollout.SetAside:
		c.SetAside++
	case rollout.OnHold, rollout.Duplicate:
		c.Held++
	default:
		c.Pending++
	}
}

func phase(d *rollout.Decision) v1alpha1.Phase {
	switch {
	case d.Complete:
		return v1alpha1.PhaseComplete
	case d.Gate.Reason == v1alpha1.ReasonAborted:
		return v1alpha1.PhaseAborted
	case d.Gate.Reason == v1alpha1.ReasonPlanPaused:
		return v1alpha1.PhasePaused
	case d.Gate.Reason == v1alpha1.ReasonUnexplainedUpgrade,
		d.Gate.Reason == v1alpha1.ReasonFailureBudgetExceeded && d.Rollback == nil:
		return v1alpha1.PhaseHalted
	case d.Switch || d.Gate.Reason == v1alpha1.ReasonOutsideWindow && d.Current != d.Version && !d.Next.IsZero():
		return v1alpha1.PhasePending
	case d.ReadOnly:
		return v1alpha1.PhaseStalled
	case stalled(d) && d.Canary != nil && d.Canary.Awaiting && d.Gate.Reason == "":
		return v1alpha1.PhaseAwaiting
	case stalled(d):
		return v1alpha1.PhaseStalled
	}
	return v1alpha1.PhaseProgressing
}

// stalled reports whether nothing moves, and neither the passing of time nor the recovery of hosts changes that.
func stalled(d *rollout.Decision) bool {
	if d.Gate.Reason == v1alpha1.ReasonRevoking || d.Gate.Reason == v1alpha1.ReasonTooManyUnhealthy || d.Rollback != nil {
		return false
	}
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		moves := v.Reason == v1alpha1.ReasonStarting || v.InFlight && v.State != rollout.Failed
		if moves || v.Blocker != nil && v.Blocker.OnlyOutages() {
			return false
		}
	}
	return d.Next.IsZero()
}

// Invalid returns the status of a plan that cannot be carried out: the last known state of its fleet, and the reason.
func Invalid(
	old v1alpha1.UpgradePlanStatus, generation int64, reason v1alpha1.Reason, message string, now time.Time,
) v1alpha1.UpgradePlanStatus {
	s := *old.DeepCopy()
	s.ObservedGeneration, s.Phase = generation, v1alpha1.PhaseStalled
	for kind, is := range map[string]metav1.ConditionStatus{v1alpha1.ConditionAccepted: metav1.ConditionFalse,
		v1alpha1.ConditionReady: metav1.ConditionFalse, v1alpha1.ConditionComplete: metav1.ConditionFalse,
		v1alpha1.ConditionReconciling: metav1.ConditionFalse, v1alpha1.ConditionStalled: metav1.ConditionTrue} {
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: is, Reason: string(reason),
			Message: bounded(message, maxText), ObservedGeneration: generation,
			LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second))})
	}
	slices.SortFunc(s.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return s
}

func conditions(d *rollout.Decision, s v1alpha1.UpgradePlanStatus) []metav1.Condition {
	reason, message := string(s.Phase), Line(s)
	accepted := metav1.Condition{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: string(v1alpha1.ReasonAccepted),
		Message: "the plan is valid and conflicts with no other plan"}
	if d.Gate.Reason == v1alpha1.ReasonConflict {
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, string(v1alpha1.ReasonConflict), d.Gate.Message
	}
	is := func(kind string, yes bool) metav1.Condition {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
		if yes {
			c.Status = metav1.ConditionTrue
		}
		return c
	}
	isStalled := s.Phase == v1alpha1.PhaseStalled || s.Phase == v1alpha1.PhaseHalted
	stall := is(v1alpha1.ConditionStalled, isStalled)
	if isStalled {
		stall.Reason, stall.Message = stallReason(d)
		stall.Message = bounded(stall.Message, maxText)
	}
	moves := is(v1alpha1.ConditionReconciling, s.Phase == v1alpha1.PhaseProgressing || s.Phase == v1alpha1.PhasePending)
	if d.Gate.Reason != "" {
		moves.Reason, moves.Message = string(d.Gate.Reason), bounded(d.Gate.Message, maxText)
	}
	complete := is(v1alpha1.ConditionComplete, d.Complete)
	if d.Settled && !d.Complete {
		complete.Reason, complete.Message = string(v1alpha1.ReasonHostsSetAside), bounded(setAsideMessage(d), maxText)
	}
	return []metav1.Condition{accepted, is(v1alpha1.ConditionReady, d.Complete), complete, is(v1alpha1.ConditionSettled, d.Settled),
		moves, stall}
}

// stallReason returns the gate, or without one the verdict of the first host that should move and does not.
func stallReason(d *rollout.Decision) (reason, message string) {
	switch {
	case d.Gate.Reason != "":
		return string(d.Gate.Reason), d.Gate.Message
	case d.Settled:
		return string(v1alpha1.ReasonHostsSetAside), setAsideMessage(d)
	}
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Counts && !v.Complete {
			return string(v.Reason), v.Host + ": " + v.Message
		}
	}
	for i := range d.Verdicts { // hosts that do not count delay the plan if they may be some of its fleet
		if v := &d.Verdicts[i]; v.Reason == v1alpha1.ReasonNotAdmitted {
			return string(v.Reason), v.Host + ": " + v.Message
		}
	}
	return string(v1alpha1.PhaseStalled), ""
}

// setAsideMessage says how many hosts are set aside, and names the first of them.
func setAsideMessage(d *rollout.Decision) string {
	n, first := 0, ""
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Counts && v.State == rollout.SetAside {
			n, first = n+1, cmp.Or(first, v.Host+": "+v.Message)
		}
	}
	return fmt.Sprintf("all other hosts are upgraded, and %d are set aside; %s", n, first)
}

// Line summarizes a status in one line.
func Line(s v1alpha1.UpgradePlanStatus) string {
	h := s.Hosts
	parts := []string{fmt.Sprintf("%d of %d hosts upgraded", h.Upgraded, h.Total)}
	for _, p := range []struct {
		n    int
		word string
	}{{h.Upgrading, "upgrading"}, {h.Failed, "failed"}, {h.SetAside, "set aside"}, {h.Held, "held"}, {h.Pending, "pending"},
		{h.Excluded, "left out"}, {h.Lost, "lost"}, {h.Unknown, "unknown"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if s.PinnedRevision != 0 {
		parts = append(parts, fmt.Sprintf("revision %d is pinned", s.PinnedRevision))
	}
	return strings.Join(parts, ", ")
}
