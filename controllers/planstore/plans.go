// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Outcome is what applying a plan did.
type Outcome string

// The outcomes.
const (
	Created    Outcome = "created"
	Configured Outcome = "configured"
	Unchanged  Outcome = "unchanged"
)

// Plans are the plans in a store.
type Plans struct{ Store Store }

// Get returns a plan with its defaults, its generation and its stored status.
func (p Plans) Get(ctx context.Context, name string) (*v1alpha1.UpgradePlan, error) {
	k := keys.Plan(name)
	pairs, _, err := p.Store.Get(ctx, k.Spec(), k.Status())
	if err != nil {
		return nil, err
	}
	plan, err := DecodePlan(name, pairs[0])
	if err != nil {
		return nil, err
	}
	plan.Status = DecodeStatus(pairs[1])
	return plan, nil
}

// List returns all plans that can be read, sorted by name, and the joined errors of the others.
func (p Plans) List(ctx context.Context) ([]*v1alpha1.UpgradePlan, error) {
	names, err := p.Names(ctx)
	if err != nil {
		return nil, err
	}
	var plans []*v1alpha1.UpgradePlan
	var problems []error
	for _, name := range names {
		plan, err := p.Get(ctx, name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		plans = append(plans, plan)
	}
	return plans, errors.Join(problems...)
}

// Names returns the names of all plans, sorted, also of those that cannot be read.
func (p Plans) Names(ctx context.Context) ([]string, error) { return p.namesWithPrefix(ctx, "") }

func (p Plans) namesWithPrefix(ctx context.Context, prefix string) ([]string, error) {
	all, _, err := p.Store.Keys(ctx, keys.Plans+prefix)
	names := []string{}
	for _, key := range all {
		if name := keys.PlanOf(key); name != "" {
			names = append(names, string(name))
		}
	}
	return names, err
}

// Apply stores a plan if it differs from the stored one. It returns the plan that is stored then, or that would be with dryRun.
// It refuses an invalid plan, and one for a fleet that another plan manages, with an *InvalidPlanError.
func (p Plans) Apply(ctx context.Context, plan *v1alpha1.UpgradePlan, dryRun bool) (*v1alpha1.UpgradePlan, Outcome, error) {
	return p.apply(ctx, plan, applyOptions{dryRun: dryRun})
}

// Replace is Apply on condition that the stored plan has the generation. Otherwise it returns a *GenerationError.
func (p Plans) Replace(ctx context.Context, plan *v1alpha1.UpgradePlan, generation int64) (*v1alpha1.UpgradePlan, Outcome, error) {
	return p.apply(ctx, plan, applyOptions{generation: generation})
}

// GenerationError says that the stored plan is not the one to be replaced.
type GenerationError struct {
	Name string
	// Generation is that of the plan to be replaced, and Now that of the stored one.
	Generation, Now int64
}

func (e *GenerationError) Error() string {
	return fmt.Sprintf("upgradeplan %q has changed meanwhile: its generation is %d, not %d", e.Name, e.Now, e.Generation)
}

// applyOptions say how to store a plan.
type applyOptions struct {
	// generation is a precondition on the stored plan. Zero means none.
	generation int64
	dryRun     bool
	// leaving are plans about to be deleted. They may manage the same fleet.
	leaving []string
}

func (p Plans) apply(ctx context.Context, plan *v1alpha1.UpgradePlan, how applyOptions) (
	stored *v1alpha1.UpgradePlan, outcome Outcome, err error) {
	plan = plan.DeepCopy()
	v1alpha1.SetDefaults(plan)
	if errs := validation.ValidateUpgradePlan(plan); len(errs) > 0 {
		return nil, "", &InvalidPlanError{plan.Name, errs.ToAggregate()}
	}
	err = store.RetryOnConflict(ctx, func() error {
		stored, outcome, err = p.applyOnce(ctx, plan, how)
		return err
	})
	return stored, outcome, err
}

func (p Plans) applyOnce(ctx context.Context, plan *v1alpha1.UpgradePlan, how applyOptions) (
	*v1alpha1.UpgradePlan, Outcome, error) {
	k, l := keys.Plan(plan.Name), Layout(plan)
	pairs, _, err := p.Store.Get(ctx, k.Spec(), k.Control(), k.Ledger(), l.HoldEpoch(), keys.PlansEpoch)
	if err != nil {
		return nil, "", err
	}
	spec, epoch := pairs[0], pairs[4]
	ops := missing(pairs[1:4], keys.EncodeControl(fleet.Control{}), keys.EncodeLedger(fleet.Ledger{}), []byte("0"))
	next, outcome := plan.DeepCopy(), Created
	next.Generation = 1
	moved := true // to keys that may belong to another plan
	if how.generation != 0 && !spec.Exists() {
		return nil, "", &NotFoundError{plan.Name}
	}
	if spec.Exists() {
		old, err := DecodePlan(plan.Name, spec)
		if err != nil {
			return nil, "", err
		}
		if how.generation != 0 && old.Generation != how.generation {
			return nil, "", &GenerationError{plan.Name, how.generation, old.Generation}
		}
		if errs := validation.ValidateUpgradePlanUpdate(next, old); len(errs) > 0 {
			return nil, "", &InvalidPlanError{plan.Name, errs.ToAggregate()}
		}
		if outcome = Configured; equal(old, next) {
			outcome = Unchanged
		}
		next.Generation, next.CreationTimestamp = old.Generation, old.CreationTimestamp
		if outcome == Configured {
			next.Generation++
		}
		moved = old.Spec.Keys != next.Spec.Keys
	}
	if moved {
		if err := p.refuseOverlap(ctx, plan, how.leaving); err != nil {
			return nil, "", err
		}
		ops = append(ops, MoveEpoch(epoch))
	}
	if outcome != Unchanged {
		data := encodePlan(next)
		ops = append(ops, store.Op{Verb: store.CAS, Key: k.Spec(), Index: spec.ModifyIndex, Value: data},
			store.Op{Verb: store.Set, Key: k.Revision(next.Generation), Value: data}, NotifyWatches(spec))
		old, err := p.expiredRevisions(ctx, next, pairs[1], pairs[2])
		if err != nil {
			return nil, "", err
		}
		ops = append(ops, old...)
	}
	if len(ops) > 0 && !how.dryRun {
		if _, err := p.Store.Txn(ctx, ops); err != nil {
			return nil, "", err
		}
	}
	return next, outcome, nil
}

// missing returns the operations that create missing keys which every commit checks.
func missing(pairs []keys.Pair, values ...[]byte) []store.Op {
	var ops []store.Op
	for i, pair := range pairs {
		if !pair.Exists() {
			ops = append(ops, store.Op{Verb: store.CAS, Key: pair.Key, Value: values[i]})
		}
	}
	return ops
}

// MoveEpoch writes the next value of an epoch.
func MoveEpoch(epoch keys.Pair) store.Op {
	n, _ := strconv.ParseUint(string(epoch.Value), 10, 64) // an invalid value starts again at 1, which differs from it
	return store.Op{Verb: store.CAS, Key: epoch.Key, Index: epoch.ModifyIndex, Value: strconv.AppendUint(nil, n+1, 10)}
}

// NotifyWatches wakes the watches on all plans when a spec or orders are replaced. The index makes the value differ each time.
func NotifyWatches(replaced keys.Pair) store.Op {
	return store.Op{Verb: store.Set, Key: keys.PlansChange, Value: fmt.Appendf(nil, "%s %d", replaced.Key, replaced.ModifyIndex)}
}

// refuseOverlap refuses a plan whose keys belong to another plan.
func (p Plans) refuseOverlap(ctx context.Context, plan *v1alpha1.UpgradePlan, leaving []string) error {
	others, err := p.List(ctx)
	if err != nil {
		return fmt.Errorf("cannot check for another plan of the same fleet: %w", err)
	}
	for _, other := range others {
		if other.Name != plan.Name && !slices.Contains(leaving, other.Name) && validation.KeysOverlap(plan.Spec.Keys, other.Spec.Keys) {
			return &InvalidPlanError{plan.Name, &OverlapError{plan.Spec.Keys.Prefix, other.Spec.Keys.Prefix, other.Name}}
		}
	}
	return nil
}

// expiredRevisions returns the operations that remove revisions beyond the limit. It keeps a pinned one, and the one that was
// complete last, because a rollback goes there. So it checks that control is unchanged.
func (p Plans) expiredRevisions(ctx context.Context, plan *v1alpha1.UpgradePlan, control, ledger keys.Pair) ([]store.Op, error) {
	var pin, completed int64
	if c, err := keys.DecodeControl(control); err == nil && c.Pin != nil {
		pin = c.Pin.Revision
	}
	if l, err := keys.DecodeLedger(ledger); err == nil {
		completed = l.Completed
	}
	tree := keys.Plan(plan.Name).Revisions()
	all, _, err := p.Store.Keys(ctx, tree)
	if err != nil {
		return nil, err
	}
	var ops []store.Op
	for _, key := range all {
		n, err := strconv.ParseInt(key[len(tree):], 10, 64)
		if err == nil && n != pin && n != completed && n < plan.Generation-int64(*plan.Spec.RevisionHistoryLimit) && len(ops) < maxExpired {
			ops = append(ops, store.Op{Verb: store.Delete, Key: key})
		}
	}
	if len(ops) > 0 && control.Exists() {
		ops = append(ops, unchanged(control)...)
	}
	return ops, nil
}

// maxExpired bounds how many revisions one Apply removes. The next one removes more.
const maxExpired = 32

// Delete removes a plan, the grants of its hosts, and the hold on its fleet. Other keys of the hosts stay as they are.
func (p Plans) Delete(ctx context.Context, name string, dryRun bool) error {
	return store.RetryOnConflict(ctx, func() error {
		k := keys.Plan(name)
		pairs, _, err := p.Store.Get(ctx, k.Spec(), keys.PlansEpoch)
		if err != nil {
			return err
		}
		if !pairs[0].Exists() {
			return &NotFoundError{name}
		}
		if dryRun {
			return nil
		}
		ops, err := leaveFleet(ctx, p.Store, name, pairs[0])
		if err != nil {
			return err
		}
		_, err = p.Store.Txn(ctx, slices.Concat(unchanged(pairs[0]),
			[]store.Op{{Verb: store.DeleteTree, Key: k.Tree()}, MoveEpoch(pairs[1])}, ops))
		return err
	})
}

// Events returns the stored events of a plan, oldest first.
func (p Plans) Events(ctx context.Context, name string) ([]fleet.Event, error) {
	k := keys.Plan(name)
	pairs, _, err := p.Store.Get(ctx, k.Spec())
	if err != nil {
		return nil, err
	}
	if !pairs[0].Exists() {
		return nil, &NotFoundError{name}
	}
	pairs, _, err = p.Store.List(ctx, k.Events())
	return keys.DecodeEvents(pairs), err
}

// Revision is an earlier spec.
type Revision struct {
	Generation int64
	Plan       *v1alpha1.UpgradePlan
}

// Revisions returns the stored revisions of a plan, oldest first. It skips invalid ones.
func (p Plans) Revisions(ctx context.Context, name string) ([]Revision, error) {
	tree := keys.Plan(name).Revisions()
	pairs, _, err := p.Store.List(ctx, tree)
	if err != nil {
		return nil, err
	}
	var out []Revision
	for _, pair := range pairs {
		n, ok := revisionNumber(strings.TrimPrefix(pair.Key, tree))
		plan, invalid := DecodePlan(name, pair)
		if ok && invalid == nil {
			out = append(out, Revision{n, plan})
		}
	}
	slices.SortFunc(out, func(a, b Revision) int { return int(a.Generation - b.Generation) })
	return out, nil
}

func revisionNumber(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0
}
