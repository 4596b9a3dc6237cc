// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// controlUpdate is a change of the orders for a plan, which one transaction writes.
type controlUpdate struct {
	// Control is what was read, and what is written.
	fleet.Control
	name string
	spec keys.Pair
	// also are further operations of the transaction: checks of what the change depends on.
	also []store.Op
}

// plan returns the stored plan. The transaction then checks that its spec has not changed.
func (u *controlUpdate) plan() (*v1alpha1.UpgradePlan, error) {
	u.also = append(u.also, unchanged(u.spec)...)
	return DecodePlan(u.name, u.spec)
}

// updateControl changes the orders for a plan with one compare-and-set. It needs no controller and no lock. It calls change
// again after a conflict, and writes nothing if change returns false. A missing control is an error: what operators had
// ordered is lost, and the plan waits until an operator applies it again.
func (p Plans) updateControl(ctx context.Context, name string, change func(*controlUpdate) (changed bool, err error)) (
	changed bool, err error) {
	err = store.RetryOnConflict(ctx, func() error {
		changed, err = p.tryUpdateControl(ctx, name, false, change)
		return err
	})
	return changed, err
}

func (p Plans) tryUpdateControl(ctx context.Context, name string, create bool, change func(*controlUpdate) (bool, error)) (bool, error) {
	k := keys.Plan(name)
	pairs, _, err := p.Store.Get(ctx, k.Spec(), k.Control())
	if err != nil {
		return false, err
	}
	if !pairs[0].Exists() {
		return false, &NotFoundError{name}
	}
	u := &controlUpdate{name: name, spec: pairs[0]}
	if pairs[1].Exists() || !create {
		if u.Control, err = keys.DecodeControl(pairs[1]); err != nil {
			return false, err
		}
	}
	if changed, err := change(u); err != nil || !changed {
		return false, err
	}
	holds, err := u.fleetHoldOps(ctx, p.Store)
	if err != nil {
		return false, err
	}
	control := store.Op{Verb: store.CAS, Key: k.Control(), Index: pairs[1].ModifyIndex, Value: keys.EncodeControl(u.Control)}
	_, err = p.Store.Txn(ctx, slices.Concat(u.also, []store.Op{control, NotifyWatches(pairs[1])}, holds))
	return err == nil, err
}

// Pause returns the pause of a plan. Nil means that it is not paused.
func (p Plans) Pause(ctx context.Context, name string) (*fleet.Pause, error) {
	pairs, _, err := p.Store.Get(ctx, keys.Plan(name).Control())
	if err != nil || !pairs[0].Exists() {
		return nil, err
	}
	control, err := keys.DecodeControl(pairs[0])
	return control.Pause, err
}

// SetPause pauses a plan, or ends its pause if the order is nil. It reports whether that changed anything: a pause that stands
// is kept. A pause creates a missing control, because an order to stop must not fail for that.
func (p Plans) SetPause(ctx context.Context, name string, pause *fleet.Pause) (changed bool, err error) {
	if pause != nil {
		order := *pause
		order.Accessor = accessor(ctx, p.Store)
		pause = &order
	}
	err = store.RetryOnConflict(ctx, func() error {
		changed, err = p.tryUpdateControl(ctx, name, true, func(u *controlUpdate) (bool, error) { return u.setPause(pause), nil })
		return err
	})
	return changed, err
}

// setPause pauses or ends a pause, and reports whether that changes anything.
func (u *controlUpdate) setPause(pause *fleet.Pause) bool {
	if (u.Pause == nil) == (pause == nil) {
		return false
	}
	u.Pause = pause
	return true
}

// Resumption is an operator's order to go on: who gave it, when and why.
type Resumption struct {
	fleet.Pause
	// OverrideWindows allows grants outside of the windows, for the version that the spec names, until the time Until. The
	// zero time means until the rollout ends.
	OverrideWindows bool
	Until           time.Time
	// AcceptRestored goes on with a store that was restored from a backup.
	AcceptRestored bool
}

// Resume ends a pause, an abort and a halt of a plan, and accepts that the fleet shrank. After a halt, hosts that have failed so
// far no longer count against maxFailed. It reports whether anything changed.
func (p Plans) Resume(ctx context.Context, name string, r Resumption) (bool, error) {
	r.Accessor = accessor(ctx, p.Store)
	return p.updateControl(ctx, name, func(u *controlUpdate) (bool, error) {
		stored, err := u.plan() // an override for one version must not open the windows for another
		if err != nil {
			return false, err
		}
		plan, _, err := effective(ctx, p.Store, stored, digestOf(u.spec.Value), u.Pin)
		if err != nil {
			return false, err
		}
		accepted, err := u.accept(ctx, p.Store, r)
		if err != nil {
			return false, err
		}
		if u.Pause == nil && u.Halt == nil && u.Abort == nil && !r.OverrideWindows && !accepted {
			return false, nil
		}
		if u.Halt.Holds(plan.Spec.Version) {
			u.resume(r.Pause)
		}
		if u.Pause != nil || u.Halt != nil || u.Abort != nil {
			u.Ended = &r.Pause
		}
		u.Pause, u.Halt, u.Abort = nil, nil, nil
		if r.OverrideWindows {
			u.Override = &fleet.Override{By: r.By, Accessor: r.Accessor, Time: r.Time, Reason: r.Reason,
				Version: plan.Spec.Version, Until: r.Until}
		}
		return true, nil
	})
}

