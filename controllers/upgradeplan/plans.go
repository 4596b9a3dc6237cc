// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package upgradeplan keeps the plans, and reconciles them: observe, compute, diff, commit, status.
package upgradeplan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Store is what plans are kept in and fleets are read from.
type Store interface {
	store.Reader
	store.Writer
	store.Watcher
}

// Outcome is what applying a plan did.
type Outcome string

// The outcomes.
const (
	Created    Outcome = "created"
	Configured Outcome = "configured"
	Unchanged  Outcome = "unchanged"
)

// NotFoundError says that there is no plan of that name.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("upgradeplan %q not found", e.Name) }

// InvalidPlanError says that a plan in the store, or one to be stored, is not what a plan may be.
type InvalidPlanError struct {
	Name string
	Err  error
}

func (e *InvalidPlanError) Error() string {
	return fmt.Sprintf("upgradeplan %q is invalid: %v", e.Name, e.Err)
}
func (e *InvalidPlanError) Unwrap() error { return e.Err }

// Plans are the plans in a store.
type Plans struct{ Store Store }

// Get returns the plan of that name, defaulted, with its generation and the status that was stored last.
func (p Plans) Get(ctx context.Context, name string) (*v1alpha1.UpgradePlan, error) {
	k := keys.Plan(name)
	pairs, _, err := p.Store.Get(ctx, k.Spec(), k.Status())
	if err != nil {
		return nil, err
	}
	plan, err := decodePlan(name, pairs[0])
	if err != nil {
		return nil, err
	}
	plan.Status = decodeStatus(pairs[1])
	return plan, nil
}

// List returns all plans, sorted by name. Plans that cannot be read are the joined error beside those that can.
func (p Plans) List(ctx context.Context) ([]*v1alpha1.UpgradePlan, error) {
	names, err := p.names(ctx)
	if err != nil {
		return nil, err
	}
	var plans []*v1alpha1.UpgradePlan
	var problems []error
	for _, name := range names {
		plan, err := p.Get(ctx, string(name))
		if err != nil {
			problems = append(problems, err)
			continue
		}
		plans = append(plans, plan)
	}
	return plans, errors.Join(problems...)
}

func (p Plans) names(ctx context.Context) ([]keys.Plan, error) { return p.beginning(ctx, "") }

// beginning are the names of the plans that begin with prefix, sorted.
func (p Plans) beginning(ctx context.Context, prefix string) ([]keys.Plan, error) {
	all, _, err := p.Store.Keys(ctx, keys.Plans+prefix)
	var names []keys.Plan
	for _, key := range all {
		if name := keys.PlanOf(key); name != "" {
			names = append(names, name)
		}
	}
	return names, err
}

// Apply stores a plan if it differs from the one that is stored. It returns what is stored then (or, with dryRun, would
// be). The plan must be valid; a plan for a fleet that another plan is about is refused.
func (p Plans) Apply(ctx context.Context, plan *v1alpha1.UpgradePlan, dryRun bool) (*v1alpha1.UpgradePlan, Outcome, error) {
	return p.apply(ctx, plan, applyOptions{dryRun: dryRun})
}

// Replace is Apply to a plan that is stored at that generation. The error is *Outdated when it has another by now.
func (p Plans) Replace(ctx context.Context, plan *v1alpha1.UpgradePlan, generation int64) (*v1alpha1.UpgradePlan, Outcome, error) {
	return p.apply(ctx, plan, applyOptions{over: generation})
}

// GenerationError says that a plan was to be replaced that is not the one that is stored.
type GenerationError struct {
	Name string
	// Generation is that of the one that was to be replaced, and Now that of the one that is stored.
	Generation, Now int64
}

func (e *GenerationError) Error() string {
	return fmt.Sprintf("upgradeplan %q has changed meanwhile: its generation is %d, not %d", e.Name, e.Now, e.Generation)
}

