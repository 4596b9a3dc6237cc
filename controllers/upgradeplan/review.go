// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// ReviewKind is the kind of a Review that is written to a file.
const ReviewKind = "ReviewedChanges"

// Review is what applying a plan and one pass over it would write, for an operator to review. ReconcileReviewed writes exactly
// that, or nothing.
type Review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Consul identifies the store. Empty means unknown.
	Consul string `json:"consul,omitempty"`
	// SavedAt and SavedBy say when and by whom the review was made.
	SavedAt time.Time `json:"savedAt"`
	SavedBy string    `json:"savedBy,omitempty"`
	// Plan is the name of the plan, and Prefix that of its fleet's keys. Generation is that of the stored plan. Zero means that
	// none was stored. Digest is that of the spec to carry out.
	Plan       string `json:"plan"`
	Prefix     string `json:"prefix,omitempty"`
	Generation int64  `json:"generation"`
	Digest     string `json:"digest"`
	// Manifest is the plan to store.
	Manifest *v1alpha1.UpgradePlan `json:"manifest"`
	// Basis holds the keys that the review depends on. They must not change.
	Basis []BasisKey `json:"basis"`
	// Steps are written one after another.
	Steps []ReviewStep `json:"steps"`
}

// BasisKey is a key and its ModifyIndex. Zero means that the key does not exist.
type BasisKey struct {
	Key         string `json:"key"`
	ModifyIndex uint64 `json:"modifyIndex"`
}

// ReviewStep is what one decision changes. DeletedTrees are prefixes below which the same transaction deletes all keys before it
// writes the others. A key that an earlier step wrote has no ModifyIndex.
type ReviewStep struct {
	DeletedTrees []string    `json:"deletedTrees,omitempty"`
	Keys         []diff.JSON `json:"keys"`
}

// NewReview returns what applying a plan and one pass over it would write. The assessment is that of ObserveAs.
func NewReview(o *pass.Assessment) Review {
	stored := int64(0)
	if plan, err := planstore.DecodePlan(o.Stored.Name, o.Own.Spec); err == nil {
		stored = plan.Generation
	}
	manifest := o.Stored.DeepCopy()
	manifest.Status, manifest.Generation = v1alpha1.UpgradePlanStatus{}, 0
	r := Review{APIVersion: v1alpha1.APIVersion, Kind: ReviewKind, SavedAt: o.Now.UTC(), Plan: o.Stored.Name, Prefix: o.Layout.Prefix,
		Generation: stored, Digest: o.Digest, Manifest: manifest, Steps: []ReviewStep{}}
	basis := []keys.Pair{o.Own.Spec, o.Keys.Current, o.Own.HoldEpoch}
	if o.Own.Spec.Exists() { // else apply creates it
		basis = append(basis, o.Own.Control)
	}
	for _, p := range basis {
		r.Basis = append(r.Basis, BasisKey{p.Key, p.ModifyIndex})
	}
	touched := map[string]bool{}
	for _, changes := range o.Preview().Steps {
		step := ReviewStep{DeletedTrees: changes.Trees, Keys: changes.JSON()}
		for i := range step.Keys {
			if touched[step.Keys[i].Key] {
				step.Keys[i].Index = 0
			}
		}
		for _, k := range step.Keys {
			touched[k.Key] = true
		}
		r.Steps = append(r.Steps, step)
	}
	return r
}

// StaleReviewError says that reviewed changes cannot be written as they are. What names each key that has changed since, or gives
// another reason. Written is what had been written before.
type StaleReviewError struct {
	What    []string
	Written fleetstore.Committed
}

// maxMoved bounds how many keys an error names.
const maxMoved = 10

func (e *StaleReviewError) Error() string {
	some := e.What[:min(len(e.What), maxMoved)]
	text := strings.Join(some, "\n")
	if more := len(e.What) - len(some); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	if e.Written.Writes == 0 {
		return "nothing was written, because keys have changed since the review:\n" + text
	}
	return fmt.Sprintf("keys changed while the changes were written: %s stand, the rest was not written:\n%s", e.Written, text)
}

// ReconcileReviewed stores the plan of a review and makes the reviewed pass, with the fence of any pass. The error is a
// *StaleReviewError if anything differs from the review. Then nothing was written, or, if a key changed between two
// transactions, what the error says.
func (r *Reconciler) ReconcileReviewed(ctx context.Context, review Review) (Result, error) {
	what, err := r.moved(ctx, review)
	if err != nil {
		return Result{}, err
	}
	if len(what) > 0 {
		return Result{}, &StaleReviewError{What: what}
	}
	if _, _, err := (planstore.Plans{Store: r.Store}).Apply(ctx, review.Manifest, false); err != nil {
		return Result{}, err
	}
	reviewed, step := *r, 0
	reviewed.approve = func(o *pass.Assessment) error {
		what := review.refuses(o, step)
		step++
		if len(what) > 0 {
			return &StaleReviewError{What: what}
		}
		return nil
	}
	result, err := reviewed.Reconcile(ctx, review.Plan)
	stale, isStale := errors.AsType[*StaleReviewError](err)
	conflict, isConflict := errors.AsType[*store.ConflictError](err)
	switch {
	case isStale:
		stale.Written = result.Written
	case isConflict && !errors.Is(err, leaderelection.ErrLost):
		err = &StaleReviewError{What: []string{conflict.Error()}, Written: result.Written}
	case err == nil && step < len(review.Steps):
		what := fmt.Sprintf("%d of %d steps were to be written", step, len(review.Steps))
		err = &StaleReviewError{What: []string{what}, Written: result.Written}
	}
	return result, err
}

