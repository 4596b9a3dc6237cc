// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// TestRelease builds the files of a release for this machine twice, and compares them. Then it verifies them as
// docs/how-to/verify-a-release.md says, and runs what is in them.
func TestRelease(t *testing.T) {
	testtool.Need(t, "git", "sha256sum", "tar")
	first, second := t.TempDir(), t.TempDir()
	for _, folder := range []string{first, second} {
		command(t, "", "release.sh", "v0.9.8", "--dry-run", folder, "linux/"+runtime.GOARCH)
	}
	sums := readFile(t, filepath.Join(first, "SHA256SUMS"))
	if got := readFile(t, filepath.Join(second, "SHA256SUMS")); got != sums {
		t.Errorf("the second build differs:\n%s\n%s", sums, got)
	}
	files, err := os.ReadDir(first)
	if err != nil || strings.Count(sums, "\n") != len(files)-1 {
		t.Errorf("%d files, %v, and\n%s", len(files), err, sums)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = first
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	name := "upgrade-controller_0.9.8_linux_" + runtime.GOARCH
	unpacked := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", filepath.Join(first, name+".tar.gz"), "-C", unpacked).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for program, command := range map[string]string{"upgradectl": "version", "upgrade-agent": "version", "upgrade-controller": "--version"} {
		path := filepath.Join(unpacked, name, program)
		if out, err := exec.Command(path, command).CombinedOutput(); err != nil || !strings.Contains(string(out), "v0.9.8") {
			t.Errorf("%s %s: %v, %s", program, command, err, out)
		}
		listsModules(t, path, filepath.Join(first, program+"_0.9.8_linux_"+runtime.GOARCH+".cdx.json"))
	}
}

// listsModules compares the modules in a program with those in its bill of materials.
func listsModules(t *testing.T, program, bill string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat string `json:"bomFormat"`
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal([]byte(readFile(t, bill)), &bom); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range bom.Components {
		listed[c.Name+" "+c.Version] = true
	}
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Version != "v0.9.8" || !listed["std "+info.GoVersion] || len(info.Deps) < 10 {
		t.Errorf("%s: %s of %+v, %d modules", bill, bom.BOMFormat, bom.Metadata.Component, len(listed))
	}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		if !listed[d.Path+" "+d.Version] {
			t.Errorf("%s does not list %s %s", bill, d.Path, d.Version)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRelease_RefusesWrongVersions(t *testing.T) {
	testtool.Need(t, "git")
	for version, want := range map[string]string{"": "must be a tag", "0.2.0": "must be a tag", "v1": "must be a tag", "v0.9.8": "there is no tag v0.9.8"} {
		out, err := exec.Command("./release.sh", version).CombinedOutput()
		if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 2 || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, %s", version, err, out)
		}
	}
}
