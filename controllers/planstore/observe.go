// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// Observe reads a plan and its fleet, and assesses them. It writes nothing and needs no lock.
func Observe(ctx context.Context, s store.Reader, name string, now time.Time) (*pass.Assessment, error) {
	return observe(ctx, s, &SnapshotReader{Plan: name}, now)
}

// ObserveAs is Observe as if the plan were stored already. The plan does not have to exist.
func ObserveAs(ctx context.Context, s store.Reader, plan *v1alpha1.UpgradePlan, now time.Time) (*pass.Assessment, error) {
	return observe(ctx, s, &SnapshotReader{Plan: plan.Name, as: plan}, now)
}

func observe(ctx context.Context, s store.Reader, r *SnapshotReader, now time.Time) (*pass.Assessment, error) {
	snapshot, err := r.Read(ctx, s, now)
	if err != nil {
		return nil, err
	}
	return pass.Assess(snapshot), nil
}

// ObserveFleet reads a fleet without a plan. The current version decides about the states of its hosts, and nothing is granted.
func ObserveFleet(ctx context.Context, s store.Reader, l keys.Layout, now time.Time) (*pass.Assessment, error) {
	raw, err := fleetstore.ReadFleet(ctx, s, l, snapshotOptions(nil))
	if err != nil {
		return nil, err
	}
	return pass.Assess(pass.Snapshot{Now: now, Layout: l, Keys: raw}), nil
}

// SnapshotReader reads snapshots of one plan. It compiles each spec once.
type SnapshotReader struct {
	// Plan is the name of the plan.
	Plan string
	// Ages asks for the times of all records, also if they decide nothing.
	Ages bool

	as       *v1alpha1.UpgradePlan // the plan to take in place of the stored one; nil means the stored one
	compiled compiler
}

// Read reads a plan and its fleet. Without the orders and the ledger nothing may be granted, because an order to stop might be
// what cannot be read. So these problems make the snapshot incomplete.
func (r *SnapshotReader) Read(ctx context.Context, s store.Reader, now time.Time) (pass.Snapshot, error) {
	out := pass.Snapshot{Now: now}
	k := keys.Plan(r.Plan)
	pairs, _, err := s.Get(ctx, k.Spec(), k.Control(), k.Ledger(), k.Status())
	if err != nil {
		return out, err
	}
	out.Own = pass.PlanKeys{Spec: pairs[0], Control: pairs[1], Ledger: pairs[2], Status: pairs[3]}
	digest, err := r.readStored(&out)
	if err != nil {
		return out, err
	}
	var problems []string
	if out.Control, err = keys.DecodeControl(out.Own.Control); err != nil {
		out.Control = fleet.Control{}
		problems = append(problems, withRemedy(err, "", out.Own.Control))
	}
	plan, pin, err := effective(ctx, s, out.Stored, digest, out.Control.Pin)
	if err != nil {
		return out, err
	}
	if pin.problem != "" {
		problems = append(problems, pin.problem)
	}
	out.Digest, out.Pinned = pin.digest, pin.active
	if pin.policy == fleet.PinRollback {
		out.Plan, err = r.compiled.compileRollback(plan, pin.digest, out.Stored, digest)
	} else {
		out.Plan, err = r.compiled.compile(plan, pin.digest)
	}
	if err != nil {
		return out, err
	}
	if err := r.readFleet(ctx, s, &out, problems); err != nil {
		return out, err
	}
	if out.Conflict, err = conflictOf(ctx, s, plan, out.Own.Spec); err != nil {
		return out, err
	}
	err = r.readFallback(ctx, s, &out)
	return out, err
}

// readStored decodes the plan, or takes the one that is to be applied. It returns the digest of its spec.
func (r *SnapshotReader) readStored(out *pass.Snapshot) (digest string, err error) {
	own := &out.Own
	if r.as == nil {
		if out.Stored, err = DecodePlan(r.Plan, own.Spec); err != nil {
			return "", err
		}
		out.Stored.Status = DecodeStatus(own.Status)
		return digestOf(own.Spec.Value), nil
	}
	out.Stored = r.as.DeepCopy()
	v1alpha1.SetDefaults(out.Stored)
	if !own.Spec.Exists() { // apply would create them
		createMissing(&own.Control, keys.EncodeControl(fleet.Control{}))
		createMissing(&own.Ledger, keys.EncodeLedger(fleet.Ledger{}))
	}
	if stored, err := DecodePlan(r.Plan, own.Spec); err == nil && equal(stored, out.Stored) {
		return digestOf(own.Spec.Value), nil
	}
	return digestOf(encodePlan(out.Stored)), nil
}

func createMissing(pair *keys.Pair, value []byte) {
	if !pair.Exists() {
		pair.Value, pair.ModifyIndex = value, 1
	}
}

