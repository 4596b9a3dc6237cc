// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// Warnings returns a sentence, with the field, for each valid but unusual part of a plan. It only knows the roles that the plan
// names.
func Warnings(plan *v1alpha1.UpgradePlan) []string {
	in := &plan.Spec.Instructions
	at := field.NewPath("spec", "instructions")
	all, _ := compileGroups(in.GroupMappings, at)
	var warnings []string
	warn := func(at *field.Path, format string, args ...any) {
		warnings = append(warnings, at.String()+": "+fmt.Sprintf(format, args...))
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(writtenNames(in), sortedKeys(in.GroupMappings)...)))) {
		matched := slices.DeleteFunc(all.of(name), func(group string) bool { return group == name })
		switch {
		case all.has(name) && len(matched) > 0:
			warn(at.Child("groupMappings").Key(name), "%s is a group, but as the name of a role it belongs to %s; "+
				"rules for %s apply to the group", name, matched[0], name)
		case len(matched) > 1:
			warn(at.Child("groupMappings").Key(matched[0]), "role %s matches the groups %s; it belongs to the first by name, %s",
				name, strings.Join(matched, ", "), matched[0])
		}
	}
	for _, name := range sortedKeys(in.RoleOrder) {
		others := in.RoleOrder[name]
		if len(others) == 0 {
			warn(at.Child("roleOrder").Key(name), "the list is empty, so %s waits for nothing", name)
		}
		for i, other := range others {
			if slices.Contains(others[:i], other) {
				warn(at.Child("roleOrder").Key(name).Index(i), "%s is listed twice", other)
			}
		}
	}
	return warnings
}
