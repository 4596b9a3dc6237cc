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

// Outcome is what became of a simulated rollout. Times are those of the simulation.
type Outcome struct {
	// Start is when it began, and End when it was complete, or could not go on.
	Start, End time.Time
	// Version is the one that hosts were to reach, Total how many count, and Upgraded how many of those have reached it.
	Version         string
	Total, Upgraded int
	// Complete says that every host that counts is upgraded. Else Stands says what keeps the rest where they are, first that
	// the plan was rolled back.
	Complete bool
	Stands   []string
	// Rollback is where the plan went back to; nil: nowhere.
	Rollback *Rollback
	// Passes are those of the controller.
	Passes int
	// Runs are all hosts that were released, or were in flight at the start, in that order.
	Runs []HostRun
	// Waves are sets of hosts that were released together.
	Waves []Wave
	// Roles are in natural order.
	Roles []RoleOutcome
	// Trip is when the failure budget was exceeded first, and Tripped the sentence that says so; zero: it was not.
	Trip    time.Time
	Tripped string
	// Shut are the times at which the windows of the plan kept hosts from being released.
	Shut []Period
}

// Rollback is a revision that was carried out in the place of the plan, and what became of that.
type Rollback struct {
	Revision int64
	Version  string
	Time     time.Time
	// Back is how many of the hosts that count have that version at the end, and Complete says that all have.
	Back     int
	Complete bool
}

func (r *Rollback) String() string {
	return fmt.Sprintf("rolls back to revision %d (version %s)", r.Revision, r.Version)
}

// HostRun is the upgrade of one host.
type HostRun struct {
	Host, Role string
	// Why is the verdict by which it was released, Released when; zero: before the start.
	Why      string
	Released time.Time
	// Began and Ended are the host's own times; zero: it has not.
	Began, Ended time.Time
	Failed       bool
	// Again is when the host was released again, for what it was then to reach; zero: it was not.
	Again time.Time
	// Wave is the number of its wave, from 1; 0: it was in flight at the start.
	Wave int
}

// Wave is a set of hosts that were released before the first of them had ended. The next release begins the next wave.
type Wave struct {
	Number int
	// Start is the first release, and End when the last of its hosts ended; zero: one has not.
	Start, End time.Time
	// Hosts counts its hosts by role, Total all of them, and Failed those that failed.
	Hosts         map[string]int
	Total, Failed int

	running int
	closed  bool // one of its hosts has ended
}

// RoleOutcome is what became of a role.
type RoleOutcome struct {
	Name string
	// Total are its hosts that count, and Upgraded those that have reached the version.
	Total, Upgraded int
	// Peak is the highest number in flight at once, as the planner counts, and PeakAt when that was first so.
	Peak   int
	PeakAt time.Time
	// Limit is the number that may be, at the end; nil: there is no limit.
	Limit *int
	// Start and End are its first release and when its last host ended; zero: there was none.
	Start, End time.Time
}

// Period is a time from Start to End.
type Period struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// InWindow says whether it was complete before the window closed in which the first host was released.
func (o *Outcome) InWindow() bool {
	return o.Complete && !slices.ContainsFunc(o.Shut, func(p Period) bool {
		return len(o.Runs) > 0 && p.Start.After(o.Runs[0].Released)
	})
}

// maxIdle is how many passes in a row may find that nothing has changed: time alone, such as a window that opens, has then
// let nobody go on.
const maxIdle = 100

// Run goes from event to event: a pass when something has changed, but for Gap after the last one, or when time alone may
// change something. It ends when the plan is complete, when nothing more happens, or when the time is over.
func (s *Simulation) Run(most time.Duration) Outcome {
	var last progress
	idle, moved := 0, s.Now
	for end := s.Now.Add(most); ; {
		d := s.Pass()
		s.seen.pass(&d, s.Now)
		if d.Complete {
			s.log("complete")
		}
		if s.MaxStarts > 0 && s.seen.starts >= s.MaxStarts || d.Complete {
			return s.seen.conclude(&d, s.Fleet(), s.Now)
		}
		if s.Promote && d.Canary != nil && d.Canary.Awaiting {
			s.Control.Promotion = &fleet.Promotion{Version: s.Plan.Spec.Version, Pause: fleet.Pause{Time: s.Now}}
			continue
		}
		s.begin()
		if now := s.seen.progress; now == last {
			idle++
		} else {
			last, idle, moved = now, 0, s.Now
		}
		next := s.next(&d)
		if next.IsZero() || next.After(end) || idle == maxIdle {
			return s.seen.conclude(&d, s.Fleet(), moved)
		}
		if soonest := s.Now.Add(s.Gap); next.Before(soonest) {
			next = soonest
		}
		s.Now = next
		s.end()
	}
}

// next is when a host ends, has been silent for too long, or time alone lets something go on; zero: never.
func (s *Simulation) next(d *rollout.Decision) time.Time {
	next := d.RequeueAt()
	deadline := s.deadline()
	for _, run := range s.Running {
		for _, at := range []time.Time{run.End, run.Began.Add(deadline)} {
			if (at.After(s.Now) || at.Equal(run.End)) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// Took is how long it took.
func (o *Outcome) Took() time.Duration { return o.End.Sub(o.Start) }

// Percentile is the smallest of the durations that p per cent of them do not exceed; 0 of none. They need not be sorted.
func Percentile(took []time.Duration, p int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[max(0, min(len(sorted)-1, (len(sorted)*p+99)/100-1))]
}
