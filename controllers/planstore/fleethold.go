// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// fleetHoldOps set or remove the hold on the fleet, so that a stop binds agents as soon as it returns, also without a controller.
// A spec that is invalid says nothing about the fleet: then there are none.
func (u *controlUpdate) fleetHoldOps(ctx context.Context, s store.Reader) ([]store.Op, error) {
	plan, err := DecodePlan(u.name, u.spec)
	if err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	stop, err := u.stop(ctx, s, plan)
	if err != nil {
		return nil, err
	}
	l := Layout(plan)
	pairs, _, err := s.Get(ctx, l.HoldFleet(), l.HoldEpoch())
	if err != nil {
		return nil, err
	}
	hold, epoch := pairs[0], pairs[1]
	switch {
	case stop != nil && !hold.Exists():
		order := fleet.Hold{Plan: u.name, Reason: stop.Reason, Owner: stop.By, Accessor: stop.Accessor, Time: stop.Time}
		return []store.Op{{Verb: store.CAS, Key: hold.Key, Value: keys.EncodeHold(order)}, MoveEpoch(epoch)}, nil
	case stop == nil && hold.Exists():
		return []store.Op{{Verb: store.DeleteCAS, Key: hold.Key, Index: hold.ModifyIndex}, MoveEpoch(epoch)}, nil
	}
	return nil, nil
}

// stop returns the order that stops the plan: a pause, also by its spec, an abort or a halt. Nil means none.
func (u *controlUpdate) stop(ctx context.Context, s store.Reader, stored *v1alpha1.UpgradePlan) (*fleet.Pause, error) {
	switch {
	case u.Control.Pause != nil:
		return u.Control.Pause, nil
	case stored.Spec.Paused:
		return &fleet.Pause{Reason: "spec.paused"}, nil
	case u.Control.Abort == nil && u.Control.Halt == nil:
		return nil, nil
	}
	plan, pin, err := effective(ctx, s, stored, digestOf(u.spec.Value), u.Control.Pin)
	if err != nil {
		return nil, err
	}
	switch {
	case u.Control.Abort != nil && u.Control.Abort.Digest == pin.digest:
		return &u.Control.Abort.Pause, nil
	case u.Control.Halt.Holds(plan.Spec.Version):
		return &fleet.Pause{By: fleet.ByController, Time: u.Control.Halt.Time, Reason: u.Control.Halt.Reason}, nil
	}
	return nil, nil
}

// leaveFleet removes what a plan has given to its fleet: all grants, and the hold on the fleet. It removes nothing for a plan whose
// spec is invalid.
func leaveFleet(ctx context.Context, s store.Reader, name string, spec keys.Pair) ([]store.Op, error) {
	plan, err := DecodePlan(name, spec)
	if err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	l := Layout(plan)
	ops := []store.Op{{Verb: store.DeleteTree, Key: l.GrantTree()}}
	pairs, _, err := s.Get(ctx, l.HoldFleet(), l.HoldEpoch())
	if err != nil {
		return nil, err
	}
	if hold := pairs[0]; hold.Exists() {
		ops = append(ops, store.Op{Verb: store.DeleteCAS, Key: hold.Key, Index: hold.ModifyIndex}, MoveEpoch(pairs[1]))
	}
	return ops, nil
}
