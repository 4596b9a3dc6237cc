// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// findPlan returns the plan of that name. Without a name it returns the only plan, or the only one with --prefix.
func findPlan(ctx context.Context, f *factory, name string) (*v1alpha1.UpgradePlan, error) {
	plans, err := f.plans()
	if err != nil {
		return nil, err
	}
	if name != "" {
		return plans.Get(ctx, name)
	}
	all, err := candidates(ctx, f)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, errors.New("there is no plan: upgradectl apply -f FILE stores one")
	case len(all) > 1:
		return nil, cli.Usagef("there are several plans: give the name of one (%s)", joinNames(all))
	}
	return all[0], nil
}

// candidates returns the plans among which a command without the name of a plan chooses.
func candidates(ctx context.Context, f *factory) ([]*v1alpha1.UpgradePlan, error) {
	plans, err := f.plans()
	if err != nil {
		return nil, err
	}
	all, err := plans.List(ctx)
	if f.flags.layout.Prefix == "" {
		return all, err
	}
	var some []*v1alpha1.UpgradePlan
	for _, plan := range all {
		if plan.Spec.Keys.Prefix == f.flags.layout.Prefix {
			some = append(some, plan)
		}
	}
	return some, err
}

func joinNames(plans []*v1alpha1.UpgradePlan) string {
	names := make([]string, len(plans))
	for i, plan := range plans {
		names[i] = plan.Name
	}
	return strings.Join(names, ", ")
}

// planOrNone returns the plan of that name, or the only plan. Nil means no plan: the fleet is known by its keys alone.
func planOrNone(ctx context.Context, f *factory, name string) (*v1alpha1.UpgradePlan, error) {
	if name != "" {
		return findPlan(ctx, f, name)
	}
	all, err := candidates(ctx, f)
	_, invalid := errors.AsType[*planstore.InvalidPlanError](err)
	switch {
	case len(all) > 1:
		return nil, cli.Usagef("there are several plans: give the name of one, or --prefix (%s)", joinNames(all))
	case len(all) == 1:
		return all[0], nil
	case invalid:
		f.warn("using the keys alone: %v", err)
		return nil, nil
	}
	return nil, err
}

// layoutOf returns the layout of the keys of a plan's fleet. Without a plan it is the one that the flags give.
func layoutOf(ctx context.Context, f *factory, name string) (keys.Layout, error) {
	plan, err := planOrNone(ctx, f, name)
	if err != nil || plan == nil {
		return f.flags.layout, err
	}
	return planstore.Layout(plan), nil
}

// holdsOf returns the holds of a plan's fleet.
func holdsOf(ctx context.Context, f *factory, name string) (planstore.Holds, error) {
	s, err := f.store()
	if err != nil {
		return planstore.Holds{}, err
	}
	l, err := layoutOf(ctx, f, name)
	return planstore.Holds{Store: s, Layout: l}, err
}

// observe reads the fleet of a plan. Without a plan it reads the keys alone.
func observe(ctx context.Context, f *factory, name string) (*pass.Assessment, error) {
	s, err := f.store()
	if err != nil {
		return nil, err
	}
	plan, err := planOrNone(ctx, f, name)
	if err != nil {
		return nil, err
	}
	var o *pass.Assessment
	if plan != nil {
		o, err = planstore.Observe(ctx, s, plan.Name, f.Now())
	} else {
		o, err = planstore.ObserveFleet(ctx, s, f.flags.layout, f.Now())
	}
	if err == nil {
		warnIncomplete(f, o.Fleet.Incomplete)
	}
	return o, err
}

// readSets returns the three lists of status.
func readSets(ctx context.Context, f *factory, name string) (status.HostLists, error) {
	s, err := f.store()
	if err != nil {
		return status.HostLists{}, err
	}
	plan, err := planOrNone(ctx, f, name)
	if err != nil {
		return status.HostLists{}, err
	}
	sets, incomplete, err := planstore.HostLists(ctx, s, plan, f.flags.layout, f.Now())
	warnIncomplete(f, incomplete)
	return sets, err
}

func warnIncomplete(f *factory, why string) {
	if why != "" {
		f.warn("the result may be incomplete: %s", cli.OneLine(why))
	}
}

// lockHolder returns the holder of the lock. Nil means that the lock is free.
func lockHolder(ctx context.Context, s store.Store) (*leaderelection.LockHeldError, error) {
	return leaderelection.LockHolder(ctx, s, keys.Leader)
}

// hintController prints a hint when nothing carries out a stored plan. It ignores errors, since the plan is stored anyway.
func hintController(ctx context.Context, f *factory, s store.Store, plan string) {
	if held, err := lockHolder(ctx, s); err == nil && held == nil {
		f.say("no controller is running: start upgrade-controller, or run upgradectl reconcile %s", plan)
	}
}
