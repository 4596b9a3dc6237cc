// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// The bounds of patterns. Every reader of a plan compiles them, and matches each role with all of them.
const (
	maxGroups         = 200
	maxPatterns       = 1000 // of all groups
	maxPatternLength  = 256
	maxPatternSize    = 1000  // steps of a compiled pattern
	maxAllPatternSize = 20000 // steps of all patterns of groups
	// maxNames limits the roles and groups in roleOrder, and those in rollingRules.roles.
	maxNames = 1000
)

// compilePattern compiles a pattern that is not too large, and returns its size. It is compiled alone, so that its parentheses must
// match.
func compilePattern(text string, at *field.Path) (pattern *regexp.Regexp, size int, errs field.ErrorList) {
	if len(text) > maxPatternLength {
		return nil, 0, field.ErrorList{field.TooLong(at, "", maxPatternLength)}
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, field.ErrorList{invalidPattern(at, text, err)}
	}
	if size = patternSize(tree); size > maxPatternSize {
		return nil, size, field.ErrorList{field.Invalid(at, text, fmt.Sprintf("is too large: it has %d steps with its repetitions, and "+
			"at most %d are allowed", size, maxPatternSize))}
	}
	if pattern, err = regexp.Compile(text); err != nil {
		return nil, size, field.ErrorList{invalidPattern(at, text, err)}
	}
	return pattern, size, nil
}

// patternSize returns about how many steps the pattern has when it is compiled. Repetitions multiply it.
func patternSize(tree *syntax.Regexp) int {
	const most = 1 << 30
	size := 1 + len(tree.Rune)
	for _, sub := range tree.Sub {
		size += patternSize(sub)
	}
	if tree.Op == syntax.OpRepeat {
		size *= max(tree.Min, tree.Max, 1)
	}
	return min(size, most)
}

// boundNames reports too many groups, patterns and names, before anything is compiled.
func boundNames(in *v1alpha1.Instructions, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	patterns, names := 0, 0
	for _, list := range in.GroupMappings {
		patterns += len(list)
	}
	for _, others := range in.RoleOrder {
		names += 1 + len(others)
	}
	for _, bound := range []struct {
		at      *field.Path
		n, most int
	}{{at.Child("groupMappings"), len(in.GroupMappings), maxGroups}, {at.Child("groupMappings"), patterns, maxPatterns},
		{at.Child("roleOrder"), names, maxNames}, {at.Child("rollingRules", "roles"), len(in.RollingRules.Roles), maxNames}} {
		if bound.n > bound.most {
			errs = append(errs, field.TooMany(bound.at, bound.n, bound.most))
		}
	}
	return errs
}
