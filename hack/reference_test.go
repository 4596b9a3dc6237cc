// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestReference_HasEachField compares docs/reference/plan.md with the fields of the CRD.
func TestReference_HasEachField(t *testing.T) {
	data, err := os.ReadFile("../config/crd/upgrade.jiocloud.com_upgradeplans.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema schema }
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	fields := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].leaves("")
	if len(fields) < 20 {
		t.Fatalf("the CRD has %d fields", len(fields))
	}
	page := string(readTracked(t, "docs/reference/plan.md"))
	for _, field := range fields {
		if !strings.Contains(page, "`"+field+"`") {
			t.Errorf("docs/reference/plan.md lacks %s", field)
		}
	}
}

// schema is the part of a CRD's schema that names fields.
type schema struct {
	Properties map[string]schema
	Items      *schema
}

// leaves returns the paths of the fields that have no fields of their own.
func (s schema) leaves(path string) []string {
	switch {
	case s.Items != nil && len(s.Items.Properties) > 0:
		return append([]string{path}, s.Items.leaves(path+"[]")...)
	case len(s.Properties) == 0:
		return []string{path}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		all = append(all, s.Properties[name].leaves(strings.TrimPrefix(path+"."+name, "."))...)
	}
	return all
}

// TestReference_HasEachReason compares docs/reference/states-and-reasons.md with the constants of the API.
func TestReference_HasEachReason(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../apis/upgrade/v1alpha1/reasons.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	page := string(readTracked(t, "docs/reference/states-and-reasons.md"))
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, value := range spec.Values {
			literal, ok := value.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				continue
			}
			reason, err := strconv.Unquote(literal.Value)
			reasons++
			if err != nil || !strings.Contains(page, "`"+reason+"`") {
				t.Errorf("docs/reference/states-and-reasons.md lacks %s", literal.Value)
			}
		}
		return true
	})
	if reasons < 20 {
		t.Errorf("found %d reasons", reasons)
	}
}
