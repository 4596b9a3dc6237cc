// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// machine is a root directory with its own apt, and a repository with a snapshot for each version. The machine that runs the
// test stays unchanged.
type machine struct {
	t                *testing.T
	root, repository string
	// uri is the address of the repository.
	uri string
}

func newMachine(t *testing.T) *machine {
	testtool.Need(t, "apt-get", "dpkg", "dpkg-deb", "dpkg-scanpackages")
	testtool.NeedRoot(t, "installs packages")
	m := &machine{t: t, root: t.TempDir(), repository: t.TempDir()}
	m.uri = "file://" + m.repository
	for _, dir := range []string{"etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d", "var/lib/apt/lists/partial",
		"var/cache/apt/archives/partial", "var/log/apt", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(m.root, "var", "lib", "dpkg", "status"), "", 0o644)
	config := write(t, filepath.Join(m.root, "apt.conf"), fmt.Sprintf(`Dir %q;
Dir::State::status "%[1]s/var/lib/dpkg/status";
APT::Sandbox::User "root";
Acquire::Languages "none";
#clear DPkg::Pre-Install-Pkgs; #clear DPkg::Pre-Invoke; #clear DPkg::Post-Invoke;
#clear APT::Update::Pre-Invoke; #clear APT::Update::Post-Invoke; #clear APT::Update::Post-Invoke-Success;
`, m.root+"/"), 0o644)
	t.Setenv("APT_CONFIG", config)
	t.Setenv("DPKG_ROOT", m.root)
	t.Setenv("DPKG_FRONTEND_LOCKED", "")
	return m
}

// snapshot creates the repository of a version. A package has a name, a version, and the content of its configuration file.
func (m *machine) snapshot(version string, packages ...[3]string) {
	m.t.Helper()
	dir := filepath.Join(m.repository, version)
	for _, p := range packages {
		build := m.t.TempDir()
		write(m.t, filepath.Join(build, "DEBIAN", "control"), fmt.Sprintf(
			"Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: test <test@example.com>\nDescription: of a test\n", p[0], p[1]), 0o644)
		write(m.t, filepath.Join(build, "DEBIAN", "conffiles"), "/etc/"+p[0]+".conf\n", 0o644)
		write(m.t, filepath.Join(build, "etc", p[0]+".conf"), p[2], 0o644)
		write(m.t, filepath.Join(build, "usr", "share", p[0]), p[1], 0o644)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			m.t.Fatal(err)
		}
		m.must(exec.Command("dpkg-deb", "--build", "--root-owner-group", build, filepath.Join(dir, p[0]+"_"+p[1]+".deb")))
	}
	scan := exec.Command("dpkg-scanpackages", "--multiversion", ".")
	scan.Dir, scan.Env = dir, append(os.Environ(), "DPKG_ROOT=")
	index, err := scan.Output()
	if err != nil {
		m.t.Fatal(err)
	}
	write(m.t, filepath.Join(dir, "Packages"), string(index), 0o644)
}

func (m *machine) must(cmd *exec.Cmd) string {
	m.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// upgrade runs the steps sources and apt.
func (m *machine) upgrade(version string) (string, error) {
	const text = "Types: deb\nURIs: REPOSITORY/{{.Version}}\nSuites: ./\nTrusted: yes\n"
	sources := pipeline.Sources{Path: filepath.Join(m.root, "etc", "apt", "sources.list.d", "fleet.sources"),
		Template: template.Must(template.New("sources").Parse(strings.Replace(text, "REPOSITORY", m.uri, 1)))}
	c := agent.Change{Host: "web1", From: "v0", To: version}
	if output, err := sources.Step().Run(m.t.Context(), c); err != nil {
		return output, err
	}
	return pipeline.Apt{Timeout: time.Minute}.Step().Run(m.t.Context(), c)
}

func (m *machine) installed(name string) string {
	m.t.Helper()
	return m.must(exec.Command("dpkg-query", "--showformat", "${Version} ${db:Status-Abbrev}", "--show", name))
}

func TestApt_UpgradesPackagesAndKeepsChangedConfiguration(t *testing.T) {
	m := newMachine(t)
	m.snapshot("v1", [3]string{"alpha", "1", "setting = 1\n"}, [3]string{"beta", "1", "default = 1\n"})
	m.snapshot("v2", [3]string{"alpha", "2", "setting = 2\n"}, [3]string{"beta", "2", "default = 2\n"})
	if output, err := m.upgrade("v1"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	m.must(exec.Command("apt-get", "install", "-y", "alpha", "beta"))
	write(t, filepath.Join(m.root, "etc", "alpha.conf"), "setting = ours\n", 0o644)
	if output, err := m.upgrade("v2"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, name := range []string{"alpha", "beta"} {
		if got := m.installed(name); got != "2 ii " {
			t.Errorf("%s has version %q", name, got)
		}
	}
	if got := read(t, filepath.Join(m.root, "etc", "alpha.conf")); got != "setting = ours\n" {
		t.Errorf("changed file: %q", got)
	}
	if got := read(t, filepath.Join(m.root, "etc", "beta.conf")); got != "default = 2\n" {
		t.Errorf("unchanged file: %q", got)
	}
	if out, err := exec.Command("dpkg", "--root=/", "--status", "alpha").CombinedOutput(); err == nil {
		t.Errorf("the package is installed on this machine:\n%s", out)
	}
}

func TestApt_FailsWithoutTheSnapshotOfTheVersion(t *testing.T) {
	m := newMachine(t)
	m.snapshot("v1", [3]string{"alpha", "1", ""})
	if output, err := m.upgrade("v1"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	output, err := m.upgrade("v2")
	if err == nil || err.Error() != "apt-get: exit status 100" || !strings.Contains(output, "/v2/") {
		t.Errorf("%v\n%s", err, output)
	}
}

// By default apt-get update succeeds here, and apt-get uses the old index.
func TestApt_FailsWhenTheRepositoryIsUnavailable(t *testing.T) {
	m := newMachine(t)
	m.uri = "http://127.0.0.1:1"
	if output, err := m.upgrade("v2"); err == nil || err.Error() != "apt-get: exit status 100" || !strings.Contains(output, "127.0.0.1") {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestApt_FinishesAnInterruptedDpkg(t *testing.T) {
	m := newMachine(t)
	m.snapshot("v1", [3]string{"alpha", "1", ""})
	m.snapshot("v2", [3]string{"alpha", "2", ""})
	m.must(exec.Command("dpkg", "--unpack", filepath.Join(m.repository, "v1", "alpha_1.deb")))
	status := filepath.Join(m.root, "var", "lib", "dpkg", "status")
	write(t, filepath.Join(m.root, "var", "lib", "dpkg", "updates", "0000"), read(t, status), 0o644) // the state after dpkg was killed
	if got := m.installed("alpha"); got != "1 iU " {
		t.Fatalf("alpha has version %q", got)
	}
	if output, err := m.upgrade("v2"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got := m.installed("alpha"); got != "2 ii " {
		t.Errorf("alpha has version %q", got)
	}
}
