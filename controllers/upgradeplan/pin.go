// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// digestOf is the digest of the spec in a stored plan, byte by byte: a new default of a later release does not change it.
func digestOf(value []byte) string {
	var plan struct {
		Spec json.RawMessage `json:"spec"`
	}
	_ = json.Unmarshal(value, &plan) // what cannot be read is refused where it is decoded
	var compact bytes.Buffer
	_ = json.Compact(&compact, plan.Spec)
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:])
}

// pinned says whether an earlier revision stands in the place of the spec.
type pinned struct {
	active bool
	// digest is that of the spec that is carried out.
	digest string
	// problem says why that cannot be read; empty: it can.
	problem string
}

// resolve finds the plan that is carried out.
func (o *Observation) resolve(ctx context.Context, s store.Reader, digest string) error {
	control, err := keys.DecodeControl(o.control)
	if err != nil { // recall tells
		o.Plan, o.pin = o.Stored, pinned{digest: digest}
	} else if o.Plan, o.pin, err = effective(ctx, s, o.Stored, digest, control.Pin); err != nil {
		return err
	}
	o.compiled, err = Compile(o.Plan)
	return err
}

// effective is the plan that is carried out: the one that is stored, of that digest, or the pinned revision of it. A
// revision that cannot be read is a problem, and then the stored plan comes back.
func effective(ctx context.Context, s store.Reader, stored *v1alpha1.UpgradePlan, digest string, pin *fleet.Pin) (
	*v1alpha1.UpgradePlan, pinned, error) {
	if pin == nil || pin.Digest != digest {
		return stored, pinned{digest: digest}, nil
	}
	key := keys.Plan(stored.Name).Revision(pin.Revision)
	pairs, _, err := s.Get(ctx, key)
	if err != nil {
		return nil, pinned{}, err
	}
	revision, err := revisionOf(stored, pairs[0])
	if err != nil {
		return stored, pinned{active: true, digest: digest, problem: fmt.Sprintf(
			"revision %d is pinned, and cannot be carried out: %v", pin.Revision, err)}, nil
	}
	return inPlace(stored, revision), pinned{active: true, digest: digestOf(pairs[0].Value)}, nil
}

// inPlace is the stored plan with the spec of a revision of it. Whether it is paused, and how many revisions are kept, is
// always the stored one's affair.
func inPlace(stored, revision *v1alpha1.UpgradePlan) *v1alpha1.UpgradePlan {
	plan := stored.DeepCopy()
	plan.Spec = revision.Spec
	plan.Spec.Paused, plan.Spec.RevisionHistoryLimit = stored.Spec.Paused, stored.Spec.RevisionHistoryLimit
	return plan
}

// revisionOf reads an earlier revision of a plan.
func revisionOf(stored *v1alpha1.UpgradePlan, pair keys.Pair) (*v1alpha1.UpgradePlan, error) {
	if !pair.Exists() {
		return nil, fmt.Errorf("%s does not exist", pair.Key)
	}
	revision, err := decodePlan(stored.Name, pair)
	if err != nil {
		return nil, err
	}
	return revision, validation.ValidateUpgradePlanUpdate(revision, stored).ToAggregate()
}

// orders are those of control that hold for the spec as it is.
func (o *Observation) orders() fleet.Control {
	c := o.Control
	if !o.pin.active {
		c.Pin = nil
	}
	if c.Abort != nil && c.Abort.Digest != o.pin.digest {
		c.Abort = nil
	}
	return c
}

// Undo says which revision is to be carried out again, and who wants it: when and why.
type Undo struct {
	fleet.Pause
	// Revision 0 is the newest one before that which is carried out now, and differs from it.
	Revision int64
}

// Undone is what Undo did.
type Undone struct {
	// Revision is carried out now, and Version is that of it.
	Revision int64
	Version  string
	// Changed says that something was written. Unpinned says that the revision is the spec that is stored: a pin has ended.
	Changed, Unpinned bool
	// Paused says that the plan is paused, so nothing happens before it is resumed.
	Paused bool
}

