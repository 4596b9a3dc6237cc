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

// progress changes whenever something happens: it counts releases, hosts that have ended, and those that are complete.
type progress struct {
	starts, ends, complete int
}

// recorder keeps what an outcome tells.
type recorder struct {
	out   Outcome
	at    map[string]int // host → its last run
	going map[string]int // host → that which has begun and not ended: it may be released for the next before that
	roles map[string]*RoleOutcome
	// open is what kept hosts where they are when the windows were last open.
	open []string
	progress
}

func newRecorder(start time.Time) recorder {
	return recorder{out: Outcome{Start: start}, at: map[string]int{}, going: map[string]int{}, roles: map[string]*RoleOutcome{}}
}

func (r *recorder) released(v *rollout.Verdict, now time.Time) {
	r.starts++
	w := r.wave(now)
	w.Hosts[v.Role]++
	w.Total++
	w.running++
	if at, ok := r.at[v.Host]; ok {
		r.out.Runs[at].Again = now
	}
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
	r.going[h.Name] = at
}

func (r *recorder) ended(host string, now time.Time, failed bool) {
	r.ends++
	run := &r.out.Runs[r.going[host]]
	delete(r.going, host)
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
	if d.Gate == v1alpha1.ReasonFailureBudgetExceeded && r.out.Trip.IsZero() {
		r.out.Trip, r.out.Tripped = now, d.GateMessage
	}
	closed := d.Gate == v1alpha1.ReasonOutsideWindow
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

// rolledBack keeps that a fallback is carried out from now on.
func (r *recorder) rolledBack(d *rollout.Decision, version string, now time.Time) {
	r.out.Rollback = &Rollback{Revision: d.Rollback.Revision, Version: version, Time: now}
	if r.out.Trip.IsZero() {
		r.out.Trip, r.out.Tripped = now, d.Rollback.Reason
	}
	r.out.Version = d.Version
}

func (r *recorder) conclude(d *rollout.Decision, f *fleet.Fleet, now time.Time) Outcome {
	o := r.out
	o.End, o.Complete, o.Version = now, d.Complete && o.Rollback == nil, cmp.Or(o.Version, d.Version)
	o.Shut = slices.DeleteFunc(o.Shut, func(p Period) bool { return !p.Start.Before(now) && len(o.Runs) > 0 })
	if n := len(o.Shut); n > 0 && (o.Shut[n-1].End.IsZero() || o.Shut[n-1].End.After(now)) {
		o.Shut[n-1].End = now
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
	o.Stands = r.stand(&o, d)
	return o
}

// count counts the hosts that count, and those that are where they were to go. After a rollback the planner is content with
// those that are back, so that records tell of the others.
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
		o.Rollback.Back, o.Rollback.Complete = done, d.Complete
	}
}

// stand is what keeps hosts from the version that they were to reach; nil: nothing does.
func (r *recorder) stand(o *Outcome, d *rollout.Decision) []string {
	var out []string
	if o.Rollback != nil {
		out = append(out, o.Rollback.String()+": "+o.Tripped)
	}
	switch {
	case d.Complete:
		return out
	case d.Gate == v1alpha1.ReasonOutsideWindow && len(r.open) > 0:
		return append(out, r.open...)
	default:
		return append(out, stands(d)...)
	}
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
