// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	// citedTest is a test, fuzz target or benchmark that a page names in inline code.
	citedTest    = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	declaredTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
)

// TestCitedTests checks that each test that a page cites exists.
func TestCitedTests(t *testing.T) {
	files := trackedFiles(t, ".")
	declared := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			for _, m := range declaredTest.FindAllSubmatch(readTracked(t, file), -1) {
				declared[string(m[1])] = true
			}
		}
	}
	cited := 0
	for _, file := range files {
		if path.Ext(file) != ".md" || file == "CHANGELOG.md" {
			continue
		}
		for _, m := range citedTest.FindAllSubmatch(readTracked(t, file), -1) {
			cited++
			if name := string(m[1]); !declared[name] {
				t.Errorf("%s cites %s, and no such test exists", file, name)
			}
		}
	}
	if cited < 10 {
		t.Errorf("found %d cited tests only", cited)
	}
}
