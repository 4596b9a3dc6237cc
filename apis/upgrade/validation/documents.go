// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
)

// Clashes are plans of one name, and plans of one fleet, among documents that are to be stored together.
func Clashes(documents []manifest.Document) []error {
	var problems []error
	for i, d := range documents {
		for _, first := range documents[:i] {
			where := fmt.Sprintf("%s:%d", first.Source, first.Line)
			switch {
			case d.Plan.Name == first.Plan.Name:
				problems = append(problems, fmt.Errorf("%s:%d: metadata.name: a plan named %q stands in %s already",
					d.Source, d.Line, d.Plan.Name, where))
			case KeysOverlap(d.Plan.Spec.Keys, first.Plan.Spec.Keys):
				problems = append(problems, fmt.Errorf("%s:%d: spec.keys.prefix: %q overlaps with %q of plan %q in %s: "+
					"a fleet has one plan", d.Source, d.Line, d.Plan.Spec.Keys.Prefix, first.Plan.Spec.Keys.Prefix,
					first.Plan.Name, where))
			}
		}
	}
	return problems
}
