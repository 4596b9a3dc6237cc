// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// PromoteError says why the canaries of a plan are not promoted.
type PromoteError struct{ Name, Why string }

func (e *PromoteError) Error() string {
	return fmt.Sprintf("the canaries of upgradeplan %q are not promoted: %s", e.Name, e.Why)
}

// Promote lets the other hosts follow the canaries of the version that is carried out: one compare-and-set on control, which
// needs no controller and no lock. Unless forced, it refuses with *PromoteError as long as a canary is not upgraded or
// soaks. It says whether anything changed.
func (p Plans) Promote(ctx context.Context, name string, order fleet.Pause, force bool) (bool, error) {
	for try := 1; ; try++ {
		changed, err := p.promote(ctx, name, order, force)
		if _, ok := errors.AsType[*store.ConflictError](err); ok && !forbidden(err) && try < attempts {
			continue
		}
		return changed, err
	}
}

func (p Plans) promote(ctx context.Context, name string, order fleet.Pause, force bool) (bool, error) {
	o, err := Observe(ctx, p.Store, name, order.Time)
	if err != nil {
		return false, err
	}
	control, err := keys.DecodeControl(o.control)
	if err != nil {
		return false, err
	}
	version, canary := o.Plan.Spec.Version, o.Decision.Canary
	switch {
	case !o.Plan.Spec.Canary.Given():
		return false, &PromoteError{name, "it has none (spec.canary)"}
	case control.Promotion.Holds(version) || o.Raw.Ledger.Promoted == version:
		return false, nil
	case force:
	case o.Fleet.Incomplete != "":
		return false, &PromoteError{name, "it cannot be told where they stand: " + o.Fleet.Incomplete}
	case canary == nil && o.Decision.Current != version:
		return false, &PromoteError{name, "the version is not switched to " + version + " yet (--force promotes them beforehand)"}
	case canary != nil && !canary.Awaiting:
		return false, &PromoteError{name, fmt.Sprintf("%d of %d are upgraded and have soaked (--force promotes them all the same)",
			canary.Complete, canary.Total)}
	}
	control.Promotion = &fleet.Promotion{Pause: order, Version: version}
	_, err = p.Store.Txn(ctx, append(unchanged(o.spec),
		store.Op{Verb: store.CAS, Key: o.control.Key, Index: o.control.ModifyIndex, Value: keys.EncodeControl(control)}))
	return err == nil, err
}
