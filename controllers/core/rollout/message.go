// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

// This file renders the sentences of verdicts, gates and warnings. Nothing may read a sentence back: the values from which
// it is rendered are in Verdict and Gate.

// messageCache keeps sentences that many hosts share.
type messageCache struct {
	texts  map[messageKey]string
	latest messageKey // looked up last: consecutive hosts mostly share a sentence
	text   string
}

type messageKey struct {
	reason  v1alpha1.Reason
	variant string
	time    int64
}

func newMessageCache() *messageCache { return &messageCache{texts: map[messageKey]string{}} }

func (c *messageCache) get(k messageKey, render func() string) string {
	if k == c.latest {
		return c.text
	}
	text, ok := c.texts[k]
	if !ok {
		text = render()
		c.texts[k] = text
	}
	c.latest, c.text = k, text
	return text
}

func (ad *admission) lostMessage(s *subject) string {
	if s.vanishes() {
		return "only a started marker that has expired names it; the marker is removed, and the host does not count"
	}
	if s.failed() {
		return ad.messages.get(messageKey{v1alpha1.ReasonLostFromCatalog, "failed", s.since.Unix()}, func() string {
			return "the catalog does not list it, and it has not reported " + ad.target +
				"; it keeps its slot until it does, or until `upgradectl forget` frees it"
		})
	}
	return ad.messages.get(messageKey{v1alpha1.ReasonLostFromCatalog, "", 0}, func() string {
		return "it has a record, but the catalog does not list it; it does not count"
	})
}

func (ad *admission) checksMessage(s *subject) string {
	var failing []string
	for _, c := range s.Checks {
		if c.Fails() && slices.Contains(ad.plan.Spec.HealthGate.Checks, c.ID) {
			failing = append(failing, c.ID+" is "+string(c.Status))
		}
	}
	text := "required checks fail: " + wording.Names(failing[:min(len(failing), maxNames)], len(failing))
	if s.upgraded() {
		text = "has reached " + ad.target + ", but " + text
	}
	return text
}

func (ad *admission) duplicateMessage(s *subject) string {
	text := "reported by two machines (" + s.Report.Machines() + "): "
	if s.upgraded() {
		text = "has reached " + ad.target + ", but it is " + text
	}
	return text + "it is not granted until one of them is gone or has another name" + s.slotNote()
}

func (ad *admission) soakingMessage(s *subject) string {
	end := s.since.Add(ad.plan.minReady)
	return ad.messages.get(messageKey{v1alpha1.ReasonSoaking, "", end.Unix()}, func() string {
		return fmt.Sprintf("has reached %s, and counts as upgraded at %s after soaking for %d s",
			ad.target, timestamp(end), ad.plan.Spec.MinReadySeconds)
	})
}

func (ad *admission) atVersionMessage(*subject) string {
	return ad.messages.get(messageKey{v1alpha1.ReasonAtVersion, "", 0}, func() string { return "has reached " + ad.target })
}

func (ad *admission) noRoleMessage(s *subject) string {
	return "its name contains no role, so no rule grants it and it does not count" + s.slotNote()
}

func (ad *admission) notAdmittedHostMessage(s *subject) string {
	return "it was never seen as an agent, and is not admitted: " + ad.admitHint() + s.slotNote()
}

func (ad *admission) excludedMessage(s *subject) string {
	return "excluded by spec.hosts.exclude" + s.slotNote()
}

// holdMessage describes the hold on a host or its role.
func (ad *admission) holdMessage(s *subject) string {
	text := "on hold"
	if s.Hold.Exempt {
		text = "exempt by a hold"
	}
	if s.HoldScope == fleet.ScopeRole {
		text += " of role " + s.HoldRole
	}
	if s.Hold.Owner != "" {
		text += " by " + s.Hold.Owner
	}
	if !s.Hold.Expires.IsZero() {
		text += " until " + timestamp(s.Hold.Expires)
	}
	if s.Hold.Reason != "" {
		text += ": " + s.Hold.Reason
	}
	return text + s.slotNote()
}

