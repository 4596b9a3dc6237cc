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

const pathRule = "must be segments joined by /, without a leading or trailing /; a segment " + names.SegmentRule

// The trees of a fleet's keys below its prefix. Hosts record their versions in running/versions or, in older fleets, in
// running_version.
func fixedTrees() []string  { return []string{"current_version", "config_state", v1alpha1.Group} }
func recordTrees() []string { return []string{"running/versions", "running_version"} }

func validateKeys(keys v1alpha1.Keys, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	// A prefix that starts like a tree of the fleet without a prefix would mix the keys of two fleets.
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
		return field.ErrorList{field.Invalid(at, path, "must not start with "+strings.Join(reserved, ", ")+
			", which contain other keys of a fleet")}
	}
	return nil
}

// KeysOverlap reports whether two plans would access each other's keys: if one prefix contains the other, or a tree of one
// contains a tree of the other.
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

// within reports whether one of two paths contains the other.
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
