// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"maps"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// groups are the groups of a plan with their patterns, in the order of their names.
type groups []group

type group struct {
	name     string
	patterns []*regexp.Regexp
}

// compileGroups leaves out the patterns that do not compile, and reports them.
func compileGroups(mappings map[string]v1alpha1.StringList, at *field.Path) (groups, field.ErrorList) {
	var errs field.ErrorList
	var all groups
	for _, name := range sortedKeys(mappings) {
		errs = append(errs, validateSegment(name, at.Key(name), "a group")...)
		if len(mappings[name]) == 0 {
			errs = append(errs, field.Required(at.Key(name), "one pattern at least"))
		}
		g := group{name: name}
		for i, text := range mappings[name] {
			at := at.Key(name).Index(i)
			if text == "" {
				errs = append(errs, field.Required(at, "a pattern; an empty one would match every role"))
				continue
			}
			if _, err := regexp.Compile(text); err != nil { // alone, so that no parenthesis closes ours
				errs = append(errs, invalidPattern(at, text, err))
				continue
			}
			g.patterns = append(g.patterns, regexp.MustCompile(`^(?:`+text+`)`))
		}
		all = append(all, g)
	}
	return all, errs
}

// of are the groups that a role matches, in the order of their names; it belongs to the first.
func (all groups) of(role string) []string {
	var names []string
	for _, g := range all {
		if slices.ContainsFunc(g.patterns, func(p *regexp.Regexp) bool { return p.MatchString(role) }) {
			names = append(names, g.name)
		}
	}
	return names
}

// has says whether there is a group of that name.
func (all groups) has(name string) bool {
	return slices.ContainsFunc(all, func(g group) bool { return g.name == name })
}

// writtenNames are the names of roles and groups in roleOrder and in rollingRules.roles, sorted.
func writtenNames(in *v1alpha1.Instructions) []string {
	names := sortedKeys(in.RollingRules.Roles)
	for name, others := range in.RoleOrder {
		names = append(append(names, name), others...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
