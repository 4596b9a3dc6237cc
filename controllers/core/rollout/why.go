// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Link is one of a chain of reasons: what is where it is because of the next.
type Link struct {
	// Of is the name of a host, or role/ and that of a role, or plan.
	Of      string
	Reason  v1alpha1.Reason
	Message string
	// Change says what would change it: what must happen, or what an operator can do. Empty: nothing needs to.
	Change []string
}

// Why answers why hosts are where they are, by the same computation that decides.
type Why struct{ p *planner }

// NewWhy computes what is to be asked.
func NewWhy(in Input) Why { return Why{compute(in)} }

// maxChain bounds a chain of reasons.
const maxChain = 8

// Host is the verdict of a host, then that of the host for which it waits, and so on; nil: there is no such host.
func (w Why) Host(name string) []Link {
	i := slices.IndexFunc(w.p.in.Fleet.Hosts, func(h fleet.Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	var chain []Link
	for seen := map[int]bool{}; i >= 0 && !seen[i] && len(chain) < maxChain; i = w.p.waitsFor(i) {
		seen[i] = true
		v := &w.p.out.Verdicts[i]
		chain = append(chain, Link{Of: v.Host, Reason: v.Reason, Message: v.Message, Change: w.p.change(i)})
	}
	return chain
}

// Role is the chain of the first host of the role that waits, else of the first that is not complete; nil: all are.
func (w Why) Role(name string) []Link {
	r, ok := w.p.teams.byRole[name]
	if !ok {
		return nil
	}
	if i := w.p.firstWaiting(r); i >= 0 {
		return w.Host(w.p.out.Verdicts[i].Host)
	}
	for _, i := range r.hosts {
		if v := &w.p.out.Verdicts[i]; v.Counts && !v.Complete {
			return w.Host(v.Host)
		}
	}
	return nil
}

// Plan is what stops every new start; else of each role that is not complete the first reason, and the last of its chain.
func (w Why) Plan() []Link {
	if gate := w.p.out.Gate; gate != "" {
		return []Link{{Of: "plan", Reason: gate, Message: w.p.out.GateMessage, Change: w.p.changeGate(gate)}}
	}
	var links, ends []Link
	for _, r := range w.p.teams.roles() {
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

// waitsFor is the host that holds another back; negative: none does.
func (p *planner) waitsFor(i int) int {
	s, v := &p.hosts[i], &p.out.Verdicts[i]
	switch v.Reason {
	case v1alpha1.ReasonWaitingForRole:
		name, _ := p.order.blocking(p.teams.role(v.Role))
		var awaited []int
		for _, t := range p.order.bearers(name) {
			awaited = append(awaited, t.hosts...)
		}
		return p.slowest(awaited, func(i int) bool { return !p.canary.active || p.hosts[i].canary })
	case v1alpha1.ReasonWaitingForCanary:
		return p.slowest(p.all(), func(i int) bool { return p.hosts[i].canary })
	case v1alpha1.ReasonNoFreeSlot:
		return p.slowest(p.fullOf(v, s).hosts, func(i int) bool { return p.hosts[i].inFlight })
	case v1alpha1.ReasonBatchRunning:
		return p.slowest(p.all(), func(i int) bool { return p.hosts[i].inFlight && !p.hosts[i].failed })
	}
	return -1
}

// all are all hosts.
func (p *planner) all() []int {
	all := make([]int, len(p.hosts))
	for i := range all {
		all[i] = i
	}
	return all
}

// slowest is the one of some hosts, of those that are not complete, that is the furthest from it: one that has failed, else
// one that is in flight, else the first.
func (p *planner) slowest(hosts []int, of func(int) bool) int {
	best, rank := -1, 0
	for _, i := range hosts {
		v := &p.out.Verdicts[i]
		if v.Complete || !of(i) || !v.Counts && !v.InFlight {
			continue
		}
		now := 1
		switch {
		case p.hosts[i].failed:
			now = 3
		case v.InFlight:
			now = 2
		}
		if now > rank {
			best, rank = i, now
		}
	}
	return best
}

// fullOf is the team in which a host finds no slot.
func (p *planner) fullOf(v *Verdict, s *hostState) *team {
	levels := p.teams.role(v.Role).levels()
	for _, t := range levels {
		if t.limit != nil && t.text == v.Message {
			return t
		}
	}
	for _, t := range levels {
		if !t.free(s.inFlight) {
			return t
		}
	}
	return levels[0]
}

// change says what would change the verdict of a host.
func (p *planner) change(i int) []string {
	h, s, v := &p.in.Fleet.Hosts[i], &p.hosts[i], &p.out.Verdicts[i]
	switch v.Reason {
	case v1alpha1.ReasonLostFromCatalog:
		return []string{"it reports " + p.target, "`upgradectl forget host/" + h.Name + "`, if it is gone"}
	case v1alpha1.ReasonChecksFailing:
		return []string{"its checks pass"}
	case v1alpha1.ReasonSoaking:
		return []string{"after: " + clock(s.next)}
	case v1alpha1.ReasonReportedFailure, v1alpha1.ReasonDeadlineExceeded:
		return []string{"it reports " + p.target}
	case v1alpha1.ReasonGranted:
		return []string{p.reports(s)}
	case v1alpha1.ReasonUnverified:
		return []string{"its own report of " + p.target}
	case v1alpha1.ReasonNoRole:
		return []string{"its agent reports a role", "spec.hosts.rolePattern"}
	case v1alpha1.ReasonExcluded:
		return []string{"spec.hosts.exclude without it"}
	case v1alpha1.ReasonExemptByHold, v1alpha1.ReasonOnHold:
		return holdEnds(h)
	case v1alpha1.ReasonPausedByKey:
		return []string{"the key config_state/" + pausePlace(h) + "/enable_puppet is deleted"}
	case v1alpha1.ReasonStarting, v1alpha1.ReasonRevoked:
		return []string{"the next pass"}
	case v1alpha1.ReasonWaitingForRole:
		return p.changeOrder(v.Role)
	case v1alpha1.ReasonWaitingForCanary:
		if p.canary.total == 0 {
			return []string{"canary.hosts", "`upgradectl rollout promote`"}
		}
		return []string{fmt.Sprintf("after: %d more of the canaries", p.canary.total-p.canary.complete)}
	case v1alpha1.ReasonLimitZero, v1alpha1.ReasonNoFreeSlot:
		return p.changeSlots(v, s)
	case v1alpha1.ReasonBatchRunning:
		return []string{fmt.Sprintf("after: %d more of this batch", p.teams.running)}
	case v1alpha1.ReasonAtVersion:
		return nil
	}
	return p.changeGate(v.Reason)
}

// reports says for what of a host in flight is waited.
func (p *planner) reports(s *hostState) string {
	text := "it reports " + p.target
	if !s.next.IsZero() {
		text += "; without that it has failed at " + clock(s.next)
	}
	return text
}

// holdEnds says how the hold on a host ends.
func holdEnds(h *fleet.Host) []string {
	at := fleet.Place{Scope: h.HoldScope, Name: h.Name}
	if h.HoldScope == fleet.ScopeRole {
		at.Name = h.HoldRole
	}
	text := "release hold"
	if h.Hold.Owner != "" {
		text += " by " + h.Hold.Owner
	}
	ends := []string{text + ": `upgradectl release " + at.String() + "`"}
	if !h.Hold.Expires.IsZero() {
		ends = append(ends, "it expires "+clock(h.Hold.Expires))
	}
	return ends
}

// pausePlace is what the pause key of a host is about.
func pausePlace(h *fleet.Host) string {
	switch h.PausedBy {
	case fleet.ScopeHost:
		return "host/" + h.Name
	case fleet.ScopeRole:
		return "role/" + h.LookupRole
	}
	return h.PausedBy.String()
}

// changeOrder says after how many hosts a role may go on.
func (p *planner) changeOrder(role string) []string {
	name, _ := p.order.blocking(p.teams.role(role))
	missing := 0
	for _, t := range p.order.bearers(name) {
		counted, complete := p.order.progress(t)
		missing += counted - complete
	}
	if missing == 0 {
		return []string{"hosts of " + name + " report", "spec.instructions.roleOrder without " + name}
	}
	return []string{fmt.Sprintf("after: %d more %s", missing, name)}
}

// changeSlots says whose slot must be free.
func (p *planner) changeSlots(v *Verdict, s *hostState) []string {
	t := p.fullOf(v, s)
	if *t.limit == 0 {
		return []string{"a limit of " + t.name + " above 0"}
	}
	return []string{fmt.Sprintf("after: %d more of %s", t.inFlight-*t.limit+1, t.name)}
}

// changeGate says what would change that which stops every new start.
func (p *planner) changeGate(gate v1alpha1.Reason) []string {
	const resume = "`upgradectl rollout resume`"
	switch gate {
	case v1alpha1.ReasonNoPlan:
		return []string{"`upgradectl apply`"}
	case v1alpha1.ReasonConflict:
		return []string{"one of the two plans is deleted"}
	case v1alpha1.ReasonAborted:
		return []string{resume, "another spec"}
	case v1alpha1.ReasonPlanPaused:
		if p.in.Control.Pause == nil {
			return []string{"spec.paused: false"}
		}
		return []string{resume}
	case v1alpha1.ReasonFailureBudgetExceeded:
		return []string{resume, "another spec.version"}
	case v1alpha1.ReasonOutsideWindow:
		return p.changeWindow()
	case v1alpha1.ReasonTooManyUnhealthy:
		return []string{"fewer hosts are critical", "healthGate.maxUnhealthy"}
	case v1alpha1.ReasonAwaitingPromotion:
		return []string{"`upgradectl rollout promote`"}
	case v1alpha1.ReasonVersionSwitch, v1alpha1.ReasonRevoking:
		return []string{"the next pass"}
	}
	return nil
}

// changeWindow says when a window opens, as the clock shows it in the zone of the windows.
func (p *planner) changeWindow() []string {
	override := "`upgradectl rollout resume --override-window`"
	if p.opens.IsZero() {
		return []string{override}
	}
	at, layout := p.opens.In(p.plan.windows.Zone()), "Mon 15:04 MST"
	if at.Sub(p.in.Now) > 6*24*time.Hour {
		layout = "Mon 2006-01-02 15:04 MST"
	}
	return []string{"window opens " + at.Format(layout), override}
}
