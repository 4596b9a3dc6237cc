// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// gate is what stops every new grant, and what follows from that.
type gate struct {
	Gate
	blocker Blocker
	failureBudget
	windowState
	// shrank says how many hosts have gone at once. Empty means that the fleet did not shrink.
	shrank string
	// pending says that the version has to be switched and cannot be yet.
	pending bool
	// rewrites says that this pass writes current_version again, so that agents go by grants.
	rewrites bool
	// readOnly says that nothing may be written.
	readOnly bool
	// enabling is the value of keys that enable. Empty means True.
	enabling string
	// revoked says for each host whether this pass revokes its grant. Nil means that it revokes none.
	revoked []bool
}

// switches reports whether this pass switches the version, and does nothing else.
func (g *gate) switches() bool { return g.Reason == v1alpha1.ReasonVersionSwitch && !g.rewrites }

func (g *gate) revokes(i int) bool { return i < len(g.revoked) && g.revoked[i] }

// stops reports whether the gate stays closed until an operator or time opens it. Meanwhile agents lose their unused
// grants: a host that is powered off today must not start when it comes back.
func (g *Gate) stops() bool {
	switch g.Reason {
	case v1alpha1.ReasonAborted, v1alpha1.ReasonPlanPaused, v1alpha1.ReasonFailureBudgetExceeded, v1alpha1.ReasonUnexplainedUpgrade,
		v1alpha1.ReasonOutsideWindow, v1alpha1.ReasonStoreWentBack, v1alpha1.ReasonFleetShrank:
		return true
	}
	return false
}

// holdsFleet reports whether the gate stays closed until an operator opens it. Then a hold on the fleet shows it to agents.
func (g *gate) holdsFleet() bool {
	switch g.Reason {
	case v1alpha1.ReasonAborted, v1alpha1.ReasonPlanPaused, v1alpha1.ReasonUnexplainedUpgrade, v1alpha1.ReasonStoreWentBack,
		v1alpha1.ReasonFleetShrank:
		return true
	}
	return g.Reason == v1alpha1.ReasonFailureBudgetExceeded && g.halt != nil
}

func (a *assessment) gate() *gate {
	g := &gate{failureBudget: a.failureBudget(), windowState: a.windowState(), shrank: a.shrank(), readOnly: a.readOnly()}
	legacy := a.legacyHosts()
	if a.plan.Spec.Keys.Format == v1alpha1.VersionKeys && legacy.total == 0 {
		g.enabling = a.target
	}
	g.Gate = a.firstGate(g, legacy)
	g.rewrites = a.mustRewrite(g)
	if g.rewrites && g.Reason == "" {
		g.Gate = Gate{v1alpha1.ReasonVersionSwitch, rewriteMessage(a.target)}
	}
	g.pending = a.mustSwitch() && !g.switches()
	g.revoked = a.revocations(g)
	if g.revoked == nil && g.stops() && !a.switched() {
		g.readOnly = true // the tree is left alone until the switch deletes it
	}
	if n := a.corrections(g); g.Reason == "" && n > 0 {
		g.Gate = Gate{v1alpha1.ReasonRevoking, correctionMessage(n)}
	}
	g.blocker = Blocker{Kind: BlockedByGate, Name: string(g.Reason)}
	return g
}

