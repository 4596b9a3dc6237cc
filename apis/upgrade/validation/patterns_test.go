// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
)

// 61 kB of patterns with nested repetitions cost minutes and more than a gigabyte when they were compiled.
func TestValidate_BoundsPatterns(t *testing.T) {
	many := func(groups, each int, pattern string) lists {
		all := lists{}
		for i := range groups {
			name := fmt.Sprintf("g%d", i)
			for range each {
				all[name] = append(all[name], pattern)
			}
		}
		return all
	}
	order := lists{}
	for i := range 600 {
		order[fmt.Sprintf("a%d", i)] = list{"b"}
	}
	for name, tt := range map[string]struct {
		spec v1alpha1.UpgradePlanSpec
		want string
	}{
		"nested repetitions": {v1alpha1.UpgradePlanSpec{Instructions: v1alpha1.Instructions{GroupMappings: many(1, 1, "((a{10}){10}){10}")}},
			"is too large: it has"},
		"all patterns together": {v1alpha1.UpgradePlanSpec{Instructions: v1alpha1.Instructions{GroupMappings: many(200, 5, "(a{10}){5}")}},
			"all patterns together have"},
		"groups":                {v1alpha1.UpgradePlanSpec{Instructions: v1alpha1.Instructions{GroupMappings: many(201, 1, "a")}}, "must have at most 200 items"},
		"patterns":              {v1alpha1.UpgradePlanSpec{Instructions: v1alpha1.Instructions{GroupMappings: many(2, 501, "a")}}, "must have at most 1000 items"},
		"long pattern":          {v1alpha1.UpgradePlanSpec{Instructions: v1alpha1.Instructions{GroupMappings: many(1, 1, strings.Repeat("a", 257))}}, "may not be more than 256 bytes"},
		"role order":            {v1alpha1.UpgradePlanSpec{Instructions: v1alpha1.Instructions{RoleOrder: order}}, "must have at most 1000 items"},
		"role pattern":          {v1alpha1.UpgradePlanSpec{Hosts: v1alpha1.Hosts{RolePattern: "(((abcdefgh){10}){10}){9}"}}, "is too large"},
		"many that are allowed": {v1alpha1.UpgradePlanSpec{Instructions: v1alpha1.Instructions{GroupMappings: many(200, 5, "stor[a-z]+")}}, ""},
	} {
		tt.spec.Version = "v2"
		p := plan()
		p.Spec = tt.spec
		errs := validation.ValidateUpgradePlan(p)
		got := ""
		if len(errs) > 0 {
			got = errs.ToAggregate().Error()
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %.300q, want %q", name, got, tt.want)
		}
	}
}
