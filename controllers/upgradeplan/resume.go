// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Resumption is an operator's word that a plan shall go on: who, when and why.
type Resumption struct {
	fleet.Pause
	// OverrideWindows lets hosts be released outside of the windows: for the version that the spec names now, until the
	// time, if there is one.
	OverrideWindows bool
	Until           time.Time
}

// Resume ends a pause, an abort and a halt of a plan, and what has failed until then spends the failure budget of a rollout that was
// halted no more: one compare-and-set, which needs no controller and no lock. It says whether anything changed.
func (p Plans) Resume(ctx context.Context, name string, r Resumption) (bool, error) {
	for try := 1; ; try++ {
		changed, err := p.resume(ctx, name, r)
		if _, ok := errors.AsType[*store.ConflictError](err); ok && !forbidden(err) && try < attempts {
			continue
		}
		return changed, err
	}
}

func (p Plans) resume(ctx context.Context, name string, r Resumption) (bool, error) {
	k := keys.Plan(name)
	pairs, _, err := p.Store.Get(ctx, k.Spec(), k.Control())
	if err != nil {
		return false, err
	}
	control, err := keys.DecodeControl(pairs[1])
	if err != nil {
		return false, err
	}
	stored, err := decodePlan(name, pairs[0])
	if err != nil {
		return false, err
	}
	plan, _, err := effective(ctx, p.Store, stored, digestOf(pairs[0].Value), control.Pin)
	if err != nil {
		return false, err
	}
	if control.Pause == nil && control.Halt == nil && control.Abort == nil && !r.OverrideWindows {
		return false, nil
	}
	if control.Halt.Holds(plan.Spec.Version) {
		control.Resumed = &r.Pause
	}
	control.Pause, control.Halt, control.Abort = nil, nil, nil
	if r.OverrideWindows {
		control.Override = &fleet.Override{By: r.By, Time: r.Time, Reason: r.Reason, Version: plan.Spec.Version, Until: r.Until}
	}
	// The spec is checked too, so that what is said about one version is not taken for another.
	_, err = p.Store.Txn(ctx, append(unchanged(pairs[0]),
		store.Op{Verb: store.CAS, Key: k.Control(), Index: pairs[1].ModifyIndex, Value: keys.EncodeControl(control)}))
	return err == nil, err
}