func (ad *admission) reportedFailureMessage(s *subject) string {
	text := "reported at " + timestamp(s.Report.Time) + " that it failed to reach " + ad.target
	if s.Report.Message != "" {
		text += ": " + s.Report.Message
	}
	return text
}

// setAsideMessage says why a host gave up its slot, and how it comes back.
func (ad *admission) setAsideMessage(s *subject) string {
	text := "set aside"
	order, ordered := ad.in.Control.SetAside[s.Name]
	if ordered {
		text += attribution(order.Pause)
	}
	if r := s.Report; r != nil && r.Phase == fleet.PhaseFailed && r.Attempt > 0 {
		text += fmt.Sprintf(" after failed attempt %d", r.Attempt)
		if limit := ad.plan.Attempts(); limit > 0 && !ordered {
			text += fmt.Sprintf(" of %d", limit)
		}
	}
	return text + "; its slot is free until `upgradectl rollout retry host/" + s.Name + "`"
}

func (ad *admission) deadlineMessage(s *subject) string {
	return ad.messages.get(messageKey{v1alpha1.ReasonDeadlineExceeded, "", s.since.Unix()}, func() string {
		return "silent since " + timestamp(s.since) + ", longer than progressDeadlineSeconds"
	})
}

func (ad *admission) pauseKeyMessage(s *subject) string {
	place := pausePlace(s.Host)
	return ad.messages.get(messageKey{v1alpha1.ReasonPausedByKey, place + s.slotNote(), 0}, func() string {
		return "paused by the key config_state/" + place + "/enable_puppet" + s.slotNote()
	})
}

func (ad *admission) revokedMessage(s *subject) string {
	switch {
	case s.revoked && !s.Agent():
		return ad.messages.get(messageKey{v1alpha1.ReasonRevoked, "legacy", 0}, func() string {
			return "its grant is revoked; it may have started, and keeps its slot until it reports: " + ad.gate.Message
		})
	case s.revoked:
		return ad.messages.get(messageKey{v1alpha1.ReasonRevoked, "agent", 0}, func() string {
			return "its grant is revoked before it started: " + ad.gate.Message
		})
	}
	return "enabled without a proper key; its keys are corrected, and it keeps its slot until it reports"
}

func (ad *admission) unverifiedMessage(*subject) string {
	return ad.messages.get(messageKey{v1alpha1.ReasonUnverified, "", 0}, func() string {
		return "its record says " + ad.target + ", but no report of its own does; spec.hosts.verifyReports requires one"
	})
}

func (ad *admission) grantedMessage(s *subject) string {
	text := ad.inFlightMessage(s)
	if order := ad.in.Control.SetAside[s.Name]; !s.asideAt.IsZero() {
		text += "; it is set aside by " + cmp.Or(order.By, "an operator") + " if it has not reported by " + timestamp(s.asideAt)
	}
	return text
}

// inFlightMessage says since when a host is in flight.
func (ad *admission) inFlightMessage(s *subject) string {
	key := messageKey{v1alpha1.ReasonGranted, s.Setting.Scope.String(), s.Setting.Granted}
	switch {
	case s.Grant.For(ad.in.Fleet.Current):
		key = messageKey{v1alpha1.ReasonGranted, "grant", s.since.Unix()}
	case s.progress == progressStarted:
		key = messageKey{v1alpha1.ReasonGranted, "started", s.since.Unix()}
	}
	return ad.messages.get(key, func() string {
		switch {
		case s.Grant.For(ad.in.Fleet.Current):
			return "granted at " + timestamp(s.since) + ", not started yet"
		case s.progress == progressStarted:
			return "started at " + timestamp(s.since) + ", not yet at " + ad.target
		case s.Setting.Scope == fleet.ScopeNone:
			return "enabled, because no key is set"
		case s.since.IsZero():
			return "granted by its " + s.Setting.Scope.String() + " key at an unknown time"
		}
		return "granted at " + timestamp(s.since) + " by its " + s.Setting.Scope.String() + " key, not yet at " + ad.target
	})
}

