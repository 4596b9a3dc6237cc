// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// CompareNatural orders names as people do: foo2 before foo10. Runs of digits compare as numbers, all else as bytes. Names
// that are equal so far compare as strings, so that the order is total.
func CompareNatural(a, b string) int {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		if digit(a[i]) && digit(b[j]) {
			ni, nj := endOfDigits(a, i), endOfDigits(b, j)
			if c := compareNumbers(a[i:ni], b[j:nj]); c != 0 {
				return c
			}
			i, j = ni, nj
			continue
		}
		if a[i] != b[j] {
			return cmp.Compare(a[i], b[j])
		}
		i, j = i+1, j+1
	}
	if c := cmp.Compare(len(a)-i, len(b)-j); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// NaturalKeys returns the keys of a map in natural order.
func NaturalKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), CompareNatural)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func endOfDigits(s string, i int) int {
	for i < len(s) && digit(s[i]) {
		i++
	}
	return i
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}