// resume forgives failures so far. Its time follows that of each earlier order: the clocks of operators may differ.
func (u *controlUpdate) resume(order fleet.Pause) {
	order = u.dated(order)
	if u.Retry != nil {
		order.Time = later(order.Time, u.Retry.Time)
	}
	for _, aside := range u.SetAside {
		order.Time = later(order.Time, aside.Time)
	}
	u.Resumed = &order
}

// dated returns the order with a time after that of the last order to resume.
func (u *controlUpdate) dated(order fleet.Pause) fleet.Pause {
	if u.Resumed != nil {
		order.Time = later(order.Time, u.Resumed.Time.Add(time.Second))
	}
	return order
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// accept accepts that the fleet shrank, or that the store was restored, if that stops the plan. It reports whether it does.
func (u *controlUpdate) accept(ctx context.Context, s Store, r Resumption) (bool, error) {
	o, err := Observe(ctx, s, u.name, r.Time)
	if err != nil {
		return false, err
	}
	switch {
	case o.Decision.Gate.Reason == v1alpha1.ReasonFleetShrank:
		u.Shrunk = &fleet.Shrunk{Pause: r.Pause, From: o.Keys.Ledger.Size, Hosts: o.Decision.Size}
		return true, nil
	case o.Decision.Gate.Reason == v1alpha1.ReasonStoreWentBack && r.AcceptRestored:
		u.acceptRestored(o, r.Pause)
		return true, nil
	case o.Decision.Grown && u.Pause == nil && u.Halt == nil && u.Abort == nil && !r.OverrideWindows:
		u.Grown = &fleet.Grown{Pause: r.Pause, From: o.Keys.Ledger.Base}
		return true, nil
	}
	return false, nil
}

// acceptRestored accepts all rollouts that are known: those of the reports, of the ledger and of current_version.
func (u *controlUpdate) acceptRestored(o *pass.Assessment, order fleet.Pause) {
	u.Restored = &fleet.Restored{Pause: order, Rollout: max(o.Fleet.Ledger.Rollout, o.Fleet.Current.Rollout)}
	for i := range o.Fleet.Hosts {
		if r := o.Fleet.Hosts[i].Report; r != nil {
			u.Restored.Rollout = max(u.Restored.Rollout, r.Rollout)
		}
	}
}

// PromoteError says why the canaries of a plan are not promoted.
type PromoteError struct{ Name, Why string }

func (e *PromoteError) Error() string {
	return fmt.Sprintf("the canaries of upgradeplan %q are not promoted: %s", e.Name, e.Why)
}

// Promote lets the other hosts follow the canaries of the plan's version. It returns a *PromoteError while a canary is not
// upgraded or soaks, unless forced. It reports whether anything changed.
func (p Plans) Promote(ctx context.Context, name string, order fleet.Pause, force bool) (bool, error) {
	order.Accessor = accessor(ctx, p.Store)
	return p.updateControl(ctx, name, func(u *controlUpdate) (bool, error) {
		if _, err := u.plan(); err != nil {
			return false, err
		}
		o, err := Observe(ctx, p.Store, name, order.Time)
		if err != nil {
			return false, err
		}
		version := o.Plan.Spec.Version
		switch {
		case !o.Plan.Spec.Canary.Given():
			return false, &PromoteError{name, "it has none (spec.canary)"}
		case o.Keys.Ledger.Promoted == version || u.Promotion.Holds(version) && !(force && u.Promotion.WhenComplete):
			return false, nil
		}
		if why := unpromotable(o); why != "" && !force {
			return false, &PromoteError{name, why}
		}
		u.Promotion = &fleet.Promotion{Pause: order, Version: version, WhenComplete: !force}
		return true, nil
	})
}

// unpromotable says why the canaries are not to be promoted yet. Empty means that they may be.
func unpromotable(o *pass.Assessment) string {
	version, canary := o.Plan.Spec.Version, o.Decision.Canary
	switch {
	case o.Fleet.Incomplete != "":
		return "their state is unknown: " + o.Fleet.Incomplete
	case canary == nil && o.Decision.Current != version:
		return "the version is not switched to " + version + " yet (--force promotes them beforehand)"
	case canary != nil && canary.Unmatched:
		return "canary.hosts match no host that counts (--force promotes the version without canaries)"
	case canary != nil && !canary.Awaiting:
		return fmt.Sprintf("%d of %d are upgraded and have soaked (--force promotes them anyway)", canary.Complete, canary.Total)
	}
	return ""
}
