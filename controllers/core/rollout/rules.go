// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// rule is one row of the table by which a host gets its verdict. The first that applies wins.
type rule struct {
	reason v1alpha1.Reason
	// state lies over the base state of the host; empty: nothing does.
	state   State
	applies func(*planner, *fleet.Host, *hostState) (message string, ok bool)
}

// rules is ordered: what a host is, then what stops it alone, then what stops all, then what it waits for. A host that is
// upgraded gets no further than AtVersion.
var rules = []rule{ //nolint:gochecknoglobals // a constant table
	{v1alpha1.ReasonLostFromCatalog, Lost, (*planner).lost},
	{v1alpha1.ReasonChecksFailing, Failed, (*planner).checksFailing},
	{v1alpha1.ReasonSoaking, "", (*planner).soaking},
	{v1alpha1.ReasonAtVersion, "", (*planner).atVersion},
	{v1alpha1.ReasonNoRole, Unknown, (*planner).noRole},
	{v1alpha1.ReasonExcluded, Exempt, (*planner).excluded},
	{v1alpha1.ReasonExemptByHold, Exempt, (*planner).exemptByHold},
	{v1alpha1.ReasonReportedFailure, Failed, (*planner).reportedFailure},
	{v1alpha1.ReasonDeadlineExceeded, Failed, (*planner).deadlineExceeded},
	{v1alpha1.ReasonPausedByKey, Held, (*planner).pausedByKey},
	{v1alpha1.ReasonOnHold, Held, (*planner).onHold},
	{v1alpha1.ReasonRevoked, "", (*planner).takenBack},
	{v1alpha1.ReasonUnverified, "", (*planner).unverified},
	{v1alpha1.ReasonGranted, "", (*planner).released},
	{v1alpha1.ReasonCannotAct, "", (*planner).cannotAct},
	{v1alpha1.ReasonNoPlan, "", gated(v1alpha1.ReasonNoPlan)},
	{v1alpha1.ReasonObservationIncomplete, "", gated(v1alpha1.ReasonObservationIncomplete)},
	{v1alpha1.ReasonConflict, "", gated(v1alpha1.ReasonConflict)},
	{v1alpha1.ReasonAborted, "", gated(v1alpha1.ReasonAborted)},
	{v1alpha1.ReasonPlanPaused, "", gated(v1alpha1.ReasonPlanPaused)},
	{v1alpha1.ReasonFailureBudgetExceeded, "", gated(v1alpha1.ReasonFailureBudgetExceeded)},
	{v1alpha1.ReasonOutsideWindow, "", gated(v1alpha1.ReasonOutsideWindow)},
	{v1alpha1.ReasonTooManyUnhealthy, "", gated(v1alpha1.ReasonTooManyUnhealthy)},
	{v1alpha1.ReasonVersionKeysRefused, "", gated(v1alpha1.ReasonVersionKeysRefused)},
	{v1alpha1.ReasonVersionSwitch, "", gated(v1alpha1.ReasonVersionSwitch)},
	{v1alpha1.ReasonRevoking, "", gated(v1alpha1.ReasonRevoking)},
	{v1alpha1.ReasonWaitingForCanary, "", (*planner).waitingForCanary},
	{v1alpha1.ReasonAwaitingPromotion, "", (*planner).awaitingPromotion},
	{v1alpha1.ReasonWaitingForRole, "", (*planner).waitingForRole},
	{v1alpha1.ReasonLimitZero, "", (*planner).limitZero},
	{v1alpha1.ReasonNoFreeSlot, "", (*planner).noFreeSlot},
	{v1alpha1.ReasonBatchRunning, "", (*planner).batchRunning},
	{v1alpha1.ReasonStarting, "", (*planner).starting},
}

func (p *planner) lost(_ *fleet.Host, s *hostState) (string, bool) {
	switch {
	case s.vanishes:
		return "only a started marker that has expired names it: the marker is removed, and nothing waits for the host", true
	case !s.lost:
		return "", false
	case s.failed:
		return p.words.once(wordKey{v1alpha1.ReasonLostFromCatalog, "failed", s.since.Unix()}, func() string {
			return "the catalog does not know it any more, and it has not reported " + p.target +
				": it keeps its slot until it does, or `upgradectl forget` frees it"
		}), true
	}
	return p.words.once(wordKey{v1alpha1.ReasonLostFromCatalog, "", 0}, func() string {
		return "it has a record, but the catalog does not know it any more: nothing waits for it"
	}), true
}

