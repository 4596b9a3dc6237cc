// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Compute makes the decision for an input.
func Compute(in Input) Decision { return compute(in).decision }

// computation keeps the values of all stages, for Why.
type computation struct {
	*admission
	decision Decision
}

func compute(in Input) *computation {
	a := assess(in)
	ad := a.admit(a.gate())
	return &computation{ad, ad.conclude()}
}

// assessment is what is known before anything is decided. Only admit changes it: a grant takes a slot.
type assessment struct {
	in       Input
	plan     *Plan // never nil
	target   string
	facts    []hostFacts // parallel to in.Fleet.Hosts
	limits   *limits
	size     size
	growth   growth
	canaries canaries
	order    order
	// next is when time alone changes the facts of a host or a canary. Zero means never.
	next     time.Time
	messages *messageCache
}

func assess(in Input) *assessment {
	plan := in.Plan.orEmpty()
	a := &assessment{in: in, plan: plan, target: in.Fleet.Current.Name, messages: newMessageCache()}
	a.facts, a.next = classify(in)
	a.growth = admitLegacy(&a.in, plan, a.facts)
	a.size = sizeOf(a.facts)
	a.limits = a.tally()
	a.canaries = a.findCanaries()
	a.next = soonest(a.next, a.canaries.next)
	a.order = newOrder(plan.Spec.Instructions.RoleOrder, a.limits, in.Fleet.Ledger.Roles, a.canaries.progress(a.facts))
	return a
}

// readOnly reports whether nothing may be written.
func (a *assessment) readOnly() bool {
	return a.in.Plan == nil || a.in.Fleet.Incomplete != "" || a.in.Conflict != ""
}

// switched reports whether the fleet has the plan's version as its current one.
func (a *assessment) switched() bool { return a.target == a.plan.Spec.Version }

// conclude sums up the verdicts.
func (ad *admission) conclude() Decision {
	d := Decision{
		Version:        ad.plan.Spec.Version,
		Current:        ad.target,
		Switch:         ad.gate.switches(),
		Pending:        ad.gate.pending,
		Rollout:        ad.rollout(),
		Rewrite:        ad.gate.rewrites,
		FleetHold:      ad.fleetHold(),
		Enabling:       ad.gate.enabling,
		ReadOnly:       ad.gate.readOnly,
		Gate:           ad.gate.Gate,
		Halt:           ad.gate.newHalt,
		Rollback:       ad.gate.rollback,
		Size:           ad.size.all,
		Grown:          ad.grew(),
		Verdicts:       ad.verdicts,
		Roles:          ad.decideRoles(),
		StartedMarkers: ad.startedMarkers(),
		LostMarkers:    ad.lostMarkers(),
		Canary:         ad.canaries.state(),
		Next:           soonest(ad.next, ad.gate.opensAt),
		WindowClosesAt: ad.gate.closesAt,
		Warnings:       ad.warnings(),
	}
	if pin := ad.in.Control.Pin; pin != nil {
		d.Pinned = pin.Revision
	}
	d.Complete, d.Settled = ad.complete(&d)
	d.Ledger = ad.ledger(d.Complete)
	if !d.ReadOnly {
		d.WatermarksDue = ad.watermarksDue()
	}
	return d
}

// complete reports whether all hosts that count are upgraded, and whether all are upgraded or set aside.
func (ad *admission) complete(d *Decision) (complete, settled bool) {
	if ad.in.Plan == nil || d.ReadOnly || !ad.switched() || ad.gate.shrank != "" || ad.limits.fleet.leftOut > 0 {
		return false, false
	}
	counted, upgraded, aside := 0, 0, 0
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if !v.Counts {
			continue
		}
		counted++
		switch {
		case v.Complete:
			upgraded++
		case v.State == SetAside:
			aside++
		}
	}
	return counted > 0 && upgraded == counted, counted > 0 && upgraded+aside == counted
}

// rollout returns the number of the rollout that current_version names after this pass. A new number is higher than all that
// the controller and, after a restore, the hosts know.
func (ad *admission) rollout() uint64 {
	known := max(ad.in.Fleet.Ledger.Rollout, ad.in.Fleet.Current.Rollout)
	if !ad.gate.switches() && !ad.gate.rewrites {
		return known
	}
	if r := ad.in.Control.Restored; r != nil {
		known = max(known, r.Rollout)
	}
	return known + 1
}

// fleetHold returns the hold on the fleet while the plan is paused, aborted or halted. One that exists stays as it is.
func (ad *admission) fleetHold() *fleet.Hold {
	switch {
	case ad.gate.readOnly || !ad.gate.holdsFleet():
		return nil
	case ad.in.Fleet.Hold != nil:
		return ad.in.Fleet.Hold
	}
	return &fleet.Hold{Plan: ad.plan.Name, Reason: ad.gate.Message, Owner: fleet.ByController, Time: wholeSecond(ad.in.Now)}
}

