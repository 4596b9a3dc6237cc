// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// vulncheck runs hack/vulncheck.sh with a program in place of govulncheck. Empty means govulncheck itself.
func vulncheck(t *testing.T, program string, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.Command("./vulncheck.sh", args...)
	cmd.Env = append(os.Environ(), "GOVULNCHECK="+program)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, string(out)
}

func TestVulncheck_FailsUnlessTheDatabaseCannotBeReached(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		code   int
		says   string
	}{
		"nothing found":   {"echo No vulnerabilities found.", 0, "No vulnerabilities found."},
		"a vulnerability": {"echo 'Vulnerability #1: GO-2026-9999'; exit 3", 3, "GO-2026-9999"},
		"an error":        {"echo 'no Go files' >&2; exit 1", 1, "no Go files"},
		"no database": {`echo 'govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/…": no such host' >&2; exit 1`, 0,
			`skipped: vulnerabilities: the database cannot be reached: Get "https://vuln.go.dev/…": no such host`},
		"a vulnerability with those words": {"echo 'fetching vulnerabilities: x'; exit 3", 3, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "govulncheck")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil { //nolint:gosec // it must be executable
				t.Fatal(err)
			}
			if code, out := vulncheck(t, program); code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, tt.code, tt.says, out)
			}
		})
	}
}

// The scanner itself, with a database that knows a vulnerability of a module that we use.
func TestVulncheck_FindsAVulnerability(t *testing.T) {
	testtool.NeedCondition(t, testtool.FileFound("../bin/govulncheck"), "bin/govulncheck, which make test builds")
	db := t.TempDir()
	for name, text := range map[string]string{
		"index/db.json":      `{"modified":"2026-01-01T00:00:00Z"}`,
		"index/modules.json": `[{"path":"github.com/spf13/cobra","vulns":[{"id":"GO-2026-9999","modified":"2026-01-01T00:00:00Z"}]}]`,
		"index/vulns.json":   `[{"id":"GO-2026-9999","modified":"2026-01-01T00:00:00Z"}]`,
		"ID/GO-2026-9999.json": `{"schema_version":"1.3.1","id":"GO-2026-9999","modified":"2026-01-01T00:00:00Z",` +
			`"published":"2026-01-01T00:00:00Z","summary":"a test","affected":[{"package":{"name":"github.com/spf13/cobra","ecosystem":"Go"},` +
			`"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"ecosystem_specific":{"imports":[{"path":"github.com/spf13/cobra"}]}}],` +
			`"database_specific":{"url":"https://pkg.go.dev/vuln/GO-2026-9999"}}`,
	} {
		file := filepath.Join(db, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out := vulncheck(t, "", "-db", "file://"+db, "-scan", "package", "./cmd/upgradectl")
	if code != 3 || !strings.Contains(out, "GO-2026-9999") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
