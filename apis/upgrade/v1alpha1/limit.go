// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

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