// readFleet reads the keys of the fleet. The first problem makes the snapshot incomplete, if nothing else does.
func (r *SnapshotReader) readFleet(ctx context.Context, s store.Reader, out *pass.Snapshot, problems []string) error {
	l := Layout(out.Plan.UpgradePlan)
	epoch, _, err := s.Get(ctx, l.HoldEpoch())
	if err != nil {
		return err
	}
	out.Own.HoldEpoch = epoch[0]
	out.Layout = l
	if out.Keys, err = fleetstore.ReadFleet(ctx, s, l, r.Options(out)); err != nil {
		return err
	}
	ledger, err := keys.DecodeLedger(out.Own.Ledger)
	out.Keys.Ledger = ledger
	switch {
	case laterSchema(err) || err != nil && anyEnableKey(out):
		problems = append(problems, withRemedy(err, ", while "+out.Layout.EnableTree()+" holds keys: look at these, then", out.Own.Ledger))
	case err == nil && ledger.Version != "" && !out.Keys.Current.Exists():
		problems = append(problems, fmt.Sprintf("%s is gone, although it was %s", out.Layout.CurrentVersion(), ledger.Version))
	}
	if out.Keys.Incomplete == "" && len(problems) > 0 {
		out.Keys.Incomplete = problems[0]
	}
	return nil
}

// withRemedy says how an operator restores a key that apply creates. Apply keeps a key that exists. A key of a later schema needs
// a later program.
func withRemedy(problem error, before string, pair keys.Pair) string {
	remedy := "apply the plan again"
	if pair.Exists() {
		remedy = "delete that key and apply the plan again"
	}
	if laterSchema(problem) {
		return problem.Error()
	}
	return fmt.Sprintf("%v%s %s, which makes a new one", problem, cmp.Or(before, ":"), remedy)
}

func laterSchema(err error) bool {
	_, later := errors.AsType[*keys.SchemaError](err)
	return later
}

func anyEnableKey(s *pass.Snapshot) bool {
	for _, e := range keys.Actual(s.Keys, s.Layout) {
		if e.Key != s.Layout.CurrentVersion() {
			return true
		}
	}
	return false
}

// readFallback reads the revision that a rollback would carry out. If it cannot be read, there is none; the halt says so.
func (r *SnapshotReader) readFallback(ctx context.Context, s store.Reader, out *pass.Snapshot) error {
	completed := out.Keys.Ledger.Completed
	if out.Plan.Spec.FailurePolicy.OnExceeded != v1alpha1.RollbackOnFailure || completed == 0 || out.Pinned {
		return nil
	}
	pairs, _, err := s.Get(ctx, keys.Plan(r.Plan).Revision(completed))
	if err != nil {
		return err
	}
	revision, err := revisionOf(out.Stored, pairs[0])
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	plan := inPlace(out.Stored, revision)
	plan.Generation = completed
	out.Fallback, err = r.compiled.compileRollback(plan, digestOf(pairs[0].Value), out.Stored, out.Digest)
	return err
}

// Options returns what to read of the plan's fleet.
func (r *SnapshotReader) Options(s *pass.Snapshot) fleetstore.SnapshotOptions {
	o := snapshotOptions(s.Plan.UpgradePlan)
	o.Ages = r.Ages || s.Plan.NeedsAges()
	return o
}

// snapshotOptions returns what to read of a fleet whose plan may be nil.
func snapshotOptions(plan *v1alpha1.UpgradePlan) fleetstore.SnapshotOptions {
	var o fleetstore.SnapshotOptions
	if plan != nil {
		o.Checks, o.Nodes = ReadsChecks(&plan.Spec), plan.Spec.Hosts.Source == v1alpha1.HostsFromCatalog
	}
	return o
}

// ReadsChecks reports whether a plan depends on checks.
func ReadsChecks(spec *v1alpha1.UpgradePlanSpec) bool {
	return len(spec.HealthGate.Checks) > 0 || spec.HealthGate.MaxUnhealthy != nil || len(spec.Instructions.RollingRules.AlsoCount) > 0
}

// conflictOf says which older plan manages the same fleet. Empty means none. Apply refuses such a plan, but others can write
// one to the store.
func conflictOf(ctx context.Context, s store.Reader, plan *v1alpha1.UpgradePlan, spec keys.Pair) (string, error) {
	all, _, err := s.Keys(ctx, keys.Plans)
	if err != nil {
		return "", err
	}
	var others []string
	for _, key := range all {
		if name := keys.PlanOf(key); name != "" && string(name) != plan.Name {
			others = append(others, key)
		}
	}
	if len(others) == 0 {
		return "", nil
	}
	pairs, _, err := s.Get(ctx, others...)
	if err != nil {
		return "", err
	}
	for _, pair := range pairs {
		name := string(keys.PlanOf(pair.Key))
		other, err := DecodePlan(name, pair)
		if err != nil { // an invalid plan is not carried out
			continue
		}
		if pair.CreateIndex < spec.CreateIndex && validation.KeysOverlap(plan.Spec.Keys, other.Spec.Keys) {
			return fmt.Sprintf("upgradeplan %q is older and manages the same fleet (spec.keys.prefix %q), so this plan does nothing: "+
				"delete one of them", name, other.Spec.Keys.Prefix), nil
		}
	}
	return "", nil
}
