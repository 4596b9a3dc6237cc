// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
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
	// Complete says that every host that counts is upgraded. Else Stands says what keeps the rest where they are.
	Complete bool
	Stands   []string
	// Passes are those of the controller.
	Passes int
	// Runs are all hosts that were released, or were in flight at the start, in that order.
	Runs []HostRun
	// Waves are sets of hosts that were released together.
	Waves []Wave
	// Roles are in natural order.
	Roles []RoleOutcome
	// Trip is when the failure budget was exceeded, and Tripped the sentence that says so; zero: it was not.
	Trip    time.Time
	Tripped string
	// Shut are the times at which the windows of the plan kept hosts from being released.
	Shut []Period
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
			return s.seen.conclude(&d, s.Now)
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
			return s.seen.conclude(&d, moved)
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
	next := d.Wake()
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

// progress changes whenever something happens: it counts releases, hosts that have ended, and those that are complete.
type progress struct {
	starts, ends, complete int
}

// recorder keeps what an outcome tells.
type recorder struct {
	out   Outcome
	at    map[string]int // host → its last run
	roles map[string]*RoleOutcome
	// open is what kept hosts where they are when the windows were last open.
	open []string
	progress
}

func newRecorder(start time.Time) recorder {
	return recorder{out: Outcome{Start: start}, at: map[string]int{}, roles: map[string]*RoleOutcome{}}
}

func (r *recorder) released(v *rollout.Verdict, now time.Time) {
	r.starts++
	w := r.wave(now)
	w.Hosts[v.Role]++
	w.Total++
	w.running++
	r.at[v.Host] = len(r.out.Runs)
	r.out.Runs = append(r.out.Runs, HostRun{Host: v.Host, Role: v.Role, Why: v.Message, Released: now, Wave: w.Number})
	if role := r.role(v.Role); role.Start.IsZero() {
		role.Start = now
	}
}

// wave is the one in which hosts are released now.
func (r *recorder) wave(now time.Time) *Wave {
	n := len(r.out.Waves)
	if n == 0 || r.out.Waves[n-1].closed {
		r.out.Waves = append(r.out.Waves, Wave{Number: n + 1, Start: now, Hosts: map[string]int{}})
		n++
	}
	return &r.out.Waves[n-1]
}

func (r *recorder) role(name string) *RoleOutcome {
	role, ok := r.roles[name]
	if !ok {
		role = &RoleOutcome{Name: name}
		r.roles[name] = role
	}
	return role
}

func (r *recorder) begun(h *fleet.Host, now time.Time) {
	at, ok := r.at[h.Name]
	if !ok || !r.out.Runs[at].Began.IsZero() {
		at = len(r.out.Runs)
		r.at[h.Name] = at
		r.out.Runs = append(r.out.Runs, HostRun{Host: h.Name, Role: h.Role})
	}
	r.out.Runs[at].Began = now
}

func (r *recorder) ended(host string, now time.Time, failed bool) {
	r.ends++
	run := &r.out.Runs[r.at[host]]
	run.Ended, run.Failed = now, failed
	role := r.role(run.Role)
	role.End = latest(role.End, now)
	if run.Wave == 0 {
		return
	}
	w := &r.out.Waves[run.Wave-1]
	w.closed = true
	if failed {
		w.Failed++
	}
	if w.running--; w.running == 0 {
		w.End = now
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pass keeps what a pass has found and done.
func (r *recorder) pass(d *rollout.Decision, now time.Time) {
	r.out.Passes++
	r.complete = 0
	inFlight, last := map[string]*int{}, (*int)(nil)
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if i == 0 || v.Role != d.Verdicts[i-1].Role {
			if last = inFlight[v.Role]; last == nil {
				last = new(int)
				inFlight[v.Role] = last
			}
		}
		if v.InFlight {
			*last++
		}
		if v.Complete {
			r.complete++
		}
	}
	for name, n := range inFlight {
		if role := r.role(name); *n > role.Peak {
			role.Peak, role.PeakAt = *n, now
		}
	}
	if d.Gate == rollout.FailureBudgetExceeded && r.out.Trip.IsZero() {
		r.out.Trip, r.out.Tripped = now, d.GateMessage
	}
	closed := d.Gate == rollout.OutsideWindow
	if r.shut(closed, now); !closed && !d.Complete {
		r.open = stands(d)
	}
}

// shut notes since when, and until when, the windows are closed.
func (r *recorder) shut(closed bool, now time.Time) {
	n := len(r.out.Shut)
	open := n == 0 || !r.out.Shut[n-1].End.IsZero()
	switch {
	case closed && open:
		r.out.Shut = append(r.out.Shut, Period{Start: now})
	case !closed && !open:
		r.out.Shut[n-1].End = now
	}
}

func (r *recorder) conclude(d *rollout.Decision, now time.Time) Outcome {
	o := r.out
	o.End, o.Complete, o.Version = now, d.Complete, d.Version
	o.Shut = slices.DeleteFunc(o.Shut, func(p Period) bool { return !p.Start.Before(now) && len(o.Runs) > 0 })
	if n := len(o.Shut); n > 0 && (o.Shut[n-1].End.IsZero() || o.Shut[n-1].End.After(now)) {
		o.Shut[n-1].End = now
	}
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if !v.Counts {
			continue
		}
		role := r.role(v.Role)
		o.Total++
		role.Total++
		if v.Complete {
			o.Upgraded++
			role.Upgraded++
		}
	}
	for _, role := range d.Roles {
		r.role(role.Name).Limit = role.Limit
	}
	for _, name := range fleet.NaturalKeys(r.roles) {
		if role := r.roles[name]; role.Total > 0 || role.Peak > 0 {
			o.Roles = append(o.Roles, *role)
		}
	}
	switch {
	case o.Complete:
	case d.Gate == rollout.OutsideWindow && len(r.open) > 0:
		o.Stands = r.open
	default:
		o.Stands = stands(d)
	}
	return o
}

// stands says what keeps hosts where they are: what stops all, else what each role waits for.
func stands(d *rollout.Decision) []string {
	if d.GateMessage != "" {
		return []string{d.GateMessage}
	}
	var out []string
	for _, role := range d.Roles {
		if role.Blocked != "" {
			out = append(out, role.Name+": "+role.Blocked)
		}
	}
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; len(out) == 0 && v.Counts && !v.Complete {
			out = append(out, v.Host+": "+v.Message)
		}
	}
	return out
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
