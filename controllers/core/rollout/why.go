// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Link is one of a chain of reasons. Its subject is where it is because of the subject of the next link.
type Link struct {
	// Of is the name of a host, role/NAME, or plan.
	Of      string
	Reason  v1alpha1.Reason
	Message string
	// Change lists what would change it: events, and what an operator can do. Empty means that nothing has to change.
	Change []string
}

// Why explains why hosts are where they are, from the computation that decides.
type Why struct{ c *computation }

// NewWhy computes a decision and keeps what explains it.
func NewWhy(in Input) Why { return Why{compute(in)} }

// maxChain bounds a chain of reasons.
const maxChain = 8

// Host returns the verdict of a host, then that of the host for which it waits, and so on. It returns nil for an unknown
// host.
func (w Why) Host(name string) []Link {
	i := slices.IndexFunc(w.c.in.Fleet.Hosts, func(h fleet.Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	var chain []Link
	for seen := map[int]bool{}; i >= 0 && !seen[i] && len(chain) < maxChain; i = w.c.waitsFor(i) {
		seen[i] = true
		v := &w.c.verdicts[i]
		chain = append(chain, Link{Of: v.Host, Reason: v.Reason, Message: v.Message, Change: w.c.remedies(i)})
	}
	return chain
}

// Role returns the chain of the first host of the role that waits, or of the first that is not complete. It returns nil if
// all are complete.
func (w Why) Role(name string) []Link {
	r, ok := w.c.limits.byRole[name]
	if !ok {
		return nil
	}
	if i := w.c.firstWaiting(r); i >= 0 {
		return w.Host(w.c.verdicts[i].Host)
	}
	for _, i := range r.hosts {
		if v := &w.c.verdicts[i]; v.Counts && !v.Complete {
			return w.Host(v.Host)
		}
	}
	return nil
}

// Plan returns the gate that stops every new grant. Without a gate it returns the first link of each role that is not
// complete, and then the last links of their chains.
func (w Why) Plan() []Link {
	if gate := w.c.gate.Gate; gate.Reason != "" {
		return []Link{{Of: "plan", Reason: gate.Reason, Message: gate.Message, Change: w.c.gateRemedies(gate.Reason)}}
	}
	var links, ends []Link
	for _, r := range w.c.limits.roles() {
		chain := w.Role(r.name)
		if len(chain) == 0 {
			continue
		}
		last := chain[len(chain)-1]
		if !slices.ContainsFunc(ends, func(l Link) bool { return l.Of == last.Of }) {
			ends = append(ends, last)
		}
		if len(chain) > 1 {
			chain[0].Of = "role/" + r.name
			links = append(links, chain[0])
		}
	}
	return append(links, ends...)
}

// waitsFor returns the host for which another waits, or a negative index.
func (c *computation) waitsFor(i int) int {
	v := &c.verdicts[i]
	if v.Blocker == nil {
		return -1
	}
	inFlight := func(i int) bool { return c.verdicts[i].InFlight }
	switch v.Blocker.Kind {
	case BlockedByRole:
		var awaited []int
		for _, s := range c.order.scopesNamed(v.Blocker.Name) {
			awaited = append(awaited, s.hosts...)
		}
		return c.slowest(awaited, func(i int) bool { return !c.canaries.active || c.canaries.includes(i) })
	case BlockedByCanaries:
		if c.canaries.awaiting() {
			return -1
		}
		return c.slowest(c.hostIndexes(), c.canaries.includes)
	case BlockedByRoleLimit, BlockedByGroupLimit, BlockedByFleetLimit:
		if v.Blocker.Limit == 0 {
			return -1
		}
		for _, s := range c.limits.role(v.Role).scopes {
			if s.kind == v.Blocker.Kind {
				return c.slowest(s.hosts, inFlight)
			}
		}
	case BlockedByBatch:
		return c.slowest(c.hostIndexes(), func(i int) bool { return inFlight(i) && !c.facts[i].failed() })
	}
	return -1
}

// hostIndexes returns every index.
func (c *computation) hostIndexes() []int {
	all := make([]int, len(c.facts))
	for i := range all {
		all[i] = i
	}
	return all
}

// slowest returns the host that is furthest from being complete, of those for which a function is true: one that has
// failed, else the one that is in flight for the longest time, else the first. A negative index means that all are complete.
func (c *computation) slowest(hosts []int, is func(int) bool) int {
	best, highest := -1, 0
	for _, i := range hosts {
		v := &c.verdicts[i]
		if v.Complete || !is(i) || !v.Counts && !v.InFlight {
			continue
		}
		rank := 1
		switch {
		case c.facts[i].failed():
			rank = 3
		case v.InFlight:
			rank = 2
		}
		if rank > highest || rank == highest && rank > 1 && c.byFailureAndAge(&c.facts[i], &c.facts[best]) < 0 {
			best, highest = i, rank
		}
	}
	return best
}
