// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// progress counts grants, ended hosts and complete hosts. It changes with every event.
type progress struct {
	starts, ends, complete int
}

// recorder collects an outcome.
type recorder struct {
	outcome Outcome
	lastRun map[string]int // host → its last run
	running map[string]int // host → its run in progress, which a grant for the next one may overlap
	roles   map[string]*RoleOutcome
	// blockedWhenOpen is what blocked hosts when the windows were last open.
	blockedWhenOpen []string
	progress
}

func newRecorder(start time.Time) recorder {
	return recorder{outcome: Outcome{Start: start}, lastRun: map[string]int{}, running: map[string]int{}, roles: map[string]*RoleOutcome{}}
}

func (r *recorder) granted(v *rollout.Verdict, now time.Time) {
	r.starts++
	w := r.wave(now)
	w.Hosts[v.Role]++
	w.Total++
	w.running++
	if at, ok := r.lastRun[v.Host]; ok {
		r.outcome.Runs[at].GrantedAgain = now
	}
	r.lastRun[v.Host] = len(r.outcome.Runs)
	r.outcome.Runs = append(r.outcome.Runs, HostRun{Host: v.Host, Role: v.Role, Message: v.Message, Granted: now, Wave: w.Number})
	if role := r.role(v.Role); role.Start.IsZero() {
		role.Start = now
	}
}

// wave returns the wave of grants made now.
func (r *recorder) wave(now time.Time) *Wave {
	n := len(r.outcome.Waves)
	if n == 0 || r.outcome.Waves[n-1].closed {
		r.outcome.Waves = append(r.outcome.Waves, Wave{Number: n + 1, Start: now, Hosts: map[string]int{}})
		n++
	}
	return &r.outcome.Waves[n-1]
}

func (r *recorder) role(name string) *RoleOutcome {
	role, ok := r.roles[name]
	if !ok {
		role = &RoleOutcome{Name: name}
		r.roles[name] = role
	}
	return role
}

func (r *recorder) started(h *fleet.Host, now time.Time) {
	at, ok := r.lastRun[h.Name]
	if !ok || !r.outcome.Runs[at].Started.IsZero() {
		at = len(r.outcome.Runs)
		r.lastRun[h.Name] = at
		r.outcome.Runs = append(r.outcome.Runs, HostRun{Host: h.Name, Role: h.Role})
	}
	r.outcome.Runs[at].Started = now
	r.running[h.Name] = at
}

func (r *recorder) finished(host string, now time.Time, failed bool) {
	r.ends++
	run := &r.outcome.Runs[r.running[host]]
	delete(r.running, host)
	run.Ended, run.Failed = now, failed
	role := r.role(run.Role)
	role.End = latest(role.End, now)
	if run.Wave == 0 {
		return
	}
	w := &r.outcome.Waves[run.Wave-1]
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

// pass records a pass.
func (r *recorder) pass(d *rollout.Decision, now time.Time) {
	r.outcome.Passes++
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
	if d.Gate.Reason == v1alpha1.ReasonFailureBudgetExceeded && r.outcome.FailureBudgetExceededAt.IsZero() {
		r.outcome.FailureBudgetExceededAt, r.outcome.FailureBudgetMessage = now, d.Gate.Message
	}
	closed := d.Gate.Reason == v1alpha1.ReasonOutsideWindow
	if r.windowsClosed(closed, now); !closed && !d.Complete {
		r.blockedWhenOpen = blockedBy(d)
	}
}

// windowsClosed records whether the windows are closed.
func (r *recorder) windowsClosed(closed bool, now time.Time) {
	n := len(r.outcome.ClosedWindows)
	open := n == 0 || !r.outcome.ClosedWindows[n-1].End.IsZero()
	switch {
	case closed && open:
		r.outcome.ClosedWindows = append(r.outcome.ClosedWindows, Period{Start: now})
	case !closed && !open:
		r.outcome.ClosedWindows[n-1].End = now
	}
}

// rolledBack records a rollback.
func (r *recorder) rolledBack(d *rollout.Decision, version string, now time.Time) {
	r.outcome.Rollback = &Rollback{Revision: d.Rollback.Revision, Version: version, Time: now}
	if r.outcome.FailureBudgetExceededAt.IsZero() {
		r.outcome.FailureBudgetExceededAt, r.outcome.FailureBudgetMessage = now, d.Rollback.Reason
	}
	r.outcome.Version = d.Version
}

func (r *recorder) conclude(d *rollout.Decision, f *fleet.Fleet, now time.Time) Outcome {
	o := r.outcome
	o.End, o.Complete, o.Version = now, d.Complete && o.Rollback == nil, cmp.Or(o.Version, d.Version)
	o.ClosedWindows = slices.DeleteFunc(o.ClosedWindows, func(p Period) bool { return !p.Start.Before(now) && len(o.Runs) > 0 })
	if n := len(o.ClosedWindows); n > 0 && (o.ClosedWindows[n-1].End.IsZero() || o.ClosedWindows[n-1].End.After(now)) {
		o.ClosedWindows[n-1].End = now
	}
	r.count(&o, d, f)
	for _, role := range d.Roles {
		r.role(role.Name).Limit = role.Limit
	}
	for _, name := range fleet.NaturalKeys(r.roles) {
		if role := r.roles[name]; role.Total > 0 || role.Peak > 0 {
			o.Roles = append(o.Roles, *role)
		}
	}
	o.BlockedBy = r.blockedBy(&o, d)
	return o
}

// count counts the hosts that count, and those at the version to reach. After a rollback the planner expects the earlier
// version, so records decide.
func (r *recorder) count(o *Outcome, d *rollout.Decision, f *fleet.Fleet) {
	done := 0
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if !v.Counts {
			continue
		}
		role, upgraded := r.role(v.Role), v.Complete
		if o.Rollback != nil {
			upgraded = f.Hosts[i].Record.Version == o.Version
		}
		o.Total++
		role.Total++
		if upgraded {
			o.Upgraded++
			role.Upgraded++
		}
		if v.Complete {
			done++
		}
	}
	if o.Rollback != nil {
		o.Rollback.Upgraded, o.Rollback.Complete = done, d.Complete
	}
}

// blockedBy returns what blocks hosts from the version to reach. Nil means nothing.
func (r *recorder) blockedBy(o *Outcome, d *rollout.Decision) []string {
	var out []string
	if o.Rollback != nil {
		out = append(out, o.Rollback.String()+": "+o.FailureBudgetMessage)
	}
	switch {
	case d.Complete:
		return out
	case d.Gate.Reason == v1alpha1.ReasonOutsideWindow && len(r.blockedWhenOpen) > 0:
		return append(out, r.blockedWhenOpen...)
	default:
		return append(out, blockedBy(d)...)
	}
}

// blockedBy returns what blocks hosts: the gate of the rollout, or what each role waits for.
func blockedBy(d *rollout.Decision) []string {
	if d.Gate.Message != "" {
		return []string{d.Gate.Message}
	}
	var out []string
	for _, role := range d.Roles {
		if role.BlockedBy != "" {
			out = append(out, role.Name+": "+role.BlockedBy)
		}
	}
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; len(out) == 0 && v.Counts && !v.Complete {
			out = append(out, v.Host+": "+v.Message)
		}
	}
	return out
}
