// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

const (
	// watermarkSteps is how often watermarks alone are stored during a soak or a deadline.
	watermarkSteps = 16
	// maxCheckTimes bounds the failing checks in the ledger, in bytes. Beyond it, a soak does not restart when checks pass again,
	// and a resume does not forgive the failures. checkTimesSize is the size of one without its host.
	maxCheckTimes  = 40 << 10
	checkTimesSize = len(`"":{"failed":1772800000,"passed":1772800000},`)
)

// ledger returns what a restart of the controller must not forget. The commit moves its counter.
func (ad *admission) ledger(complete bool) fleet.Ledger {
	l := ad.in.Fleet.Ledger
	l.Version, l.Rollout = ad.target, ad.rollout()
	l.WentBack = ""
	if ad.gate.Reason == v1alpha1.ReasonStoreWentBack {
		l.WentBack = ad.gate.Message
	}
	l.Roles = ad.order.seen()
	l.Size = ad.ledgerSize()
	l.Base = ad.ledgerBase()
	l.Watermarks = ad.watermarks()
	l.Resumption = ad.in.resumption()
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

// watermarks returns the valid watermarks of the input.
func (in *Input) watermarks() fleet.Watermarks {
	marks := in.Watermarks
	if marks == nil {
		marks = in.Fleet.Ledger.Watermarks
	}
	return marks.Valid(in.Fleet.Index, in.Now)
}

// resumption returns when the controller first saw the order to resume. Nil means that there is none.
func (in *Input) resumption() *fleet.Resumption {
	order, known := in.Control.Resumed, in.Fleet.Ledger.Resumption
	switch {
	case order == nil:
		return nil
	case known != nil && known.Ordered.Equal(order.Time):
		return known
	}
	return &fleet.Resumption{Ordered: order.Time, Index: cmp.Or(in.ControlIndex, in.Fleet.Index), Time: wholeSecond(in.Now)}
}

// watermarks returns the watermarks after this pass. A new one dates what was first seen now, if anything depends on it.
func (ad *admission) watermarks() fleet.Watermarks {
	marks := ad.in.watermarks()
	for i := range ad.facts {
		if ad.facts[i].seenBy > marks.Last().Index {
			return marks.Add(ad.in.Fleet.Index, ad.in.Now, ad.plan.minReady, ad.plan.canarySoak, ad.plan.deadline)
		}
	}
	return marks
}

// watermarksDue returns when the watermarks must be stored: once a soak or a deadline depends on them, a restart prolongs it by
// a fraction of it at most. Zero means that all that matter are stored.
func (ad *admission) watermarksDue() time.Time {
	stored := ad.in.Fleet.Ledger.Watermarks
	last, span := stored.Last(), time.Duration(0)
	if valid := stored.Valid(ad.in.Fleet.Index, ad.in.Now); valid.Last() != last {
		return ad.in.Now
	}
	for i := range ad.facts {
		if f := &ad.facts[i]; f.seenBy > last.Index {
			span = shortest(span, ad.dependsOn(f))
		}
	}
	if span == 0 {
		return time.Time{}
	}
	return time.Unix(last.Time, 0).Add(span / watermarkSteps).UTC()
}

// dependsOn returns the shortest duration that counts from when the host was first seen in its state.
func (ad *admission) dependsOn(f *hostFacts) time.Duration {
	if f.upgraded() {
		return shortest(ad.plan.minReady, ad.plan.canarySoak)
	}
	return ad.plan.deadline
}

// shortest returns the shorter of two durations, of which zero means none.
func shortest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// checkTimes returns which hosts had failing checks since they were granted, and since when these pass again.
func (ad *admission) checkTimes() map[string]fleet.CheckTimes {
	if ad.gate.switches() || len(ad.plan.Spec.HealthGate.Checks) == 0 {
		return nil
	}
	times, now, size := map[string]fleet.CheckTimes{}, ad.in.Now.Unix(), 0
	for i := range ad.facts {
		f, host, inFlight := &ad.facts[i], ad.in.Fleet.Hosts[i].Name, ad.verdicts[i].InFlight
		c, known := ad.in.Fleet.Ledger.Checks[host]
		c.Failed, c.Passed = min(c.Failed, now), min(c.Passed, now) // an earlier clock may have been ahead
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
		if size += len(host) + checkTimesSize; size <= maxCheckTimes {
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
