// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// admission is the stage that fills the free slots and gives each host its verdict.
type admission struct {
	*assessment
	gate     *gate
	verdicts []Verdict // parallel to in.Fleet.Hosts
	batch    Blocker   // of hosts that wait for the batch
	agents   *agentVersions
}

// subject is a host that gets its verdict.
type subject struct {
	*fleet.Host
	*hostFacts
	role    *role // nil if the host is in no role
	revoked bool
	canary  bool
}

func (a *assessment) admit(g *gate) *admission {
	ad := &admission{assessment: a, gate: g, verdicts: make([]Verdict, len(a.facts)),
		batch: Blocker{Kind: BlockedByBatch, Have: a.limits.running}, agents: a.plan.agentVersions()}
	var s subject // one for all hosts: the calls of the table make it escape to the heap
	for _, i := range ad.admissionOrder() {
		s = subject{Host: &ad.in.Fleet.Hosts[i], hostFacts: &ad.facts[i], role: a.limits.of[i], revoked: g.revokes(i),
			canary: ad.canaries.includes(i)}
		ad.decide(&s, &ad.verdicts[i])
	}
	return ad
}

// admissionOrder returns hosts that hold a slot already, then all others: granting the first consumes no further slot. Each
// part is in the natural order of groups, and within a group of hosts.
func (ad *admission) admissionOrder() []int {
	first, rest := make([]int, 0, len(ad.facts)), make([]int, 0, len(ad.facts))
	var again []int // hosts that failed before let all others go first
	put := func(i int) {
		switch f := &ad.facts[i]; {
		case f.progress != progressPending:
			first = append(first, i)
		case f.retries:
			again = append(again, i)
		default:
			rest = append(rest, i)
		}
	}
	for i := range ad.in.Fleet.Hosts {
		if ad.in.Fleet.Hosts[i].Role == "" || ad.facts[i].vanishes() {
			put(i)
		}
	}
	for _, g := range ad.limits.groups() {
		for _, i := range g.hosts {
			put(i)
		}
	}
	if ad.plan.failedFirst {
		first, rest = ad.putFailedFirst(first), ad.putFailedFirst(rest)
	}
	return append(append(first, rest...), again...)
}

// putFailedFirst returns the hosts that failed in the rollout before, then all others.
func (ad *admission) putFailedFirst(hosts []int) []int {
	failed, others := make([]int, 0, len(hosts)), make([]int, 0, len(hosts))
	for _, i := range hosts {
		if ad.failedBefore(i) {
			failed = append(failed, i)
		} else {
			others = append(others, i)
		}
	}
	return append(failed, others...)
}

// decide gives a host the verdict of the first rule that applies, and its key.
func (ad *admission) decide(s *subject, v *Verdict) {
	base := s.base(s.Host)
	*v = Verdict{Host: s.Name, Role: s.Role, Base: base, State: base, Counts: s.counts(), InFlight: s.inFlight(), Complete: s.complete(),
		ClockOffset: s.clockOffset}
	if s.role != nil {
		v.Group = s.role.group.name
	}
	for k := range rules {
		blocker, ok := rules[k].applies(ad, s)
		if !ok {
			continue
		}
		v.Reason, v.Blocker = cmp.Or(rules[k].reason, ad.gate.Reason), blocker
		v.Message = rules[k].message(ad, s)
		switch {
		case rules[k].state != "":
			v.State = rules[k].state
		case s.failed():
			v.State = Failed
		}
		break
	}
	if v.Reason == v1alpha1.ReasonStarting {
		ad.grant(s, v)
		return
	}
	ad.keep(s, v)
}

// grant gives a host a slot of its role, its group and the fleet, and its key.
func (ad *admission) grant(s *subject, v *Verdict) {
	if !s.newcomer && !s.enabled {
		s.role.grant(s.hostFacts)
	}
	v.State, v.Base, v.InFlight = Upgrading, Upgrading, true
	v.Enable, v.GrantedAt, v.Renew, v.Unhealthy = true, ad.in.Now.Unix(), true, s.requiredCheckFails
	if v.GrantedAt == s.Setting.Granted {
		v.GrantedAt++ // the same value with the same flags would not move the index of the key, and so grant nothing
	}
	if current := ad.in.Fleet.Current; s.KnowsGrants() && current.Governed {
		// Each commit increases the counter. In a store that was restored from a backup both numbers come again, at another time.
		id := fleet.GrantID(current.Rollout, ad.in.Fleet.Ledger.Counter+1, ad.in.Now)
		v.Grant = &fleet.Grant{Rollout: current.Rollout, Version: ad.target, Time: wholeSecond(ad.in.Now), ID: id,
			Unhealthy: s.requiredCheckFails}
	}
}

// keep decides which hosts keep their key, or get one because their Puppet must go on.
func (ad *admission) keep(s *subject, v *Verdict) {
	if s.revoked || s.implicit {
		return
	}
	if s.KnowsGrants() && !s.upgraded() && s.Grant.For(ad.in.Fleet.Current) {
		v.Grant = s.Grant
	}
	explicit := s.Setting.Scope != fleet.ScopeNone && s.Setting.Enables(ad.target)
	// While the plan is paused no host gets a new key: global-disable-puppet stops Puppet on all of them.
	paused := ad.gate.Reason == v1alpha1.ReasonPlanPaused || ad.gate.Reason == v1alpha1.ReasonAborted
	v.Enable = (s.enabled || s.upgraded()) && (explicit || !paused)
	if !v.Enable {
		return
	}
	v.GrantedAt, v.Unhealthy = ad.in.Now.Unix(), s.requiredCheckFails && !s.failingSinceGrant
	if explicit && s.Setting.Granted != 0 {
		v.GrantedAt = s.Setting.Granted
	}
	if s.Setting.GrantedFor(ad.in.Fleet.Current) { // an older key says nothing of the checks at a grant
		v.Unhealthy = s.Setting.Unhealthy
	}
}