// decideRoles decides which role keys enable. A role key lets the Puppet of agents run. It is written when all of the role is
// complete, and no host that looks the role up is excluded, held, ungranted, of another role by the plan, or goes by keys alone:
// such a host would start by it.
func (ad *admission) decideRoles() []Role {
	withheld := map[string]bool{}
	for i := range ad.in.Fleet.Hosts {
		h, v := &ad.in.Fleet.Hosts[i], &ad.verdicts[i]
		if h.LookupRole != "" && !ad.facts[i].vanishes() &&
			(h.Role != h.LookupRole || !v.Counts || h.Held() || !v.Enable || !h.KnowsGrants()) {
			withheld[h.LookupRole] = true
		}
	}
	roles := ad.limits.roles()
	out := make([]Role, 0, len(roles))
	for _, r := range roles {
		key := ad.in.Fleet.Roles[r.name]
		// A host without a version cannot run a command.
		enable := r.counted > 0 && r.counted == r.complete && !withheld[r.name] && ad.plan.action == nil
		if ad.gate.Reason != "" { // a new role key would start agents of earlier releases that join
			enable = enable && key.Enables(ad.target)
		}
		old := key.Index != 0 && key.Index <= ad.in.Fleet.Current.Index
		enable = enable && (!old || key.Enables(ad.target)) // an old key is not written, so it cannot become one that enables
		role := Role{Name: r.name, Group: r.group.name, Limit: r.shownLimit(), Enable: enable, Keep: enable && old}
		if i := ad.firstWaiting(r); i >= 0 {
			role.BlockedBy = ad.verdicts[i].Message
		}
		out = append(out, role)
	}
	return out
}

// firstWaiting returns the first host of a role that counts and waits. A host on hold comes last, since its verdict says
// nothing about the others. A negative index means that none waits.
func (ad *admission) firstWaiting(r *role) int {
	held := -1
	for _, i := range r.hosts {
		switch v := &ad.verdicts[i]; {
		case !v.Counts || v.Base != Pending || v.Reason == v1alpha1.ReasonStarting:
		case v.Reason != v1alpha1.ReasonOnHold && v.Reason != v1alpha1.ReasonPausedByKey && v.Reason != v1alpha1.ReasonDuplicate:
			return i
		case held < 0:
			held = i
		}
	}
	return held
}

// startedMarkers returns the markers that the controller keeps on behalf of hosts: those that have not expired, and new
// ones for legacy hosts that lose their permission. Such a host may have started, so it keeps its slot until it reports or
// its deadline passes.
func (ad *admission) startedMarkers() []fleet.StartedMarker {
	if ad.gate.readOnly {
		return nil
	}
	var markers []fleet.StartedMarker
	for i := range ad.facts {
		f, h := &ad.facts[i], &ad.in.Fleet.Hosts[i]
		if f.setAside {
			continue
		}
		started := f.progress == progressStarted
		byController := h.Started != nil && h.Started.By == fleet.ByController
		losesPermission := f.implicit || ad.gate.switches() || ad.gate.revokes(i) && !started
		switch {
		case (h.Started == nil || byController) && !h.Agent() && !f.upgraded() && f.enabled && losesPermission:
			markers = append(markers, fleet.StartedMarker{Host: h.Name, Started: fleet.Started{
				Version: ad.target, Time: wholeSecond(ad.in.Now), By: fleet.ByController,
				Unhealthy: f.requiredCheckFails && (!f.failingSinceGrant || ad.gate.switches())}})
		case byController && f.marked:
			markers = append(markers, fleet.StartedMarker{Host: h.Name, Started: *h.Started})
		}
	}
	return markers
}

// lostMarkers returns the markers of agents that are set aside. Without its marker an agent makes no further attempt.
func (ad *admission) lostMarkers() []fleet.StartedMarker {
	if ad.gate.readOnly || ad.gate.switches() {
		return nil
	}
	var markers []fleet.StartedMarker
	for i := range ad.facts {
		if h := &ad.in.Fleet.Hosts[i]; ad.facts[i].setAside && h.Started != nil && h.Started.By == "" {
			markers = append(markers, fleet.StartedMarker{Host: h.Name, Started: fleet.Started{Index: h.Started.Index}})
		}
	}
	return markers
}

func (ad *admission) warnings() []string {
	var w []string
	if ad.in.Plan != nil {
		w = append(w, ad.order.warnings...)
		w = append(w, ad.limits.ambiguous...)
		if ad.canaries.unmatched {
			w = append(w, ad.canaries.message())
		}
		for _, message := range []string{ad.unverifiableMessage(), ad.lostHostsMessage(), ad.notAdmittedMessage(), ad.duplicatesMessage(),
			ad.clocksMessage()} {
			if message != "" {
				w = append(w, message)
			}
		}
	}
	w = append(w, ad.in.Fleet.Notes...)
	slices.Sort(w)
	return slices.Compact(w)
}

// soonest returns the earlier of two times, of which zero means never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wholeSecond truncates a time to what keys store.
func wholeSecond(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }
