// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// Aborted is what Abort did.
type Aborted struct {
	// Changed is true if the spec was not aborted before.
	Changed bool
	// Left says why grants may still stand. The next pass of a controller revokes them. Nil means that none stands.
	Left error
}

// Abort gives up the spec that is carried out, until it changes or the plan is resumed. After one compare-and-set on control,
// no host gets a grant. Then Abort revokes all grants of hosts that have not started, without a controller and a lock. Legacy
// hosts get their started markers first, because they may have started.
func (p Plans) Abort(ctx context.Context, name string, order fleet.Pause) (Aborted, error) {
	order.Accessor = accessor(ctx, p.Store)
	changed, err := p.updateControl(ctx, name, func(u *controlUpdate) (bool, error) {
		stored, err := u.plan()
		if err != nil {
			return false, err
		}
		_, pin, err := effective(ctx, p.Store, stored, digestOf(u.spec.Value), u.Pin)
		if err != nil {
			return false, err
		}
		before := u.Control.Abort
		u.Control.Abort = &fleet.Abort{Pause: order, Digest: pin.digest}
		return before == nil || before.Digest != pin.digest, nil
	})
	if err != nil {
		return Aborted{}, err
	}
	left := store.RetryOnConflict(ctx, func() error { return p.revoke(ctx, name, order.Time) })
	return Aborted{Changed: changed, Left: left}, nil
}

// revoke writes what the decision for an aborted plan changes. It grants nothing. So instead of the lock, each transaction
// checks that nothing that the decision depends on has changed.
func (p Plans) revoke(ctx context.Context, name string, now time.Time) error {
	o, err := Observe(ctx, p.Store, name, now)
	switch {
	case err != nil:
		return err
	case o.Fleet.Incomplete != "":
		return errors.New(o.Fleet.Incomplete)
	case o.Decision.Gate.Reason != v1alpha1.ReasonAborted: // an operator has resumed it
		return nil
	}
	checks := slices.Concat(unchanged(o.Own.Spec), unchanged(o.Own.Control), unchanged(o.Own.Ledger), unchanged(o.Keys.Current),
		unchanged(o.Own.HoldEpoch))
	for ops := range slices.Chunk(fleetstore.Ops(o.Changes()), p.Store.MaxOps()-len(checks)) {
		if _, err := p.Store.Txn(ctx, slices.Concat(checks, ops)); err != nil {
			return err
		}
	}
	return nil
}
