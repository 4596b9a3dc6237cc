// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

func write(t testing.TB, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// A process that another test starts meanwhile would inherit the open file, and Linux runs no file that is open for writing.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFacts_FacterReadsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts.d", "current_version.txt")
	if _, err := (pipeline.Facts{Path: path}).Step().Run(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "current_version=v2\n" {
		t.Errorf("got %q", got)
	}
	testtool.Need(t, "facter")
	out, err := exec.Command("facter", "--external-dir", filepath.Dir(path), "current_version").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "v2" {
		t.Errorf("facter printed %q (%v)", out, err)
	}
}

func TestSources_ExecutesTheTemplate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.sources")
	sources := func(text string) pipeline.Sources {
		return pipeline.Sources{Path: path, Template: template.Must(template.New("sources").Option("missingkey=error").Parse(text))}
	}
	good := sources("Types: deb\nURIs: https://apt.example.com/{{.Version}}/{{.Role}}\nX-Was: {{.LocalVersion}} of {{.Hostname}}\n")
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if _, err := good.Step().Run(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	want := "Types: deb\nURIs: https://apt.example.com/v2/web\nX-Was: v1 of web1\n"
	if got := read(t, path); got != want {
		t.Errorf("got\n%s", got)
	}
	for _, text := range []string{"{{.NoSuchField}}", " \n", "{{if false}}x{{end}}"} {
		if err := sources(text).Check(); err == nil {
			t.Errorf("%q was accepted", text)
		}
		if _, err := sources(text).Step().Run(t.Context(), change); err == nil || read(t, path) != want {
			t.Errorf("%q was written (%v)", text, err)
		}
	}
}

func TestValidation_RunsTheScriptsThatRunPartsRuns(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(t.TempDir(), "log")
	script := "#!/bin/sh\necho \"$(basename $0) $UPGRADE_VERSION\" >> " + log + "\n"
	for name, mode := range map[string]os.FileMode{"20-disk": 0o755, "100-net": 0o755, "B": 0o755, "a": 0o755, "9_mem": 0o700,
		"not-executable": 0o644, "script.sh": 0o755, "old~": 0o755, ".hidden": 0o755, "Z.dpkg-old": 0o755} {
		write(t, filepath.Join(dir, name), script, mode)
	}
	write(t, filepath.Join(dir, "folder", "x"), script, 0o755)
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	v := pipeline.Validation{Directory: dir, Names: regexp.MustCompile(`^[A-Za-z0-9_-]+$`), Timeout: time.Minute, Output: &out}
	if _, err := v.Step().Run(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	var ran []string
	for line := range strings.Lines(read(t, log)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		if ran = append(ran, name); version != "v2" {
			t.Errorf("%s got version %q", name, version)
		}
	}
	if got := strings.Join(ran, " "); got != "100-net 20-disk 9_mem B a link" {
		t.Errorf("ran %s", got)
	}
	if !strings.Contains(out.String(), "script.sh: its name does not match") {
		t.Errorf("output\n%s", &out)
	}
	testtool.Need(t, "run-parts")
	listed, err := exec.Command("run-parts", "--test", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(string(listed), dir+"/", ""); want != strings.Join(ran, "\n")+"\n" {
		t.Errorf("run-parts would run\n%s", want)
	}
}

func TestValidation_StopsAtTheFirstFailure(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1"), "#!/bin/sh\nexit 0\n", 0o755)
	write(t, filepath.Join(dir, "2"), "#!/bin/sh\necho 'no route'; exit 3\n", 0o755)
	write(t, filepath.Join(dir, "3"), "#!/bin/sh\ntouch "+dir+"/ran\n", 0o755)
	v := pipeline.Validation{Directory: dir, Names: regexp.MustCompile(`.`)}
	output, err := v.Step().Run(t.Context(), change)
	if err == nil || err.Error() != "2: exit status 3" || output != "no route" {
		t.Errorf("%q %v", output, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the next script ran")
	}
	write(t, filepath.Join(dir, "1"), "#!/bin/sh\nsleep 1000\n", 0o755)
	v.Timeout = 50 * time.Millisecond
	if _, err := v.Step().Run(t.Context(), change); err == nil || err.Error() != "1: timed out after 50ms" {
		t.Errorf("timeout: %v", err)
	}
	v.Directory = filepath.Join(dir, "none")
	if _, err := v.Step().Run(t.Context(), change); err == nil {
		t.Error("no error for a missing directory")
	}
}

// It needs the real Puppet.
func TestPuppet_Apply(t *testing.T) {
	if testing.Short() {
		t.Skip("Puppet takes half a minute")
	}
	t.Parallel()
	testtool.Need(t, "puppet")
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	for _, tt := range []struct {
		name, manifest, want, err string
		timeout                   time.Duration
	}{
		{name: "nothing to change", manifest: `notice("fine")`},
		{name: "changes", manifest: `file { '` + file + `': content => "x" }`},
		{name: "fails", manifest: `exec { '/bin/false': }`, err: "exit status 4 (resources failed)", want: "/bin/false"},
		{name: "changes and fails", manifest: `file { '` + file + `': content => "y" } exec { '/bin/false': }`,
			err: "exit status 6 (some resources were changed, others failed)", want: "/bin/false"},
		{name: "does not compile", manifest: `fail("no such role")`, err: "exit status 1 (the run failed or did not start)", want: "no such role"},
		{name: "hangs", manifest: `exec { '/bin/sleep 1000': }`, timeout: 4 * time.Second, err: "timed out after 4s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			manifest := write(t, filepath.Join(t.TempDir(), "site.pp"), tt.manifest, 0o600)
			state := []string{"--vardir", filepath.Join(dir, "var"), "--confdir", filepath.Join(dir, "conf")}
			p := pipeline.Puppet{Path: "puppet", Manifest: manifest, Args: state, Timeout: tt.timeout}
			output, err := p.Step().Run(t.Context(), change)
			switch {
			case tt.err == "" && err != nil:
				t.Errorf("%v\n%s", err, output)
			case tt.err != "" && (err == nil || err.Error() != tt.err || !strings.Contains(output, tt.want)):
				t.Errorf("%v, want %s and %q:\n%s", err, tt.err, tt.want, output)
			case strings.Contains(output, "\x1b"):
				t.Errorf("colored output: %q", output)
			}
		})
	}
	if got := read(t, file); got != "y" {
		t.Errorf("the file has %q", got)
	}
}

func TestPuppet_Agent(t *testing.T) {
	t.Parallel()
	fake := write(t, filepath.Join(t.TempDir(), "puppet"), "#!/bin/sh\necho \"$@\"; exit 1\n", 0o755)
	output, err := (pipeline.Puppet{Path: fake, Args: []string{"--noop"}}).Step().Run(t.Context(), change)
	want := "agent --onetime --no-daemonize --no-splay --no-usecacheonfailure --verbose --logdest console --detailed-exitcodes --color=false --noop"
	if output != want || err == nil {
		t.Errorf("ran puppet %s (%v)", output, err)
	}
	testtool.Need(t, "puppet") // no server listens on port 1
	dir := t.TempDir()
	p := pipeline.Puppet{Path: "puppet", Args: []string{"--server", "127.0.0.1", "--serverport", "1", "--waitforcert", "0",
		"--vardir", filepath.Join(dir, "var"), "--confdir", filepath.Join(dir, "conf"), "--ssldir", filepath.Join(dir, "ssl")}}
	if output, err := p.Step().Run(t.Context(), change); err == nil || !strings.HasPrefix(err.Error(), "exit status 1 (") {
		t.Errorf("without a server: %v\n%s", err, output)
	}
}

func TestHook(t *testing.T) {
	step := pipeline.Hook(agent.Command{Path: "/bin/sh", Args: []string{"-c", "echo $UPGRADE_VERSION; exit 5"}})
	if output, err := step.Run(t.Context(), change); output != "v2" || err == nil || err.Error() != "exit status 5" {
		t.Errorf("%q %v", output, err)
	}
}

// Each row is a step of a program, a manifest or a directory. The test makes it writable, and then removes it.
func TestCheck_FindsWhatTheStepRefuses(t *testing.T) {
	for name, step := range map[string]func(path string) pipeline.Step{
		"hook":   func(path string) pipeline.Step { return pipeline.Hook(agent.Command{Path: path}) },
		"puppet": func(path string) pipeline.Step { return pipeline.Puppet{Path: path}.Step() },
		"manifest": func(path string) pipeline.Step {
			return pipeline.Puppet{Path: "/bin/sh", Manifest: path}.Step()
		},
		"script": func(path string) pipeline.Step {
			return pipeline.Validation{Directory: filepath.Dir(path), Names: regexp.MustCompile(".")}.Step()
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "dir", "file"), "#!/bin/sh\n", 0o755)
			s := step(path)
			if err := s.Check(); err != nil {
				t.Errorf("a file that only we can change: %v", err)
			}
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
			checked := s.Check()
			if _, err := s.Run(t.Context(), change); checked == nil || err == nil || err.Error() != checked.Error() {
				t.Errorf("a file that all can change: Check returns %v, Run %v", checked, err)
			}
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a missing file: %v", err)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if err := (pipeline.Apt{}).Step().Check(); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("apt without programs: %v", err)
	}
}
