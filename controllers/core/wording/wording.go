// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wording writes numbers and lists of names as messages do.
package wording

import (
	"fmt"
	"strings"
)

// Count returns the number and the noun, with an s unless n is 1.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Names joins the first names of a list, and says how many more of a total there are.
func Names(first []string, total int) string {
	text := strings.Join(first, ", ")
	if more := total - len(first); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// First joins names, at most a number of them, and says how many more there are.
func First(names []string, most int) string { return Names(names[:min(len(names), most)], len(names)) }
