// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/maintenance"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// Observation is what was read for a plan (or for a fleet without one), and what was decided from it.
type Observation struct {
	// Plan is what is carried out: the plan that is stored, unless an earlier revision is pinned in the place of its spec.
	// Nil when the fleet has none. Stored is the plan as it is stored.
	Plan, Stored *v1alpha1.UpgradePlan
	Control      fleet.Control
	Layout       keys.Layout
	Raw          keys.Snapshot
	Fleet        fleet.Fleet
	Decision     rollout.Decision
	Now          time.Time
	// Drift is what somebody else did, since the last pass of the same leader, to the keys that only a controller writes:
	// current_version and those below config_state/enable_puppet/. From is what that pass left.
	Drift []diff.Change

	changes                              *diff.Changes // by the decision; nil: they were not computed yet
	spec, control, ledger, status, epoch keys.Pair
	pin                                  pinned
	compiled                             *rollout.Plan // Plan, compiled; nil without a plan
	conflict                             string        // with another plan
	fallback                             *rollout.Plan // its generation is that of the revision; nil: there is none
	ages                                 bool          // the times of all records are wanted
}

// Observe reads a plan and its fleet, and decides. It writes nothing and needs no lock.
func Observe(ctx context.Context, s store.Reader, name string, now time.Time) (*Observation, error) {
	return observe(ctx, s, name, now, false)
}

// observe is Observe, with the times of all records if these are wanted.
func observe(ctx context.Context, s store.Reader, name string, now time.Time, ages bool) (*Observation, error) {
	k := keys.Plan(name)
	pairs, _, err := s.Get(ctx, k.Spec(), k.Control(), k.Ledger(), k.Status())
	if err != nil {
		return nil, err
	}
	o := &Observation{Now: now, ages: ages, spec: pairs[0], control: pairs[1], ledger: pairs[2], status: pairs[3]}
	if o.Stored, err = decodePlan(name, o.spec); err != nil {
		return nil, err
	}
	o.Stored.Status = decodeStatus(o.status)
	if err := o.resolve(ctx, s, digestOf(o.spec.Value)); err != nil {
		return nil, err
	}
	if err := o.readFleet(ctx, s); err != nil {
		return nil, err
	}
	o.decide()
	return o, nil
}

// ObserveAs observes as if the plan were stored already: for dry runs. It need not exist.
func ObserveAs(ctx context.Context, s store.Reader, plan *v1alpha1.UpgradePlan, now time.Time) (*Observation, error) {
	k := keys.Plan(plan.Name)
	pairs, _, err := s.Get(ctx, k.Spec(), k.Control(), k.Ledger(), k.Status())
	if err != nil {
		return nil, err
	}
	o := &Observation{Now: now, Stored: plan.DeepCopy(), spec: pairs[0], control: pairs[1], ledger: pairs[2], status: pairs[3]}
	v1alpha1.SetDefaults(o.Stored)
	digest := digestOf(encodePlan(o.Stored))
	if stored, err := decodePlan(plan.Name, o.spec); err == nil && equal(stored, o.Stored) {
		digest = digestOf(o.spec.Value)
	}
	if err := o.resolve(ctx, s, digest); err != nil {
		return nil, err
	}
	for _, absent := range []struct {
		pair  *keys.Pair
		value []byte
	}{{&o.control, keys.EncodeControl(fleet.Control{})}, {&o.ledger, keys.EncodeLedger(fleet.Ledger{})}} {
		if !o.spec.Exists() && !absent.pair.Exists() { // apply would create it
			absent.pair.Value, absent.pair.ModifyIndex = absent.value, 1
		}
	}
	if err := o.readFleet(ctx, s); err != nil {
		return nil, err
	}
	o.decide()
	return o, nil
}

// ObserveFleet reads a fleet without a plan: its hosts are judged by current_version, and nothing is decided.
func ObserveFleet(ctx context.Context, s store.Reader, l keys.Layout, now time.Time) (*Observation, error) {
	o := &Observation{Now: now, Layout: l}
	raw, layout, err := fleetstore.ReadFleet(ctx, s, l, fleetstore.SnapshotOptions{FindRecords: l.Records == ""})
	if err != nil {
		return nil, err
	}
	o.Raw, o.Layout = raw, layout
	o.decide()
	return o, nil
}

func (o *Observation) readFleet(ctx context.Context, s store.Reader) error {
	l := Layout(o.Plan)
	epoch, _, err := s.Get(ctx, l.HoldEpoch())
	if err != nil {
		return err
	}
	o.epoch = epoch[0]
	o.Raw, o.Layout, err = fleetstore.ReadFleet(ctx, s, l, o.options(l))
	if err != nil {
		return err
	}
	o.recall()
	return o.readRest(ctx, s)
}

// readRest reads what else decides about the plan as a whole: whether another is in its way, and where it may go back to.
func (o *Observation) readRest(ctx context.Context, s store.Reader) (err error) {
	if o.conflict, err = conflictOf(ctx, s, o.Plan, o.spec); err != nil {
		return err
	}
	o.fallback = nil
	completed := o.Raw.Ledger.Completed
	if o.Plan.Spec.FailurePolicy.OnExceeded != v1alpha1.RollbackOnFailure || completed == 0 || o.pin.active {
		return nil
	}
	pairs, _, err := s.Get(ctx, keys.Plan(o.Plan.Name).Revision(completed))
	if err != nil {
		return err
	}
	if revision, err := revisionOf(o.Stored, pairs[0]); err == nil { // else there is none to go back to, which is told
		plan := inPlace(o.Stored, revision)
		plan.Generation = completed
		o.fallback, err = Compile(plan)
		return err
	}
	return nil
}

