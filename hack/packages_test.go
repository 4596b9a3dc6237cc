// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// TestPackages builds the packages of this machine's architecture, and installs, upgrades and removes them in roots of their own.
func TestPackages(t *testing.T) {
	testtool.Need(t, "dpkg", "dpkg-deb", "lintian", "rpm")
	testtool.NeedRoot(t, "installs packages")
	built := buildPackages(t)
	t.Run("two builds give the same bytes", func(t *testing.T) { sameFiles(t, built, buildPackages(t)) })
	t.Run("lintian", func(t *testing.T) {
		if out := command(t, "", "lintian", append([]string{"--allow-root", "--fail-on", "none"}, packages(t, built, "deb")...)...); out != "" {
			t.Error(out)
		}
	})
	t.Run("the version is that of the programs", func(t *testing.T) { sameVersions(t, built) })
	t.Run("install, upgrade, remove and purge with dpkg", func(t *testing.T) { debianLifecycle(t, built) })
	t.Run("install and remove with rpm", func(t *testing.T) { rpmLifecycle(t, built) })
	t.Run("from the packages to a rollout in ten commands", func(t *testing.T) { firstRollout(t, built) })
}

// installedFiles are files that each format installs.
var installedFiles = []string{
	"/usr/bin/upgrade-agent", "/usr/bin/upgrade-controller", "/usr/bin/upgradectl",
	"/usr/lib/systemd/system/upgrade-agent.service", "/usr/lib/systemd/system/upgrade-controller.service",
	"/usr/lib/systemd/system/upgrade-dashboard.service",
	"/etc/upgrade-agent/config.yaml", "/etc/upgrade-agent/environment",
	"/etc/upgrade-controller/config.yaml", "/etc/upgrade-controller/environment",
	"/usr/share/man/man1/upgradectl-rollout-pause.1.gz", "/usr/share/man/man1/upgrade-agent-run.1.gz",
	"/usr/share/man/man1/upgrade-controller.1.gz",
	"/usr/share/bash-completion/completions/upgradectl", "/usr/share/fish/vendor_completions.d/upgradectl.fish",
	"/usr/share/bash-completion/completions/upgrade-agent", "/usr/share/fish/vendor_completions.d/upgrade-agent.fish",
	"/usr/share/bash-completion/completions/upgrade-controller", "/usr/share/fish/vendor_completions.d/upgrade-controller.fish",
	"/usr/share/doc/upgrade-controller/examples/monitoring/alerts.yaml",
	"/usr/share/doc/upgrade-controller/examples/monitoring/dashboard.json",
	"/usr/share/doc/upgrade-controller/examples/consul/controller.hcl", "/usr/share/doc/upgrade-agent/examples/consul/agent.hcl",
	"/usr/share/doc/upgradectl/examples/consul/operator.hcl", "/usr/share/doc/upgradectl/examples/minimal.yaml",
	"/usr/share/doc/upgradectl/copyright", "/usr/share/doc/upgradectl/changelog.gz",
	"/usr/share/doc/upgradectl/third-party-licenses.gz",
}

// zshCompletions are in another directory in each format.
func zshCompletions(dir string) (files []string) {
	for _, program := range []string{"upgradectl", "upgrade-agent", "upgrade-controller"} {
		files = append(files, "/usr/share/zsh/"+dir+"/_"+program)
	}
	return files
}

// secrets are files that an operator creates.
var secrets = []string{
	"/etc/upgrade-agent/token", "/etc/upgrade-controller/token",
	"/etc/upgrade-controller/dashboard-token", "/etc/upgrade-controller/dashboard-environment",
}

// debianRoot makes a root in which dpkg has installed nothing.
func debianRoot(t *testing.T) string {
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		mkdir(t, filepath.Join(root, dir))
	}
	write(t, root+"/var/lib/dpkg/status", "")
	return root
}