// firstGate returns the first gate that is closed.
func (a *assessment) firstGate(g *gate, legacy hostSample) Gate {
	switch pause := a.in.Control.Pause; {
	case a.in.Plan == nil:
		return Gate{v1alpha1.ReasonNoPlan, "no plan grants hosts"}
	case a.in.Fleet.Incomplete != "":
		return Gate{v1alpha1.ReasonObservationIncomplete, "no host is granted: " + a.in.Fleet.Incomplete}
	case a.in.Conflict != "":
		return Gate{v1alpha1.ReasonConflict, a.in.Conflict}
	case a.wentBack() != "":
		return Gate{v1alpha1.ReasonStoreWentBack, a.wentBack()}
	case g.shrank != "":
		return Gate{v1alpha1.ReasonFleetShrank, g.shrank}
	case a.in.Control.Abort != nil:
		return Gate{v1alpha1.ReasonAborted, abortMessage(a.in.Control.Abort)}
	case pause != nil:
		return Gate{v1alpha1.ReasonPlanPaused, pauseMessage(pause)}
	case a.plan.Spec.Paused:
		return Gate{v1alpha1.ReasonPlanPaused, "the plan is paused by spec.paused"}
	case g.halt != nil:
		return Gate{haltReason(g.halt), haltMessage(g.halt)}
	case g.rollback != nil:
		return Gate{v1alpha1.ReasonFailureBudgetExceeded, g.rollback.Reason}
	case g.closed:
		return Gate{v1alpha1.ReasonOutsideWindow, windowMessage(g.windowState)}
	}
	if message := a.tooManyUnhealthy(); message != "" {
		return Gate{v1alpha1.ReasonTooManyUnhealthy, message}
	}
	switch {
	case a.plan.Spec.Keys.Format == v1alpha1.VersionKeys && legacy.total > 0:
		return Gate{v1alpha1.ReasonVersionKeysRefused, a.versionKeysMessage(legacy)}
	case a.mustSwitch():
		return Gate{v1alpha1.ReasonVersionSwitch, switchMessage(a.target, a.plan.Spec.Version)}
	case !slices.ContainsFunc(a.facts, func(f hostFacts) bool { return f.counts() }):
		return Gate{v1alpha1.ReasonNoHosts, a.noHostsMessage()}
	}
	return Gate{}
}

// mustSwitch reports whether current_version is not the plan's version, has the wrong action flag, or is of a rollout before a
// restore that an operator has accepted.
func (a *assessment) mustSwitch() bool {
	current := a.in.Fleet.Current
	return !a.switched() || current.HasAction != (a.plan.action != nil) || a.in.Control.Restored.Accepts(current)
}

// mustRewrite reports whether agents may still start by keys, because another writer or an earlier release wrote
// current_version. Writing it again takes permissions away, so no gate but a read-only one delays it.
func (a *assessment) mustRewrite(g *gate) bool {
	current := a.in.Fleet.Current
	ours := current.Governed && current.Rollout >= a.in.Fleet.Ledger.Rollout
	return !g.readOnly && !a.mustSwitch() && !ours && g.Reason != v1alpha1.ReasonStoreWentBack
}

// wentBack says how the store was found to be restored from a backup. Empty means that it was not, or that an operator has
// accepted it.
func (a *assessment) wentBack() string {
	f := a.in.Fleet
	switch {
	case a.in.Control.Restored.Accepts(f.Current):
		return ""
	case f.Ledger.WentBack != "":
		return f.Ledger.WentBack
	case a.in.WentBack != "":
		return wentBackMessage(a.in.WentBack)
	}
	known, latest, at := max(f.Ledger.Rollout, f.Current.Rollout), uint64(0), 0
	for i := range f.Hosts {
		if r := f.Hosts[i].Report; r != nil && r.Rollout > latest {
			latest, at = r.Rollout, i
		}
	}
	if latest <= known {
		return ""
	}
	return wentBackMessage(reportedRolloutMessage(f.Hosts[at].Name, latest, known))
}

// hostSample is a number of hosts, and the names of the first of them.
type hostSample struct {
	total int
	names []string
}

// maxNames is how many hosts a message names.
const maxNames = 5

// sample collects the hosts for which a function of their index is true.
func (a *assessment) sample(is func(int) bool) (s hostSample) {
	for i := range a.facts {
		if is(i) {
			s.add(a.in.Fleet.Hosts[i].Name)
		}
	}
	return s
}

