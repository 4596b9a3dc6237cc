// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// conflictOf says which other plan is about the same fleet and was there before; empty: none. Apply makes no such plan;
// but whoever may write plans can put one beside it.
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
		other, err := decodePlan(name, pair)
		if err != nil { // it carries out nothing
			continue
		}
		if pair.CreateIndex < spec.CreateIndex && validation.KeysOverlap(plan.Spec.Keys, other.Spec.Keys) {
			return fmt.Sprintf("upgradeplan %q, which was there before, is about the same fleet (spec.keys.prefix %q): "+
				"this plan does nothing; delete one of them", name, other.Spec.Keys.Prefix), nil
		}
	}
	return "", nil
}
