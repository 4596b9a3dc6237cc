// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Outcome is the result of a simulated rollout. All times are virtual.
type Outcome struct {
	// Start is the begin of the rollout. End is when it was complete or could not continue.
	Start, End time.Time
	// Version is the version to reach, Total the number of hosts that count, and Upgraded how many of them reached it.
	Version         string
	Total, Upgraded int
	// Complete is true if every host that counts is upgraded. Otherwise BlockedBy lists what blocks the rest, and begins
	// with the rollback if there was one.
	Complete  bool
	BlockedBy []string
	// Rollback is the rollback of the plan. Nil means none.
	Rollback *Rollback
	// Passes is the number of passes of the controller.
	Passes int
	// Runs holds an upgrade for each grant and for each host in flight at the start, in order of time.
	Runs []HostRun
	// Waves are sets of hosts that were granted together.
	Waves []Wave
	// Roles are in natural order.
	Roles []RoleOutcome
	// FailureBudgetExceededAt is when the failure budget was first exceeded. Zero means never. FailureBudgetMessage is the
	// sentence that says so.
	FailureBudgetExceededAt time.Time
	FailureBudgetMessage    string
	// ClosedWindows are the periods in which closed windows blocked grants.
	ClosedWindows []Period
}

// Rollback is the outcome of a rollback.
type Rollback struct {
	Revision int64
	Version  string
	Time     time.Time
	// Upgraded is how many of the hosts that count have Version at the end. Complete is true if all have it.
	Upgraded int
	Complete bool
}

func (r *Rollback) String() string {
	return fmt.Sprintf("rolls back to revision %d (version %s)", r.Revision, r.Version)
}

// HostRun is the upgrade of one host.
type HostRun struct {
	Host, Role string
	// Message is the verdict of the grant, and Granted its time. Zero means before the start.
	Message string
	Granted time.Time
	// Started and Ended are the host's own times. Zero means that it has not.
	Started, Ended time.Time
	Failed         bool
	// GrantedAgain is the time of the host's next grant. Zero means none.
	GrantedAgain time.Time
	// Wave is the number of the wave, from 1. Zero means that the host was in flight at the start.
	Wave int
}

// Wave is a set of hosts that were granted before the first of them ended. The next grant begins the next wave.
type Wave struct {
	Number int
	// Start is the first grant. End is when the last host ended, and zero if one has not.
	Start, End time.Time
	// Hosts counts the hosts by role, Total all of them, and Failed those that failed.
	Hosts         map[string]int
	Total, Failed int

	running int
	closed  bool // one of its hosts has ended
}

// RoleOutcome is the outcome of a role.
type RoleOutcome struct {
	Name string
	// Total is the number of hosts that count, and Upgraded how many of them reached the version.
	Total, Upgraded int
	// Peak is the highest number of hosts in flight at once, as the planner counts, and PeakAt when that first was so.
	Peak   int
	PeakAt time.Time
	// Limit is the limit at the end. Nil means no limit.
	Limit *int
	// Start is the first grant, and End when the last host ended. Zero means none.
	Start, End time.Time
}

// Period is the time from Start to End.
type Period struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// InWindow reports whether the rollout was complete before the window of the first grant closed.
func (o *Outcome) InWindow() bool {
	return o.Complete && !slices.ContainsFunc(o.ClosedWindows, func(p Period) bool {
		return len(o.Runs) > 0 && p.Start.After(o.Runs[0].Granted)
	})
}

// maxIdle is the number of consecutive passes without progress after which the rollout counts as blocked. Events such as an
// opening window cause such passes.
const maxIdle = 100

// Run runs a pass after each event, at least Gap apart, and when the passing of time may change something. It returns when
// the plan is complete, when nothing more happens, or after the virtual time most.
func (s *Simulation) Run(most time.Duration) Outcome {
	var last progress
	idle, changed := 0, s.Now
	for end := s.Now.Add(most); ; {
		d := s.Pass()
		s.recorder.pass(&d, s.Now)
		if d.Complete {
			s.log("complete")
		}
		if s.MaxStarts > 0 && s.recorder.starts >= s.MaxStarts || d.Complete {
			return s.recorder.conclude(&d, s.Fleet(), s.Now)
		}
		if s.Promote && d.Canary != nil && d.Canary.Awaiting {
			s.Control.Promotion = &fleet.Promotion{Version: s.Plan.Spec.Version, Pause: fleet.Pause{Time: s.Now}}
			continue
		}
		s.startHosts()
		if now := s.recorder.progress; now == last {
			idle++
		} else {
			last, idle, changed = now, 0, s.Now
		}
		next := s.next(&d)
		if next.IsZero() || next.After(end) || idle == maxIdle {
			return s.recorder.conclude(&d, s.Fleet(), changed)
		}
		if soonest := s.Now.Add(s.Gap); next.Before(soonest) {
			next = soonest
		}
		s.Now = next
		s.finishHosts()
	}
}

// next returns the time of the next event: a host ends, a deadline passes, or the decision asks for a pass. Zero means none.
func (s *Simulation) next(d *rollout.Decision) time.Time {
	next := d.RequeueAt()
	deadline := s.Plan.Deadline()
	for _, run := range s.Running {
		for _, at := range []time.Time{run.End, run.Started.Add(deadline)} {
			if (at.After(s.Now) || at.Equal(run.End)) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// Duration returns the duration of the rollout.
func (o *Outcome) Duration() time.Duration { return o.End.Sub(o.Start) }

// Percentile returns the smallest of the durations that at least p percent of them do not exceed. It is 0 for an empty list.
// The list can be unsorted.
func Percentile(durations []time.Duration, p int) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[max(0, min(len(sorted)-1, (len(sorted)*p+99)/100-1))]
}
