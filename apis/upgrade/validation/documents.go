// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
)

// Clashes returns an error for each pair of documents with the same name or with overlapping keys.
func Clashes(documents []manifest.Document) []error {
	var problems []error
	for i, d := range documents {
		for _, first := range documents[:i] {
			where := fmt.Sprintf("%s:%d", first.Source, first.Line)
			switch {
			case d.Plan.Name == first.Plan.Name:
				problems = append(problems, fmt.Errorf("%s:%d: metadata.name: duplicate plan %q; it is also in %s",
					d.Source, d.Line, d.Plan.Name, where))
			case KeysOverlap(d.Plan.Spec.Keys, first.Plan.Spec.Keys):
				problems = append(problems, fmt.Errorf("%s:%d: spec.keys.prefix: %q overlaps with %q of plan %q in %s; "+
					"a fleet has one plan", d.Source, d.Line, d.Plan.Spec.Keys.Prefix, first.Plan.Spec.Keys.Prefix,
					first.Plan.Name, where))
			}
		}
	}
	return problems
}