// sampleOf is sample among some hosts.
func (a *assessment) sampleOf(hosts []int, is func(int) bool) (s hostSample) {
	for _, i := range hosts {
		if is(i) {
			s.add(a.in.Fleet.Hosts[i].Name)
		}
	}
	return s
}

func (s *hostSample) add(name string) {
	s.total++
	if len(s.names) < maxNames {
		s.names = append(s.names, name)
	}
}

// legacyHosts returns the hosts that count and have never been seen as agents, if a rule of the plan is about them.
func (a *assessment) legacyHosts() hostSample {
	if a.plan.Spec.Keys.Format != v1alpha1.VersionKeys && !a.plan.Spec.Hosts.VerifyReports {
		return hostSample{}
	}
	return a.sample(func(i int) bool { return a.facts[i].counts() && !a.in.Fleet.Hosts[i].Agent() })
}

// tooManyUnhealthy says how many more hosts have a critical check, or are in maintenance if that counts, than
// healthGate.maxUnhealthy allows. Empty means that they are not too many.
func (a *assessment) tooManyUnhealthy() string {
	b := a.unhealthyBudget()
	if b == nil {
		return ""
	}
	return a.unhealthyMessage(a.unhealthy(b), b)
}

// unhealthyBudget returns the first budget of unhealthy hosts that is exceeded, or nil.
func (a *assessment) unhealthyBudget() *budget {
	for i := range a.plan.limits.maxUnhealthy {
		if b := &a.plan.limits.maxUnhealthy[i]; a.unhealthy(b).total > b.of(a.limits.base()) {
			return b
		}
	}
	return nil
}

// unhealthy returns the hosts that count against a budget of unhealthy hosts.
func (a *assessment) unhealthy(b *budget) hostSample {
	return a.sample(func(i int) bool {
		h := &a.in.Fleet.Hosts[i]
		return a.facts[i].counts() && (h.Critical() || b.maintenance && h.InMaintenance())
	})
}

// windowState is the state of the maintenance windows, overridden by an operator where an override applies.
type windowState struct {
	closed bool
	why    string
	// opensAt is when a closed window opens, and closesAt when an open window may close. Zero means never.
	opensAt, closesAt time.Time
}

func (a *assessment) windowState() windowState {
	if o := a.in.Control.Override; o.Opens(a.plan.Spec.Version, a.in.Now) {
		return windowState{closesAt: o.Until}
	}
	w := a.plan.windows.At(a.in.Now)
	if w.Open {
		return windowState{closesAt: w.Next}
	}
	return windowState{closed: true, why: w.Why, opensAt: w.Next}
}

// failureBudget is what follows from the number of failed hosts. Its zero value means that the budget is kept.
type failureBudget struct {
	// halt stops this rollout. newHalt is the same if it has to be recorded.
	halt, newHalt *fleet.Halt
	// rollback pins the fallback in place of a halt. Its digest is not filled in.
	rollback *fleet.Pin
}

// failureBudget is computed also while something else stops the plan: a halt outlasts that.
func (a *assessment) failureBudget() failureBudget {
	if a.in.Plan == nil {
		return failureBudget{}
	}
	if h := a.in.Control.Halt; h.Holds(a.plan.Spec.Version) {
		return failureBudget{halt: h}
	}
	if reason := a.unexplained(); reason != "" {
		return a.newHalt(v1alpha1.ReasonUnexplainedUpgrade, reason)
	}
	reason := a.budgetExceeded()
	if reason == "" {
		return failureBudget{}
	}
	if a.plan.Spec.FailurePolicy.OnExceeded == v1alpha1.RollbackOnFailure {
		obstacle := a.rollbackObstacle()
		if obstacle == "" {
			return failureBudget{rollback: &fleet.Pin{Revision: a.in.Fallback.Revision, By: fleet.ByController,
				Time: wholeSecond(a.in.Now), Reason: reason, Policy: fleet.PinRollback}}
		}
		reason += "; " + obstacle
	}
	return a.newHalt("", reason)
}

