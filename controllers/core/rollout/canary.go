// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// canary is the hosts that go before all others, as long as they do.
type canary struct {
	// promoted says that the version has shown enough: it has no canaries any more.
	promoted bool
	// active says that other hosts wait, and text for what.
	active bool
	text   string
	// total counts the canaries, complete those that are upgraded and have soaked.
	total, complete int
	warnings        []string
}

// findCanary finds the canaries, and whether the others may follow. Once they may, they may for this version: a host that
// joins later, or fails, makes nobody wait again.
func (p *planner) findCanary() {
	spec := &p.spec.Canary
	if p.in.Plan == nil || !spec.Given() || p.target != p.spec.Version {
		return
	}
	if p.in.Fleet.Ledger.Promoted == p.target || p.in.Control.Promotion.Holds(p.target) {
		p.canary.promoted = true
		return
	}
	c := &p.canary
	unmatched := !p.chooseCanaries(spec) && len(spec.Hosts) > 0
	soaks := p.soakCanaries(p.plan.canarySoak)
	switch {
	case unmatched:
		c.text = "canary.hosts (" + strings.Join(spec.Hosts, ", ") + ") match no host that counts, so nobody is released: " +
			"change them, or `upgradectl rollout promote`"
		c.warnings = append(c.warnings, c.text)
	case c.complete < c.total:
		c.text = fmt.Sprintf("waits for the canaries: %d of %d are upgraded", c.complete, c.total)
		if !soaks.IsZero() {
			c.text += ", the next one at " + clock(soaks) + ", when it has soaked"
		}
	case spec.Promote != v1alpha1.PromoteManual:
		c.promoted = true
		return
	default:
		c.text = fmt.Sprintf("the canaries are upgraded (%d of %d): the others follow after `upgradectl rollout promote`",
			c.complete, c.total)
	}
	c.active = true
	p.out.Canary = &CanaryState{Total: c.total, Complete: c.complete, Awaiting: !unmatched && c.complete == c.total}
}

// chooseCanaries marks those that the plan names, and the first of each role. It says whether the names match anybody.
func (p *planner) chooseCanaries(spec *v1alpha1.Canary) (matched bool) {
	for _, r := range p.teams.roles() {
		first := 0
		if spec.PerRole != nil {
			first = p.plan.limits.canaries.slots(r.counted)
		}
		for _, i := range r.hosts {
			s := &p.hosts[i]
			if !s.counts {
				continue
			}
			named := matches(spec.Hosts, p.in.Fleet.Hosts[i].Name)
			matched = matched || named
			s.canary = named || first > 0
			first--
		}
	}
	return matched
}

// soakCanaries counts the canaries that are complete, and finds when the next one of those that soak is.
func (p *planner) soakCanaries(soak time.Duration) (next time.Time) {
	for i := range p.hosts {
		s := &p.hosts[i]
		if !s.canary {
			continue
		}
		p.canary.total++
		end := s.since.Add(soak)
		switch {
		case !s.upgraded || s.soaking:
		case !end.After(p.in.Now):
			p.canary.complete++
		default:
			p.next(end)
			if next.IsZero() || end.Before(next) {
				next = end
			}
		}
	}
	return next
}

// awaited tells how many hosts of a team others wait for by the order of roles: among canaries, only canaries.
func (p *planner) awaited() func(*team) (counted, complete int) {
	if !p.canary.active {
		return func(t *team) (int, int) { return t.counted, t.complete }
	}
	return func(t *team) (counted, complete int) {
		for _, i := range t.hosts {
			s := &p.hosts[i]
			if !s.canary {
				continue
			}
			counted++
			if s.upgraded && !s.soaking {
				complete++
			}
		}
		return counted, complete
	}
}

func (p *planner) waitingForCanary(_ *fleet.Host, s *hostState) (string, bool) {
	return p.canary.text, p.canary.active && !s.canary && !p.out.Canary.Awaiting
}

func (p *planner) awaitingPromotion(_ *fleet.Host, s *hostState) (string, bool) {
	return p.canary.text, p.canary.active && !s.canary
}