func (ad *admission) cannotActMessage(s *subject) string {
	why := "it has no version yet, which must come before command "
	if !s.Agent() {
		why = "it was never seen as an agent, and only agents run command "
	}
	return ad.messages.get(messageKey{v1alpha1.ReasonCannotAct, why + s.slotNote(), 0}, func() string {
		return why + ad.plan.action.Name + "; it is never granted for that" + s.slotNote()
	})
}

func (ad *admission) gateMessage(s *subject) string {
	return ad.messages.get(messageKey{ad.gate.Reason, s.slotNote(), 0}, func() string { return ad.gate.Message + s.slotNote() })
}

func (ad *admission) canaryMessage(*subject) string {
	return ad.messages.get(messageKey{v1alpha1.ReasonWaitingForCanary, "", 0}, ad.canaries.message)
}

// message says what other hosts wait for.
func (c *canaries) message() string {
	switch {
	case c.unmatched:
		return "canary.hosts (" + strings.Join(c.patterns, ", ") + ") match no host that counts, so no host is granted; " +
			"change them, or run `upgradectl rollout promote --force`"
	case c.total == 0:
		return "no host is a canary; the other hosts follow after `upgradectl rollout promote`"
	case c.awaiting():
		return fmt.Sprintf("the canaries are upgraded (%d of %d); the other hosts follow after `upgradectl rollout promote`",
			c.complete, c.total)
	}
	text := fmt.Sprintf("waits for the canaries: %d of %d are upgraded", c.complete, c.total)
	if !c.next.IsZero() {
		text += ", the next one completes its soak at " + timestamp(c.next)
	}
	if c.order != nil {
		text += "; they are promoted then, by order of " + cmp.Or(c.order.By, "an operator")
	}
	return text
}

func (ad *admission) roleMessage(s *subject) string {
	b := s.role.awaits
	return ad.messages.get(messageKey{v1alpha1.ReasonWaitingForRole, s.role.name, 0}, func() string {
		if b.Limit == 0 {
			return "waits for " + b.Name + ", whose hosts have all vanished; it is unknown whether they are upgraded"
		}
		return fmt.Sprintf("waits for %s: %d of %d hosts are upgraded", b.Name, b.Have, b.Limit)
	})
}

func (ad *admission) limitZeroMessage(s *subject) string { return ad.limitMessage(s.role.zeroLimit()) }

func (ad *admission) noFreeSlotMessage(s *subject) string {
	return ad.limitMessage(s.role.exhausted(s.hostFacts))
}

// limitMessage names the first hosts that take the slots of a scope, those that are down, and those that have failed.
func (ad *admission) limitMessage(s *limitScope) string {
	switch b := s.blocker; {
	case s.message != "":
	case b.Limit == 0:
		s.message = "the limit of " + s.name + " is 0" + s.origin + " by " + s.rule
	default:
		s.message = fmt.Sprintf("%d of %d slots of %s are taken", b.Have, b.Limit, s.name)
		separator := ": "
		if s.inFlight > 0 {
			s.message += " by " + wording.Names(b.Hosts, s.inFlight)
			separator = "; "
		}
		s.message += s.origin
		for _, outage := range b.Outages {
			s.message += separator + outage.message()
			separator = "; "
		}
		if failed := ad.failedHosts(s); len(failed) > 0 {
			s.message += "; failed: " + strings.Join(failed, ", ")
		}
	}
	return s.message
}

// message says which hosts take slots by alsoCount.
func (o *Outage) message() string {
	verb, state := " are ", "critical"
	if o.Total == 1 {
		verb = " is "
	}
	if o.Kind == v1alpha1.OutageMaintenance {
		state = "in maintenance"
	}
	return wording.Names(o.Hosts, o.Total) + verb + state
}

