// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package commands_test

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/commands"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

var change = agent.Change{Host: "web1", Role: "web", From: "v1", To: "run-1"}

// echo defines a command that prints each argument in brackets on a line of its own.
func echo(t *testing.T, patterns ...string) commands.Commands {
	t.Helper()
	path := filepath.Join(t.TempDir(), "echo")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nprintf '[%s]\\n' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := commands.Definition{Path: path}
	for _, text := range patterns {
		p, err := commands.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		d.Args = append(d.Args, p)
	}
	return commands.Commands{Defined: map[string]commands.Definition{"echo": d}}
}

func TestRun_PassesArgumentsUnchanged(t *testing.T) {
	c := echo(t, `.*`, `--delay=[0-9]+`)
	output, err := c.Run(t.Context(), change, fleet.Action{Name: "echo", Args: []string{"a b; $(touch /tmp/x) `id` 'q", "--delay=5"}})
	if err != nil || output != "[a b; $(touch /tmp/x) `id` 'q]\n[--delay=5]" {
		t.Errorf("%q %v", output, err)
	}
}

func TestRun_RefusesUndefinedCommandsAndArguments(t *testing.T) {
	for _, tt := range []struct {
		patterns []string
		action   fleet.Action
		want     string
	}{
		{nil, fleet.Action{Name: "halt"}, `refused: command "halt" is not defined on this host`},
		{nil, fleet.Action{Name: ""}, `refused: command "" is not defined on this host`},
		{nil, fleet.Action{Name: "echo", Args: []string{"x"}}, "refused: command echo takes 0 arguments on this host, got 1"},
		{[]string{"a"}, fleet.Action{Name: "echo"}, "refused: command echo takes 1 arguments on this host, got 0"},
		{[]string{"[0-9]+"}, fleet.Action{Name: "echo", Args: []string{"5 "}}, `refused: argument 1 of command echo is "5 ": it must match [0-9]+`},
		{[]string{"[0-9]+"}, fleet.Action{Name: "echo", Args: []string{"5\n"}}, `it must match`},
		{[]string{"(?m)^5$"}, fleet.Action{Name: "echo", Args: []string{"5\n--force"}}, `it must match`},
		{[]string{"now|later"}, fleet.Action{Name: "echo", Args: []string{"now or never"}}, `it must match`},
		{[]string{"now|later"}, fleet.Action{Name: "echo", Args: []string{"sooner or later"}}, `it must match`},
		{[]string{".", "a"}, fleet.Action{Name: "echo", Args: []string{"x", "b"}}, `argument 2`},
		{[]string{"a"}, fleet.Action{Name: "echo", Args: []string{strings.Repeat("b", 10_000)}}, `it must match a`},
	} {
		_, err := echo(t, tt.patterns...).Run(t.Context(), change, tt.action)
		if _, ok := errors.AsType[*commands.RefusedError](err); !ok || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 300 {
			t.Errorf("%q of %+v: %.300v", tt.patterns, tt.action, err)
		}
	}
}

func TestCompile_RejectsUnbalancedPatterns(t *testing.T) {
	for _, text := range []string{`a)|(.*`, `(`, `[`} {
		if _, err := commands.Compile(text); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func TestRun_UsesTheShorterTimeout(t *testing.T) {
	for _, tt := range []struct {
		host  time.Duration
		asked int64
		want  string
	}{{50 * time.Millisecond, 0, "50ms"}, {50 * time.Millisecond, 600, "50ms"}, {time.Hour, 1, "1s"}} {
		c := commands.Commands{Defined: map[string]commands.Definition{"sleep": {Path: "/bin/sleep", Timeout: tt.host}}}
		pattern, err := commands.Compile("1000")
		if err != nil {
			t.Fatal(err)
		}
		d := c.Defined["sleep"]
		d.Args = []commands.Pattern{pattern}
		c.Defined["sleep"] = d
		_, err = c.Run(t.Context(), change, fleet.Action{Name: "sleep", Args: []string{"1000"}, TimeoutSeconds: tt.asked})
		if err == nil || err.Error() != "command sleep: timed out after "+tt.want {
			t.Errorf("%s and %d s: %v", tt.host, tt.asked, err)
		}
	}
}

// The user of the command must not see secrets of the agent.
func TestRun_AsAnotherUserWithoutTheAgentsEnvironment(t *testing.T) {
	testtool.NeedRoot(t, "runs a program as another user")
	t.Setenv("CONSUL_HTTP_TOKEN", "s3cret")
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
	script := filepath.Join(t.TempDir(), "who")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nid -un; id -G; env | sort\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(script); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := commands.Commands{Defined: map[string]commands.Definition{"who": {Path: script,
		User: &agent.User{Name: "nobody", Home: nobody.HomeDir, UID: uint32(uid), GID: uint32(gid)}}}}
	output, err := c.Run(t.Context(), change, fleet.Action{Name: "who"})
	if err != nil || !strings.HasPrefix(output, "nobody\n"+nobody.Gid+"\n") {
		t.Errorf("%v\n%s", err, output)
	}
	if !strings.Contains(output, "UPGRADE_VERSION=run-1") || !strings.Contains(output, "USER=nobody") || strings.Contains(output, "s3cret") {
		t.Errorf("environment:\n%s", output)
	}
}

// The program of a command may belong to the user that runs it: it gets no rights that the user lacks.
func TestRun_AcceptsAProgramOfItsUserOnly(t *testing.T) {
	testtool.NeedRoot(t, "changes the owner of a program")
	const owner, other = 4321, 4322
	c := echo(t)
	d := c.Defined["echo"]
	for dir := filepath.Dir(d.Path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(d.Path, 0o755), os.Chown(d.Path, owner, owner)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		user    *agent.User
		allowed bool
	}{{&agent.User{Name: "owner", UID: owner, GID: owner}, true}, {&agent.User{Name: "other", UID: other, GID: other}, false}, {nil, false}} {
		d.User = tt.user
		c.Defined["echo"] = d
		_, err := c.Run(t.Context(), change, fleet.Action{Name: "echo"})
		if refused, ok := errors.AsType[*trust.Error](err); tt.allowed && err != nil || !tt.allowed && (!ok || refused.Path != d.Path) {
			t.Errorf("user %+v: %v", tt.user, err)
		}
	}
}
