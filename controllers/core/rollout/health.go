// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// tooManyUnhealthy says how many more hosts have a critical check than may; empty: they have not.
func (p *planner) tooManyUnhealthy() string {
	budget := p.plan.limits.maxUnhealthy
	if budget == nil {
		return ""
	}
	counted := p.teams.fleet.counted
	most := budget.budget(counted)
	total, first := 0, []string(nil)
	for i := range p.hosts {
		if h := &p.in.Fleet.Hosts[i]; !p.hosts[i].counts || !h.Critical() {
			continue
		}
		if total++; len(first) < maxNames {
			first = append(first, p.in.Fleet.Hosts[i].Name)
		}
	}
	if total <= most {
		return ""
	}
	return fmt.Sprintf("%d of %d hosts are critical (%s), more than healthGate.maxUnhealthy, which is %d%s",
		total, counted, names(first, total), most, budget.origin(counted))
}

// maxCheckTimes bounds what the ledger remembers of failing checks: beyond it, a soak does not begin again when checks pass
// again, and a resumption does not forgive what fails.
const maxCheckTimes = 1000

// checkTimes remembers which hosts had failing checks since they were released, and since when they pass again.
func (p *planner) checkTimes() map[string]fleet.CheckTimes {
	if p.out.Switch || len(p.spec.HealthGate.Checks) == 0 {
		return nil
	}
	times, now := map[string]fleet.CheckTimes{}, p.in.Now.Unix()
	for i := range p.hosts {
		s, host := &p.hosts[i], p.in.Fleet.Hosts[i].Name
		c, known := p.in.Fleet.Ledger.Checks[host]
		switch {
		case s.failing && s.inFlight && (!known || c.Passed != 0):
			c = fleet.CheckTimes{Failed: now}
		case !known:
			continue
		case !s.failing && c.Passed == 0:
			c.Passed = now
		case !s.inFlight && (!s.upgraded || !s.since.Add(p.plan.Soak()).After(p.in.Now)):
			continue // it has soaked, or does nothing that could fail
		}
		if len(times) < maxCheckTimes {
			times[host] = c
		}
	}
	if len(times) == 0 {
		return nil
	}
	return times
}

// unseen warns of hosts that cannot be upgraded in the eyes of the plan.
func (p *planner) unseen() []string {
	if !p.spec.Hosts.VerifyReports {
		return nil
	}
	total, first := 0, []string(nil)
	for i := range p.hosts {
		if h := &p.in.Fleet.Hosts[i]; p.hosts[i].counts && !h.Agent() {
			if total++; len(first) < maxNames {
				first = append(first, h.Name)
			}
		}
	}
	if total == 0 {
		return nil
	}
	return []string{fmt.Sprintf("spec.hosts.verifyReports: %d hosts were never seen as agents (%s): they cannot count as upgraded",
		total, names(first, total))}
}