// debianLifecycle installs packages with dpkg in an empty root. The maintainer scripts run outside of it, and get its path.
func debianLifecycle(t *testing.T, built string) {
	root := debianRoot(t)
	dpkg := func(args ...string) string {
		return command(t, "", "dpkg", append([]string{"--root=" + root, "--force-script-chrootless"}, args...)...)
	}
	debs := packages(t, built, "deb")
	dpkg(append([]string{"--install"}, debs...)...)
	wantFiles(t, root, true, append(zshCompletions("vendor-completions"), installedFiles...)...)
	wantFiles(t, root, false, "/etc/systemd/system/multi-user.target.wants/upgrade-agent.service")

	edited := root + "/etc/upgrade-agent/config.yaml"
	write(t, edited, "# edited\n")
	dpkg(append([]string{"--install", "--force-confdef"}, newerVersion(t, debs)...)...)
	if text := read(t, edited); text != "# edited\n" {
		t.Errorf("the upgrade replaced the edited configuration: %s", text)
	}

	for _, file := range secrets {
		write(t, root+file, "secret")
	}
	names := []string{"upgradectl", "upgrade-agent", "upgrade-controller"}
	dpkg(append([]string{"--remove"}, names...)...)
	wantFiles(t, root, true, secrets...)
	wantFiles(t, root, false, "/usr/bin/upgrade-agent", "/usr/lib/systemd/system/upgrade-agent.service")
	wantFiles(t, root, true, "/etc/upgrade-agent/config.yaml", "/etc/upgrade-controller/environment")
	out := dpkg(append([]string{"--purge"}, names...)...)
	for _, file := range secrets {
		if !strings.Contains(out, root+file) {
			t.Errorf("the purge does not say that it removed %s:\n%s", file, out)
		}
	}
	wantFiles(t, root, false, "/etc/upgrade-agent", "/etc/upgrade-controller", "/usr/share/doc/upgradectl")
}

// newerVersion returns packages of the same content and a higher version.
func newerVersion(t *testing.T, debs []string) []string {
	var newer []string
	for _, deb := range debs {
		dir := filepath.Join(t.TempDir(), "package")
		command(t, "", "dpkg-deb", "--raw-extract", deb, dir)
		control := dir + "/DEBIAN/control"
		write(t, control, regexp.MustCompile(`(?m)^(Version: .*)-1$`).ReplaceAllString(read(t, control), "$1-2"))
		name := filepath.Join(t.TempDir(), filepath.Base(deb))
		command(t, "", "dpkg-deb", "-Zgzip", "-z1", "--build", dir, name)
		newer = append(newer, name)
	}
	return newer
}

// rpmLifecycle installs packages with rpm in a root that has nothing but a shell, which runs the scripts.
func rpmLifecycle(t *testing.T, built string) {
	root := t.TempDir()
	addShell(t, root)
	rpm := func(args ...string) string {
		return command(t, "", "rpm", append([]string{"--root", root}, args...)...)
	}
	rpms := packages(t, built, "rpm")
	var listed []string
	for _, file := range rpms {
		listed = append(listed, strings.Fields(command(t, "", "rpm", "-qlp", file))...)
		scripts := command(t, "", "rpm", "-qp", "--scripts", file)
		if service := !strings.Contains(file, "upgradectl"); service != strings.Contains(scripts, "systemctl daemon-reload") {
			t.Errorf("%s has the scripts:\n%s", filepath.Base(file), scripts)
		}
	}
	for _, file := range append(zshCompletions("site-functions"), installedFiles...) {
		if !slices.Contains(listed, file) {
			t.Errorf("no package lists %s", file)
		}
	}
	rpm(append([]string{"--install", "--nodeps"}, rpms...)...)
	wantFiles(t, root, true, installedFiles...)
	write(t, root+"/etc/upgrade-agent/config.yaml", "# edited\n")
	for _, file := range secrets {
		write(t, root+file, "secret")
	}
	out := rpm("--erase", "--nodeps", "upgradectl", "upgrade-agent", "upgrade-controller")
	wantFiles(t, root, true, secrets...) // rpm keeps what an operator created
	for _, file := range secrets {
		if !strings.Contains(out, file) {
			t.Errorf("the removal does not say that %s is left:\n%s", file, out)
		}
	}
	wantFiles(t, root, false, "/usr/bin/upgrade-agent", "/etc/upgrade-agent/config.yaml")
	wantFiles(t, root, true, "/etc/upgrade-agent/config.yaml.rpmsave")
}

