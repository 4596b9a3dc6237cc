// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package names is what may be a segment of a key. It imports nothing, so that agents stay small.
package names

import (
	"fmt"
	"strings"
)

// MaxLength is how long a version or the name of a plan may be. Readers of versions keep no more of one.
const MaxLength = 128

// SegmentRule says in words what Segment allows.
const SegmentRule = "must be letters, digits and . _ ~ + -, beginning with a letter or a digit"

// Segment says whether a version, role, host or plan name may be one segment of a key:
// [A-Za-z0-9][A-Za-z0-9._~+-]*. Consul's transactions do not check that. It is asked for every host of a fleet, hence
// no regexp.
func Segment(s string) bool {
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

// Version says in words what is wrong with a version name; empty: nothing.
func Version(v string) string {
	switch {
	case v == "True" || v == "False" || v == "0" || v == "1":
		return "must not be True, False, 0 or 1: hosts read these as a yes or a no"
	case !Segment(v):
		return SegmentRule
	case len(v) > MaxLength:
		return fmt.Sprintf("must not be longer than %d characters, is %d", MaxLength, len(v))
	}
	return ""
}

// PathRule says in words what Path allows.
const PathRule = "must be names joined by single slashes, without one at its ends"

// Path says whether s is one or more valid segments joined by slashes.
func Path(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if !Segment(part) {
			return false
		}
	}
	return true
}
