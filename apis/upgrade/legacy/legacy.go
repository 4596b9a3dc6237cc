// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package legacy reads and writes the JSON instructions of python-jiocloud: what its command upgrade takes as
// --instructions and reads from /etc/jiocloud-upgrade.json (jiocloud/upgrade.py, branch rolling_upgrade_code).
//
// Names have underscores only: validate_instructions refused the dashes of the comment at the head of that file, so no
// file that ever worked has them.
package legacy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// instructions is the document. Its code reads role_dependencies, its README says role_order: both are taken.
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

// Parse reads instructions; source is the name of their file in errors, which are strict.Errors with all that is wrong.
// Values are a string or a list, numbers 1 or "1". A pattern in group_mappings that is a string is one pattern, where
// python-jiocloud took each character of it for one. Names and patterns are not judged: validation does that.
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
		fail("", "holds %d documents, not one", len(documents))
		return v1alpha1.Instructions{}, errs
	}
	var in instructions
	if errs := d.Decode(&in, nil); len(errs) > 0 {
		return v1alpha1.Instructions{}, errs
	}
	for _, limit := range in.RollingRules.limits("rolling_rules") {
		if _, percent, err := v1alpha1.ParseLimit(limit.value); err != nil {
			fail(limit.field, "%v", err)
		} else if percent {
			fail(limit.field, "must be a number of hosts, not %q: python-jiocloud knows no percentages", limit.value.String())
		}
	}
	if in.RoleOrder != nil && in.RoleDependencies != nil && !maps.EqualFunc(in.RoleOrder, in.RoleDependencies, slices.Equal) {
		fail("role_dependencies", "differs from role_order, which means the same: give one of them")
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

// limits are those that are set, with the paths of their fields below root.
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

// Format writes instructions as python-jiocloud's code reads them; what it cannot say is an error.
func Format(in v1alpha1.Instructions) ([]byte, error) {
	rules := rollingRules{Global: in.RollingRules.Global, Roles: in.RollingRules.Roles}
	if in.RollingRules.Fleet != nil {
		return nil, fmt.Errorf("rollingRules.fleet: python-jiocloud has no limit of the whole fleet")
	}
	for _, limit := range rules.limits("rollingRules") {
		switch _, percent, err := v1alpha1.ParseLimit(limit.value); {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", limit.field, err)
		case percent:
			return nil, fmt.Errorf("%s: python-jiocloud knows no percentages (%s)", limit.field, limit.value.String())
		}
	}
	data, err := json.MarshalIndent(instructions{
		RollingRules:     rules,
		RoleDependencies: in.RoleOrder,
		GroupMappings:    in.GroupMappings,
	}, "", "  ")
	return append(data, '\n'), err
}
