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
