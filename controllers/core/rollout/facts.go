// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// progress is how far a host is on its way to the current version. Hosts between granted and soaking are in flight.
type progress uint8

const (
	progressPending  progress = iota // neither granted nor started
	progressGranted                  // the switch permits the change
	progressStarted                  // by its own marker or the controller's
	progressSoaking                  // has the version, and not yet for long enough or with failing checks
	progressUpgraded                 // has the version, and has soaked
)

// exclusion is a set of reasons for which a host does not count. The empty set means that it counts.
type exclusion uint8

const (
	withoutRole     exclusion = 1 << iota
	excludedByPlan            // spec.hosts.exclude
	exemptByHold              // a hold with exempt
	lostFromCatalog           // the catalog does not list it, and it is not in flight or has failed
	notAdmitted               // a legacy host that the plan does not admit
	expiredMarker             // nothing is known of it but a started marker that this pass removes
)

// hostFacts is what is known about a host before anything is decided.
type hostFacts struct {
	progress  progress
	exclusion exclusion
	// marked says that the host's started marker stays after this pass. The decision ignores other markers, so that a second
	// pass decides the same.
	marked bool
	// enabled says that the switch permits the change, as the host itself reads it, or that the host has begun it and lacks its key.
	enabled bool
	// busy says that the host is in flight, is not enabled, and may change its version at this moment, or soaks.
	busy bool
	// newcomer says that the host has no version yet, and takes no slot.
	newcomer bool
	// implicit says that a host is enabled without a proper key: by no key, or by one that other hosts read differently.
	implicit bool
	// requiredCheckFails says that a required check fails, and failingSinceGrant that it did not when the host was granted.
	requiredCheckFails, failingSinceGrant bool
	// outage is why the host takes a slot although it is not in flight. Empty means that it takes none.
	outage v1alpha1.Outage
	// setAside says that the host has failed and given up its slot. retries says that it has failed and an operator lets it try again.
	// spent says that it takes a place in the failure budget, also while it is granted again.
	setAside, retries, spent bool
	// failure is why the host has failed, at failedAt. Empty means that it has not.
	failure  v1alpha1.Reason
	failedAt time.Time
	// asideAt is when an order sets the host aside, if it has not reported by then. Zero means no such order, or an unknown time.
	asideAt time.Time
	// orderedAt is the time of the order about a failed host, as orders of the plan count it. Zero means no order.
	orderedAt time.Time
	// failedIndex is the index of what shows a reported failure: the report, or a later grant.
	failedIndex uint64
	// since is when the host was granted or started, or when its soak began. Zero means unknown.
	since time.Time
	// reached is the index of the key by which an upgraded host first said that it has the version. Zero means unknown.
	reached uint64
	// seenBy is the index of what shows since. Zero means that watermarks do not date it.
	seenBy uint64
	// clockOffset is how far the host's clock is ahead of the controller's. Zero means less than a minute, or unknown.
	clockOffset time.Duration
	// next is when time alone changes these facts. Zero means never.
	next time.Time
}

func (f *hostFacts) upgraded() bool { return f.progress >= progressSoaking }

func (f *hostFacts) complete() bool { return f.progress == progressUpgraded }

func (f *hostFacts) inFlight() bool {
	return !f.setAside && f.progress != progressPending && f.progress != progressUpgraded
}

// takesSlot reports whether the host counts against limits.
func (f *hostFacts) takesSlot() bool { return f.inFlight() && !f.newcomer }

func (f *hostFacts) counts() bool { return f.exclusion == 0 }

// vanishes reports whether nothing is left of the host after this pass.
func (f *hostFacts) vanishes() bool { return f.exclusion&expiredMarker != 0 }

func (f *hostFacts) exempt() bool { return f.exclusion&(excludedByPlan|exemptByHold) != 0 }

func (f *hostFacts) failed() bool { return f.failure != "" }

// base is how far the host is in the terms of python-jiocloud.
func (f *hostFacts) base(h *fleet.Host) State {
	enabled := h.Setting.EnablesLegacy()
	if h.Agent() {
		enabled = f.enabled && !h.Held()
	}
	switch {
	case f.upgraded():
		return Upgraded
	case enabled && !f.setAside:
		return Upgrading
	}
	return Pending
}
