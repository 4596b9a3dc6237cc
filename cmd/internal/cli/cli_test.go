// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

func TestExecute_MapsErrorsToExitCodes(t *testing.T) {
	for _, e := range []struct {
		name   string
		err    error
		args   []string
		code   int
		stderr string
	}{
		{name: "success"},
		{name: "failure", err: errors.New("no leader"), code: 1, stderr: "error: no leader\n"},
		{name: "several lines", err: errors.Join(errors.New("a"), errors.New("b")), code: 1, stderr: "error: a\nerror: b\n"},
		{name: "control characters", err: errors.New("web1: \x1b[2J\x07\x7f\u009b1m\x9b\u202eb\r\tc"), code: 1,
			stderr: "error: web1:  [2J   1m\uFFFD b  c\n"},
		{name: "password", err: errors.New(`parse "http://me:secret@consul:8500": no host`), code: 1,
			stderr: "error: parse \"http://me:xxxxx@consul:8500\": no host\n"},
		{name: "password with a slash", err: errors.New(`parse "http://me:se/cr@et@consul": invalid port ":se" after host`), code: 1,
			stderr: "error: parse \"http://me:xxxxx@consul\": invalid port after host\n"},
		{name: "password in what was taken for a host", err: errors.New(`parse "http://me:secret%40127.0.0.1:1/v1": invalid port ":secret%40127.0.0.1:1" after host`),
			code: 1, stderr: "error: parse \"http://me:xxxxx@127.0.0.1:1/v1\": invalid port after host\n"},
		{name: "address without a password", err: errors.New("Get http://127.0.0.1:8500/v1/kv: refused by root@web1"), code: 1,
			stderr: "error: Get http://127.0.0.1:8500/v1/kv: refused by root@web1\n"},
		{name: "bad input", err: cli.Usagef("plan.yaml: %d", 1), code: 2, stderr: "error: plan.yaml: 1\n"},
		{name: "wrong flag value", err: fmt.Errorf("wrapped: %w", cli.FlagErrorf("--last")), code: 2,
			stderr: "error: wrapped: --last\nSee 'tool --help'.\n"},
		{name: "unknown flag", args: []string{"--nosuch"}, code: 2, stderr: "error: unknown flag: --nosuch\nSee 'tool --help'.\n"},
		{name: "unexpected argument", args: []string{"x"}, code: 2, stderr: "error: unexpected argument \"x\"\nSee 'tool --help'.\n"},
		{name: "code only", err: &cli.ExitError{Code: 9}, code: 9},
		{name: "code with an error", err: &cli.ExitError{Code: 3, Err: cli.Usagef("bad")}, code: 3, stderr: "error: bad\n"},
	} {
		t.Run(e.name, func(t *testing.T) {
			var stderr bytes.Buffer
			root := &cobra.Command{Use: "tool", Args: cli.NoArgs, RunE: func(*cobra.Command, []string) error { return e.err }}
			cli.Silence(root)
			_, clean := cli.Streams(io.Discard, &stderr)
			root.SetErr(clean)
			if code := cli.Execute(t.Context(), root, e.args); code != e.code || stderr.String() != e.stderr {
				t.Errorf("exit code %d, stderr %q; want %d, %q", code, stderr.String(), e.code, e.stderr)
			}
		})
	}
}

func TestExecute_NamesAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	root := &cobra.Command{Use: "tool", RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Context().Err() }}
	cli.Silence(root)
	root.SetErr(&stderr)
	if code := cli.Execute(ctx, root, nil); code != cli.ExitFailed || stderr.String() != "error: interrupted\n" {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}

func TestNoArgs_SuggestsSimilarCommands(t *testing.T) {
	root := &cobra.Command{Use: "tool"}
	root.AddCommand(cli.Parent("get", "List things", &cobra.Command{Use: "hosts", Run: func(*cobra.Command, []string) {}}))
	get := root.Commands()[0]
	if err := cli.NoArgs(get, []string{"hots"}); err == nil || err.Error() != `unknown command "hots" for "tool get": did you mean hosts?` {
		t.Errorf("%v", err)
	}
}

func TestChoice_RefusesOtherWords(t *testing.T) {
	c := cli.NewChoice("auto", "always", "never")
	if c.Value != "auto" || c.Set("never") != nil || c.Value != "never" {
		t.Errorf("value %q", c.Value)
	}
	if err := c.Set("sometimes"); err == nil || err.Error() != "must be auto, always or never" || c.Value != "never" {
		t.Errorf("%v, value %q", err, c.Value)
	}
}

func TestWriteTable_AlignsColumns(t *testing.T) {
	var out bytes.Buffer
	rows := [][]string{{"web1", "", "a\x1b[2Jb"}, {"größer", "v2", ""}}
	if err := cli.WriteTable(&out, "  ", []string{"NAME", "VERSION", "MESSAGE"}, rows); err != nil {
		t.Fatal(err)
	}
	want := "  NAME     VERSION   MESSAGE\n  web1     -         a [2Jb\n  größer   v2\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestTableWriter_KeepsItsWidths(t *testing.T) {
	var out bytes.Buffer
	table := cli.NewTableWriter(&out, "")
	table.Fit([]string{"longest", "x"})
	for _, row := range [][]string{{"A", "B"}, {"longer than that", "y"}, {"z", "z"}} {
		if err := table.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if want := "A         B\nlonger than that   y\nz         z\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestWriteFields_LeavesOutEmptyTexts(t *testing.T) {
	var out bytes.Buffer
	fields := []struct{ Name, Text string }{{"Name", "fleet"}, {"Prefix", ""}, {"Version", "v2\nx"}}
	if err := cli.WriteFields(&out, fields); err != nil {
		t.Fatal(err)
	}
	if want := "Name:     fleet\nVersion:  v2 x\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestPrint_WritesJSONAndYAML(t *testing.T) {
	for format, want := range map[string]string{cli.JSON: "{\n  \"a\": \"<b>\"\n}\n", cli.YAML: "a: <b>\n"} {
		var out bytes.Buffer
		if err := cli.Print(&out, format, map[string]string{"a": "<b>"}); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", format, out.String(), err)
		}
	}
}

func TestAge_IsNeverNegative(t *testing.T) {
	now := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	for since, want := range map[time.Duration]string{-time.Minute: "0s", 75 * time.Second: "75s", 200 * time.Minute: "3h20m"} {
		if got := cli.Age(now.Add(-since), now); got != want {
			t.Errorf("%s: %q", since, got)
		}
	}
}

func TestWords(t *testing.T) {
	if got := cli.OrList([]string{"a", "b", "c"}) + cli.OrList([]string{"a"}) + cli.OrList(nil); got != "a, b or ca" {
		t.Error(got)
	}
}