// newHalt halts this rollout. An empty cause means the failure budget.
func (a *assessment) newHalt(cause v1alpha1.Reason, why string) failureBudget {
	h := &fleet.Halt{Time: wholeSecond(a.in.Now), Cause: string(cause), Reason: why, Version: a.plan.Spec.Version,
		Generation: a.in.Plan.Generation}
	return failureBudget{halt: h, newHalt: h}
}

// haltReason is the reason of the gate of a halt.
func haltReason(h *fleet.Halt) v1alpha1.Reason {
	return cmp.Or(v1alpha1.Reason(h.Cause), v1alpha1.ReasonFailureBudgetExceeded)
}

// rollbackObstacle says why the plan cannot be rolled back. Empty means that it can.
func (a *assessment) rollbackObstacle() string {
	switch f := a.in.Fallback; {
	case a.in.Control.Abort != nil:
		return "not rolled back, since the plan is aborted"
	case a.in.Control.Pin != nil:
		return "not rolled back, since a revision is already pinned"
	case f == nil || f.Version == a.plan.Spec.Version:
		return "not rolled back, since no earlier revision was ever complete"
	}
	return ""
}

// budgetExceeded says how many more hosts have failed than failurePolicy.maxFailed allows. Empty means that they have not.
func (a *assessment) budgetExceeded() string {
	budgets, counted := a.plan.limits.maxFailed, a.limits.base()
	if a.readOnly() || len(budgets) == 0 || !a.switched() { // before the switch no host is in flight to the plan's version
		return ""
	}
	failed := a.sample(a.countsAsFailure)
	strictest := slices.MinFunc(budgets, func(a, b budget) int { return cmp.Compare(a.of(counted), b.of(counted)) })
	if failed.total <= strictest.of(counted) {
		return ""
	}
	return a.budgetMessage(failed, &strictest)
}

// countsAsFailure reports whether a host counts against maxFailed: it counts, was granted or has started this version, and
// has failed since an operator last resumed the rollout.
func (a *assessment) countsAsFailure(i int) bool {
	h, f := &a.in.Fleet.Hosts[i], &a.facts[i]
	touched := f.spent || f.enabled || f.marked && h.Started.Version == a.target
	lost := f.exclusion&lostFromCatalog != 0
	if !f.failed() && !f.spent || !touched || !f.counts() && !lost {
		return false
	}
	switch resumed := a.in.resumption(); {
	case resumed == nil:
		return true
	case f.failedIndex != 0:
		return f.failedIndex > resumed.Index
	case !f.orderedAt.IsZero():
		return f.orderedAt.After(resumed.Ordered)
	default:
		return f.failedAt.IsZero() || f.failedAt.After(resumed.Time)
	}
}

// revocations finds the grants that this pass revokes: those of agents that are stopped and have not started. A start is
// never revoked, and the permission of a legacy host only by an abort.
func (a *assessment) revocations(g *gate) []bool {
	if g.readOnly || g.switches() {
		return nil
	}
	var revoked []bool
	for i := range a.facts {
		f, h := &a.facts[i], &a.in.Fleet.Hosts[i]
		revoke := false
		switch {
		case f.setAside && !f.upgraded():
			revoke = f.enabled || h.Started != nil
		case !f.enabled || f.upgraded():
		case h.Agent():
			revoke = f.progress != progressStarted && (g.stops() || h.Held() || f.exempt())
		default:
			revoke = g.Reason == v1alpha1.ReasonAborted
		}
		if !revoke {
			continue
		}
		if revoked == nil {
			revoked = make([]bool, len(a.facts))
		}
		revoked[i] = true
	}
	return revoked
}

// corrections counts the hosts whose keys must be corrected before any host is granted: no change both grants and revokes.
func (a *assessment) corrections(g *gate) int {
	n := 0
	for i := range a.facts {
		if g.revokes(i) || a.facts[i].implicit {
			n++
		}
	}
	return n
}