// options are what a plan wants to be read of its fleet.
func (o *Observation) options(l keys.Layout) fleetstore.SnapshotOptions {
	spec := &o.Plan.Spec
	return fleetstore.SnapshotOptions{Ages: o.ages || o.compiled.Soak() > 0, FindRecords: l.Records == "", Checks: readsChecks(spec),
		Nodes: spec.Hosts.Source == v1alpha1.HostsFromCatalog}
}

func readsChecks(spec *v1alpha1.UpgradePlanSpec) bool {
	return len(spec.HealthGate.Checks) > 0 || spec.HealthGate.MaxUnhealthy != nil
}

// recall reads what operators ordered and what the ledger remembers. Without them, nobody is started: an order to stop
// might be what cannot be read.
func (o *Observation) recall() {
	var err error
	if o.Control, err = keys.DecodeControl(o.control); err != nil {
		o.incomplete(fmt.Sprintf("%v: %s, which makes a new one", err, remedy(o.control)))
	}
	if o.pin.problem != "" {
		o.incomplete(o.pin.problem)
	}
	o.Raw.Ledger, err = keys.DecodeLedger(o.ledger)
	switch {
	case err != nil && o.anyEnableKey():
		o.incomplete(fmt.Sprintf("%v, while %s holds keys: look at these, then %s, which makes a new one",
			err, o.Layout.EnableTree(), remedy(o.ledger)))
	case err == nil && o.Raw.Ledger.Version != "" && !o.Raw.Current.Exists():
		o.incomplete(fmt.Sprintf("%s is gone, although it was %s", o.Layout.CurrentVersion(), o.Raw.Ledger.Version))
	}
}

// remedy is how a key comes back that apply makes: it leaves what is there alone.
func remedy(pair keys.Pair) string {
	if pair.Exists() {
		return "delete that key and apply the plan again"
	}
	return "apply the plan again"
}

func (o *Observation) incomplete(why string) {
	if o.Raw.Incomplete == "" {
		o.Raw.Incomplete = why
	}
}

func (o *Observation) anyEnableKey() bool {
	for _, e := range keys.Actual(o.Raw, o.Layout) {
		if e.Key != o.Layout.CurrentVersion() {
			return true
		}
	}
	return false
}

func (o *Observation) decide() {
	o.Fleet = keys.Decode(o.Raw, o.Layout, keys.Options{Now: o.Now, RolePattern: o.compiled.RolePattern()})
	o.Decision = rollout.Compute(o.input())
	o.changes = nil
}

// Compile prepares a plan for the planner. A nil plan compiles to nil.
func Compile(plan *v1alpha1.UpgradePlan) (*rollout.Plan, error) {
	compiled, err := rollout.CompilePlan(plan, schedule.LoadZone)
	if err != nil {
		return nil, &InvalidPlanError{plan.Name, err}
	}
	return compiled, nil
}

// Windows are the maintenance windows of the plan that is carried out.
func (o *Observation) Windows() maintenance.Windows { return o.compiled.Windows() }

// PinMessage says which revision is carried out in place of the spec, and who ordered that. Empty means none.
func (o *Observation) PinMessage() string {
	return rollout.PinMessage(o.orders().Pin, o.Decision.Version)
}

// input is what is decided from.
func (o *Observation) input() rollout.Input {
	in := rollout.Input{Plan: o.compiled, Control: o.orders(), Fleet: &o.Fleet, Conflict: o.conflict, Now: o.Now}
	if o.fallback != nil {
		in.Fallback = &rollout.Fallback{Revision: o.fallback.Generation, Version: o.fallback.Spec.Version}
	}
	return in
}

// Changes are the keys that this decision changes.
func (o *Observation) Changes() diff.Changes {
	if o.changes == nil {
		o.changes = &diff.Changes{}
		if !o.Decision.ReadOnly {
			*o.changes = o.Layout.Changes(keys.Actual(o.Raw, o.Layout), o.Decision.Desired(o.input()))
		}
	}
	return *o.changes
}

// maxRounds bounds how many decisions one pass makes: a switch, what must be mended, and the starts.
const maxRounds = 8

// Preview goes through a whole pass without writing: the observation after it, and every key that it would change. It is
// the same Compute and the same rendering that a pass uses.
func (o *Observation) Preview() (*Observation, diff.Changes) {
	after, _ := o.steps()
	return after, diff.Compute(keys.Actual(o.Raw, o.Layout), keys.Actual(after.Raw, after.Layout))
}

// steps is Preview with what each decision of the pass would change.
func (o *Observation) steps() (*Observation, []diff.Changes) {
	after := *o
	var steps []diff.Changes
	index := o.newestIndex()
	for range maxRounds {
		changes := after.Changes()
		if changes.Empty() {
			break
		}
		steps = append(steps, changes)
		index++
		after.Raw = keys.Apply(after.Raw, after.Layout, changes, index)
		after.Raw.Ledger, after.changes = after.Decision.Ledger, nil
		after.Control.Halt = cmp.Or(after.Decision.Halt, after.Control.Halt)
		if !after.Decision.NeedsAnotherPass() || after.Decision.Rollback != nil { // another spec goes on from there
			break
		}
		after.decide()
	}
	return &after, steps
}

func (o *Observation) newestIndex() uint64 {
	newest := max(o.Raw.Current.ModifyIndex, o.Raw.RecordIndex)
	for _, p := range o.Raw.Config {
		newest = max(newest, p.ModifyIndex)
	}
	return newest
}
