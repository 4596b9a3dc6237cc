// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/cmd/upgrade-agent/app"
	"github.com/jiocloud/upgrade-controller/config"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// checked is a host whose agent is checked.
type checked struct {
	dir, config, token, version, hook string
	addr                              string
	// args are more flags.
	args []string
}

func (c *checked) check(t *testing.T) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = app.Main(t.Context(), append([]string{"check", "--config", c.config, "--http-addr", c.addr}, c.args...), &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

func TestCheck(t *testing.T) {
	a, err := consuldev.Start(t.Context(), consuldev.Options{Binary: consultest.Binary(t), ManagementToken: "management"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop() })
	mine := consultest.Token(t, a.Addr(), "management", strings.ReplaceAll(config.Policy("agent"), "HOST", "web1"))
	others := consultest.Token(t, a.Addr(), "management", strings.ReplaceAll(config.Policy("agent"), "HOST", "web2"))
	for name, tt := range map[string]struct {
		change func(t *testing.T, c *checked)
		code   int
		want   []string // patterns of lines
	}{
		"fine": {func(*testing.T, *checked) {}, 0, []string{`ok +configuration +\S+ of the host web1, role web`, `ok +files `, `ok +steps +preHook`,
			`ok +version +the host has v1`, `ok +consul `, `ok +acl +the token may act as the agent of web1`, `0 problems, 0 warnings`}},
		"a host without a version": {func(t *testing.T, c *checked) { remove(t, c.version) }, 0, []string{`ok +version .* the host has no version yet`}},
		"configuration that cannot be read": {func(t *testing.T, c *checked) { put(t, c.config, "kind: Agent\n", 0o600) }, 1,
			[]string{`problem +configuration +--config: .*`}},
		"no role":                 {func(_ *testing.T, c *checked) { c.args = []string{"--hostname", "7"} }, 1, []string{`warning +configuration +the host has no role`}},
		"configuration of others": {func(t *testing.T, c *checked) { chmod(t, c.config, 0o666) }, 1, []string{`problem +configuration .*chmod go-w`}},
		"version file of others":  {func(t *testing.T, c *checked) { chmod(t, c.version, 0o666) }, 1, []string{`problem +files .*chmod go-w`}},
		"token that all can read": {func(t *testing.T, c *checked) { chmod(t, c.token, 0o604) }, 0,
			[]string{`warning +files +every user can read the token of this host: .*; chmod o-r `}},
		"warnings count with --strict": {func(t *testing.T, c *checked) { chmod(t, c.token, 0o604); c.args = []string{"--strict"} }, 1,
			[]string{`warning +files `}},
		"no token":                {func(t *testing.T, c *checked) { remove(t, c.token) }, 1, []string{`problem +files .*token: no such file`}},
		"damaged version file":    {func(t *testing.T, c *checked) { put(t, c.version, "", 0o600) }, 1, []string{`problem +version +version file .* is not a version`}},
		"missing program":         {func(t *testing.T, c *checked) { remove(t, c.hook) }, 0, []string{`warning +steps +step preHook: .*; install it, unless`}},
		"program that cannot run": {func(t *testing.T, c *checked) { chmod(t, c.hook, 0o600) }, 1, []string{`problem +steps +step preHook: .*permission denied; make`}},
		"program of others":       {func(t *testing.T, c *checked) { chmod(t, c.hook, 0o777) }, 1, []string{`problem +steps +step preHook: .*chmod go-w`}},
		"token of another host": {func(t *testing.T, c *checked) { put(t, c.token, others, 0o600) }, 1,
			[]string{`problem +acl +the token may not act as the agent of web1: it lacks 3 rules: key "upgrade.jiocloud.com/grants/web1"`}},
		"unknown token": {func(t *testing.T, c *checked) { put(t, c.token, "f0f0f0f0-0000-4000-8000-000000000000", 0o600) }, 1,
			[]string{`problem +acl +the rights of the token are unknown`}},
		"no Consul": {func(_ *testing.T, c *checked) { c.addr = "127.0.0.1:1" }, 1, []string{`problem +consul `}},
		"as JSON":   {func(_ *testing.T, c *checked) { c.args = []string{"-o", "json"} }, 0, []string{`"problems": 0,`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in := func(name string) string { return filepath.Join(dir, name) }
			c := &checked{dir: dir, config: in("config.yaml"), token: in("token"), version: in("current_version"), hook: in("hook"), addr: a.Addr()}
			put(t, c.token, mine, 0o600)
			put(t, c.version, "v1\n", 0o600)
			put(t, c.hook, "#!/bin/sh\n", 0o700)
			put(t, c.config, "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: AgentConfig\nhostname: web1\nversionFile: "+c.version+
				"\nconsul: {tokenFile: "+c.token+"}\npipeline: {preHook: {path: "+c.hook+"}}\n", 0o600)
			tt.change(t, c)
			before := list(t, dir)
			code, out := c.check(t)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, pattern := range tt.want {
				if !regexp.MustCompile(`(?m)^ *` + pattern).MatchString(out) {
					t.Errorf("want %q", pattern)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", out)
			}
			if after := list(t, dir); !slices.Equal(after, before) {
				t.Errorf("check created files: %q, before %q", after, before)
			}
		})
	}
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
