// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// markdownLink is the target of a link or picture, in Markdown or HTML.
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	// mentionedPage is a page of ours that a comment, message or file names.
	mentionedPage = regexp.MustCompile(`\bdocs/[\w/.-]+\.md\b(?:#[\w-]+)?`)
	// mentionedPath is a path in inline code that must exist.
	mentionedPath = regexp.MustCompile("`((?:apis|cmd|config|controllers|docs|hack)/[\\w/.-]+)`")
	heading       = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	fencedCode    = regexp.MustCompile("(?ms)^ *```.*?\n *```")
	notInAnchors  = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`)
)

// TestLinks checks that the relative links of all pages lead somewhere, headings included; and that the paths in their inline
// code, and the pages that other files name, exist.
func TestLinks(t *testing.T) {
	files := trackedFiles(t, ".")
	pages := map[string][]string{} // the anchors of each page
	for _, file := range files {
		if path.Ext(file) == ".md" {
			pages[file] = anchors(readTracked(t, file))
		}
	}
	links := 0
	for _, file := range files {
		text := readTracked(t, file)
		if bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		var targets []string
		if _, page := pages[file]; page {
			for _, m := range mentionedPath.FindAllSubmatch(text, -1) {
				if path := string(m[1]); !strings.Contains(path, "VERB") {
					targets = append(targets, strings.TrimSuffix(path, "/..."))
				}
			}
			for _, m := range markdownLink.FindAllSubmatch(fencedCode.ReplaceAll(text, nil), -1) {
				if target := string(m[1]) + string(m[2]); !strings.Contains(target, ":") {
					targets = append(targets, resolve(file, target))
				}
			}
		} else if file != "hack/links_test.go" {
			for _, m := range mentionedPage.FindAll(text, -1) {
				targets = append(targets, string(m))
			}
		}
		for _, target := range targets {
			links++
			if problem := broken(pages, target); problem != "" {
				t.Errorf("%s: %s", file, problem)
			}
		}
	}
	if links < 20 {
		t.Errorf("found %d links only", links)
	}
}

func readTracked(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// resolve returns the target of a link in a page, relative to the root of the repository.
func resolve(page, target string) string {
	if strings.HasPrefix(target, "#") {
		return page + target
	}
	return path.Join(path.Dir(page), target)
}

// broken says what is wrong with the target of a link; empty means nothing.
func broken(pages map[string][]string, target string) string {
	file, anchor, _ := strings.Cut(target, "#")
	if _, err := os.Stat(filepath.Join("..", file)); err != nil {
		return fmt.Sprintf("%s does not exist", file)
	}
	if anchor != "" && !slices.Contains(pages[file], anchor) {
		return fmt.Sprintf("%s has no heading #%s", file, anchor)
	}
	return ""
}

// anchors returns the anchors of a page's headings as GitHub makes them.
func anchors(page []byte) []string {
	seen := map[string]int{}
	var all []string
	for _, m := range heading.FindAllSubmatch(fencedCode.ReplaceAll(page, nil), -1) {
		anchor := strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(string(m[1])), ""), " ", "-")
		n := seen[anchor]
		seen[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		all = append(all, anchor)
	}
	return all
}

func TestLinks_FindsBrokenOnes(t *testing.T) {
	pages := map[string][]string{"README.md": anchors([]byte("# The `keys`, 1.\n\n```\n# code\n```\n\n## Keys\n\n## Keys\n"))}
	for target, want := range map[string]string{
		"README.md":                                  "",
		"README.md#the-keys-1":                       "",
		"README.md#keys-1":                           "",
		"README.md#code":                             "README.md has no heading #code",
		resolve("docs/a.md", "missing.md"):           "docs/missing.md does not exist",
		resolve("README.md", "#nowhere"):             "README.md has no heading #nowhere",
		resolve("docs/design/a.md", "../../LICENSE"): "",
	} {
		if got := broken(pages, target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
