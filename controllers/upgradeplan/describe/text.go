// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"strconv"
	"time"
)

// Stamp is a time as it is shown: RFC 3339 in UTC; of the zero time, nothing.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// YesNo is yes or no.
func YesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Limit is a number of slots; nil: none, for there is no limit.
func Limit(limit *int) string {
	if limit == nil {
		return "none"
	}
	return strconv.Itoa(*limit)
}
