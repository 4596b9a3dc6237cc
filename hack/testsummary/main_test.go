// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is a Go module with tests of each result.
var module = map[string]string{
	"go.mod":    "module example.com/m\n\ngo 1.26\n",
	"none/x.go": "package none\n",
	"bad/x_test.go": `package bad

func broken() { return 1 }
`,
	"good/x_test.go": `package good

import "testing"

func TestPass(t *testing.T) { t.Log("hidden") }

func TestSkip(t *testing.T) {
	t.Run("a", func(t *testing.T) { t.Skip("needs nogo: run make deps") })
	t.Run("b", func(t *testing.T) { t.Skip("needs nogo: run make deps") })
	t.Run("c", func(t *testing.T) { t.Skip("needs root: installs packages") })
	t.Skip("only on Mondays")
}
`,
	"worse/x_test.go": `package worse

import "testing"

func TestPass(t *testing.T) { t.Log("hidden") }

func TestFail(t *testing.T) {
	t.Run("sub", func(t *testing.T) { t.Error("wrong") })
	t.Run("right", func(t *testing.T) { t.Log("hidden") })
}

func TestPanic(t *testing.T) { panic("at once") }
`,
}

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, _ := cmd.Output() // it fails when a test does
	var b bytes.Buffer
	if err := summarize(bytes.NewReader(out), &b, false); err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`\d+\.\d+s`).ReplaceAllString(b.String(), "0s")
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range module {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const last = "skipped 3 tests for want of nogo (2), root (1): run `make deps` as root on Debian, which installs the tools, " +
		"then the tests as root\n"
	for _, times := range []string{"", "(cached)"} {
		want := "ok  \texample.com/m/good\t" + times + "\n" + last
		got := strings.ReplaceAll(run(t, dir, "./good"), "\t0s\n", "\t\n")
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", times, d)
		}
	}
	all := run(t, dir, "./...")
	for _, want := range []string{"--- FAIL: TestFail/sub (0s)", "x_test.go:8: wrong", "--- FAIL: TestPanic", "panic: at once",
		"FAIL\texample.com/m/worse", "too many return values", "FAIL\texample.com/m/bad [build failed]", last} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	for _, hidden := range []string{"hidden", "===", "PASS", "Mondays", "{"} {
		if hidden != "{" && strings.Contains(all, hidden) || hidden == "{" && strings.HasPrefix(all, hidden) {
			t.Errorf("%q in\n%s", hidden, all)
		}
	}
	if got := run(t, dir, "./none"); !strings.HasSuffix(got, "[no test files]\nnothing was skipped for want of a tool\n") {
		t.Error(got)
	}
}

func TestSummarize_PassesOtherLinesOn(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := summarize(strings.NewReader("go: no such module\n"), &got, true); err != nil {
		t.Fatal(err)
	}
	if want := "go: no such module\nnothing was skipped for want of a tool\n"; got.String() != want {
		t.Errorf("%q", got.String())
	}
}

// A test that one call skips, as one with -short does, must run in another one.
func TestSummarize_FailsIfNoCallRunsATest(t *testing.T) {
	t.Parallel()
	const skipped = `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: only on Mondays\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
`
	const passed = `{"Action":"pass","Package":"p","Test":"TestA"}
`
	const left = "no call has run TestA in p:\n    a_test.go:3: only on Mondays\n"
	for calls, wantErr := range map[string]bool{skipped: true, skipped + skipped: true, passed + skipped: false, skipped + passed: false} {
		for _, all := range []bool{true, false} {
			var got bytes.Buffer
			err := summarize(strings.NewReader(calls), &got, all)
			if (err != nil) != (wantErr && all) || strings.Contains(got.String(), left) != (err != nil) {
				t.Errorf("all: %v, error %v of\n%s\n%s", all, err, calls, &got)
			}
		}
	}
}
