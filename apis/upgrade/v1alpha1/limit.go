// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// ParseLimit reads a limit as plans write it: 1, "1" or "10%". The number is a count of hosts, or a percentage
// when percent is true. Negative numbers and percentages over 100 are errors.
func ParseLimit(v intstr.IntOrString) (n int, percent bool, err error) {
	text := v.String()
	digits, percent := strings.CutSuffix(text, "%")
	n, err = strconv.Atoi(digits)
	switch {
	case err != nil || digits[0] == '+':
		return 0, false, fmt.Errorf("must be a number of hosts (3) or a percentage (10%%), not %q", text)
	case n < 0:
		return 0, false, fmt.Errorf("must not be negative, is %s", text)
	case percent && n > 100:
		return 0, false, fmt.Errorf("must not be over 100%%, is %s", text)
	}
	return n, percent, nil
}

// ScaleLimit is the number of hosts that a limit stands for when total hosts count: percentages are rounded down,
// but are at least 1 when above 0%. A limit that cannot be read is 0, which blocks: when in doubt, nobody starts.
func ScaleLimit(v intstr.IntOrString, total int) int {
	n, percent, err := ParseLimit(v)
	switch {
	case err != nil:
		return 0
	case percent && n > 0:
		return max(1, total*n/100)
	case percent:
		return 0
	}
	return n
}
