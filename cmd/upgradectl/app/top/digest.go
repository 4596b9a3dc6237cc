// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// Picture is everything that a frame shows.
type Picture struct {
	Digest
	Sidebar
	Outage Outage
}

// Digest is the part of a picture about a plan and its fleet.
type Digest struct {
	Plan, Version string
	Status        v1alpha1.UpgradePlanStatus
	// Roles are all roles in natural order, including those that the status leaves out.
	Roles []v1alpha1.RoleStatus
	// Stop is the message about what stops the rollout, and StopReason its reason. Empty means that nothing stops it.
	// StoppedAt is the time of the order that stops it, if there is one.
	Stop, StopReason string
	StoppedAt        time.Time
	// Flights are the hosts in flight that have not failed, the longest in flight first.
	Flights []Flight
	// At is the time of the observation. Zero means no observation yet.
	At time.Time
}

// Flight is a host in flight. Phase comes from its report about this version, and is empty without one. Since and Due are those
// of rollout.Flight. Message is that of its verdict.
type Flight struct {
	Host       string
	Phase      fleet.Phase
	Since, Due time.Time
	Message    string
}

// Sidebar is the part of a picture about the leader and the events.
type Sidebar struct {
	// Leader tells who holds the lock of the writer. Empty means not known yet.
	Leader string
	// Events are the last events, the oldest first. Problem tells why they are not known.
	Events  []fleet.Event
	Problem string
}

// Outage is the error of the reads that fail, and the time of the first. The zero value means no outage.
type Outage struct {
	Text  string
	Since time.Time
}

// Of returns the digest of an observation.
func Of(o *pass.Assessment) Digest {
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

// OfStatus returns the digest of a status. It names only the hosts that have failed.
func OfStatus(plan string, s v1alpha1.UpgradePlanStatus, at time.Time) Digest {
	return Digest{Plan: plan, Version: s.CurrentVersion, Status: s, Roles: s.Roles, At: at}
}

// orderedAt returns the time of the order that stops a plan. Zero means that no order stops it.
func orderedAt(o *pass.Assessment) time.Time {
	switch c := &o.Control; {
	case o.Decision.Gate.Reason == v1alpha1.ReasonPlanPaused && c.Pause != nil:
		return c.Pause.Time
	case o.Decision.Gate.Reason == v1alpha1.ReasonAborted && c.Abort != nil:
		return c.Abort.Time
	case c.Halt != nil && (o.Decision.Gate.Reason == v1alpha1.ReasonFailureBudgetExceeded ||
		o.Decision.Gate.Reason == v1alpha1.ReasonUnexplainedUpgrade):
		return c.Halt.Time
	}
	return time.Time{}
}

func flightsOf(o *pass.Assessment, d *rollout.Decision) []Flight {
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

// stoppedSince returns the time of the order that stops the rollout, else that of the event. Zero means not known.
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

// statusLine returns the progress of the plan.
func (d *Digest) statusLine() string { return status.Line(d.Status) }

// heading returns the name, version and phase of the plan.
func (d *Digest) heading() string {
	return "upgradeplan/" + d.Plan + "  " + cmp.Or(d.Version, "no version") + "  " + string(d.Status.Phase)
}

// Lines returns the progress of the plan in lines of at most width columns. Continued lines are indented.
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
