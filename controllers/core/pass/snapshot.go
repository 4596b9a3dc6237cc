// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Snapshot is what one read of the store gave about a plan and its fleet, or about a fleet without a plan. It must not be
// changed. It has more than ten fields because each is an input of its own: nothing in it is derived from another.
type Snapshot struct {
	// Now is the time after the read, so that everything in the snapshot was written before.
	Now time.Time
	// Plan is the effective plan: the stored one, unless an earlier revision is pinned in place of its spec. Nil means that the
	// fleet has no plan; then Stored is nil, too.
	Plan *rollout.Plan
	// Stored is the plan as it is stored.
	Stored *v1alpha1.UpgradePlan
	// Control holds all orders, also those for another spec. See Orders.
	Control fleet.Control
	// Digest is that of the effective spec. Pinned is true if that is a pinned revision.
	Digest string
	Pinned bool
	// Fallback is the revision that a rollback carries out. Nil means that there is none.
	Fallback *rollout.Plan
	// Conflict says which other plan manages the same fleet. Empty means none.
	Conflict string
	// WentBack says how the store was found to be restored from a backup: it holds less than was read before. Empty means that
	// it was not.
	WentBack string
	// Watermarks are those that this process knows, which may not be stored yet. Nil means those of the ledger.
	Watermarks fleet.Watermarks
	// Layout is the layout of the fleet's keys, and Keys is their content.
	Layout keys.Layout
	Keys   keys.Snapshot
	// Own holds the plan's own keys.
	Own PlanKeys
}

// PlanKeys are the keys of a plan, as they were read. HoldEpoch is that of its fleet.
type PlanKeys struct {
	Spec, Control, Ledger, Status, HoldEpoch keys.Pair
}

// Orders returns the orders that apply to the effective spec.
func (s *Snapshot) Orders() fleet.Control {
	c := s.Control
	if !s.Pinned {
		c.Pin = nil
	}
	if c.Abort != nil && c.Abort.Digest != s.Digest {
		c.Abort = nil
	}
	return c
}

// RecordsOf returns the keys of all records of a host, in the order of keys.
func (s *Snapshot) RecordsOf(host string) []string {
	var found []string
	trees := s.Layout.RecordTrees()
	for _, key := range s.Keys.RecordKeys {
		if _, name, ok := trees.Cut(key); ok && name == host {
			found = append(found, key)
		}
	}
	return found
}
