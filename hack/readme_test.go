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

var update = flag.Bool("update", false, "write what the README's commands print into it")

// changing is what differs from run to run: times, indexes, and who runs it.
var changing = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\(index \d+|, index \d+\)`)

// Every command in a console block of the README is run, in one shell, against a Consul of its own; what it prints is what
// stands there.
func TestReadmeIsTrue(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var ran strings.Builder
	shell := newShell(t, bin)
	for i, part := range strings.Split(string(readme), "```") {
		if i > 0 {
			ran.WriteString("```")
		}
		if block, ok := strings.CutPrefix(part, "console\n"); ok && i%2 == 1 {
			part = "console\n" + shell.block(block)
		}
		ran.WriteString(part)
	}
	if *update {
		if err := os.WriteFile("../README.md", []byte(ran.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	mask := func(s string) string { return changing.ReplaceAllString(s, "…") }
	if d := cmp.Diff(strings.Split(mask(string(readme)), "\n"), strings.Split(mask(ran.String()), "\n")); d != "" {
		t.Errorf("the README is not true (-says +is); -update mends it:\n%s", d)
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
