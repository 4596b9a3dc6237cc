// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
)

// The roles are a1 to a3 in group a, b1 to b3 in group b, c and d. The plan does not name a3 and b3.
func TestValidateOrder_RejectsExactlyDeadlocks(t *testing.T) {
	home := map[string]string{"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "b3": "b", "c": "", "d": ""}
	name := rapid.SampledFrom([]string{"a", "b", "a1", "a2", "b1", "b2", "c", "d"})
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.MapOfN(name, rapid.Map(rapid.SliceOfN(name, 1, 2), func(s []string) list { return s }), 0, 5).Draw(t, "order")
		p := plan(func(p *v1alpha1.UpgradePlan) {
			p.Spec.Instructions.RoleOrder = order
			p.Spec.Instructions.GroupMappings = lists{"a": {"a[0-9]"}, "b": {"b"}}
		})
		errs := validation.ValidateUpgradePlan(p)
		if finished := finishes(order, home); finished != (len(errs) == 0) {
			t.Fatalf("all roles can be upgraded: %v; errors: %v", finished, errs)
		}
	})
}

// finishes upgrades role by role in the given order, and reports whether it can upgrade all.
func finishes(order lists, home map[string]string) bool {
	done := map[string]bool{}
	complete := func(name string) bool {
		for role, group := range home {
			if (role == name || group == name) && !done[role] {
				return false
			}
		}
		return true
	}
	free := func(names list) bool {
		for _, name := range names {
			if !complete(name) {
				return false
			}
		}
		return true
	}
	for range home {
		for role, group := range home {
			if free(order[role]) && free(order[group]) {
				done[role] = true
			}
		}
	}
	return len(done) == len(home)
}
