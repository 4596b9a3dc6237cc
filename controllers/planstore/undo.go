// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// Undo says which revision to carry out again, who wants it, when and why.
type Undo struct {
	fleet.Pause
	// Revision 0 means the newest earlier revision whose spec differs from the stored one.
	Revision int64
	// Policy decides by which rules the revision is carried out.
	Policy fleet.PinPolicy
}

// Undone is what Undo did.
type Undone struct {
	// Revision is the one that is carried out, and Version is its version.
	Revision int64
	Version  string
	// Changed is true if something was written. Unpinned is true if the revision is the stored spec, so that a pin ended.
	Changed, Unpinned bool
	// Paused is true if the plan is paused: nothing happens until it is resumed.
	Paused bool
}

// UndoError says why Undo cannot choose a revision.
type UndoError struct{ Name, Why string }

func (e *UndoError) Error() string {
	return fmt.Sprintf("upgradeplan %q cannot be undone: %s", e.Name, e.Why)
}

// Undo pins an earlier revision, which replaces the stored spec. The pin holds until the spec changes: to apply the same spec
// again changes nothing. To pin the revision of the stored spec ends a pin.
func (p Plans) Undo(ctx context.Context, name string, order Undo) (Undone, error) {
	order.Accessor = accessor(ctx, p.Store)
	var did Undone
	changed, err := p.updateControl(ctx, name, func(u *controlUpdate) (changed bool, err error) {
		did, changed, err = p.undo(ctx, u, order)
		return changed, err
	})
	did.Changed = changed
	return did, err
}

func (p Plans) undo(ctx context.Context, u *controlUpdate, order Undo) (did Undone, changed bool, err error) {
	stored, err := u.plan()
	if err != nil {
		return did, false, err
	}
	digest, before := digestOf(u.spec.Value), u.Pin
	if order.Revision == 0 && before != nil && before.Digest == digest {
		return did, false, &UndoError{u.name, fmt.Sprintf("revision %d is pinned already: choose one with --to-revision", before.Revision)}
	}
	pair, number, err := p.choose(ctx, stored, digest, order.Revision)
	if err != nil {
		return did, false, err
	}
	plan, err := revisionOf(stored, pair)
	if err != nil {
		return did, false, &UndoError{u.name, err.Error()}
	}
	u.also = append(u.also, unchanged(pair)...)
	did = Undone{Revision: number, Version: plan.Spec.Version, Paused: u.Pause != nil || stored.Spec.Paused,
		Unpinned: digestOf(pair.Value) == digest}
	if did.Unpinned {
		if before == nil {
			return did, false, nil
		}
		if before.By == fleet.ByController {
			u.resume(order.Pause) // failures before the rollback must not cause the next one
		}
		u.Pin = nil
		return did, true, nil
	}
	u.Pin = &fleet.Pin{Revision: number, Digest: digest, By: order.By, Accessor: order.Accessor, Time: order.Time,
		Reason: order.Reason, Policy: order.Policy}
	return did, before == nil || before.Revision != number || before.Digest != digest || before.Policy != order.Policy, nil
}

// choose returns the revision with the number, or for 0 the newest earlier one whose spec differs.
func (p Plans) choose(ctx context.Context, stored *v1alpha1.UpgradePlan, digest string, number int64) (keys.Pair, int64, error) {
	tree := keys.Plan(stored.Name).Revisions()
	pairs, _, err := p.Store.List(ctx, tree)
	if err != nil {
		return keys.Pair{}, 0, err
	}
	var found keys.Pair
	var at int64
	var all []string
	for _, pair := range pairs {
		n, ok := revisionNumber(strings.TrimPrefix(pair.Key, tree))
		if !ok {
			continue
		}
		all = append(all, fmt.Sprint(n))
		earlier := number == 0 && n < stored.Generation && n > at && digestOf(pair.Value) != digest
		if n == number || earlier {
			found, at = pair, n
		}
	}
	slices.SortFunc(all, fleet.CompareNatural)
	switch {
	case at == 0 && number == 0:
		return found, 0, &UndoError{stored.Name, "no earlier revision was kept"}
	case at == 0:
		return found, 0, &UndoError{stored.Name, fmt.Sprintf("there is no revision %d (there are %s)", number, strings.Join(all, ", "))}
	}
	return found, at, nil
}
