// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// groups has the groups of a plan with their patterns, sorted by name.
type groups []group

type group struct {
	name     string
	patterns []*regexp.Regexp
}

// compileGroups compiles the patterns of all groups. It skips and reports invalid ones.
func compileGroups(mappings map[string]v1alpha1.StringList, at *field.Path) (groups, field.ErrorList) {
	var errs field.ErrorList
	var all groups
	total := 0
	for _, name := range sortedKeys(mappings) {
		errs = append(errs, validateSegment(name, at.Key(name), "a group")...)
		if len(mappings[name]) == 0 {
			errs = append(errs, field.Required(at.Key(name), "must have at least one pattern"))
		}
		g := group{name: name}
		for i, text := range mappings[name] {
			at := at.Key(name).Index(i)
			if text == "" {
				errs = append(errs, field.Required(at, "must be a pattern; an empty one would match all roles"))
				continue
			}
			_, size, patternErrs := compilePattern(text, at)
			errs = append(errs, patternErrs...)
			if total += size; len(patternErrs) > 0 || total > maxAllPatternSize {
				continue
			}
			g.patterns = append(g.patterns, regexp.MustCompile(`^(?:`+text+`)`))
		}
		all = append(all, g)
	}
	if total > maxAllPatternSize {
		errs = append(errs, field.Invalid(at, field.OmitValueType{}, fmt.Sprintf("all patterns together have %d steps, and at most %d "+
			"are allowed", total, maxAllPatternSize)))
	}
	return all, errs
}

// of returns the groups that a role matches, sorted by name. The role belongs to the first.
func (all groups) of(role string) []string {
	var names []string
	for _, g := range all {
		if slices.ContainsFunc(g.patterns, func(p *regexp.Regexp) bool { return p.MatchString(role) }) {
			names = append(names, g.name)
		}
	}
	return names
}

// has reports whether a group has that name.
func (all groups) has(name string) bool {
	return slices.ContainsFunc(all, func(g group) bool { return g.name == name })
}

// writtenNames returns the sorted names of roles and groups in roleOrder and rollingRules.roles.
func writtenNames(in *v1alpha1.Instructions) []string {
	names := sortedKeys(in.RollingRules.Roles)
	for name, others := range in.RoleOrder {
		names = append(append(names, name), others...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
