// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := summarize(os.Stdin, os.Stdout, os.Getenv("CI") == "true"); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(1)
	}
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

// testName identifies a test.
type testName struct{ pkg, test string }

// skippedError says that tests were skipped in each call of go test.
type skippedError int

func (e skippedError) Error() string { return fmt.Sprintf("tests that no call has run: %d", int(e)) }

// summary holds what is known of tests so far.
type summary struct {
	out     bytes.Buffer                   // what to write next
	output  map[string]map[string][]string // by package, by test, lines that are not shown yet
	missing map[string]map[testName]bool   // by what is missing, the skipped tests
	left    map[testName]string            // why tests were skipped that no call has run
	ran     map[testName]bool              // tests that a call has run
}

// missingPattern matches the messages of package testtool.
var missingPattern = regexp.MustCompile(`\bneeds ([\w.+-]+)`)

// summarize writes a summary. If all must run, a test that each call skipped is a skippedError.
func summarize(in io.Reader, out io.Writer, all bool) error {
	s := summary{output: map[string]map[string][]string{}, missing: map[string]map[testName]bool{}, left: map[testName]string{},
		ran: map[testName]bool{}}
	lines := bufio.NewReader(in)
	for {
		line, failure := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			s.add(e)
		} else {
			s.out.WriteString(line) // what go itself wrote
		}
		if failure == io.EOF {
			if all {
				s.listLeft()
			}
			s.out.WriteString(s.lastLine())
		}
		if _, err := s.out.WriteTo(out); err != nil {
			return err
		}
		switch failure {
		case nil:
		case io.EOF:
			if all && len(s.left) > 0 {
				return skippedError(len(s.left))
			}
			return nil
		default:
			return failure
		}
	}
}

func (s *summary) add(e event) {
	if (e.Action == "pass" || e.Action == "fail") && e.Test != "" {
		s.ran[testName{e.Package, e.Test}] = true
		delete(s.left, testName{e.Package, e.Test})
	}
	switch {
	case e.Action == "build-output", e.Action == "output" && e.Test == "" && e.Output != "PASS\n":
		s.out.WriteString(e.Output)
	case e.Action == "output" && e.Test != "":
		if s.output[e.Package] == nil {
			s.output[e.Package] = map[string][]string{}
		}
		s.output[e.Package][e.Test] = append(s.output[e.Package][e.Test], e.Output)
	case e.Action == "skip" && e.Test != "":
		s.skipped(e)
		delete(s.output[e.Package], e.Test)
	case e.Action == "pass" && e.Test != "":
		delete(s.output[e.Package], e.Test)
	case e.Action == "fail" && e.Test != "":
		s.show(e.Package, e.Test)
	case e.Test == "": // the package has ended: tests without a result were interrupted
		for _, test := range slices.Sorted(maps.Keys(s.output[e.Package])) {
			if e.Action == "fail" {
				s.show(e.Package, test)
			}
		}
		if e.Action == "fail" || e.Action == "pass" {
			delete(s.output, e.Package)
		}
	}
}

// show writes the output of a test that failed.
func (s *summary) show(pkg, test string) {
	for _, line := range s.output[pkg][test] {
		if !strings.HasPrefix(line, "=== ") {
			s.out.WriteString(line)
		}
	}
	delete(s.output[pkg], test)
}

// skipped remembers a test that was skipped, and what is missing.
func (s *summary) skipped(e event) {
	output := strings.Join(s.output[e.Package][e.Test], "")
	if name := (testName{e.Package, e.Test}); !s.ran[name] {
		s.left[name] = output
	}
	found := missingPattern.FindStringSubmatch(output)
	if found == nil {
		return
	}
	if s.missing[found[1]] == nil {
		s.missing[found[1]] = map[testName]bool{}
	}
	s.missing[found[1]][testName{e.Package, e.Test}] = true
}

// listLeft writes the tests that no call has run, and why.
func (s *summary) listLeft() {
	byName := func(a, b testName) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test)) }
	for _, name := range slices.SortedFunc(maps.Keys(s.left), byName) {
		fmt.Fprintf(&s.out, "no call has run %s in %s:\n", name.test, name.pkg)
		for line := range strings.Lines(s.left[name]) {
			if !strings.HasPrefix(line, "=== ") {
				s.out.WriteString(line)
			}
		}
	}
}

func (s *summary) lastLine() string {
	if len(s.missing) == 0 {
		return "nothing was skipped for want of a tool\n"
	}
	tests, wants := 0, []string(nil)
	for _, what := range slices.Sorted(maps.Keys(s.missing)) {
		n := len(s.missing[what])
		tests += n
		wants = append(wants, fmt.Sprintf("%s (%d)", what, n))
	}
	return fmt.Sprintf("skipped %d tests for want of %s: run `make deps` as root on Debian, which installs the tools, then the "+
		"tests as root\n", tests, strings.Join(wants, ", "))
}