// applyOptions says how a plan is stored: over the one of a generation, 0 is whatever is stored; the plans that are leaving count
// as gone already.
type applyOptions struct {
	over    int64
	dryRun  bool
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
	moved := true // to keys that may be another plan's
	if how.over != 0 && !spec.Exists() {
		return nil, "", &NotFoundError{plan.Name}
	}
	if spec.Exists() {
		old, err := decodePlan(plan.Name, spec)
		if err != nil {
			return nil, "", err
		}
		if how.over != 0 && old.Generation != how.over {
			return nil, "", &GenerationError{plan.Name, how.over, old.Generation}
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
		ops = append(ops, bump(epoch))
	}
	if outcome != Unchanged {
		data := encodePlan(next)
		ops = append(ops, store.Op{Verb: store.CAS, Key: k.Spec(), Index: spec.ModifyIndex, Value: data},
			store.Op{Verb: store.Set, Key: k.Revision(next.Generation), Value: data})
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

// missing are the operations that create what must always exist: a commit checks that it has not changed.
func missing(pairs []keys.Pair, values ...[]byte) []store.Op {
	var ops []store.Op
	for i, pair := range pairs {
		if !pair.Exists() {
			ops = append(ops, store.Op{Verb: store.CAS, Key: pair.Key, Value: values[i]})
		}
	}
	return ops
}

// bump counts an epoch up.
func bump(epoch keys.Pair) store.Op {
	n, _ := strconv.ParseUint(string(epoch.Value), 10, 64) // rubbish begins again at 1: any other value will do
	return store.Op{Verb: store.CAS, Key: epoch.Key, Index: epoch.ModifyIndex, Value: strconv.AppendUint(nil, n+1, 10)}
}

// refuseOverlap: one plan a fleet. No two may share keys.
func (p Plans) refuseOverlap(ctx context.Context, plan *v1alpha1.UpgradePlan, leaving []string) error {
	others, err := p.List(ctx)
	if err != nil {
		return fmt.Errorf("it cannot be told whether another plan is about the same fleet: %w", err)
	}
	for _, other := range others {
		if other.Name != plan.Name && !slices.Contains(leaving, other.Name) && validation.KeysOverlap(plan.Spec.Keys, other.Spec.Keys) {
			return &InvalidPlanError{plan.Name, fmt.Errorf("spec.keys.prefix: %q overlaps with %q of upgradeplan %q: a fleet has one plan",
				plan.Spec.Keys.Prefix, other.Spec.Keys.Prefix, other.Name)}
		}
	}
	return nil
}

// expiredRevisions removes revisions beyond the limit, but for one that is pinned, and the one that was complete last: a
// rollback goes there. So it checks that control is unchanged.
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

// maxExpired bounds how many revisions one apply removes; what is left goes with the next.
const maxExpired = 32

// Delete removes a plan. The keys of its hosts stay as they are.
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
		_, err = p.Store.Txn(ctx, append(unchanged(pairs[0]), store.Op{Verb: store.DeleteTree, Key: k.Tree()}, bump(pairs[1])))
		return err
	})
}

// Layout is where the keys of a plan's fleet are.
func Layout(plan *v1alpha1.UpgradePlan) keys.Layout {
	return keys.Layout{Prefix: plan.Spec.Keys.Prefix, Records: plan.Spec.Keys.RunningVersions}
}

func decodePlan(name string, pair keys.Pair) (*v1alpha1.UpgradePlan, error) {
	if !pair.Exists() {
		return nil, &NotFoundError{name}
	}
	plan := &v1alpha1.UpgradePlan{}
	d := json.NewDecoder(bytes.NewReader(pair.Value))
	d.DisallowUnknownFields()
	if err := d.Decode(plan); err != nil {
		return nil, &InvalidPlanError{name, fmt.Errorf("%s: %w", pair.Key, err)}
	}
	plan.TypeMeta, plan.Name = metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.Kind}, name
	v1alpha1.SetDefaults(plan)
	if errs := validation.ValidateUpgradePlan(plan); len(errs) > 0 {
		return nil, &InvalidPlanError{name, fmt.Errorf("%s: %w", pair.Key, errs.ToAggregate())}
	}
	return plan, nil
}

func encodePlan(plan *v1alpha1.UpgradePlan) []byte {
	plan = plan.DeepCopy()
	plan.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.Kind}
	plan.Status = v1alpha1.UpgradePlanStatus{}
	data, err := json.Marshal(plan)
	if err != nil {
		panic(fmt.Sprintf("upgradeplan: a valid plan cannot be encoded: %v", err))
	}
	return data
}

// equal compares what apply may change: the spec, labels and annotations.
func equal(a, b *v1alpha1.UpgradePlan) bool {
	strip := func(p *v1alpha1.UpgradePlan) []byte {
		return encodePlan(&v1alpha1.UpgradePlan{Spec: p.Spec,
			ObjectMeta: metav1.ObjectMeta{Labels: p.Labels, Annotations: p.Annotations}})
	}
	return bytes.Equal(strip(a), strip(b))
}

// decodeStatus: nothing is decided from it, so one that cannot be read is none.
func decodeStatus(pair keys.Pair) v1alpha1.UpgradePlanStatus {
	var s v1alpha1.UpgradePlanStatus
	if !pair.Exists() || json.Unmarshal(pair.Value, &s) != nil {
		return v1alpha1.UpgradePlanStatus{}
	}
	return s
}

// Events are those of a plan that are kept, the oldest first.
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

// Revisions are the specs that were kept, the oldest first.
func (p Plans) Revisions(ctx context.Context, name string) ([]Revision, error) {
	tree := keys.Plan(name).Revisions()
	pairs, _, err := p.Store.List(ctx, tree)
	if err != nil {
		return nil, err
	}
	var out []Revision
	for _, pair := range pairs {
		n, ok := revisionNumber(strings.TrimPrefix(pair.Key, tree))
		plan, invalid := decodePlan(name, pair)
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
