// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"slices"
	"strings"
)

// NaturalOrder returns the order of names by CompareNatural: names[order[0]] comes first. Equal names keep their order.
//
// Most names of a fleet are some letters, of which there are few, and a number. So the letters are ranked once, and rank,
// number and place are sorted as one integer; only names that are equal so far are compared as a whole.
func NaturalOrder(names []string) []int {
	packed, ok := pack(names)
	if !ok {
		return compareAll(names)
	}
	slices.Sort(packed)
	order := make([]int, len(packed))
	for i, p := range packed {
		order[i] = int(p & (1<<placeBits - 1))
	}
	for i := 0; i < len(packed); {
		end := i + 1
		for end < len(packed) && packed[end]>>placeBits == packed[i]>>placeBits {
			end++
		}
		if end-i > 1 {
			byName(names, order[i:end])
		}
		i = end
	}
	return order
}

// The bits of a packed name for its place in the list and its number. The rest is the rank of its letters.
const (
	placeBits  = 24
	numberBits = 28
	rankBits   = 64 - placeBits - numberBits
)

func compareAll(names []string) []int {
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	byName(names, order)
	return order
}

func byName(names []string, order []int) {
	slices.SortStableFunc(order, func(a, b int) int { return CompareNatural(names[a], names[b]) })
}

// pack makes an integer of each name. Different integers have the order of their names. It is not ok when there are too
// many names or different letters.
func pack(names []string) (packed []uint64, ok bool) {
	if len(names) >= 1<<placeBits {
		return nil, false
	}
	stems := make([]int32, len(names)) // place in known
	known, place, last := []string{}, map[string]int32{}, ""
	packed = make([]uint64, len(names))
	for i, name := range names {
		letters, number := leading(name)
		stem := name[:letters]
		if i == 0 || stem != last || (letters == len(name)) != (len(names[i-1]) == len(last)) {
			last = stem
			// Letters are followed by a digit or by nothing; only so can they be compared with other letters.
			follow := stem + "0"
			if letters == len(name) {
				follow = stem
			}
			at, seen := place[follow]
			if !seen {
				at = int32(len(known))
				place[follow] = at
				known = append(known, follow)
			}
			stems[i] = at
		} else {
			stems[i] = stems[i-1]
		}
		packed[i] = number<<placeBits | uint64(i)
	}
	if len(known) >= 1<<rankBits {
		return nil, false
	}
	rank := make([]uint64, len(known))
	for r, i := range compareStrings(known) {
		rank[i] = uint64(r)
	}
	for i := range packed {
		packed[i] |= rank[stems[i]] << (placeBits + numberBits)
	}
	return packed, true
}

func compareStrings(list []string) []int {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(list[a], list[b]) })
	return order
}

// leading returns the length of the text before the first number, and the number. A number that is too large counts as the
// largest.
func leading(name string) (letters int, number uint64) {
	for letters < len(name) && !digit(name[letters]) {
		letters++
	}
	for _, c := range []byte(name[letters:endOfDigits(name, letters)]) {
		if number = number*10 + uint64(c-'0'); number >= 1<<numberBits-1 {
			return letters, 1<<numberBits - 1
		}
	}
	return letters, number
}