func (p *planner) checksFailing(h *fleet.Host, s *hostState) (string, bool) {
	if !s.failed || s.why != v1alpha1.ReasonChecksFailing {
		return "", false
	}
	var failing []string
	for _, c := range h.Checks {
		if c.Fails() && slices.Contains(p.spec.HealthGate.Checks, c.ID) {
			failing = append(failing, c.ID+" is "+string(c.Status))
		}
	}
	text := "checks that must pass fail: " + names(failing[:min(len(failing), maxNames)], len(failing))
	if s.upgraded {
		text = "has reached " + p.target + ", but " + text
	}
	return text, true
}

func (p *planner) unverified(h *fleet.Host, s *hostState) (string, bool) {
	if !p.spec.Hosts.VerifyReports || !s.granted || h.Record.Version != p.target {
		return "", false
	}
	return p.words.once(wordKey{v1alpha1.ReasonUnverified, "", 0}, func() string {
		return "its record says " + p.target + ", and no report of its own does: spec.hosts.verifyReports wants both"
	}), true
}

func (p *planner) soaking(_ *fleet.Host, s *hostState) (string, bool) {
	if !s.soaking {
		return "", false
	}
	return p.words.once(wordKey{v1alpha1.ReasonSoaking, "", s.next.Unix()}, func() string {
		return fmt.Sprintf("has reached %s and counts as upgraded at %s, when it has soaked for %d s",
			p.target, clock(s.next), p.spec.MinReadySeconds)
	}), true
}

func (p *planner) atVersion(_ *fleet.Host, s *hostState) (string, bool) {
	return p.words.once(wordKey{v1alpha1.ReasonAtVersion, "", 0}, func() string { return "has reached " + p.target }), s.upgraded
}

func (p *planner) noRole(h *fleet.Host, s *hostState) (string, bool) {
	if h.Role != "" {
		return "", false
	}
	return "no role can be read from its name: no rule releases it, and nothing waits for it" + slot(s), true
}

func (p *planner) excluded(h *fleet.Host, s *hostState) (string, bool) {
	if !s.exempt || h.Hold != nil && h.Hold.Exempt {
		return "", false
	}
	return "spec.hosts.exclude leaves it out" + slot(s), true
}

func (p *planner) exemptByHold(h *fleet.Host, s *hostState) (string, bool) {
	if !s.exempt {
		return "", false
	}
	return p.holdText(h, "exempt by a hold") + slot(s), true
}

func (p *planner) reportedFailure(h *fleet.Host, s *hostState) (string, bool) {
	if !s.granted || !s.failed || s.why != v1alpha1.ReasonReportedFailure {
		return "", false
	}
	text := "it reported at " + clock(h.Report.Time) + " that it failed to reach " + p.target
	if h.Report.Message != "" {
		text += ": " + h.Report.Message
	}
	return text, true
}

func (p *planner) deadlineExceeded(_ *fleet.Host, s *hostState) (string, bool) {
	if !s.granted || !s.failed {
		return "", false
	}
	return p.words.once(wordKey{v1alpha1.ReasonDeadlineExceeded, "", s.since.Unix()}, func() string {
		return fmt.Sprintf("silent since %s, longer than progressDeadlineSeconds", clock(s.since))
	}), true
}

func (p *planner) pausedByKey(h *fleet.Host, s *hostState) (string, bool) {
	if h.PausedBy == fleet.ScopeNone {
		return "", false
	}
	name := h.PausedBy.String()
	switch h.PausedBy {
	case fleet.ScopeHost:
		name += "/" + h.Name
	case fleet.ScopeRole:
		name += "/" + h.LookupRole
	}
	return p.words.once(wordKey{v1alpha1.ReasonPausedByKey, name + slot(s), 0}, func() string {
		return "paused by the key config_state/" + name + "/enable_puppet" + slot(s)
	}), true
}

func (p *planner) onHold(h *fleet.Host, s *hostState) (string, bool) {
	if h.Hold == nil {
		return "", false
	}
	return p.holdText(h, "on hold") + slot(s), true
}