// addShell copies the shell, and the libraries that it needs, into a root.
func addShell(t *testing.T, root string) {
	mkdir(t, root+"/usr/bin")
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil {
		t.Fatal(err)
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, shell, root+"/usr/bin/sh")
	for _, word := range strings.Fields(command(t, "", "ldd", shell)) {
		if strings.HasPrefix(word, "/") {
			copyFile(t, word, filepath.Join(root, word))
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Dir(to))
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantFiles(t *testing.T, root string, exist bool, files ...string) {
	t.Helper()
	for _, file := range files {
		if _, err := os.Lstat(filepath.Join(root, file)); os.IsNotExist(err) == exist {
			t.Errorf("%s exists: %v, want %v", file, !exist, exist)
		}
	}
}

// unknownVersion is the version for programs that have none: Go reads it from Git, but not in each kind of checkout.
const unknownVersion = "v0.1.0"

// buildPackages returns a directory with packages.
func buildPackages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	command(t, unknownVersion, "packages.sh", dir, runtime.GOARCH)
	return dir
}

// versionOf returns the version that an upgradectl prints.
func versionOf(t *testing.T, upgradectl string) string {
	t.Helper()
	var v struct{ Version string }
	if err := json.Unmarshal([]byte(command(t, "", upgradectl, "version", "--client", "-o", "json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Version == "(devel)" {
		return unknownVersion
	}
	return v.Version
}

// sameVersions compares the versions of the packages with that of the programs in them, in the notation of packages.
func sameVersions(t *testing.T, built string) {
	dir := t.TempDir()
	for _, deb := range packages(t, built, "deb") {
		command(t, "", "dpkg-deb", "--extract", deb, dir)
	}
	number, rest, isPre := strings.Cut(strings.TrimPrefix(versionOf(t, dir+"/usr/bin/upgradectl"), "v"), "-")
	want := number
	if isPre {
		want += "~" + strings.ReplaceAll(rest, "-", ".")
	}
	for _, deb := range packages(t, built, "deb") {
		if got := strings.TrimSpace(command(t, "", "dpkg-deb", "--field", deb, "Version")); got != want+"-1" {
			t.Errorf("%s has version %s, its program %s", deb, got, want)
		}
	}
	for _, rpm := range packages(t, built, "rpm") {
		if got := command(t, "", "rpm", "-qp", "--queryformat", "%{VERSION}", rpm); got != want {
			t.Errorf("%s has version %s, its program %s", rpm, got, want)
		}
	}
}

// packages returns the packages of a format.
func packages(t *testing.T, dir, format string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*."+format))
	if err != nil || len(files) != 3 {
		t.Fatalf("packages %v, %v", files, err)
	}
	return files
}

func sameFiles(t *testing.T, one, two string) {
	for _, format := range []string{"deb", "rpm"} {
		others := packages(t, two, format)
		for i, file := range packages(t, one, format) {
			if !bytes.Equal([]byte(read(t, file)), []byte(read(t, others[i]))) {
				t.Errorf("%s differs", filepath.Base(file))
			}
		}
	}
}

// command runs a program, or a script of this directory for a version, and returns what it prints.
func command(t *testing.T, version, name string, args ...string) string {
	t.Helper()
	if strings.HasSuffix(name, ".sh") {
		name = "./" + name
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "VERSION="+version, "SOURCE_DATE_EPOCH=1764230400", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
