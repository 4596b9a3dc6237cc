// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// Origin returns the file in Git that a plan comes from. The zero Origin means none, or no such plan.
func (p Plans) Origin(ctx context.Context, name string) (fleet.Origin, error) {
	origins, err := p.origins(ctx, name)
	return origins[name], err
}

// Origins returns the origins of all plans that come from Git, by the name of the plan.
func (p Plans) Origins(ctx context.Context) (map[string]fleet.Origin, error) {
	names, err := p.Names(ctx)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return p.origins(ctx, names...)
}

func (p Plans) origins(ctx context.Context, names ...string) (map[string]fleet.Origin, error) {
	wanted := make([]string, len(names))
	for i, name := range names {
		wanted[i] = keys.Plan(name).Manager()
	}
	pairs, _, err := p.Store.Get(ctx, wanted...)
	if err != nil {
		return nil, err
	}
	found := map[string]fleet.Origin{}
	for i, pair := range pairs {
		origin, err := keys.DecodeOrigin(pair)
		if err != nil {
			return nil, err
		}
		if origin.Source != "" {
			found[names[i]] = origin
		}
	}
	return found, nil
}

// ManagedPlans stores the plans that come from Git, while its session holds the lock. Errors wrap leaderelection.ErrLost when it
// does not.
type ManagedPlans struct {
	Store   Store
	Session string
}

// Origins returns the origins of all plans that come from Git, by the name of the plan.
func (k ManagedPlans) Origins(ctx context.Context) (map[string]fleet.Origin, error) {
	return Plans{k.Store}.Origins(ctx)
}

// Apply stores a plan as Plans.Apply does, with its origin, in one transaction. Plans that are leaving count as gone: a plan may
// manage the fleet of one of them.
func (k ManagedPlans) Apply(ctx context.Context, plan *v1alpha1.UpgradePlan, from fleet.Origin, leaving []string, dryRun bool) (
	outcome string, err error) {
	fenced := k.fenced(store.Op{Verb: store.Set, Key: keys.Plan(plan.Name).Manager(), Value: keys.EncodeOrigin(from)})
	_, did, err := Plans{fenced}.apply(ctx, plan, applyOptions{dryRun: dryRun, leaving: leaving})
	if err != nil || dryRun {
		return string(did), leaderelection.CheckFence(err, keys.Leader)
	}
	old, err := Plans{k.Store}.Origin(ctx, plan.Name)
	if err == nil && (old.Source != from.Source || old.Path != from.Path) { // nothing else was to be written
		_, err = fenced.Txn(ctx, nil)
	}
	return string(did), leaderelection.CheckFence(err, keys.Leader)
}

// Prune deletes a plan that is missing in its source. Kept says which order of an operator keeps it, because the order would be
// lost with the plan. Prune leaves a plan of another source alone.
func (k ManagedPlans) Prune(ctx context.Context, name, source string, dryRun bool) (kept string, err error) {
	err = store.RetryOnConflict(ctx, func() error {
		kept, err = k.prune(ctx, name, source, dryRun)
		return err
	})
	return kept, leaderelection.CheckFence(err, keys.Leader)
}

func (k ManagedPlans) prune(ctx context.Context, name, source string, dryRun bool) (kept string, err error) {
	p := keys.Plan(name)
	pairs, _, err := k.Store.Get(ctx, p.Spec(), p.Control(), p.Manager(), keys.PlansEpoch)
	if err != nil {
		return "", err
	}
	if origin, err := keys.DecodeOrigin(pairs[2]); err != nil || origin.Source != source {
		return "", err
	}
	if kept := standing(name, pairs[0], pairs[1]); kept != "" || dryRun {
		return kept, nil
	}
	ops, err := leaveFleet(ctx, k.Store, name, pairs[0])
	if err != nil {
		return "", err
	}
	_, err = k.fenced().Txn(ctx, slices.Concat(unchanged(pairs[0]), unchanged(pairs[1]), unchanged(pairs[2]), ops,
		[]store.Op{{Verb: store.DeleteTree, Key: p.Tree()}, MoveEpoch(pairs[3])}))
	return "", err
}

// standing describes the order that stands for a plan. Empty means none.
func standing(name string, spec, orders keys.Pair) string {
	control, err := keys.DecodeControl(orders)
	if err != nil && orders.Exists() {
		return err.Error()
	}
	version, digest := "", digestOf(spec.Value)
	if plan, err := DecodePlan(name, spec); err == nil {
		version = plan.Spec.Version
	}
	pinned := control.Pin != nil && control.Pin.Digest == digest
	switch {
	case control.Pause != nil:
		return "it is paused by " + control.Pause.By
	case control.Abort != nil && (pinned || control.Abort.Digest == digest):
		return "it was aborted by " + control.Abort.By
	case pinned:
		return "it was rolled back by " + control.Pin.By
	case control.Halt.Holds(version):
		return "it has halted: " + control.Halt.Reason
	}
	return ""
}

// Disown ends the management of a plan by its source.
func (k ManagedPlans) Disown(ctx context.Context, name string) error {
	_, err := k.fenced(store.Op{Verb: store.Delete, Key: keys.Plan(name).Manager()}).Txn(ctx, nil)
	return leaderelection.CheckFence(err, keys.Leader)
}

func (k ManagedPlans) fenced(also ...store.Op) fencedStore {
	fence := store.Op{Verb: store.CheckSession, Key: keys.Leader, Session: k.Session}
	return fencedStore{UncancelableStore{k.Store}, append([]store.Op{fence}, also...)}
}

// fencedStore prepends operations to every transaction, first of all a lock check.
type fencedStore struct {
	Store
	also []store.Op
}

func (f fencedStore) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	return f.Store.Txn(ctx, slices.Concat(f.also, ops))
}

func (f fencedStore) MaxOps() int { return f.Store.MaxOps() - len(f.also) }
