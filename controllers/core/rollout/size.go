// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import "github.com/jiocloud/upgrade-controller/controllers/core/fleet"

// size counts the hosts that count or are exempt. An operator leaves hosts out on purpose, so these are not gone.
type size struct{ all, exempt int }

func sizeOf(facts []hostFacts) (s size) {
	for i := range facts {
		switch f := &facts[i]; {
		case f.vanishes():
		case f.counts():
			s.all++
		case f.exempt():
			s.all, s.exempt = s.all+1, s.exempt+1
		}
	}
	return s
}

// lastSize returns the size of the fleet at the last pass, or the one that an operator has accepted since.
func (a *assessment) lastSize() int {
	last := a.in.Fleet.Ledger.Size
	if order := a.in.Control.Shrunk; order.Accepts(last) {
		return order.Hosts
	}
	return last.Hosts
}

// atLeastHalf returns the number of hosts that ends the stop of a fleet that shrank.
func atLeastHalf(last int) int { return (last + 1) / 2 }

// shrank says how many hosts have gone since the last pass, if fewer than half are left. Then a tree of keys, ACLs or the catalog
// may hide the others, which may be in flight. Empty means that the fleet did not shrink. A fleet without hosts has its own reason,
// so a fleet of one or two hosts never shrinks.
func (a *assessment) shrank() string {
	if last, now := a.lastSize(), a.size.all; now > 0 && now < atLeastHalf(last) {
		return shrankMessage(last, a.size)
	}
	return ""
}

// ledgerSize returns the size that the ledger keeps. A fleet that shrank, and one without hosts, keeps its last one.
func (ad *admission) ledgerSize() fleet.Size {
	last, now := ad.in.Fleet.Ledger.Size, ad.size.all
	if ad.gate.shrank != "" || now == 0 || now == last.Hosts && !ad.in.Control.Shrunk.Accepts(last) {
		return last
	}
	return fleet.Size{Hosts: now, Counter: ad.in.Fleet.Ledger.Counter + 1}
}
