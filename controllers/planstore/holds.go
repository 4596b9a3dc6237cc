// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Holds are the holds on a fleet's hosts and roles. They need no plan, no controller and no lock.
type Holds struct {
	Store  Store
	Layout keys.Layout
}

// HoldAt is a hold and its host or role.
type HoldAt struct {
	fleet.Place
	fleet.Hold
}

// HoldResult is what setting or ending a hold did.
type HoldResult struct {
	// Before is the hold before. Nil means none.
	Before *fleet.Hold
	// Changed is true if something was written.
	Changed bool
	// OwnPause is an operator's own pause key on the same host or role, which stays. Empty means none.
	OwnPause string
	// OwnStops is true if that key stops legacy hosts. Otherwise they ignore the hold.
	OwnStops bool
}

// Set puts a host or role on hold, in one transaction: the hold, the epoch that every commit checks, and the pause key that
// legacy hosts obey, unless there is one.
func (h Holds) Set(ctx context.Context, at fleet.Place, hold fleet.Hold) (HoldResult, error) {
	hold.Accessor = accessor(ctx, h.Store)
	return h.change(ctx, at, &hold)
}

// Unhold ends a hold, in one transaction. It removes the pause key only if that belongs to the hold.
func (h Holds) Unhold(ctx context.Context, at fleet.Place) (HoldResult, error) {
	return h.change(ctx, at, nil)
}

func (h Holds) change(ctx context.Context, at fleet.Place, hold *fleet.Hold) (did HoldResult, err error) {
	err = store.RetryOnConflict(ctx, func() error {
		did, err = h.tryChange(ctx, at, hold)
		return err
	})
	return did, err
}

func (h Holds) tryChange(ctx context.Context, at fleet.Place, hold *fleet.Hold) (HoldResult, error) {
	pairs, _, err := h.Store.Get(ctx, h.Layout.Hold(at), h.Layout.HoldEpoch(), h.Layout.Pause(at))
	if err != nil {
		return HoldResult{}, err
	}
	old, epoch, pause := pairs[0], pairs[1], pairs[2]
	did := HoldResult{Before: keys.DecodeHold(old)}
	if pause.Exists() && !keys.OfHold(pause) {
		did.OwnPause, did.OwnStops = pause.Key, keys.DecodePause(pause)
	}
	ops := append(holdOps(old, hold), pauseOps(pause, hold != nil)...)
	if len(ops) == 0 {
		return did, nil
	}
	_, err = h.Store.Txn(ctx, append(ops, MoveEpoch(epoch)))
	did.Changed = err == nil
	return did, err
}

// holdOps returns the operations that write or remove the hold. A hold that differs in its time only stays.
func holdOps(old keys.Pair, hold *fleet.Hold) []store.Op {
	switch before := keys.DecodeHold(old); {
	case hold == nil && before == nil:
		return nil
	case hold == nil:
		return []store.Op{{Verb: store.DeleteCAS, Key: old.Key, Index: old.ModifyIndex}}
	case before != nil && before.Reason == hold.Reason && before.Owner == hold.Owner && before.Exempt == hold.Exempt &&
		before.Expires.Equal(hold.Expires):
		return nil
	}
	return []store.Op{{Verb: store.CAS, Key: old.Key, Index: old.ModifyIndex, Value: keys.EncodeHold(*hold)}}
}

// pauseOps returns the operations that create a missing pause key, or remove that of a hold. Those of operators stay.
func pauseOps(pause keys.Pair, held bool) []store.Op {
	switch {
	case held && !pause.Exists():
		return []store.Op{{Verb: store.CAS, Key: pause.Key, Value: []byte(keys.Disabled), Flags: keys.HoldFlags}}
	case !held && keys.OfHold(pause):
		return []store.Op{{Verb: store.DeleteCAS, Key: pause.Key, Index: pause.ModifyIndex}}
	}
	return nil
}

// List returns all holds, also expired ones: roles first, each in natural order.
func (h Holds) List(ctx context.Context) ([]HoldAt, error) {
	pairs, _, err := h.Store.List(ctx, h.Layout.HoldTree())
	if err != nil {
		return nil, err
	}
	var out []HoldAt
	for _, p := range pairs {
		if at, ok := keys.PlaceOf(strings.TrimPrefix(p.Key, h.Layout.HoldTree())); ok {
			out = append(out, HoldAt{at, *keys.DecodeHold(p)})
		}
	}
	slices.SortFunc(out, func(a, b HoldAt) int { return comparePlaces(a.Place, b.Place) })
	return out, nil
}
