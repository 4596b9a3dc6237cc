// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package top draws where a plan stands, for people who watch it. A frame is a function of what was seen, the time and the
// window; the model lets a terminal show one after another.
package top

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// Picture is all that a frame shows.
type Picture struct {
	Digest
	Sidebar
	Outage Outage
}

// Digest is what is shown of a plan and its fleet.
type Digest struct {
	Plan, Version string
	Status        v1alpha1.UpgradePlanStatus
	// Roles are all roles, in natural order, also those that the status leaves out.
	Roles []v1alpha1.RoleStatus
	// Stop says what stops the rollout, and StopReason is the word for it; empty: nothing does. StoppedAt is since when,
	// where an order says so.
	Stop, StopReason string
	StoppedAt        time.Time
	// Flights are the hosts in flight that have not failed, those first that have been for longest.
	Flights []Flight
	// At is when it was seen; zero: it never was.
	At time.Time
}

// Flight is a host in flight. Phase is that of its report about this version; empty: there is none. Since and Due are those
// of rollout.Flight, and Message is that of its verdict.
type Flight struct {
	Host       string
	Phase      fleet.Phase
	Since, Due time.Time
	Message    string
}

// Sidebar is what is shown beside a plan.
type Sidebar struct {
	// Leader is who holds the lock of the one writer; empty: that is not known yet.
	Leader string
	// Events are the last ones, the oldest first. Problem says why they are not known.
	Events  []fleet.Event
	Problem string
}

// Outage is why nothing new is seen, and since when; the zero Outage: all is well.
type Outage struct {
	Text  string
	Since time.Time
}

// Of digests an observation of a plan.
func Of(o *upgradeplan.Observation) Digest {
	d := o.Present()
	s := status.Of(&d, o.Plan.Status, o.Plan.Generation, o.Now)
	digest := Digest{Plan: o.Plan.Name, Version: o.Plan.Spec.Version, Status: s, Roles: status.Roles(&d),
		Flights: flightsOf(o, &d), At: o.Now}
	digest.Stop, digest.StopReason = d.Gate.Message, string(d.Gate.Reason)
	if stalled := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled); digest.Stop == "" && s.Phase == v1alpha1.PhaseStalled {
		digest.Stop, digest.StopReason = stalled.Message, string(v1alpha1.PhaseStalled)
	}
	digest.StoppedAt = orderedAt(o)
	return digest
}

// OfStatus digests what a status tells of a plan: no host by name but those that have failed.
func OfStatus(plan string, s v1alpha1.UpgradePlanStatus, at time.Time) Digest {
	return Digest{Plan: plan, Version: s.CurrentVersion, Status: s, Roles: s.Roles, At: at}
}

// orderedAt is when what stops a plan was ordered; zero: no order stops it.
func orderedAt(o *upgradeplan.Observation) time.Time {
	switch c := &o.Control; {
	case o.Decision.Gate.Reason == v1alpha1.ReasonPlanPaused && c.Pause != nil:
		return c.Pause.Time
	case o.Decision.Gate.Reason == v1alpha1.ReasonAborted && c.Abort != nil:
		return c.Abort.Time
	case o.Decision.Gate.Reason == v1alpha1.ReasonFailureBudgetExceeded && c.Halt != nil:
		return c.Halt.Time
	}
	return time.Time{}
}

func flightsOf(o *upgradeplan.Observation, d *rollout.Decision) []Flight {
	var flights []Flight
	for _, f := range o.Flights() {
		v, host := &d.Verdicts[f.Index], &o.Fleet.Hosts[f.Index]
		if v.State == rollout.Failed {
			continue
		}
		flight := Flight{Host: v.Host, Since: f.Since, Due: f.Due, Message: v.Message}
		if r := host.Report; r != nil && r.Version == d.Current {
			flight.Phase = r.Phase
		}
		flights = append(flights, flight)
	}
	sortByAge(flights)
	return flights
}

// stoppedSince is since when the rollout is stopped: by the order, else by the event that told of it; zero: that is not known.
func (p *Picture) stoppedSince() time.Time {
	if !p.StoppedAt.IsZero() {
		return p.StoppedAt
	}
	for i := len(p.Events) - 1; i >= 0; i-- {
		if e := &p.Events[i]; e.Reason == p.StopReason {
			return e.Time
		}
	}
	return time.Time{}
}

// statusLine is where the plan stands.
func (d *Digest) statusLine() string { return status.Line(d.Status) }

// heading is the plan in a few words.
func (d *Digest) heading() string {
	return "upgradeplan/" + d.Plan + "  " + cmp.Or(d.Version, "no version") + "  " + string(d.Status.Phase)
}

// Lines say where the plan stands without a window, in so many columns: lines that go on are indented.
func (d *Digest) Lines(width int) []string {
	lines := indented(d.heading()+": "+d.statusLine(), width)
	if d.Stop != "" {
		lines = append(lines, indented("  stopped: "+d.Stop, width)...)
	}
	for i := range d.Status.Failures {
		f := &d.Status.Failures[i]
		lines = append(lines, indented("  ! "+f.Host+": "+f.Message, width)...)
	}
	return lines
}
