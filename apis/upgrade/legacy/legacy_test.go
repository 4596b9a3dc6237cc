// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package legacy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/legacy"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

type lists = map[string]v1alpha1.StringList

func TestParse(t *testing.T) {
	rules := v1alpha1.RollingRules{Global: new(intstr.FromInt32(1)), Roles: map[string]intstr.IntOrString{"compute": intstr.FromString("3")}}
	for name, tc := range map[string]struct {
		json string
		want v1alpha1.Instructions
	}{
		"nothing": {`{}`, v1alpha1.Instructions{}},
		"nulls":   {`{"rolling_rules": null, "role_order": null}`, v1alpha1.Instructions{}},
		"number and string": {`{"rolling_rules": {"global": 1, "roles": {"compute": "3"}}}`,
			v1alpha1.Instructions{RollingRules: rules}},
		"role_order": {`{"role_order": {"compute": "controller"}}`,
			v1alpha1.Instructions{RoleOrder: lists{"compute": {"controller"}}}},
		"role_dependencies": {`{"role_dependencies": {"cp": ["ocdb", "oc"]}}`,
			v1alpha1.Instructions{RoleOrder: lists{"cp": {"ocdb", "oc"}}}},
		"role_order equals role_dependencies": {`{"role_order": {"a": "b"}, "role_dependencies": {"a": ["b"]}}`,
			v1alpha1.Instructions{RoleOrder: lists{"a": {"b"}}}},
		"string is one pattern": {`{"group_mappings": {"ceph": "st.*", "cp": ["g?cp.*"]}}`,
			v1alpha1.Instructions{GroupMappings: lists{"ceph": {"st.*"}, "cp": {"g?cp.*"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := legacy.Parse("upgrade.json", []byte(tc.json))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParse_Errors(t *testing.T) {
	const allowed = "Allowed: group_mappings, role_dependencies, role_order, rolling_rules"
	for name, tc := range map[string]struct{ json, want string }{
		"empty file":       {"", "upgrade.json: contains no document"},
		"invalid JSON":     {"{", "upgrade.json:1: is not valid YAML or JSON: did not find expected node content"},
		"two documents":    {"{}\n---\n{}", "upgrade.json:1: contains 2 documents; only one is allowed"},
		"list":             {"[]", "upgrade.json:1: must be a map, not a list"},
		"dashes":           {`{"rolling-rules": {}}`, "upgrade.json:1: rolling-rules: unknown field, did you mean rolling_rules? " + allowed},
		"misspelled field": {`{"rollin_rules": ""}`, "upgrade.json:1: rollin_rules: unknown field, did you mean rolling_rules? " + allowed},
		"field of a plan":  {`{"rollingRules": {}}`, "upgrade.json:1: rollingRules: unknown field, did you mean rolling_rules? " + allowed},
		"duplicate field":  {"{\"role_order\": {},\n\"role_order\": {}}", "upgrade.json:2: role_order: is a duplicate; it was first set on line 1"},
		"different orders": {"{\"role_order\": {\"a\": \"b\"},\n\"role_dependencies\": {\"a\": \"c\"}}",
			"upgrade.json:2: role_dependencies: differs from role_order, which has the same meaning; set only one of them"},
		"limits": {"{\"rolling_rules\": {\"global\": \"10%\", \"roles\": {\n\"a\": -1,\n\"b\": \"x\"}}}",
			"upgrade.json:1: rolling_rules.global: must be a number of hosts, not \"10%\"; python-jiocloud does not support percentages\n" +
				"upgrade.json:2: rolling_rules.roles[a]: must not be negative: -1\n" +
				"upgrade.json:3: rolling_rules.roles[b]: must be a number of hosts (3) or a percentage (10%), not \"x\""},
		"fleet limit": {`{"rolling_rules": {"fleet": 1}}`, "upgrade.json:1: rolling_rules.fleet: unknown field. Allowed: global, roles"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := legacy.Parse("upgrade.json", []byte(tc.json))
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestFormat_Errors(t *testing.T) {
	for want, rules := range map[string]v1alpha1.RollingRules{
		"rollingRules.fleet: python-jiocloud does not support a limit of the fleet": {Fleet: new(intstr.FromInt32(1))},
		"rollingRules.global: python-jiocloud does not support percentages (10%)":   {Global: new(intstr.FromString("10%"))},
		"rollingRules.roles[a]: must not be negative: -1":                           {Roles: map[string]intstr.IntOrString{"a": intstr.FromInt32(-1)}},
	} {
		if _, err := legacy.Format(v1alpha1.Instructions{RollingRules: rules}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestParse_DecodesFormat(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[a-z0-9.*?()]{1,6}`), rapid.SampledFrom([]string{"on", "null", "1", "é<>&", "\u2028"}))
	limit := rapid.OneOf(rapid.Map(rapid.Int32Min(0), intstr.FromInt32), rapid.Map(rapid.StringMatching(`[0-9]{1,6}`), intstr.FromString))
	order := rapid.MapOfN(text, rapid.Map(rapid.SliceOfN(text, 0, 3), func(s []string) v1alpha1.StringList { return s }), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		in := v1alpha1.Instructions{
			RollingRules: v1alpha1.RollingRules{
				Global: rapid.Ptr(limit, true).Draw(t, "global"),
				Roles:  rapid.MapOfN(text, limit, 0, 3).Draw(t, "roles"),
			},
			RoleOrder:     order.Draw(t, "order"),
			GroupMappings: order.Draw(t, "groups"),
		}
		data, err := legacy.Format(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := legacy.Parse("upgrade.json", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if diff := cmp.Diff(in, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-written +read:\n%s\n%s", diff, data)
		}
	})
}
