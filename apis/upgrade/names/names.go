// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"fmt"
	"strings"
)

// MaxLength limits versions and names of plans, in bytes. Readers of versions truncate longer ones.
const MaxLength = 128

// SegmentRule describes for messages what Segment allows.
const SegmentRule = "must consist of letters, digits and . _ ~ + -, and start with a letter or a digit"

// Segment reports whether a version, role, host or plan name is a valid segment of a key: [A-Za-z0-9][A-Za-z0-9._~+-]*.
// Consul's transactions do not check that. It uses no regexp, because it runs for each host of a fleet.
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

// Version returns what is wrong with a version. Empty means that it is valid.
func Version(v string) string {
	switch {
	case v == "True" || v == "False" || v == "0" || v == "1":
		return "must not be True, False, 0 or 1, because hosts read these as booleans"
	case !Segment(v):
		return SegmentRule
	case len(v) > MaxLength:
		return fmt.Sprintf("must be at most %d characters, not %d", MaxLength, len(v))
	}
	return ""
}

// PathRule describes for messages what Path allows.
const PathRule = "must be names joined by single slashes, without a leading or trailing slash"

// Path reports whether s consists of valid segments joined by slashes.
func Path(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if !Segment(part) {
			return false
		}
	}
	return true
}
