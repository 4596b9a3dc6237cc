// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// rule is one row of the table by which a host gets its verdict. The first rule that applies wins.
type rule struct {
	// reason is that of the verdict. Empty means that of the gate.
	reason v1alpha1.Reason
	// state overlays the base state of the host. Empty means that it does not.
	state State
	// applies reports whether the rule applies, and what blocks the host. A nil blocker means that nothing does.
	applies func(*admission, *subject) (*Blocker, bool)
	message func(*admission, *subject) string
}

// rules is ordered: what a host is, what stops it alone, what stops all hosts, and what it waits for. A host that is
// upgraded gets no further than AtVersion.
var rules = []rule{ //nolint:gochecknoglobals // a constant table
	{v1alpha1.ReasonLostFromCatalog, Lost, when((*subject).isLost), (*admission).lostMessage},
	{v1alpha1.ReasonChecksFailing, Failed, failedBy(v1alpha1.ReasonChecksFailing), (*admission).checksMessage},
	{v1alpha1.ReasonDuplicate, Duplicate, when((*subject).isDuplicate), (*admission).duplicateMessage},
	{v1alpha1.ReasonSoaking, "", when((*subject).isSoaking), (*admission).soakingMessage},
	{v1alpha1.ReasonAtVersion, "", when((*subject).isUpgraded), (*admission).atVersionMessage},
	{v1alpha1.ReasonNoRole, Unknown, when((*subject).hasNoRole), (*admission).noRoleMessage},
	{v1alpha1.ReasonNotAdmitted, Unknown, when((*subject).isNotAdmitted), (*admission).notAdmittedHostMessage},
	{v1alpha1.ReasonExcluded, Exempt, when((*subject).isExcluded), (*admission).excludedMessage},
	{v1alpha1.ReasonExemptByHold, Exempt, when((*subject).isExemptByHold), (*admission).holdMessage},
	{v1alpha1.ReasonSetAside, SetAside, when((*subject).isSetAside), (*admission).setAsideMessage},
	{v1alpha1.ReasonStarting, "", (*admission).triesAgain, (*admission).startingMessage},
	{v1alpha1.ReasonReportedFailure, Failed, failedBy(v1alpha1.ReasonReportedFailure), (*admission).reportedFailureMessage},
	{v1alpha1.ReasonDeadlineExceeded, Failed, failedBy(v1alpha1.ReasonDeadlineExceeded), (*admission).deadlineMessage},
	{v1alpha1.ReasonPausedByKey, OnHold, (*admission).pausedByKey, (*admission).pauseKeyMessage},
	{v1alpha1.ReasonOnHold, OnHold, (*admission).onHold, (*admission).holdMessage},
	{v1alpha1.ReasonRevoked, "", (*admission).loses, (*admission).revokedMessage},
	{v1alpha1.ReasonUnverified, "", (*admission).unverified, (*admission).unverifiedMessage},
	{v1alpha1.ReasonGranted, "", when((*subject).isEnabled), (*admission).grantedMessage},
	{v1alpha1.ReasonAgentTooOld, "", (*admission).agentTooOld, (*admission).agentTooOldMessage},
	{v1alpha1.ReasonCannotAct, "", (*admission).cannotAct, (*admission).cannotActMessage},
	{"", "", (*admission).gated, (*admission).gateMessage},
	{v1alpha1.ReasonStarting, "", when((*subject).isNewcomer), (*admission).startingMessage},
	{v1alpha1.ReasonWaitingForCanary, "", (*admission).waitingForCanary, (*admission).canaryMessage},
	{v1alpha1.ReasonAwaitingPromotion, "", (*admission).awaitingPromotion, (*admission).canaryMessage},
	{v1alpha1.ReasonWaitingForRole, "", (*admission).waitingForRole, (*admission).roleMessage},
	{v1alpha1.ReasonLimitZero, "", (*admission).limitZero, (*admission).limitZeroMessage},
	{v1alpha1.ReasonNoFreeSlot, "", (*admission).noFreeSlot, (*admission).noFreeSlotMessage},
	{v1alpha1.ReasonBatchRunning, "", (*admission).batchRunning, (*admission).batchMessage},
	{v1alpha1.ReasonStarting, "", (*admission).starting, (*admission).startingMessage},
}

// when makes a rule of a question about the host alone.
func when(is func(*subject) bool) func(*admission, *subject) (*Blocker, bool) {
	return func(_ *admission, s *subject) (*Blocker, bool) { return nil, is(s) }
}

func (s *subject) isLost() bool { return s.exclusion&(lostFromCatalog|expiredMarker) != 0 }

// isDuplicate does not apply to a host that has the verdict of a failure.
func (s *subject) isDuplicate() bool { return s.Duplicate() && !(s.failed() && s.enabled) }

func (s *subject) isSoaking() bool      { return s.progress == progressSoaking && !s.setAside }
func (s *subject) isUpgraded() bool     { return s.upgraded() && !s.setAside }
func (s *subject) hasNoRole() bool      { return s.exclusion&withoutRole != 0 }
func (s *subject) isNotAdmitted() bool  { return s.exclusion&notAdmitted != 0 }
func (s *subject) isExcluded() bool     { return s.exempt() && s.exclusion&exemptByHold == 0 }
func (s *subject) isExemptByHold() bool { return s.exclusion&exemptByHold != 0 }
func (s *subject) isNewcomer() bool     { return s.newcomer }
func (s *subject) isEnabled() bool      { return s.enabled }
func (s *subject) isSetAside() bool     { return s.setAside }

