// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// canaries are the hosts that are upgraded before all others.
type canaries struct {
	// promoted says that the version needs no canaries any more.
	promoted bool
	// active says that the other hosts wait.
	active bool
	// members says for each host whether it is a canary. It is nil unless canaries are active.
	members []bool
	// total counts the canaries, and complete those that are upgraded and have soaked.
	total, complete int
	// order promotes the canaries once all are complete. Nil means none.
	order *fleet.Promotion
	// next is when the next canary completes its soak. Zero means that none soaks.
	next time.Time
	// unmatched says that canary.hosts matches no host that counts. The patterns are for the message.
	unmatched bool
	patterns  []string
	blocker   Blocker // of the hosts that wait
}

// awaiting reports whether the other hosts wait only for an operator to promote the canaries.
func (c *canaries) awaiting() bool { return c.active && !c.unmatched && c.complete == c.total }

func (c *canaries) includes(i int) bool { return i < len(c.members) && c.members[i] }

// state is for the decision. Nil means no canaries.
func (c *canaries) state() *CanaryState {
	if !c.active {
		return nil
	}
	return &CanaryState{Total: c.total, Complete: c.complete, Awaiting: c.awaiting(), Unmatched: c.unmatched}
}

// findCanaries finds the canaries, and whether other hosts wait for them. Once canaries are promoted, that holds for the
// version: a host that joins later or fails makes no other host wait again.
func (a *assessment) findCanaries() canaries {
	spec := &a.plan.Spec.Canary
	if a.in.Plan == nil || !spec.Given() || !a.switched() {
		return canaries{}
	}
	order := a.in.Control.Promotion
	ordered := order.Holds(a.target)
	if a.in.Fleet.Ledger.Promoted == a.target || ordered && !order.WhenComplete {
		return canaries{promoted: true}
	}
	c := canaries{active: true, patterns: spec.Hosts}
	if ordered {
		c.order = order
	}
	var matched bool
	c.members, matched = a.chooseCanaries(spec)
	c.unmatched = !matched && len(spec.Hosts) > 0
	a.soakCanaries(&c)
	c.blocker = Blocker{Kind: BlockedByCanaries, Have: c.complete, Limit: c.total}
	if c.unmatched {
		c.blocker.Have, c.blocker.Limit = 0, 0
	}
	if !c.unmatched && c.complete == c.total && (ordered || spec.Promote != v1alpha1.PromoteManual) {
		return canaries{promoted: true, next: c.next}
	}
	return c
}

// chooseCanaries chooses the hosts that the plan names, and the first hosts of each role. It reports whether the names
// match a host that counts.
func (a *assessment) chooseCanaries(spec *v1alpha1.Canary) (members []bool, matched bool) {
	members = make([]bool, len(a.facts))
	for _, r := range a.limits.roles() {
		first := 0
		if limit := a.plan.limits.canaries; limit != nil {
			first = limit.slots(r.base(a.limits.excess))
		}
		for _, i := range r.hosts {
			if !a.facts[i].counts() {
				continue
			}
			named := matches(spec.Hosts, a.in.Fleet.Hosts[i].Name)
			matched = matched || named
			members[i] = named || first > 0
			first--
		}
	}
	return members, matched
}

// soakCanaries counts the canaries, and finds when the next one completes its soak.
func (a *assessment) soakCanaries(c *canaries) {
	for i := range a.facts {
		if !c.members[i] {
			continue
		}
		f := &a.facts[i]
		c.total++
		end := f.since.Add(a.plan.canarySoak)
		switch {
		case !f.complete():
		case !end.After(a.in.Now):
			c.complete++
		default:
			c.next = soonest(c.next, end)
		}
	}
}

// progress says which hosts other roles wait for: all that count, or among canaries only canaries.
func (c *canaries) progress(facts []hostFacts) progressFunc {
	if !c.active {
		return func(s *limitScope) (int, int) { return s.counted - s.aside + s.leftOut, s.complete }
	}
	members := c.members
	return func(s *limitScope) (counted, complete int) {
		for _, i := range s.hosts {
			if !members[i] || facts[i].setAside {
				continue
			}
			counted++
			if facts[i].complete() {
				complete++
			}
		}
		return counted, complete
	}
}
