// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// stopped says that nobody may start before somebody, or time, lets the rollout go on. What agents were allowed and have not
// begun is taken back meanwhile: a host that is switched off today must not begin when it comes back.
func (p *planner) stopped() bool {
	switch p.out.Gate {
	case v1alpha1.ReasonAborted, v1alpha1.ReasonPlanPaused, v1alpha1.ReasonFailureBudgetExceeded, v1alpha1.ReasonOutsideWindow:
		return true
	}
	return false
}

// halt is the halt that stands for this rollout, or a new one that is to be recorded; nil: the budget is kept, or the plan
// is rolled back instead.
func (p *planner) halt() *fleet.Halt {
	if p.in.Plan == nil {
		return nil
	}
	if h := p.in.Control.Halt; h.Holds(p.spec.Version) {
		return h
	}
	reason := p.exceeded()
	if reason == "" {
		return nil
	}
	if p.spec.FailurePolicy.OnExceeded == v1alpha1.RollbackOnFailure {
		if reason = p.rollback(reason); p.out.Rollback != nil {
			return nil
		}
	}
	p.out.Halt = &fleet.Halt{Time: time.Unix(p.in.Now.Unix(), 0).UTC(), Reason: reason, Version: p.spec.Version,
		Generation: p.in.Plan.Generation}
	return p.out.Halt
}

// rollback pins the fallback, unless one is pinned already or operators have stopped the plan; then it says why not.
func (p *planner) rollback(reason string) string {
	switch f := p.in.Fallback; {
	case p.in.Control.Abort != nil:
		return reason + "; the plan is aborted, so that it does not go back by itself"
	case p.in.Control.Pin != nil:
		return reason + "; a revision is pinned already, so that there is no further one to go back to"
	case f == nil || f.Version == p.spec.Version:
		return reason + "; no revision to go back to was ever complete"
	default:
		p.out.Rollback = &fleet.Pin{Revision: f.Revision, By: fleet.ByController, Time: time.Unix(p.in.Now.Unix(), 0).UTC(),
			Reason: reason}
	}
	return reason
}

// exceeded says how more hosts have failed than may; empty: they have not. A budget that cannot be evaluated counts as
// exceeded.
func (p *planner) exceeded() string {
	budget := p.plan.limits.maxFailed
	if p.out.ReadOnly || budget == nil || p.target != p.spec.Version {
		return "" // before the switch nobody is in flight under the plan's version
	}
	counted := p.teams.fleet.counted
	most := budget.budget(counted)
	total, failed := 0, []string(nil)
	for i := range p.hosts {
		if !p.spends(i) {
			continue
		}
		if total++; len(failed) < maxNames {
			failed = append(failed, p.in.Fleet.Hosts[i].Name)
		}
	}
	if total <= most {
		return ""
	}
	return fmt.Sprintf("%d of %d hosts have failed (%s), more than failurePolicy.maxFailed, which is %d%s",
		total, counted, names(failed, total), most, budget.origin(counted))
}

// spends says whether a host spends the failure budget: it counts, was released for this version or has begun it, and has
// failed since the last time that an operator let the rollout go on.
func (p *planner) spends(i int) bool {
	h, s := &p.in.Fleet.Hosts[i], &p.hosts[i]
	touched := s.granted || s.marked && h.Started.Version == p.target
	resumed := p.in.Control.Resumed
	return s.failed && (s.counts || s.lost) && touched && (resumed == nil || s.failedAt.IsZero() || s.failedAt.After(resumed.Time))
}

// outsideWindow says in words why the windows are closed; empty: they are open.
func (p *planner) outsideWindow() string {
	if o := p.in.Control.Override; o.Opens(p.spec.Version, p.in.Now) {
		p.out.WindowClosesAt = o.Until
		return ""
	}
	w := p.plan.windows.At(p.in.Now)
	if w.Open {
		p.out.WindowClosesAt = w.Next
		return ""
	}
	p.next(w.Next)
	p.opens = w.Next
	opens := "none opens in the next years"
	if !w.Next.IsZero() {
		opens = "hosts are released from " + clock(w.Next)
	}
	return "outside of the windows: " + w.Why + "; " + opens
}

func (w words) halt(h *fleet.Halt) string {
	return "halted since " + clock(h.Time) + ", until `upgradectl rollout resume`: " + h.Reason
}
