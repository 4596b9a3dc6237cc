// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"maps"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// readAsides notes which hosts an order sets aside. An order that is known says nothing about a host that has started since.
func (r *referee) readAsides(orders map[string]fleet.SetAside) {
	for _, host := range slices.Sorted(maps.Keys(orders)) {
		order := orders[host]
		if r.asides[host] == order {
			continue
		}
		for _, m := range r.world.machines {
			if m.name == host {
				r.orderedAside(m, order.Rollout)
			}
		}
	}
	r.asides = maps.Clone(orders)
}

// orderedAside notes that an operator has set a host aside. Only a host that failed, or that was silent for its deadline, gives up
// its slot by that.
func (r *referee) orderedAside(m *machine, rollout uint64) {
	failed := m.truth.failed.rollout == rollout || m.truth.attempts > 0 && !m.truth.trying
	if m.old { // its reports name no rollout
		failed = failed || !m.truth.failed.at.IsZero()
	}
	begun := m.truth.startedAt
	if at := r.grants[m.name]; at.After(begun) {
		begun = at
	}
	silent := time.Since(begun) > time.Duration(r.world.scenario.Plan.Deadline)*time.Second
	if failed || silent || m.double || r.world.clockSet || !r.restored.IsZero() {
		m.truth.aside = rollout
	}
}

// startsAgain notes that a host starts. An order that the operator gave before does not set it aside.
func (m *machine) startsAgain(rollout uint64) {
	m.truth.startedAt = time.Now()
	if rollout != m.truth.rollout {
		m.truth.attempts = 0
	}
	m.truth.aside = 0
}

// gaveUp says that the change which a host began takes no slot any more: an operator has set the host aside since it began, or it has
// failed as often as the plan says. The host starts again by another grant only.
func (r *referee) gaveUp(m *machine) bool { return m.truth.aside != 0 || r.spent(m) }

// setAside says that no role waits for a host in a rollout.
func (r *referee) setAside(m *machine, rollout uint64) bool {
	return m.truth.aside != 0 && m.truth.aside == rollout || m.truth.rollout == rollout && r.spent(m)
}

// spent says that a host has failed as often as the plan says, and does not try again now.
func (r *referee) spent(m *machine) bool {
	limit := 0
	for _, spec := range r.specsSince(m.truth.startedAt) {
		if n := spec.FailurePolicy.AfterAttempts; n != 0 && (limit == 0 || n < limit) {
			limit = n
		}
	}
	return limit != 0 && !m.truth.trying && m.truth.attempts >= limit
}
