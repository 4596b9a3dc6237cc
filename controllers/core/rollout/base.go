// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

// growth is how far the fleet has grown since the last switch. Percentages are of hosts that one token cannot invent: an agent can
// write a record of any name, but only its own report.
type growth struct {
	// base is the size of the fleet at the last switch, or as an operator has accepted it since. A zero counter means unknown.
	base fleet.Base
	// recorded counts all legacy hosts, legacy those that need to be admitted, and admitted how many of these may count.
	recorded, legacy, admitted int
	// agents says that a host of the fleet has a report.
	agents bool
	// excess is by how many hosts the fleet is larger than base.
	excess int
}

// base returns the size at the last switch. It is zero if an operator has accepted the present one.
func (in *Input) base() fleet.Base {
	if base := in.Fleet.Ledger.Base; !in.Control.Grown.Accepts(base) {
		return base
	}
	return fleet.Base{}
}

// isLegacy reports whether only a record shows that a host exists.
func isLegacy(h *fleet.Host) bool { return h.Report == nil && h.Record.Version != "" }

// admitLegacy excludes the legacy hosts that the plan does not admit, and returns how far the fleet has grown.
func admitLegacy(in *Input, plan *Plan, facts []hostFacts) growth {
	g := growth{base: in.base()}
	var waiting []int // in natural order
	for i := range in.Fleet.Hosts {
		h, f := &in.Fleet.Hosts[i], &facts[i]
		g.agents = g.agents || h.Agent()
		if isLegacy(h) {
			g.recorded++
		}
		if !plan.mustAdmit(h) || !f.counts() && !f.exempt() {
			continue
		}
		g.legacy++
		if !f.inFlight() {
			waiting = append(waiting, i)
		}
	}
	g.admitted = g.admits(plan)
	if excess := g.legacy - g.admitted; excess > 0 { // those in flight are admitted first
		for _, i := range waiting[max(0, len(waiting)-excess):] {
			facts[i].exclusion |= notAdmitted
		}
	}
	size := sizeOf(facts)
	if g.base.Counter != 0 {
		g.excess = max(0, size.all-g.base.Hosts)
	}
	return g
}

// mustAdmit reports whether a host counts only if the plan admits it. A token of an agent can write no other node of the catalog.
func (p *Plan) mustAdmit(h *fleet.Host) bool {
	inCatalog := p.Spec.Hosts.Source == v1alpha1.HostsFromCatalog && !h.Lost
	return isLegacy(h) && (p.Spec.Hosts.Legacy != nil || !inCatalog)
}

// admits returns how many legacy hosts count at most.
func (g *growth) admits(plan *Plan) int {
	if policy := plan.Spec.Hosts.Legacy; policy != nil {
		n, all, err := v1alpha1.ParseLegacy(*policy)
		if all || err != nil {
			return g.legacy
		}
		return n
	}
	if !g.agents || g.base.Counter == 0 {
		return g.legacy
	}
	return g.base.Legacy
}

// leavesOut reports whether other hosts wait for a host that is not admitted. If some legacy hosts count and others do not, any of
// them may be invented, so a host that is left out may be one of the fleet. If none count, an operator or the fleet at the last
// switch says so.
func (g *growth) leavesOut(f *hostFacts) bool {
	return g.admitted > 0 && f.exclusion == notAdmitted && !f.upgraded()
}

// grew reports whether the order of an operator would let more hosts count.
func (a *assessment) grew() bool {
	return a.growth.excess > 0 || a.plan.Spec.Hosts.Legacy == nil && a.growth.admitted < a.growth.legacy
}

// ledgerBase returns the base that the ledger keeps. It changes with a switch, and with an order of an operator. The number of
// legacy hosts does not grow with a switch, unless there are no agents whose tokens could invent them: until there are, it grows
// with the fleet.
func (ad *admission) ledgerBase() fleet.Base {
	last, g := ad.in.Fleet.Ledger.Base, &ad.growth
	known := g.base.Counter != 0
	base := fleet.Base{Hosts: ad.size.all, Legacy: g.recorded, Counter: ad.in.Fleet.Ledger.Counter + 1}
	switch {
	case ad.in.Plan == nil:
		return last
	case known && !ad.gate.switches():
		if g.agents || g.recorded <= last.Legacy {
			return last
		}
		base.Hosts = last.Hosts
	case known && g.agents:
		base.Legacy = min(base.Legacy, last.Legacy)
	}
	return base
}

// joined reports whether a host may have joined after the last switch. The controller does not read when records were created.
func (a *assessment) joined(h *fleet.Host) bool {
	return h.Report == nil || h.ReportCreated > a.in.Fleet.Current.Index
}

// base is the number of hosts that percentages are of: those that count, without those that joined, as far as the fleet grew.
func (s *limitScope) base(excess int) int { return s.counted - min(s.joined, excess) }

// notAdmittedMessage warns of legacy hosts that do not count. Empty means that there are none.
func (a *assessment) notAdmittedMessage() string {
	out := a.sample(func(i int) bool { return a.facts[i].exclusion&notAdmitted != 0 })
	if out.total == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d legacy hosts are not admitted (%s): %s", out.total, a.growth.legacy,
		wording.Names(out.names, out.total), a.admitHint())
}

// admitHint says how many legacy hosts count, and what admits others.
func (a *assessment) admitHint() string {
	if a.plan.Spec.Hosts.Legacy != nil {
		return fmt.Sprintf("spec.hosts.legacy is %s", a.plan.Spec.Hosts.Legacy)
	}
	return fmt.Sprintf("there were %d at the last switch; set spec.hosts.legacy, or run %s to admit them", a.growth.admitted, resumeCommand)
}