// triesAgain applies to a host that waits for its next attempt, and that an operator lets begin it now. It has its slot.
func (ad *admission) triesAgain(s *subject) (*Blocker, bool) {
	return nil, s.retries && s.progress == progressStarted && !s.Grant.For(ad.in.Fleet.Current) && ad.gate.Reason == "" && !s.Held() &&
		!ad.isAgentTooOld(s)
}

// failedBy makes the rule of a failure. A host that failed to report its upgrade keeps that verdict only while it is
// enabled.
func failedBy(reason v1alpha1.Reason) func(*admission, *subject) (*Blocker, bool) {
	return func(_ *admission, s *subject) (*Blocker, bool) {
		return nil, s.failure == reason && (s.enabled || reason == v1alpha1.ReasonChecksFailing)
	}
}

// gated applies to all other hosts while the gate is closed.
func (ad *admission) gated(*subject) (*Blocker, bool) { return &ad.gate.blocker, ad.gate.Reason != "" }

func (ad *admission) pausedByKey(s *subject) (*Blocker, bool) {
	if s.PausedBy == fleet.ScopeNone {
		return nil, false
	}
	return &Blocker{Kind: BlockedByPauseKey, Name: pausePlace(s.Host)}, true
}

func (ad *admission) onHold(s *subject) (*Blocker, bool) {
	if s.Hold == nil {
		return nil, false
	}
	return &Blocker{Kind: BlockedByHold, Name: holdPlace(s.Host).String()}, true
}

// loses applies to a host whose permission this pass takes away.
func (ad *admission) loses(s *subject) (*Blocker, bool) {
	if s.revoked {
		return &ad.gate.blocker, true
	}
	return nil, s.implicit && !ad.gate.readOnly
}

func (ad *admission) unverified(s *subject) (*Blocker, bool) {
	return nil, ad.plan.Spec.Hosts.VerifyReports && s.enabled && s.Record.Version == ad.target
}

// cannotAct: only agents run commands, and a command does not give a host its first version.
func (ad *admission) cannotAct(s *subject) (*Blocker, bool) {
	return nil, ad.plan.action != nil && (!s.Agent() || s.Report.Version == "")
}

func (ad *admission) waitingForCanary(s *subject) (*Blocker, bool) {
	if !ad.canaries.active || s.canary || ad.canaries.awaiting() {
		return nil, false
	}
	return &ad.canaries.blocker, true
}

func (ad *admission) awaitingPromotion(s *subject) (*Blocker, bool) {
	if !ad.canaries.active || s.canary {
		return nil, false
	}
	return &ad.canaries.blocker, true
}

func (ad *admission) waitingForRole(s *subject) (*Blocker, bool) {
	return s.role.awaits, s.role.awaits != nil
}

func (ad *admission) limitZero(s *subject) (*Blocker, bool) {
	scope := s.role.zeroLimit()
	if scope == nil {
		return nil, false
	}
	return ad.limitBlocker(scope), true
}

func (ad *admission) noFreeSlot(s *subject) (*Blocker, bool) {
	scope := s.role.exhausted(s.hostFacts)
	if scope == nil {
		return nil, false
	}
	return ad.limitBlocker(scope), true
}

func (ad *admission) batchRunning(s *subject) (*Blocker, bool) {
	if ad.plan.Spec.Strategy != "Batch" || ad.limits.running == 0 || s.inFlight() {
		return nil, false
	}
	return &ad.batch, true
}

func (ad *admission) starting(*subject) (*Blocker, bool) { return nil, true }

// limitBlocker describes the hosts that take the slots of a scope. All hosts that wait for the scope share it.
func (ad *admission) limitBlocker(s *limitScope) *Blocker {
	if s.blocker == nil {
		s.blocker = &Blocker{Kind: s.kind, Name: s.name, Have: s.taken(), Limit: *s.limit, Rule: s.rule,
			Hosts: ad.takers(s), Outages: ad.outages(s)}
	}
	return s.blocker
}

// outages returns the hosts that take slots of a scope by alsoCount.
func (ad *admission) outages(s *limitScope) []Outage {
	if s.down == 0 {
		return nil
	}
	var outages []Outage
	for _, kind := range []v1alpha1.Outage{v1alpha1.OutageMaintenance, v1alpha1.OutageCritical} {
		hosts := ad.sampleOf(s.hosts, func(i int) bool { return ad.facts[i].outage == kind && !ad.verdicts[i].InFlight })
		if hosts.total > 0 {
			outages = append(outages, Outage{Kind: kind, Total: hosts.total, Hosts: hosts.names})
		}
	}
	return outages
}

// takers names the first hosts in flight that take the slots of a scope: those that have failed, then those in flight for the
// longest time.
func (ad *admission) takers(s *limitScope) []string {
	var taking []int
	for _, i := range s.hosts {
		if !ad.facts[i].newcomer && (ad.facts[i].inFlight() || ad.verdicts[i].InFlight) {
			taking = append(taking, i)
		}
	}
	slices.SortStableFunc(taking, func(i, j int) int { return ad.byFailureAndAge(&ad.facts[i], &ad.facts[j]) })
	names := make([]string, 0, maxNames)
	for _, i := range taking[:min(len(taking), maxNames)] {
		names = append(names, ad.in.Fleet.Hosts[i].Name)
	}
	return names
}

// byFailureAndAge orders hosts in flight: failed hosts first, then by how long they are in flight. A host that this pass grants
// is in flight since now, as the next pass finds it.
func (ad *admission) byFailureAndAge(a, b *hostFacts) int {
	if a.failed() != b.failed() {
		if a.failed() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.since, wholeSecond(ad.in.Now)).Compare(cmp.Or(b.since, wholeSecond(ad.in.Now)))
}
