// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package legacy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/legacy"
)

// FuzzParse parses instructions of python-jiocloud. Each that is valid can be written for python-jiocloud, with the same meaning.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"rolling_rules":{"global":"2","roles":{"web":1}},"role_order":{"web":["db"]},"group_mappings":{"a":"^web"}}`,
		`{"role_dependencies":{"web":"db"}}`, "rolling_rules: {roles: {web: 10%}}", "role_order: {a: &x [b, *x]}", "{}\n---\n{}",
		"role_order: {a: b}\nrole_dependencies: {a: c}", "", "{", "null", "[]", "# nothing", `{"rolling_rules":{"global":9999999999999999999}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := legacy.Parse("instructions", data)
		if err != nil {
			return
		}
		formatted, err := legacy.Format(in)
		if err != nil {
			t.Fatal(err)
		}
		again, err := legacy.Parse("formatted", formatted)
		if err != nil {
			t.Fatalf("%v\n%s", err, formatted)
		}
		if d := cmp.Diff(in, again, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("-parsed +parsed again:\n%s", d)
		}
	})
}
