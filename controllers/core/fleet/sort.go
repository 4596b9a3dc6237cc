// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// SortNatural sorts names by CompareNatural, in place. Most names of a fleet are letters and one number: those two are
// read once, and the rest is compared only where they are equal.
func SortNatural(names []string) []string {
	type key struct {
		name   string
		letter int // length of what stands before the number
		number uint64
	}
	sorted := make([]key, len(names))
	for i, name := range names {
		sorted[i].name = name
		sorted[i].letter, sorted[i].number = leading(name)
	}
	slices.SortFunc(sorted, func(a, b key) int {
		if a.letter == b.letter && a.name[:a.letter] == b.name[:b.letter] {
			if c := cmp.Compare(a.number, b.number); c != 0 {
				return c
			}
		}
		return CompareNatural(a.name, b.name)
	})
	for i := range sorted {
		names[i] = sorted[i].name
	}
	return names
}

// leading is the length of what stands before the first number, and the number; a very long one counts as the largest,
// and is compared digit by digit.
func leading(name string) (letters int, number uint64) {
	for letters < len(name) && !digit(name[letters]) {
		letters++
	}
	digits := strings.TrimLeft(name[letters:endOfDigits(name, letters)], "0")
	if len(digits) > 18 {
		return letters, math.MaxUint64
	}
	for _, c := range []byte(digits) {
		number = number*10 + uint64(c-'0')
	}
	return letters, number
}