// failedHosts returns the names of the first hosts of a scope that have failed.
func (ad *admission) failedHosts(s *limitScope) []string {
	var failed []string
	for _, i := range s.hosts {
		if len(failed) == maxNames {
			break
		}
		if ad.facts[i].failed() && !ad.facts[i].setAside {
			failed = append(failed, ad.in.Fleet.Hosts[i].Name)
		}
	}
	return failed
}

func (ad *admission) batchMessage(*subject) string {
	return ad.messages.get(messageKey{v1alpha1.ReasonBatchRunning, "", 0}, func() string {
		return fmt.Sprintf("the next batch starts when the %d hosts of this batch have completed or failed", ad.limits.running)
	})
}

func (ad *admission) startingMessage(s *subject) string {
	if s.newcomer {
		return ad.messages.get(messageKey{v1alpha1.ReasonStarting, "newcomer", 0}, func() string {
			return "granted now: it has no version yet, and spec.hosts.newcomers is Immediately"
		})
	}
	switch scope := s.role.tightest(); {
	case scope.limit == nil:
		return ad.messages.get(messageKey{v1alpha1.ReasonStarting, "", 0}, func() string {
			return "granted now: nothing limits its role"
		})
	case s.inFlight() || s.outage != "":
		return "granted now: it holds a slot of " + scope.name + " already"
	default:
		return fmt.Sprintf("granted now: it takes slot %d of %d of %s", scope.taken()+1, *scope.limit, scope.name)
	}
}

// slotNote ends the sentence of a host that is stopped, and nevertheless takes a slot.
func (s *subject) slotNote() string {
	switch {
	case s.revoked:
		return " (its grant is revoked before it started)"
	case s.inFlight():
		return " (it may have started, and keeps its slot until it reports)"
	}
	return ""
}

// The sentences of gates.

func pauseMessage(p *fleet.Pause) string { return "the plan is paused" + attribution(*p) }

func abortMessage(a *fleet.Abort) string {
	return "aborted" + attribution(a.Pause) + "; it is not tried again before its spec changes or `upgradectl rollout resume`"
}

func haltMessage(h *fleet.Halt) string {
	return "halted since " + timestamp(h.Time) + ", until `upgradectl rollout resume`: " + h.Reason
}

func windowMessage(w windowState) string {
	opens := "none opens in the coming years"
	if !w.opensAt.IsZero() {
		opens = "hosts are granted from " + timestamp(w.opensAt)
	}
	return "outside of the maintenance windows: " + w.why + "; " + opens
}

func switchMessage(from, to string) string {
	switch from {
	case to:
		return "rewriting current_version " + to + " first: its action flag is wrong"
	case "":
		return "setting current_version to " + to + " first"
	}
	return "switching current_version from " + from + " to " + to + " first"
}

func rewriteMessage(version string) string {
	return "writing current_version " + version + " again first, so that agents change their version by grants alone"
}

func wentBackMessage(how string) string {
	return how + ": Consul was restored from an older state; no host is granted before `upgradectl rollout resume --accept-restored`"
}

func shrankMessage(from int, now size) string {
	what := "hosts that count"
	if now.exempt > 0 {
		what += " or are exempt"
	}
	return fmt.Sprintf("the fleet shrank from %d to %d %s; no host is granted before there are %d, or before %s", from, now.all, what,
		atLeastHalf(from), resumeCommand)
}

func reportedRolloutMessage(host string, reported, known uint64) string {
	return fmt.Sprintf("%s has taken part in rollout %d, and the keys are of rollout %d", host, reported, known)
}

func correctionMessage(n int) string {
	return fmt.Sprintf("%d hosts are enabled but should not be; correcting their keys first", n)
}

func (a *assessment) budgetMessage(failed hostSample, b *budget) string {
	return a.exceeds(failed, "have failed", b)
}

