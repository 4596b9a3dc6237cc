// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package names_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
)

func TestSegment_MatchesPattern(t *testing.T) {
	pattern := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~+-]*$`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.StringMatching(`[ -~]{0,6}`), rapid.String(),
			rapid.StringMatching(`[A-Za-z0-9._~+-]{0,6}\n?`)).Draw(t, "s")
		if got, want := names.Segment(s), pattern.MatchString(s); got != want {
			t.Errorf("Segment(%q) = %v, want %v", s, got, want)
		}
	})
}

func TestVersion(t *testing.T) {
	for version, good := range map[string]bool{
		"20260101-1": true, "v1.2.3~rc1+b7": true, "true": true, "10": true, strings.Repeat("v", 128): true,
		"": false, "True": false, "False": false, "0": false, "1": false, "a/b": false, ".hidden": false, "a b": false,
		"ü": false, "a\n": false, "..": false, strings.Repeat("v", 129): false,
	} {
		if problem := names.Version(version); (problem == "") != good {
			t.Errorf("Version(%q) = %q", version, problem)
		}
	}
}

func TestPath(t *testing.T) {
	for path, good := range map[string]bool{
		"a": true, "dc1/fleet": true, "running/versions": true,
		"": false, "/a": false, "a/": false, "a//b": false, "a/../b": false, "/": false,
	} {
		if names.Path(path) != good {
			t.Errorf("Path(%q) = %v", path, !good)
		}
	}
}
