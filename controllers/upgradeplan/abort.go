// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// Aborted is what Abort did.
type Aborted struct {
	// Changed says that the spec was not aborted before.
	Changed bool
	// Left says why grants may still stand, which the next pass of a controller takes back; nil: none does.
	Left error
}

// Abort keeps the spec that is carried out from being tried any further, until it changes or the plan is resumed: one
// compare-and-set on control, after which nobody is released. Then all grants of hosts that have not begun are taken back,
// without controller and lock: hosts in the field get their started marks first, in case that they have.
func (p Plans) Abort(ctx context.Context, name string, order fleet.Pause) (Aborted, error) {
	var did Aborted
	for try := 1; ; try++ {
		var err error
		did.Changed, err = p.abort(ctx, name, order)
		if _, ok := errors.AsType[*store.ConflictError](err); ok && !forbidden(err) && try < attempts {
			continue
		}
		if err != nil {
			return did, err
		}
		break
	}
	for try := 1; ; try++ {
		did.Left = p.takeBack(ctx, name, order.Time)
		if _, ok := errors.AsType[*store.ConflictError](did.Left); !ok || forbidden(did.Left) || try == attempts {
			return did, nil
		}
	}
}

func (p Plans) abort(ctx context.Context, name string, order fleet.Pause) (bool, error) {
	k := keys.Plan(name)
	pairs, _, err := p.Store.Get(ctx, k.Spec(), k.Control())
	if err != nil {
		return false, err
	}
	stored, err := decodePlan(name, pairs[0])
	if err != nil {
		return false, err
	}
	control, err := keys.DecodeControl(pairs[1])
	if err != nil {
		return false, err
	}
	_, pin, err := effective(ctx, p.Store, stored, digestOf(pairs[0].Value), control.Pin)
	if err != nil || control.Abort != nil && control.Abort.Digest == pin.digest {
		return false, err
	}
	control.Abort = &fleet.Abort{Pause: order, Digest: pin.digest}
	_, err = p.Store.Txn(ctx, append(unchanged(pairs[0]),
		store.Op{Verb: store.CAS, Key: k.Control(), Index: pairs[1].ModifyIndex, Value: keys.EncodeControl(control)}))
	return err == nil, err
}

// takeBack writes what the decision for an aborted plan changes. It starts nobody; so instead of the lock it checks, in
// every transaction, that nothing that it depends on has changed.
func (p Plans) takeBack(ctx context.Context, name string, now time.Time) error {
	o, err := Observe(ctx, p.Store, name, now)
	switch {
	case err != nil:
		return err
	case o.Fleet.Incomplete != "":
		return errors.New(o.Fleet.Incomplete)
	case o.Decision.Gate != v1alpha1.ReasonAborted: // somebody has resumed it meanwhile
		return nil
	}
	checks := slices.Concat(unchanged(o.spec), unchanged(o.control), unchanged(o.ledger), unchanged(o.Raw.Current), unchanged(o.epoch))
	for ops := range slices.Chunk(fleetstore.Ops(o.Changes()), p.Store.MaxOps()-len(checks)) {
		if _, err := p.Store.Txn(ctx, slices.Concat(checks, ops)); err != nil {
			return err
		}
	}
	return nil
}
