// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"reflect"
	"strings"
)

// nearest returns the most similar known name, ignoring case, dashes and underscores. Empty means that none is similar.
func nearest(name string, known map[string]reflect.Type) string {
	const maxLength = 64
	if len(name) > maxLength {
		return ""
	}
	best, least := "", min(3, max(1, len(name)/3))+1
	for _, candidate := range names(known) {
		if d := distance(fold(name), fold(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// findField returns the path of the first field of that name in a struct and all structs inside it. Empty means none.
func findField(name string, t reflect.Type, path string) string {
	known := fieldsOf(t)
	for _, candidate := range names(known) {
		if fold(candidate) == fold(name) {
			return path + candidate
		}
	}
	for _, child := range names(known) {
		if t := known[child]; t.Kind() == reflect.Struct {
			if found := findField(name, t, path+child+"."); found != "" {
				return found
			}
		}
	}
	return ""
}

func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// distance returns the edit distance (optimal string alignment): the number of insertions, deletions, replacements and swaps
// of neighbors that turn a into b. Libraries for it count a swap as two edits.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	row := func(first int) []int { return append([]int{first}, make([]int, len(t))...) }
	before, previous := row(0), row(0)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(s); i++ {
		current := row(i)
		for j := 1; j <= len(t); j++ {
			differs := 1
			if s[i-1] == t[j-1] {
				differs = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+differs)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous = previous, current
	}
	return previous[len(t)]
}
