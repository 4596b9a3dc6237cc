// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// digestOf returns the digest of the spec in a stored plan, byte by byte. A new default of a later release does not change it.
func digestOf(value []byte) string {
	var plan struct {
		Spec json.RawMessage `json:"spec"`
	}
	_ = json.Unmarshal(value, &plan) // DecodePlan refuses what cannot be read
	var compact bytes.Buffer
	_ = json.Compact(&compact, plan.Spec)
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:])
}

// pinned says whether an earlier revision replaces the stored spec.
type pinned struct {
	active bool
	// policy decides by which rules the revision is carried out.
	policy fleet.PinPolicy
	// digest is that of the effective spec.
	digest string
	// problem says why the revision cannot be read. Empty means that it can.
	problem string
}

// effective returns the plan that is carried out: the stored one, whose spec has the digest, or the pinned revision of it, without
// the changes of a rollback policy. If the revision cannot be read, effective returns the stored plan and the problem.
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
	return inPlace(stored, revision), pinned{active: true, policy: pin.Policy, digest: digestOf(pairs[0].Value)}, nil
}

// inPlace returns the stored plan with the spec of a revision. The stored spec still decides whether the plan is paused, and
// how many revisions are kept.
func inPlace(stored, revision *v1alpha1.UpgradePlan) *v1alpha1.UpgradePlan {
	plan := stored.DeepCopy()
	plan.Spec = revision.Spec
	plan.Spec.Paused, plan.Spec.RevisionHistoryLimit = stored.Spec.Paused, stored.Spec.RevisionHistoryLimit
	return plan
}

// revisionOf decodes an earlier revision of a plan.
func revisionOf(stored *v1alpha1.UpgradePlan, pair keys.Pair) (*v1alpha1.UpgradePlan, error) {
	if !pair.Exists() {
		return nil, fmt.Errorf("%s does not exist", pair.Key)
	}
	revision, err := DecodePlan(stored.Name, pair)
	if err != nil {
		return nil, err
	}
	return revision, validation.ValidateUpgradePlanUpdate(revision, stored).ToAggregate()
}
