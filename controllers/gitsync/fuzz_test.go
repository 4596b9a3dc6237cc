// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// FuzzDecodePlans decodes and validates a file of a repository. Either all of it is valid, or nothing is applied.
func FuzzDecodePlans(f *testing.F) {
	const plan = "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet}\nspec: {version: v1}\n"
	for _, text := range []string{
		plan, plan + "---\n" + strings.Replace(plan, "fleet", "other", 1), plan + "---\n" + plan,
		strings.Replace(plan, "v1}", "v1, keys: {prefix: a}, paused: true}", 1),
		strings.Replace(plan, "v1}", "True}", 1), strings.Replace(plan, "v1}", "&a [*a]}", 1), "{", "", "kind: List",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &reader{source: Source{Name: "default"}}
		documents, failure := r.decode(repository.Content{Files: []repository.File{{Path: "fleet.yaml", Data: data}}})
		if (failure == nil) != (len(documents) > 0) {
			t.Fatalf("%d plans and the error %v", len(documents), failure)
		}
		for _, d := range documents {
			if d.Plan.Name == "" || d.Plan.Spec.Version == "" {
				t.Errorf("a valid plan has no name or version: %+v", d.Plan)
			}
		}
	})
}

// FuzzCheckBinding decodes the file that binds commits to a source. A file that does not name the source does not bind to it.
func FuzzCheckBinding(f *testing.F) {
	for _, text := range []string{
		"sources: [{name: default, path: plans}]\n", "sources:\n- {name: other}\n- {name: default, path: plans, branch: main}\n",
		"sources: [{name: default}]", `{"sources":[{"name":"default","path":"plans"}]}`, "sources: &a [*a]", "", "{", "sources: {}",
	} {
		f.Add([]byte(text))
	}
	source := Source{Name: "default", Location: repository.Location{Path: "plans", Ref: repository.Ref{Branch: "main"}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkBinding(data, source) == nil && !strings.Contains(string(data), "sources") {
			t.Errorf("%q binds to the source", data)
		}
	})
}
