// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// instructions is the document. python-jiocloud reads role_dependencies, but its README says role_order. Both are accepted.
type instructions struct {
	RollingRules     rollingRules                   `json:"rolling_rules,omitzero"`
	RoleOrder        map[string]v1alpha1.StringList `json:"role_order,omitempty"`
	RoleDependencies map[string]v1alpha1.StringList `json:"role_dependencies,omitempty"`
	GroupMappings    map[string]v1alpha1.StringList `json:"group_mappings,omitempty"`
}

type rollingRules struct {
	Global *intstr.IntOrString           `json:"global,omitempty"`
	Roles  map[string]intstr.IntOrString `json:"roles,omitempty"`
}

// options tell how instructions spell the types of the API that decode themselves.
func options() strictyaml.Options {
	return strictyaml.Options{Values: map[reflect.Type]strictyaml.Value{
		reflect.TypeFor[intstr.IntOrString]():  strictyaml.Limit,
		reflect.TypeFor[v1alpha1.StringList](): strictyaml.TextOrList,
	}}
}

// Parse parses instructions, or returns a strictyaml.Errors with all errors. Source is the name of the file in errors. Values
// are a string or a list; numbers are 1 or "1". A string in group_mappings is one pattern, although python-jiocloud takes
// each of its characters for a pattern. Parse does not validate names and patterns: package validation does.
func Parse(source string, data []byte) (v1alpha1.Instructions, error) {
	documents, errs := strictyaml.Read(source, data)
	if len(errs) > 0 {
		return v1alpha1.Instructions{}, errs
	}
	d := documents[0]
	fail := func(field, format string, args ...any) {
		errs = append(errs, &strictyaml.Error{Source: source, Line: d.LineOf(field), Field: field, Detail: fmt.Sprintf(format, args...)})
	}
	if len(documents) > 1 {
		fail("", "contains %d documents; only one is allowed", len(documents))
		return v1alpha1.Instructions{}, errs
	}
	var in instructions
	if errs := d.Decode(&in, options()); len(errs) > 0 {
		return v1alpha1.Instructions{}, errs
	}
	for _, limit := range in.RollingRules.limits("rolling_rules") {
		if _, percent, err := v1alpha1.ParseLimit(limit.value); err != nil {
			fail(limit.field, "%v", err)
		} else if percent {
			fail(limit.field, "must be a number of hosts, not %q; python-jiocloud does not support percentages", limit.value.String())
		}
	}
	if in.RoleOrder != nil && in.RoleDependencies != nil && !maps.EqualFunc(in.RoleOrder, in.RoleDependencies, slices.Equal) {
		fail("role_dependencies", "differs from role_order, which has the same meaning; set only one of them")
	}
	if len(errs) > 0 {
		return v1alpha1.Instructions{}, errs
	}
	order := in.RoleOrder
	if order == nil {
		order = in.RoleDependencies
	}
	return v1alpha1.Instructions{
		RollingRules:  v1alpha1.RollingRules{Global: in.RollingRules.Global, Roles: in.RollingRules.Roles},
		RoleOrder:     order,
		GroupMappings: in.GroupMappings,
	}, nil
}

type limit struct {
	field string
	value intstr.IntOrString
}

// limits returns the limits that are set, with the paths of their fields.
func (r rollingRules) limits(root string) []limit {
	var limits []limit
	if r.Global != nil {
		limits = append(limits, limit{root + ".global", *r.Global})
	}
	for _, role := range slices.Sorted(maps.Keys(r.Roles)) {
		limits = append(limits, limit{root + ".roles[" + role + "]", r.Roles[role]})
	}
	return limits
}

// Format encodes instructions for python-jiocloud. It returns an error if python-jiocloud does not support them.
func Format(in v1alpha1.Instructions) ([]byte, error) {
	rules := rollingRules{Global: in.RollingRules.Global, Roles: in.RollingRules.Roles}
	if in.RollingRules.Fleet != nil {
		return nil, fmt.Errorf("rollingRules.fleet: python-jiocloud does not support a limit of the fleet")
	}
	for _, limit := range rules.limits("rollingRules") {
		switch _, percent, err := v1alpha1.ParseLimit(limit.value); {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", limit.field, err)
		case percent:
			return nil, fmt.Errorf("%s: python-jiocloud does not support percentages (%s)", limit.field, limit.value.String())
		}
	}
	data, err := json.MarshalIndent(instructions{
		RollingRules:     rules,
		RoleDependencies: in.RoleOrder,
		GroupMappings:    in.GroupMappings,
	}, "", "  ")
	return append(data, '\n'), err
}
