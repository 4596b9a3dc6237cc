// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

const planOfThree = `apiVersion: upgrade.jiocloud.com/v1alpha1
kind: UpgradePlan
metadata: {name: fleet}
spec: {version: v2, instructions: {rollingRules: {global: 0}}}
`

// terminal is the command line on a terminal, with a fleet in memory: one of three hosts has version v2.
type terminal struct {
	t        *testing.T
	options  app.Options
	out, err bytes.Buffer
	plan     string
}

func newTerminal(t *testing.T, env map[string]string) *terminal {
	t.Helper()
	s := memory.New(scriptNow)
	l := keys.Layout{}
	_, err := s.Txn(t.Context(), []store.Op{
		{Verb: store.Set, Key: l.CurrentVersion(), Value: []byte("v2")},
		{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte(keys.Disabled)},
		{Verb: store.Set, Key: l.Record("v2", "web1"), Value: []byte("1772800000")},
		{Verb: store.Set, Key: l.Record("v1", "web2"), Value: []byte("1772800000")},
		{Verb: store.Set, Key: l.Record("v1", "web3"), Value: []byte("1772800000")},
	})
	if err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(plan, []byte(planOfThree), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, plan: plan}
	x.options = app.Options{
		In: strings.NewReader(""), Out: &x.out, Err: &x.err, OutTerminal: true, ErrTerminal: true,
		Getenv: func(name string) string { return env[name] }, Now: scriptNow, Who: "alice@desk",
		Open: func(consul.Config) (store.Store, error) { return s, nil },
	}
	return x
}

func (x *terminal) run(code int, args ...string) {
	x.t.Helper()
	x.out.Reset()
	x.err.Reset()
	if got := app.Main(x.t.Context(), args, x.options); got != code {
		x.t.Fatalf("upgradectl %s: exit code %d, not %d\n%s", strings.Join(args, " "), got, code, x.err.String())
	}
}

func TestReconcile_ShowsABarForEachRoleOnATerminal(t *testing.T) {
	x := newTerminal(t, map[string]string{"TERM": "xterm"})
	x.run(1, "reconcile", "-f", x.plan, "--until-complete", "--interval", time.Millisecond.String())
	screen := vt.NewEmulator(80, 24)
	if _, err := screen.WriteString(strings.ReplaceAll(x.err.String(), "\n", "\r\n")); err != nil { // as the driver of a terminal does
		t.Fatal(err)
	}
	for _, want := range []string{"1 of 3 hosts upgraded, 2 pending\n", "\nweb █████░░░░░░░░░░░ 1█ 2░  0/0 in flight\n",
		"\n    the limit of web is 0 by rollingRules.global\n", "\nerror: "} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("%q is missing from\n%s", want, screen.String())
		}
	}
	x = newTerminal(t, map[string]string{"TERM": "dumb"})
	x.run(1, "reconcile", "-f", x.plan, "--until-complete", "--interval", time.Millisecond.String())
	if got := x.err.String(); !strings.Contains(got, "fleet: Stalled: 1 of 3 hosts upgraded, 2 pending\n") || strings.Contains(got, "\x1b") {
		t.Errorf("a terminal that can do nothing: %q", got)
	}
}

func TestDiff_HasColorsOnATerminalOnly(t *testing.T) {
	x := newTerminal(t, nil)
	x.run(1, "diff", "-f", x.plan)
	if !strings.Contains(x.out.String(), "\x1b[32m+  version: v2\x1b[0m\n") {
		t.Errorf("not green:\n%q", x.out.String())
	}
	x.options.OutTerminal = false
	x.run(1, "diff", "-f", x.plan)
	if strings.Contains(x.out.String(), "\x1b") {
		t.Errorf("colored without a terminal:\n%q", x.out.String())
	}
	x = newTerminal(t, map[string]string{"NO_COLOR": "1"})
	x.run(1, "diff", "-f", x.plan)
	if strings.Contains(x.out.String(), "\x1b") {
		t.Errorf("colored although NO_COLOR is set:\n%q", x.out.String())
	}
}

func TestDiff_ColorFlagOverridesTheTerminal(t *testing.T) {
	x := newTerminal(t, map[string]string{"NO_COLOR": "1"})
	x.run(1, "diff", "-f", x.plan, "--color", "always")
	if !strings.Contains(x.out.String(), "\x1b[32m+  version: v2\x1b[0m\n") {
		t.Errorf("not green:\n%q", x.out.String())
	}
	x = newTerminal(t, nil)
	x.run(1, "diff", "-f", x.plan, "--color=never")
	if strings.Contains(x.out.String(), "\x1b") {
		t.Errorf("colored:\n%q", x.out.String())
	}
	x.run(2, "diff", "-f", x.plan, "--color=sometimes")
	if !strings.Contains(x.err.String(), "must be auto, always or never") {
		t.Errorf("%q", x.err.String())
	}
}
