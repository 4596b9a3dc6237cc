// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

var update = flag.Bool("update", false, "write pages: what commands in them print, and the import table")

// changing matches what differs from run to run: times, indexes, the user, addresses, and the version of Consul.
var changing = regexp.MustCompile(`127\.0\.0\.1:\d+|Consul \d+\.\d+\.\d+|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\(index \d+|, index \d+\)|by \S+@\S+|"id":"[\d.]+"`)

// TestPages runs each command in a console block of a page, in one shell and against a Consul of its own, and compares what it
// prints with the page.
func TestPages(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, "../cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, page := range []string{"README.md", "docs/tutorial.md"} {
		t.Run(page, func(t *testing.T) { runPage(t, bin, filepath.Join("..", page)) })
	}
}

func runPage(t *testing.T, bin, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var ran strings.Builder
	shell := newShell(t, bin)
	for i, part := range strings.Split(string(text), "```") {
		if i > 0 {
			ran.WriteString("```")
		}
		if block, ok := strings.CutPrefix(part, "console\n"); ok && i%2 == 1 {
			part = "console\n" + shell.block(block)
		}
		ran.WriteString(part)
	}
	if *update {
		if err := os.WriteFile(file, []byte(ran.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	mask := func(s string) string { return changing.ReplaceAllString(s, "…") }
	if d := cmp.Diff(strings.Split(mask(string(text)), "\n"), strings.Split(mask(ran.String()), "\n")); d != "" {
		t.Errorf("%s differs from what its commands print (-page +printed); go test ./hack -update writes it:\n%s", file, d)
	}
}

// shell runs commands one after another, each with what the ones before defined.
type shell struct {
	t      *testing.T
	env    []string
	before string
}

func newShell(t *testing.T, bin string) *shell {
	t.Cleanup(func() { _ = os.RemoveAll("/tmp/tour") })
	return &shell{t: t, env: append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"CONSUL_HTTP_ADDR="+consultest.Start(t).Addr())}
}

// block runs the lines that begin with "$ " and returns them, each with what it printed.
func (s *shell) block(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ ")
		if !ok {
			continue // what it printed last time
		}
		fmt.Fprintf(&out, "$ %s\n%s", command, s.run(command))
	}
	return out.String()
}

func (s *shell) run(command string) string {
	s.t.Helper()
	if strings.Contains(command, "() {") { // a function: for the commands that follow
		s.before += command + "\n"
		return ""
	}
	cmd := exec.CommandContext(s.t.Context(), "bash", "-c", s.before+command)
	cmd.Env, cmd.Dir = s.env, ".."
	printed, err := cmd.CombinedOutput()
	exit, ended := err.(*exec.ExitError) //nolint:errorlint // it is not wrapped
	if err != nil && (!ended || exit.ExitCode() != 1) {
		s.t.Fatalf("%s: %v\n%s", command, err, printed)
	}
	return string(printed)
}
