// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// The values of spec.hosts.legacy that are no number.
const (
	LegacyAllow = "Allow"
	LegacyDeny  = "Deny"
)

// ParseLegacy parses spec.hosts.legacy: how many legacy hosts count at most, or all.
func ParseLegacy(v intstr.IntOrString) (n int, all bool, err error) {
	switch text := v.String(); text {
	case LegacyAllow:
		return 0, true, nil
	case LegacyDeny:
		return 0, false, nil
	default:
		if n, err = strconv.Atoi(text); err != nil || n < 0 || text[0] == '+' {
			return 0, false, fmt.Errorf("must be Allow, Deny or a number of hosts, not %q", text)
		}
		return n, false, nil
	}
}

// ParseLimit parses a limit: 1, "1" or "10%". The number is a percentage if percent is true, and otherwise a count of hosts.
// Negative numbers and percentages over 100 are errors.
func ParseLimit(v intstr.IntOrString) (n int, percent bool, err error) {
	text := v.String()
	digits, percent := strings.CutSuffix(text, "%")
	n, err = strconv.Atoi(digits)
	switch {
	case err != nil || digits[0] == '+':
		return 0, false, fmt.Errorf("must be a number of hosts (3) or a percentage (10%%), not %q", text)
	case n < 0:
		return 0, false, fmt.Errorf("must not be negative: %s", text)
	case percent && n > 100:
		return 0, false, fmt.Errorf("must be at most 100%%, not %s", text)
	}
	return n, percent, nil
}
