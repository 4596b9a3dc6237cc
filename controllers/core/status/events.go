// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"k8s.io/apimachinery/pkg/api/meta"
)

const (
	// MaxEvents bounds the events of one decision.
	MaxEvents = 10
	// maxNames is how many hosts an event names.
	maxNames = 5
)

// Events are what is worth telling of a decision: what it changes, and in what its status differs from the one before.
// Drift are the keys that somebody else has changed. At most MaxEvents, unnumbered.
func Events(d *rollout.Decision, before, after v1alpha1.UpgradePlanStatus, drift []string, now time.Time) []fleet.Event {
	list := &events{now: now.UTC().Truncate(time.Second)}
	list.keys(drift)
	list.changes(d)
	list.failures(before.Failures, after.Failures)
	list.stops(d, reconciling(before), after)
	if canary := before.Canary; canary != nil && after.Canary == nil && d.Ledger.Promoted == d.Version {
		list.add(fleet.EventNormal, "CanariesPromoted", plan,
			fmt.Sprintf("the canaries of %s are promoted: the other hosts follow", d.Version))
	}
	return list.all[:min(len(list.all), MaxEvents)]
}

// RefusedEvents tell that a plan cannot be carried out any more, or for another reason.
func RefusedEvents(before, after v1alpha1.UpgradePlanStatus, now time.Time) []fleet.Event {
	is := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionAccepted)
	was := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionAccepted)
	if was != nil && was.Reason == is.Reason && was.Message == is.Message {
		return nil
	}
	list := &events{now: now.UTC().Truncate(time.Second)}
	list.add(fleet.EventWarning, is.Reason, plan, is.Message)
	return list.all
}

// plan is the object of an event that is about the plan as a whole.
const plan = "plan"

type events struct {
	now time.Time
	all []fleet.Event
}

func (e *events) add(kind fleet.EventType, reason, object, message string) {
	e.all = append(e.all, fleet.Event{Time: e.now, Type: kind, Reason: reason, Object: object, Message: bounded(message, maxText)})
}

// keys tells of keys that somebody else has changed.
func (e *events) keys(drift []string) {
	for i, key := range drift {
		if i == maxNames {
			e.add(fleet.EventWarning, "Drift", plan, fmt.Sprintf("somebody else has changed %d more keys", len(drift)-i))
			return
		}
		e.add(fleet.EventWarning, "Drift", key, "somebody else has changed it: it is made to say what the plan wants")
	}
}

// changes tells what the decision does.
func (e *events) changes(d *rollout.Decision) {
	if d.Switch {
		from := d.Current
		if from == "" {
			from = "nothing"
		}
		e.add(fleet.EventNormal, "VersionSwitched", plan, "current_version is switched from "+from+" to "+d.Version)
	}
	var released, taken []string
	for i := range d.Verdicts {
		switch v := &d.Verdicts[i]; {
		case v.Reason == rollout.Starting:
			released = append(released, v.Host)
		case v.Reason == rollout.Revoked && !v.Enable:
			taken = append(taken, v.Host)
		}
	}
	if len(released) > 0 {
		e.add(fleet.EventNormal, "Released", object(released), "released: "+naming(released))
	}
	if len(taken) > 0 {
		e.add(fleet.EventNormal, "TakenBack", object(taken), "what was released and has not begun is taken back: "+naming(taken))
	}
	if d.Rollback != nil {
		e.add(fleet.EventWarning, "RolledBack", plan,
			fmt.Sprintf("revision %d is carried out again: %s", d.Rollback.Revision, d.Rollback.Reason))
	}
}

// failures tells of hosts that had not failed before, or for another reason.
func (e *events) failures(before, after []v1alpha1.HostFailure) {
	var more []string
	for _, f := range after {
		known := slices.ContainsFunc(before, func(b v1alpha1.HostFailure) bool { return b.Host == f.Host && b.Reason == f.Reason })
		switch {
		case known:
		case len(e.all) < MaxEvents-3: // leaves room for what follows
			e.add(fleet.EventWarning, f.Reason, "host/"+f.Host, f.Message)
		default:
			more = append(more, f.Host)
		}
	}
	if len(more) > 0 {
		e.add(fleet.EventWarning, "HostsFailed", plan, "these have failed too: "+naming(more))
	}
}

// stops tells when something else stops the rollout than before, or nothing does any more.
func (e *events) stops(d *rollout.Decision, before string, s v1alpha1.UpgradePlanStatus) {
	after := reconciling(s)
	passing := func(reason string) bool { // within a pass
		return reason == string(rollout.VersionSwitch) || reason == string(rollout.Revoking)
	}
	progressing := after == string(v1alpha1.PhaseProgressing)
	if after == before || passing(after) || progressing && (before == "" || passing(before)) || d.Rollback != nil {
		return
	}
	kind, message := fleet.EventNormal, d.GateMessage
	switch rollout.Reason(after) {
	case rollout.FailureBudgetExceeded, rollout.TooManyUnhealthy, rollout.ObservationIncomplete, rollout.PlanConflict:
		kind = fleet.EventWarning
	}
	if after == string(v1alpha1.PhaseStalled) {
		kind = fleet.EventWarning
		_, message = stallReason(d)
	}
	if message == "" {
		message = Line(s)
		if progressing {
			message = "nothing stops the rollout any more"
		}
	}
	e.add(kind, after, plan, message)
}

// reconciling is the reason of the condition of that name: what stops the rollout, or its phase.
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

func naming(hosts []string) string {
	text := strings.Join(hosts[:min(len(hosts), maxNames)], ", ")
	if more := len(hosts) - maxNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