// UndoError says why no revision can be chosen.
type UndoError struct{ Name, Why string }

func (e *UndoError) Error() string {
	return fmt.Sprintf("upgradeplan %q cannot be undone: %s", e.Name, e.Why)
}

// Undo pins an earlier revision in the place of the spec that is stored: one compare-and-set on control. It holds until the
// spec changes; the same spec, applied again, changes nothing. The revision of the stored spec ends a pin.
func (p Plans) Undo(ctx context.Context, name string, u Undo) (Undone, error) {
	for try := 1; ; try++ {
		did, err := p.undo(ctx, name, u)
		if _, ok := errors.AsType[*store.ConflictError](err); ok && !forbidden(err) && try < attempts {
			continue
		}
		return did, err
	}
}

func (p Plans) undo(ctx context.Context, name string, u Undo) (Undone, error) {
	k := keys.Plan(name)
	pairs, _, err := p.Store.Get(ctx, k.Spec(), k.Control())
	if err != nil {
		return Undone{}, err
	}
	stored, err := decodePlan(name, pairs[0])
	if err != nil {
		return Undone{}, err
	}
	control, err := keys.DecodeControl(pairs[1])
	if err != nil {
		return Undone{}, err
	}
	digest := digestOf(pairs[0].Value)
	if u.Revision == 0 && control.Pin != nil && control.Pin.Digest == digest {
		return Undone{}, &UndoError{name, fmt.Sprintf("revision %d is pinned already: say which one shall be (--to-revision)",
			control.Pin.Revision)}
	}
	pair, number, err := p.choose(ctx, stored, digest, u.Revision)
	if err != nil {
		return Undone{}, err
	}
	plan, err := revisionOf(stored, pair)
	if err != nil {
		return Undone{}, &UndoError{name, err.Error()}
	}
	pin := &fleet.Pin{Revision: number, Digest: digest, By: u.By, Time: u.Time, Reason: u.Reason}
	did := Undone{Revision: number, Version: plan.Spec.Version, Paused: control.Pause != nil || stored.Spec.Paused}
	if digestOf(pair.Value) == digest {
		pin, did.Unpinned = nil, true
	}
	if before := control.Pin; before == nil && pin == nil || before != nil && pin != nil && before.Revision == number &&
		before.Digest == digest {
		return did, nil
	}
	if pin == nil && control.Pin.By == fleet.ByController {
		control.Resumed = &u.Pause // what had failed before the rollback does not cause the next one
	}
	control.Pin = pin
	_, err = p.Store.Txn(ctx, slices.Concat(unchanged(pairs[0]), unchanged(pair), []store.Op{
		{Verb: store.CAS, Key: k.Control(), Index: pairs[1].ModifyIndex, Value: keys.EncodeControl(control)}}))
	did.Changed = err == nil
	return did, err
}

// choose finds the revision that is meant. The pair is of the store.
func (p Plans) choose(ctx context.Context, stored *v1alpha1.UpgradePlan, digest string, number int64) (keys.Pair, int64, error) {
	tree := keys.Plan(stored.Name).Revisions()
	pairs, _, err := p.Store.List(ctx, tree)
	if err != nil {
		return keys.Pair{}, 0, err
	}
	var found keys.Pair
	var at int64
	var all []string
	for _, pair := range pairs {
		n, ok := revisionNumber(strings.TrimPrefix(pair.Key, tree))
		if !ok {
			continue
		}
		all = append(all, fmt.Sprint(n))
		earlier := number == 0 && n < stored.Generation && n > at && digestOf(pair.Value) != digest
		if n == number || earlier {
			found, at = pair, n
		}
	}
	slices.SortFunc(all, fleet.CompareNatural)
	switch {
	case at == 0 && number == 0:
		return found, 0, &UndoError{stored.Name, "no earlier revision was kept"}
	case at == 0:
		return found, 0, &UndoError{stored.Name, fmt.Sprintf("there is no revision %d (there are %s)", number, strings.Join(all, ", "))}
	}
	return found, at, nil
}
