// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package legacy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/legacy"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

func parse(t *testing.T, text string) v1alpha1.Instructions {
	t.Helper()
	in, err := legacy.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestMerge_FillsInMissingKeys(t *testing.T) {
	from := parse(t, `{"rolling_rules": {"global": 5}, "role_order": {"web": "db"}, "group_mappings": {"all": ".*"}}`)
	for _, e := range []struct{ name, in, want string }{
		{"nothing given", `{}`, `{"rolling_rules": {"global": 5}, "role_order": {"web": "db"}, "group_mappings": {"all": ".*"}}`},
		{"rules given", `{"rolling_rules": {"global": 1}}`,
			`{"rolling_rules": {"global": 1}, "role_order": {"web": "db"}, "group_mappings": {"all": ".*"}}`},
		{"rules of one role given", `{"rolling_rules": {"roles": {"web": 2}}}`,
			`{"rolling_rules": {"roles": {"web": 2}}, "role_order": {"web": "db"}, "group_mappings": {"all": ".*"}}`},
		{"order given, mappings empty", `{"role_order": {"db": "web"}, "group_mappings": {}}`,
			`{"rolling_rules": {"global": 5}, "role_order": {"db": "web"}, "group_mappings": {"all": ".*"}}`},
	} {
		t.Run(e.name, func(t *testing.T) {
			in := parse(t, e.in)
			legacy.Merge(&in, from)
			if d := cmp.Diff(parse(t, e.want), in); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestUpgrade_EndsTheActionOfAnotherVersion(t *testing.T) {
	for version, kept := range map[string]bool{"v1": true, "v2": false} {
		plan := legacy.NewPlan("v1", parse(t, `{"rolling_rules": {"global": 1}}`))
		plan.Spec.Action = v1alpha1.Action{Name: "reboot"}
		legacy.Upgrade(plan, version, v1alpha1.Instructions{})
		if plan.Spec.Version != version || (plan.Spec.Action.Name != "") != kept || plan.Spec.Instructions.RollingRules.Global == nil {
			t.Errorf("%s: %+v", version, plan.Spec)
		}
	}
}
