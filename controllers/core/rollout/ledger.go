// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

const (
	// watermarkSteps is the resolution of first-seen times: a soak can last longer by one step of this many.
	watermarkSteps = 16
	// maxCheckTimes bounds the failing checks in the ledger. Beyond it, a soak does not restart when checks pass again, and a
	// resume does not forgive the failures.
	maxCheckTimes = 1000
)

// ledger returns what a restart of the controller must not forget. The commit moves its counter.
func (ad *admission) ledger(complete bool) fleet.Ledger {
	l := ad.in.Fleet.Ledger
	l.Version, l.Rollout = ad.target, ad.rollout()
	l.WentBack = ""
	if ad.gate.Reason == v1alpha1.ReasonStoreWentBack {
		l.WentBack = ad.gate.Message
	}
	l.Roles = ad.limits.seen(l.Roles)
	l.Size = ad.ledgerSize()
	l.Watermarks = ad.watermarks()
	l.Checks = ad.checkTimes()
	l.Promoted = ""
	if ad.canaries.promoted {
		l.Promoted = ad.target
	}
	if complete && ad.plan.action == nil { // a rollback never repeats a command
		l.Completed = ad.in.Plan.Generation
		if pin := ad.in.Control.Pin; pin != nil {
			l.Completed = pin.Revision
		}
	}
	return l
}

// watermarks returns since when which records are known, coarsely, as far back as a soak reaches.
func (ad *admission) watermarks() []fleet.Watermark {
	soak := int64(ad.plan.Soak().Seconds())
	if soak == 0 || ad.in.Fleet.Index == 0 {
		return nil
	}
	marks, now := ad.in.Fleet.Ledger.Watermarks, ad.in.Now.Unix()
	if len(marks) > 0 && marks[len(marks)-1].Index > ad.in.Fleet.Index {
		marks = nil // indexes went back, as after a restore of Consul
	}
	expired := 0
	for expired < len(marks)-1 && marks[expired+1].Time <= now-soak {
		expired++
	}
	marks = marks[expired:]
	last := fleet.Watermark{}
	if len(marks) > 0 {
		last = marks[len(marks)-1]
	}
	if ad.newestRecord() <= last.Index || now < last.Time+soak/watermarkSteps {
		return marks
	}
	return append(marks[:len(marks):len(marks)], fleet.Watermark{Index: ad.in.Fleet.Index, Time: now})
}

// newestRecord returns the newest index of a record of the current version whose host does not report since when.
func (ad *admission) newestRecord() uint64 {
	var newest uint64
	for i := range ad.facts {
		if f := &ad.facts[i]; f.upgraded() && !f.hasReportedVersion {
			newest = max(newest, ad.in.Fleet.Hosts[i].Record.CreateIndex)
		}
	}
	return newest
}

// checkTimes returns which hosts had failing checks since they were granted, and since when these pass again.
func (ad *admission) checkTimes() map[string]fleet.CheckTimes {
	if ad.gate.switches() || len(ad.plan.Spec.HealthGate.Checks) == 0 {
		return nil
	}
	times, now := map[string]fleet.CheckTimes{}, ad.in.Now.Unix()
	for i := range ad.facts {
		f, host, inFlight := &ad.facts[i], ad.in.Fleet.Hosts[i].Name, ad.verdicts[i].InFlight
		c, known := ad.in.Fleet.Ledger.Checks[host]
		switch {
		case f.failingSinceGrant && inFlight && (!known || c.Passed != 0):
			c = fleet.CheckTimes{Failed: now}
		case !known:
			continue
		case !f.failingSinceGrant && c.Passed == 0:
			c.Passed = now
		case !inFlight && ad.settled(f):
			continue
		}
		if len(times) < maxCheckTimes {
			times[host] = c
		}
	}
	if len(times) == 0 {
		return nil
	}
	return times
}

// settled reports whether a host that is not in flight has nothing left to fail: it is not upgraded, or has soaked.
func (ad *admission) settled(f *hostFacts) bool {
	return !f.upgraded() || !f.since.Add(ad.plan.Soak()).After(ad.in.Now)
}