// moved says what is not as it was reviewed; nothing: all is.
func (r *Reconciler) moved(ctx context.Context, review Review) ([]string, error) {
	if what, err := review.movedKeys(ctx, r.Store); err != nil || len(what) > 0 {
		return what, err
	}
	o, err := planstore.ObserveAs(ctx, r.Store, review.Manifest, r.Now())
	if err != nil {
		return nil, err
	}
	now := NewReview(o)
	switch {
	case now.Prefix != review.Prefix:
		return []string{fmt.Sprintf("spec.keys.prefix is %q, not %q: these are the changes of another fleet",
			now.Prefix, review.Prefix)}, nil
	case now.Generation != review.Generation:
		return []string{fmt.Sprintf("upgradeplan/%s has generation %d, not %d", review.Plan, now.Generation, review.Generation)}, nil
	case now.Digest != review.Digest:
		return []string{"the digest of the spec is " + now.Digest + ", not " + review.Digest}, nil
	}
	var what []string
	for i := range max(len(now.Steps), len(review.Steps)) {
		var have, want ReviewStep
		if i < len(now.Steps) {
			have = now.Steps[i]
		}
		if i < len(review.Steps) {
			want = review.Steps[i]
		}
		what = append(what, differences(want, have)...)
	}
	if len(what) > 0 && o.Decision.Gate.Message != "" && !o.Decision.NeedsAnotherPass() {
		what = append(what, o.Decision.Gate.Message)
	}
	return what, nil
}

// movedKeys compares the ModifyIndex of each key.
func (review *Review) movedKeys(ctx context.Context, s store.Reader) ([]string, error) {
	var names []string
	was := map[string]diff.JSON{}
	note := func(k diff.JSON) {
		if _, seen := was[k.Key]; !seen {
			was[k.Key] = k
			names = append(names, k.Key)
		}
	}
	for _, step := range review.Steps {
		for _, k := range step.Keys {
			note(k)
		}
	}
	for _, b := range review.Basis {
		note(diff.JSON{Key: b.Key, Index: b.ModifyIndex})
	}
	var what []string
	pairs, _, err := s.Get(ctx, names...)
	for _, p := range pairs {
		if k := was[p.Key]; k.Index != p.ModifyIndex {
			what = append(what, fmt.Sprintf("%s %s, and %s", p.Key, seen("was", k.Index, k.From), seen("is", p.ModifyIndex, shown(p))))
		}
	}
	return what, err
}

// seen says what a key was or is.
func seen(verb string, index uint64, value string) string {
	switch {
	case index == 0:
		return verb + " not there"
	case value == "":
		return fmt.Sprintf("%s at index %d", verb, index)
	}
	return fmt.Sprintf("%s %s at index %d", verb, value, index)
}

// shown is the value of a key, if it is one word.
func shown(p keys.Pair) string {
	if v := keys.DecodeVersion(p.Value); keys.ValidSegment(v) {
		return v
	}
	return ""
}

// refuses says why an observation's changes are not those of the step; nothing: they are.
func (review *Review) refuses(o *pass.Assessment, step int) []string {
	changes := o.Changes()
	have, want := ReviewStep{DeletedTrees: changes.Trees, Keys: changes.JSON()}, ReviewStep{}
	if step < len(review.Steps) {
		want = review.Steps[step]
	}
	if step > 0 { // an earlier step may have moved them; each is compared and set
		have, want = withoutIndexes(have), withoutIndexes(want)
	}
	return differences(withoutGrantValues(want, o.Layout), withoutGrantValues(have, o.Layout))
}

// withoutGrantValues removes the values of grants: they hold the time and the number of the commit.
func withoutGrantValues(s ReviewStep, l keys.Layout) ReviewStep {
	s.Keys = slices.Clone(s.Keys)
	for i := range s.Keys {
		if k := &s.Keys[i]; k.Op == diff.Set && strings.HasPrefix(k.Key, l.GrantTree()) {
			k.To = ""
		}
	}
	return s
}

func withoutIndexes(s ReviewStep) ReviewStep {
	s.Keys = slices.Clone(s.Keys)
	for i := range s.Keys {
		s.Keys[i].Index = 0
	}
	return s
}

// differences says in what a step is not the one that was reviewed.
func differences(want, have ReviewStep) []string {
	var what []string
	if !slices.Equal(want.DeletedTrees, have.DeletedTrees) {
		what = append(what, fmt.Sprintf("below %q all keys would be deleted, not below %q", have.DeletedTrees, want.DeletedTrees))
	}
	wanted, had := set(want.Keys), set(have.Keys)
	for _, k := range want.Keys {
		if !had[k] {
			what = append(what, "it would no longer "+written(k))
		}
	}
	for _, k := range have.Keys {
		if !wanted[k] {
			what = append(what, "it would now also "+written(k))
		}
	}
	return what
}

func set(list []diff.JSON) map[diff.JSON]bool {
	out := make(map[diff.JSON]bool, len(list))
	for _, k := range list {
		out[k] = true
	}
	return out
}

func written(k diff.JSON) string {
	if k.Op == diff.Delete {
		return "delete " + k.Key
	}
	return fmt.Sprintf("set %s to %s", k.Key, k.To)
}
