// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// section returns the text below a heading of the page about the installation, up to the next heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "docs/how-to/install.md"), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/how-to/install.md has no heading %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

// block returns the first block of code in a section.
func block(t *testing.T, heading string) string {
	t.Helper()
	found := regexp.MustCompile("(?s)```[a-z]+\n(.*?)```").FindStringSubmatch(section(t, heading))
	if found == nil {
		t.Fatalf("%s: no block of code", heading)
	}
	return found[1]
}

// TestInstallPage_FromSource runs the commands of the page below another root. All units and what they run must be there then.
func TestInstallPage_FromSource(t *testing.T) {
	t.Parallel()
	to := t.TempDir()
	for _, dir := range []string{"usr/bin", "etc/systemd/system"} {
		if err := os.MkdirAll(filepath.Join(to, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	built := regexp.MustCompile(`\bbin/upgrade`)
	for line := range strings.Lines(block(t, "## From source")) {
		line, _, _ = strings.Cut(line, "#")
		if strings.HasPrefix(line, "make build") {
			continue // TestMain has built them
		}
		line = strings.NewReplacer(" /usr/bin", " "+to+"/usr/bin", " /etc/", " "+to+"/etc/").Replace(line)
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", built.ReplaceAllString(line, os.Getenv(binEnv)+"/upgrade"))
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	for _, unit := range unitNames() {
		if !testtool.FileFound(filepath.Join(to, "etc", "systemd", "system", unit)) {
			t.Errorf("%s is not installed", unit)
		}
		args := arguments(t, unit)
		if !testtool.FileFound(filepath.Join(to, "usr", "bin", args[0])) {
			t.Errorf("%s is not installed", args[0])
		}
		for i, arg := range args {
			if arg == "--config" && !testtool.FileFound(filepath.Join(to, args[i+1])) {
				t.Errorf("%s is not installed", args[i+1])
			}
		}
	}
}

// TestInstallPage_WithoutACLs runs the units with the drop-in of the page, and a Consul without ACLs.
func TestInstallPage_WithoutACLs(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t).Addr()
	dropIn := block(t, "### Without ACLs")
	address := freeAddress(t)
	flags := []string{"UPGRADE_CONTROLLER_FLAGS=--health-probe-bind-address 0 --metrics-bind-address 0",
		"UPGRADE_CONTROLLER_CONFIG=", "UPGRADE_DASHBOARD_FLAGS=--dashboard-bind-address " + address,
		"UPGRADE_AGENT_CONFIG=", "UPGRADE_AGENT_FLAGS=--hostname web1 --exec=/bin/true --version-file " + filepath.Join(t.TempDir(), "version")}
	outputs := map[string]*output{}
	for _, name := range unitNames() {
		unit := read(t, "config/systemd/"+name) + dropIn
		credentials := regexp.MustCompile(`(?m)^LoadCredential=(.*)$`).FindAllStringSubmatch(unit, -1)
		if last := credentials[len(credentials)-1][1]; last != "" {
			t.Errorf("%s needs %s", name, last)
		}
		variables := regexp.MustCompile(`(?m)^Environment=(CONSUL_HTTP_TOKEN_FILE=.*)$`).FindAllStringSubmatch(unit, -1)
		args := arguments(t, name, flags...)
		for i := 0; i < len(args); i++ {
			if args[i] == "--config" {
				args = append(args[:i], args[i+1:]...) // an empty path, which the shell of this test does not pass
			}
		}
		p := program{args[0], []string{"CONSUL_HTTP_ADDR=" + consul, variables[len(variables)-1][1]}}
		outputs[name] = p.start(t, args[1:]...)
	}
	eventually(t, "the controller leads", func() bool { return strings.Contains(outputs["upgrade-controller.service"].String(), `"leading"`) })
	eventually(t, "the dashboard", func() bool {
		code, text := page(t, "http://"+address+"/")
		return code == http.StatusOK && strings.Contains(text, "upgrade-controller on ")
	})
	eventually(t, "the agent reports", func() bool {
		_, text := (program{"upgradectl", []string{"CONSUL_HTTP_ADDR=" + consul}}).run(t, "get", "hosts")
		return strings.Contains(text, "web1")
	})
}
