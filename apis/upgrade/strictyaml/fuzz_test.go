// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml_test

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// FuzzDecode_AgreesWithUnmarshalStrict compares with sigs.k8s.io/yaml. UnmarshalStrict must accept each document that Decode
// accepts, and return the same value. So Decode rejects all that UnmarshalStrict rejects.
func FuzzDecode_AgreesWithUnmarshalStrict(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet, labels: {a: b}}\nspec: {version: v1}\n",
		"metadata:\n  creationTimestamp: 2026-01-31T12:00:00Z\n  annotations: {date: 2026-01-31}\nspec:\n  version: \"1.0\"\n",
		"spec:\n  instructions:\n    rollingRules: {global: 10%, roles: {web: 3, db: \"1\"}}\n    roleOrder: {web: db, db: [a, b]}\n",
		"spec: {paused: true, minReadySeconds: 30, progressDeadlineSeconds: null, hosts: {exclude: [a, b]}}\n",
		"spec: {version: &v v1, keys: {prefix: *v}}\n",
		"{\"spec\": {\"version\": \"v\\u0031\", \"failurePolicy\": {\"maxFailed\": 0}}}",
		"spec: {version: |\n  v1\n}\n", "spec:\n  version: >-\n    a\n    b\n", "? spec\n: ? version\n  : v1\n",
		"spec: {paused: !!bool yes}\n", "spec: !!null x\n", "spec: {version: !!timestamp x}\n", "spec: {minReadySeconds: !!int \"5\"}\n",
		"spec: {minReadySeconds: 010}\n", "spec: {minReadySeconds: 1_000}\n", "spec: {minReadySeconds: 0x1F}\n",
		"spec: {version: v1, version: v2}\n", "spec: {Version: v1}\n", "spec: {<<: {version: v1}}\n", "spec: {speed: 3}\n", "a: *b\n", "[]\n", "x\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, errs := strictyaml.Read("fuzz", data)
		if len(errs) > 0 || len(documents) != 1 || dependsOnYAMLVersion(data) {
			return // not a single document that both versions of YAML read in the same way
		}
		var got, want v1alpha1.UpgradePlan
		if errs := documents[0].Decode(&got, options()); len(errs) > 0 {
			return
		}
		if err := yaml.UnmarshalStrict(data, &want); err != nil {
			t.Fatalf("Decode accepts what UnmarshalStrict rejects: %v", err)
		}
		// Decode ignores who owns which field.
		got.ManagedFields, want.ManagedFields = nil, nil
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("Decode differs from UnmarshalStrict (-want +got):\n%s", d)
		}
	})
}

// yaml11 matches plain scalars that are strings in YAML 1.2, but booleans, numbers or other types in YAML 1.1.
var yaml11 = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|=|[-+]?[0-9][0-9_]*(:[0-9_]+)+(\.[0-9_]*)?|[-+]?[0-9_.]+|0b.*)$`)

// dependsOnYAMLVersion reports whether YAML 1.1, which UnmarshalStrict reads, gives the document another meaning than YAML
// 1.2.
func dependsOnYAMLVersion(data []byte) bool {
	for decoder := yamlv3.NewDecoder(bytes.NewReader(data)); ; {
		var node yamlv3.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return false
		} else if err != nil {
			return true
		}
		if hasYAML11(&node) {
			return true
		}
	}
}

func hasYAML11(n *yamlv3.Node) bool {
	if n.Kind == yamlv3.ScalarNode && n.Style == 0 && n.ShortTag() == "!!str" && yaml11.MatchString(n.Value) {
		return true
	}
	for _, child := range n.Content {
		if hasYAML11(child) {
			return true
		}
	}
	return false
}