func (a *assessment) unhealthyMessage(unhealthy hostSample, b *budget) string {
	what := "are critical"
	if b.maintenance {
		what += " or in maintenance"
	}
	return a.exceeds(unhealthy, what, b)
}

func (a *assessment) exceeds(s hostSample, what string, b *budget) string {
	counted, base := a.limits.fleet.counted, a.limits.base()
	return fmt.Sprintf("%d of %d hosts %s (%s), more than %s, which is %d%s", s.total, counted, what, wording.Names(s.names, s.total),
		b.field, b.of(base), b.originWithout(base, counted-base))
}

func (a *assessment) versionKeysMessage(legacy hostSample) string {
	return fmt.Sprintf("spec.keys.format is Version, and %d of %d hosts were never seen as agents (%s): legacy hosts read any value but "+
		"False as True", legacy.total, a.limits.fleet.counted, wording.Names(legacy.names, legacy.total))
}

// noHostsMessage says why no host counts.
func (a *assessment) noHostsMessage() string {
	if len(a.facts) == 0 {
		return "no host has recorded or reported a version yet, so nothing is complete"
	}
	var parts []string
	for _, p := range []struct {
		is   exclusion
		text string
	}{{lostFromCatalog, "not in the catalog"}, {withoutRole, "without a role"}, {excludedByPlan | exemptByHold, "excluded or exempt"},
		{notAdmitted, "legacy and not admitted"}} {
		if n := a.sample(func(i int) bool { return a.facts[i].exclusion&p.is != 0 }).total; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.text))
		}
	}
	return fmt.Sprintf("none of %d hosts counts, so nothing is complete: %s", len(a.facts), strings.Join(parts, ", "))
}

// lostHostsMessage warns of hosts that the catalog does not list. Empty means that there are none.
func (a *assessment) lostHostsMessage() string {
	lost := a.sample(func(i int) bool { return a.facts[i].exclusion&lostFromCatalog != 0 })
	if lost.total == 0 {
		return ""
	}
	return fmt.Sprintf("spec.hosts.source is Catalog, and %d of %d hosts have no node in the catalog (%s): they do not count",
		lost.total, len(a.facts), wording.Names(lost.names, lost.total))
}

// duplicatesMessage warns of hosts that two machines report as. Empty means that there are none.
func (a *assessment) duplicatesMessage() string {
	duplicates := a.sample(func(i int) bool { return a.in.Fleet.Hosts[i].Duplicate() })
	if duplicates.total == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d hosts are each reported by two machines (%s): they are not granted",
		duplicates.total, len(a.facts), wording.Names(duplicates.names, duplicates.total))
}

// unverifiableMessage warns of hosts that cannot count as upgraded. Empty means that there are none.
func (a *assessment) unverifiableMessage() string {
	legacy := a.legacyHosts()
	if !a.plan.Spec.Hosts.VerifyReports || legacy.total == 0 {
		return ""
	}
	return fmt.Sprintf("spec.hosts.verifyReports: %d hosts were never seen as agents (%s), so they cannot count as upgraded",
		legacy.total, wording.Names(legacy.names, legacy.total))
}

// PinMessage says which revision is pinned, and who ordered that. A nil pin gives an empty sentence.
func PinMessage(p *fleet.Pin, version string) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("revision %d (version %s) is pinned in place of the spec", p.Revision, version) +
		attribution(fleet.Pause{By: p.By, Accessor: p.Accessor, Time: p.Time, Reason: p.Reason})
}

// attribution says who gave an order, when and why.
func attribution(p fleet.Pause) string {
	var b strings.Builder
	if p.By != "" {
		b.WriteString(" by " + p.By)
	}
	if p.Accessor != "" {
		b.WriteString(" (token " + p.Accessor + ")")
	}
	if !p.Time.IsZero() {
		b.WriteString(" since " + timestamp(p.Time))
	}
	if p.Reason != "" {
		b.WriteString(": " + p.Reason)
	}
	return b.String()
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