func (p *planner) holdText(h *fleet.Host, what string) string {
	text := what
	if h.HoldScope == fleet.ScopeRole {
		text += " of role " + h.HoldRole
	}
	if h.Hold.Owner != "" {
		text += " by " + h.Hold.Owner
	}
	if !h.Hold.Expires.IsZero() {
		text += " until " + clock(h.Hold.Expires)
	}
	if h.Hold.Reason != "" {
		text += ": " + h.Hold.Reason
	}
	return text
}

func (p *planner) takenBack(h *fleet.Host, s *hostState) (string, bool) {
	switch {
	case s.takeBack && !h.Agent():
		return p.words.once(wordKey{v1alpha1.ReasonRevoked, "field", 0}, func() string {
			return "it was released and may have begun: that is taken back, and it keeps its slot until it reports: " + p.out.GateMessage
		}), true
	case s.takeBack:
		return p.words.once(wordKey{v1alpha1.ReasonRevoked, "agent", 0}, func() string {
			return "it was released and has not started; that is taken back: " + p.out.GateMessage
		}), true
	case s.implied && s.granted && !p.out.ReadOnly:
		return "enabled although no proper key says so: the keys are mended, and it keeps its slot until it reports", true
	}
	return "", false
}

func (p *planner) released(h *fleet.Host, s *hostState) (string, bool) {
	if !s.granted {
		return "", false
	}
	key := wordKey{v1alpha1.ReasonGranted, h.Setting.Scope.String(), h.Setting.Granted}
	if s.started {
		key = wordKey{v1alpha1.ReasonGranted, "started", s.since.Unix()}
	}
	return p.words.once(key, func() string {
		switch {
		case s.started:
			return "has started at " + clock(s.since) + " and not yet reported " + p.target
		case h.Setting.Scope == fleet.ScopeNone:
			return "enabled because no key says otherwise"
		case s.since.IsZero():
			return "released by its " + h.Setting.Scope.String() + " key, at an unknown time"
		}
		return "released at " + clock(s.since) + " by its " + h.Setting.Scope.String() + " key, not yet at " + p.target
	}), true
}

// gated is the verdict of hosts that might be released, were it not for what stops every new start.
func gated(r v1alpha1.Reason) func(*planner, *fleet.Host, *hostState) (string, bool) {
	return func(p *planner, _ *fleet.Host, s *hostState) (string, bool) {
		if p.out.Gate != r {
			return "", false
		}
		return p.words.once(wordKey{r, slot(s), 0}, func() string { return p.out.GateMessage + slot(s) }), true
	}
}

func (p *planner) waitingForRole(h *fleet.Host, _ *hostState) (string, bool) {
	text := p.order.waits(p.teams.role(h.Role))
	return text, text != ""
}

func (p *planner) limitZero(h *fleet.Host, _ *hostState) (string, bool) {
	for _, t := range p.teams.role(h.Role).levels() {
		if t.limit != nil && *t.limit == 0 {
			return p.full(t), true
		}
	}
	return "", false
}

func (p *planner) batchRunning(_ *fleet.Host, s *hostState) (string, bool) {
	if p.spec.Strategy != "Batch" || p.teams.running == 0 || s.inFlight {
		return "", false
	}
	return p.words.once(wordKey{v1alpha1.ReasonBatchRunning, "", 0}, func() string {
		return fmt.Sprintf("the next batch starts when the %d hosts of this one have completed or failed", p.teams.running)
	}), true
}

func (p *planner) noFreeSlot(h *fleet.Host, s *hostState) (string, bool) {
	for _, t := range p.teams.role(h.Role).levels() {
		if !t.free(s.inFlight) {
			return p.full(t), true
		}
	}
	return "", false
}

func (p *planner) starting(h *fleet.Host, s *hostState) (string, bool) {
	t := p.teams.role(h.Role).tightest()
	if t.limit == nil {
		return p.words.once(wordKey{v1alpha1.ReasonStarting, "", 0}, func() string { return "released now: nothing limits its role" }), true
	}
	taken := t.inFlight + 1
	if s.inFlight {
		return "released now: it holds a slot of " + t.name + " already", true
	}
	return fmt.Sprintf("released now: it takes slot %d of %d of %s", taken, *t.limit, t.name), true
}

// slot ends the sentence of a host that is stopped and takes a slot all the same.
func slot(s *hostState) string {
	switch {
	case s.takeBack:
		return " (it was released and has not started: that is taken back)"
	case s.inFlight:
		return " (it may have begun, and keeps its slot until it reports)"
	}
	return ""
}
