// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

const resumeCommand = "`upgradectl rollout resume`"

// remedies says what would change the verdict of a host.
func (c *computation) remedies(i int) []string {
	h, f, v := &c.in.Fleet.Hosts[i], &c.facts[i], &c.verdicts[i]
	switch v.Reason {
	case v1alpha1.ReasonAtVersion:
		return nil
	case v1alpha1.ReasonLostFromCatalog:
		return []string{"it reports " + c.target, "`upgradectl forget host/" + h.Name + "`, if it is gone"}
	case v1alpha1.ReasonDuplicate:
		return []string{"one of the two machines is stopped or gets another name, and the other one reports that",
			"`upgradectl forget --force host/" + h.Name + "`, when one is gone"}
	case v1alpha1.ReasonChecksFailing:
		return []string{"its checks pass"}
	case v1alpha1.ReasonSoaking:
		return []string{"after: " + timestamp(f.since.Add(c.plan.minReady))}
	case v1alpha1.ReasonReportedFailure, v1alpha1.ReasonDeadlineExceeded:
		return []string{"it reports " + c.target, "`upgradectl rollout set-aside host/" + h.Name + "`, to free its slot"}
	case v1alpha1.ReasonSetAside:
		return []string{"`upgradectl rollout retry host/" + h.Name + "`"}
	case v1alpha1.ReasonGranted:
		return []string{c.reports(f)}
	case v1alpha1.ReasonUnverified:
		return []string{"its own report of " + c.target}
	case v1alpha1.ReasonNoRole:
		return []string{"its agent reports a role", "spec.hosts.rolePattern"}
	case v1alpha1.ReasonNotAdmitted:
		return []string{"its agent reports", "spec.hosts.legacy", "`upgradectl forget host/" + h.Name + "`, if it does not exist"}
	case v1alpha1.ReasonAgentTooOld:
		return []string{"its agent is upgraded", "spec.hosts.minAgentVersion"}
	case v1alpha1.ReasonExcluded:
		return []string{"spec.hosts.exclude without it"}
	case v1alpha1.ReasonExemptByHold, v1alpha1.ReasonOnHold:
		return holdRemedies(h)
	case v1alpha1.ReasonPausedByKey:
		return []string{"the key config_state/" + pausePlace(h) + "/enable_puppet is deleted"}
	case v1alpha1.ReasonStarting, v1alpha1.ReasonRevoked:
		return []string{"the next pass"}
	case v1alpha1.ReasonWaitingForRole, v1alpha1.ReasonWaitingForCanary, v1alpha1.ReasonLimitZero, v1alpha1.ReasonNoFreeSlot,
		v1alpha1.ReasonBatchRunning:
		return v.Blocker.remedies()
	}
	return c.gateRemedies(v.Reason)
}

// remedies says after how many hosts a blocked host can go on.
func (b *Blocker) remedies() []string {
	switch missing := b.Limit - b.Have; {
	case b.Kind == BlockedByRole && missing == 0: // its hosts have vanished
		return []string{"hosts of " + b.Name + " report", "spec.instructions.roleOrder without " + b.Name}
	case b.Kind == BlockedByRole:
		return []string{fmt.Sprintf("after: %d more %s", missing, b.Name)}
	case b.Kind == BlockedByCanaries && b.Limit == 0:
		return []string{"canary.hosts", "`upgradectl rollout promote --force`"}
	case b.Kind == BlockedByCanaries:
		return []string{fmt.Sprintf("after: %d more of the canaries", missing)}
	case b.Kind == BlockedByBatch:
		return []string{fmt.Sprintf("after: %d more of this batch", b.Have)}
	case b.Limit == 0:
		return []string{b.Rule + " above 0"}
	}
	return b.slotRemedies()
}

// slotRemedies says what frees slots of a limit.
func (b *Blocker) slotRemedies() []string {
	var remedies []string
	if len(b.Hosts) > 0 {
		remedies = append(remedies, fmt.Sprintf("after: %d more of %s", b.Have-b.Limit+1, b.Name))
	}
	for _, o := range b.Outages {
		if o.Kind == v1alpha1.OutageMaintenance {
			remedies = append(remedies, "the maintenance of "+wording.Names(o.Hosts, o.Total)+" ends")
		} else {
			remedies = append(remedies, "the checks of "+wording.Names(o.Hosts, o.Total)+" pass")
		}
	}
	return remedies
}

