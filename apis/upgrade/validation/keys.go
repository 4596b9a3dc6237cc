// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

const pathRule = "must be segments joined by / without one at its ends; a segment " + names.SegmentRule

// The trees in which a fleet's keys are, below its prefix. Hosts record their versions under running/versions or, in
// older fleets, running_version.
func fixedTrees() []string  { return []string{"current_version", "config_state", v1alpha1.Group} }
func recordTrees() []string { return []string{"running/versions", "running_version"} }

func validateKeys(keys v1alpha1.Keys, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	// A prefix that begins as a tree of the fleet without a prefix does would put one fleet's keys among another's.
	errs = append(errs, validatePath(keys.Prefix, append(fixedTrees(), "running", "running_version"), at.Child("prefix"))...)
	if keys.Format != "" {
		errs = append(errs, oneOf(keys.Format, at.Child("format"), v1alpha1.BooleanKeys, v1alpha1.VersionKeys)...)
	}
	return append(errs, validatePath(keys.RunningVersions, fixedTrees(), at.Child("runningVersions"))...)
}

func validatePath(path string, reserved []string, at *field.Path) field.ErrorList {
	first, _, _ := strings.Cut(path, "/")
	switch {
	case path == "":
		return nil
	case !names.Path(path):
		return field.ErrorList{field.Invalid(at, path, pathRule)}
	case slices.Contains(reserved, first):
		return field.ErrorList{field.Invalid(at, path, "must not begin with "+strings.Join(reserved, ", ")+
			": other keys of a fleet stand there")}
	}
	return nil
}

// KeysOverlap says whether two plans would write, read or delete each other's keys. So it is when one prefix stands
// before the other, or when a tree of one is inside of a tree of the other.
func KeysOverlap(a, b v1alpha1.Keys) bool {
	if a.Prefix != "" && b.Prefix != "" && within(a.Prefix, b.Prefix) {
		return true
	}
	for _, treeA := range trees(a) {
		for _, treeB := range trees(b) {
			if within(treeA, treeB) {
				return true
			}
		}
	}
	return false
}

// within says whether one of two paths is the other or stands below it.
func within(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

func trees(keys v1alpha1.Keys) []string {
	all := append(fixedTrees(), recordTrees()...)
	if keys.RunningVersions != "" {
		all = append(fixedTrees(), keys.RunningVersions)
	}
	if keys.Prefix != "" {
		for i := range all {
			all[i] = keys.Prefix + "/" + all[i]
		}
	}
	return all
}
