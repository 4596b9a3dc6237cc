// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"strings"
)

// MaxNameLength is how long a version or the name of a plan may be. Readers of versions keep no more of one.
const MaxNameLength = 128

// SegmentRule says in words what ValidSegment allows.
const SegmentRule = "must be letters, digits and . _ ~ + -, beginning with a letter or a digit"

// ValidSegment says whether a version, role, host or plan name may be one segment of a key:
// [A-Za-z0-9][A-Za-z0-9._~+-]*. Consul's transactions do not check that. It is asked for every host of a fleet, hence
// no regexp.
func ValidSegment(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("._~+-", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// ValidVersion says in words what is wrong with a version name; empty: nothing.
func ValidVersion(v string) string {
	switch {
	case v == "True" || v == "False" || v == "0" || v == "1":
		return "must not be True, False, 0 or 1: hosts read these as a yes or a no"
	case !ValidSegment(v):
		return SegmentRule
	case len(v) > MaxNameLength:
		return fmt.Sprintf("must not be longer than %d characters, is %d", MaxNameLength, len(v))
	}
	return ""
}

// ValidPath says whether s is one or more valid segments joined by slashes.
func ValidPath(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if !ValidSegment(part) {
			return false
		}
	}
	return true
}