// reports says what a host in flight is expected to do, and by when.
func (c *computation) reports(f *hostFacts) string {
	text := "it reports " + c.target
	if end := f.since.Add(c.plan.deadline); !f.since.IsZero() && end.After(c.in.Now) {
		text += "; without that it has failed at " + timestamp(end)
	}
	return text
}

// holdRemedies says how the hold on a host ends.
func holdRemedies(h *fleet.Host) []string {
	text := "end the hold"
	if h.Hold.Owner != "" {
		text += " of " + h.Hold.Owner
	}
	remedies := []string{text + ": `upgradectl unhold " + holdPlace(h).String() + "`"}
	if !h.Hold.Expires.IsZero() {
		remedies = append(remedies, "it expires "+timestamp(h.Hold.Expires))
	}
	return remedies
}

// holdPlace is where the hold on a host was set: on the host or on a role.
func holdPlace(h *fleet.Host) fleet.Place {
	if h.HoldScope == fleet.ScopeRole {
		return fleet.Place{Scope: h.HoldScope, Name: h.HoldRole}
	}
	return fleet.Place{Scope: h.HoldScope, Name: h.Name}
}

// pausePlace is the scope of the pause key that stops a host, as the key spells it.
func pausePlace(h *fleet.Host) string {
	switch h.PausedBy {
	case fleet.ScopeHost:
		return "host/" + h.Name
	case fleet.ScopeRole:
		return "role/" + h.LookupRole
	}
	return h.PausedBy.String()
}

// gateRemedies says what would open a gate.
func (c *computation) gateRemedies(reason v1alpha1.Reason) []string {
	switch reason {
	case v1alpha1.ReasonNoPlan:
		return []string{"`upgradectl apply`"}
	case v1alpha1.ReasonConflict:
		return []string{"one of the two plans is deleted"}
	case v1alpha1.ReasonNoHosts:
		return []string{"a host that counts reports", "spec.hosts"}
	case v1alpha1.ReasonStoreWentBack:
		return []string{"`upgradectl rollout resume --accept-restored`"}
	case v1alpha1.ReasonFleetShrank:
		return []string{fmt.Sprintf("%d hosts are there", atLeastHalf(c.lastSize())), resumeCommand + ", if the others are gone"}
	case v1alpha1.ReasonAborted:
		return []string{resumeCommand, "another spec"}
	case v1alpha1.ReasonPlanPaused:
		if c.in.Control.Pause == nil {
			return []string{"spec.paused: false"}
		}
		return []string{resumeCommand}
	case v1alpha1.ReasonUnexplainedUpgrade:
		return []string{resumeCommand + ", if the hosts named are in order", "another spec.version"}
	case v1alpha1.ReasonFailureBudgetExceeded:
		return []string{resumeCommand, "another spec.version"}
	case v1alpha1.ReasonOutsideWindow:
		return c.windowRemedies()
	case v1alpha1.ReasonTooManyUnhealthy:
		if b := c.unhealthyBudget(); b != nil && b.maintenance {
			return []string{"fewer hosts are critical or in maintenance", "healthGate.maxUnhealthy"}
		}
		return []string{"fewer hosts are critical", "healthGate.maxUnhealthy"}
	case v1alpha1.ReasonAwaitingPromotion:
		return []string{"`upgradectl rollout promote`"}
	case v1alpha1.ReasonVersionSwitch, v1alpha1.ReasonRevoking:
		return []string{"the next pass"}
	}
	return nil
}

// windowRemedies says when a window opens, in the time zone of the windows.
func (c *computation) windowRemedies() []string {
	override := "`upgradectl rollout resume --override-window`"
	if c.gate.opensAt.IsZero() {
		return []string{override}
	}
	at, layout := c.gate.opensAt.In(c.plan.windows.Zone()), "Mon 15:04 MST"
	if at.Sub(c.in.Now) > 6*24*time.Hour {
		layout = "Mon 2006-01-02 15:04 MST"
	}
	return []string{"window opens " + at.Format(layout), override}
}
