// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

const (
	// MaxEvents is the number of events that one decision can produce.
	MaxEvents = 10
	// maxNames is the number of hosts that an event names.
	maxNames = 5
)

// Events returns the events of a decision: what it changes, and how its status differs from the previous one. The keys of
// drift are those that another writer has changed. Events returns at most MaxEvents events, without numbers.
func Events(d *rollout.Decision, before, after v1alpha1.UpgradePlanStatus, drift []string, now time.Time) []fleet.Event {
	list := &events{now: now.UTC().Truncate(time.Second)}
	list.keys(drift)
	list.changes(d)
	list.failures(before.Failures, after.Failures)
	list.stops(d, reconciling(before), after)
	if canary := before.Canary; canary != nil && after.Canary == nil && d.Ledger.Promoted == d.Version {
		list.add(fleet.EventNormal, v1alpha1.ReasonCanariesPromoted, plan,
			fmt.Sprintf("the canaries of %s are promoted; the other hosts follow", d.Version))
	}
	return list.all[:min(len(list.all), MaxEvents)]
}

// InvalidEvents returns an event if a plan became impossible to carry out, or if the cause changed.
func InvalidEvents(before, after v1alpha1.UpgradePlanStatus, now time.Time) []fleet.Event {
	is := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionAccepted)
	was := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionAccepted)
	if was != nil && was.Reason == is.Reason && was.Message == is.Message {
		return nil
	}
	list := &events{now: now.UTC().Truncate(time.Second)}
	list.add(fleet.EventWarning, v1alpha1.Reason(is.Reason), plan, is.Message)
	return list.all
}

// plan is the object of an event about the plan as a whole.
const plan = "plan"

type events struct {
	now time.Time
	all []fleet.Event
}

func (e *events) add(kind fleet.EventType, reason v1alpha1.Reason, object, message string) {
	e.all = append(e.all, fleet.Event{Time: e.now, Type: kind, Reason: string(reason), Object: object, Message: bounded(message, maxText)})
}

// keys adds an event for each key that another writer has changed.
func (e *events) keys(drift []string) {
	for i, key := range drift {
		if i == maxNames {
			e.add(fleet.EventWarning, v1alpha1.ReasonDrift, plan, fmt.Sprintf("%d more keys were changed by another writer", len(drift)-i))
			return
		}
		e.add(fleet.EventWarning, v1alpha1.ReasonDrift, key, "changed by another writer; correcting it")
	}
}

// changes adds events for what the decision changes.
func (e *events) changes(d *rollout.Decision) {
	if d.Switch {
		from := d.Current
		if from == "" {
			from = "nothing"
		}
		e.add(fleet.EventNormal, v1alpha1.ReasonVersionSwitched, plan, "current_version is switched from "+from+" to "+d.Version)
		e.all[len(e.all)-1].Version = d.Version
	}
	var granted, revoked []string
	for i := range d.Verdicts {
		switch v := &d.Verdicts[i]; {
		case v.Reason == v1alpha1.ReasonStarting:
			granted = append(granted, v.Host)
		case v.Reason == v1alpha1.ReasonRevoked && !v.Enable:
			revoked = append(revoked, v.Host)
		}
	}
	if len(granted) > 0 {
		e.add(fleet.EventNormal, v1alpha1.ReasonGranted, object(granted), "granted: "+wording.First(granted, maxNames))
	}
	if len(revoked) > 0 {
		e.add(fleet.EventNormal, v1alpha1.ReasonRevoked, object(revoked),
			"revoked grants of hosts that have not started: "+wording.First(revoked, maxNames))
	}
	if d.Rollback != nil {
		e.add(fleet.EventWarning, v1alpha1.ReasonRolledBack, plan,
			fmt.Sprintf("rolling back to revision %d: %s", d.Rollback.Revision, d.Rollback.Reason))
	}
}

// failures adds an event for each host that failed, or whose reason changed.
func (e *events) failures(before, after []v1alpha1.HostFailure) {
	var more []string
	for _, f := range after {
		known := slices.ContainsFunc(before, func(b v1alpha1.HostFailure) bool { return b.Host == f.Host && b.Reason == f.Reason })
		switch {
		case known:
		case len(e.all) < MaxEvents-3: // leaves room for later events
			e.add(fleet.EventWarning, v1alpha1.Reason(f.Reason), "host/"+f.Host, f.Message)
		default:
			more = append(more, f.Host)
		}
	}
	if len(more) > 0 {
		e.add(fleet.EventWarning, v1alpha1.ReasonHostsFailed, plan, "also failed: "+wording.First(more, maxNames))
	}
}

// stops adds an event if the gate of the rollout changed or opened.
func (e *events) stops(d *rollout.Decision, before string, s v1alpha1.UpgradePlanStatus) {
	after := reconciling(s)
	passing := func(reason string) bool { // lasts for one pass
		return reason == string(v1alpha1.ReasonVersionSwitch) || reason == string(v1alpha1.ReasonRevoking)
	}
	progressing := after == string(v1alpha1.PhaseProgressing)
	if after == before || passing(after) || progressing && (before == "" || passing(before)) || d.Rollback != nil {
		return
	}
	kind, message := fleet.EventNormal, d.Gate.Message
	switch v1alpha1.Reason(after) {
	case v1alpha1.ReasonFailureBudgetExceeded, v1alpha1.ReasonUnexplainedUpgrade, v1alpha1.ReasonTooManyUnhealthy,
		v1alpha1.ReasonObservationIncomplete, v1alpha1.ReasonConflict, v1alpha1.ReasonFleetShrank, v1alpha1.ReasonStoreWentBack:
		kind = fleet.EventWarning
	}
	if after == string(v1alpha1.PhaseStalled) {
		kind = fleet.EventWarning
		_, message = stallReason(d)
	}
	if message == "" {
		message = Line(s)
		if progressing {
			message = "the rollout continues"
		}
	}
	e.add(kind, v1alpha1.Reason(after), plan, message)
}

// reconciling returns the reason of the condition Reconciling: the gate of the rollout, or its phase.
func reconciling(s v1alpha1.UpgradePlanStatus) string {
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReconciling); c != nil {
		return c.Reason
	}
	return ""
}

func object(hosts []string) string {
	if len(hosts) == 1 {
		return "host/" + hosts[0]
	}
	return plan
}
