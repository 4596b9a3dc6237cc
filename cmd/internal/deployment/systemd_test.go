// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// tool runs a third-party program and returns its output. If it is missing the test is skipped; with CI=true it fails.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	testtool.Need(t, name)
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

func systemdAnalyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return tool(t, "systemd-analyze", args...)
}

func unitNames() []string {
	return []string{"upgrade-controller.service", "upgrade-dashboard.service", "upgrade-agent.service"}
}

func TestUnits_SystemdAnalyzeIsSilent(t *testing.T) {
	t.Parallel()
	for _, name := range unitNames() {
		// systemd-analyze checks that the program exists.
		text := strings.ReplaceAll(read(t, "config/systemd/"+name), "/usr/bin/", os.Getenv(binEnv)+"/")
		unit := write(t, filepath.Join(t.TempDir(), name), text)
		if out, err := systemdAnalyze(t, "verify", "--man=no", unit); err != nil || out != "" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		broken := write(t, unit, strings.Replace(text, "Restart=always", "Restart=perhaps", 1))
		if out, _ := systemdAnalyze(t, "verify", "--man=no", broken); !strings.Contains(out, "perhaps") {
			t.Errorf("%s: systemd-analyze did not find the error:\n%s", name, out)
		}
	}
}

// TestUnits_HaveTheDocumentedExposure compares the exposure that systemd computes with that of docs/security.md. Other versions of
// systemd may weigh a little differently.
func TestUnits_HaveTheDocumentedExposure(t *testing.T) {
	t.Parallel()
	const margin = 4
	docs := read(t, "docs/security.md")
	for _, name := range unitNames() {
		documented := regexp.MustCompile("([0-9.]+), \"[A-Z]+\", of\\s+`" + regexp.QuoteMeta(name) + "`").FindStringSubmatch(docs)
		if documented == nil {
			t.Fatalf("docs/security.md has no number for %s", name)
		}
		exposure, err := strconv.ParseFloat(documented[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		limit := strconv.Itoa(int(10*exposure) + margin) // in tenths
		out, err := systemdAnalyze(t, "security", "--no-pager", "--offline=true", "--threshold="+limit,
			filepath.Join(root, "config", "systemd", name))
		if err != nil {
			t.Errorf("%s: above %s: %v\n%s", name, documented[1], err, out)
		}
	}
}

// agentConfig writes the sample, with the path of its template.
func agentConfig(t *testing.T) string {
	t.Helper()
	template, err := filepath.Abs(filepath.Join(root, "config", "agent", "fleet.sources.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(read(t, "config/agent/config.yaml"), "/etc/upgrade-agent/fleet.sources.tmpl", template, 1)
	return write(t, filepath.Join(t.TempDir(), "config.yaml"), text)
}

// arguments returns the program of a unit and its arguments, as systemd passes them: with the variables of the unit, those of the
// package's file of variables, and further ones, each of which takes precedence over the one before.
func arguments(t *testing.T, unit string, variables ...string) []string {
	t.Helper()
	text := read(t, "config/systemd/"+unit)
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(.*)$`).FindStringSubmatch(text)
	if start == nil {
		t.Fatalf("%s has no ExecStart", unit)
	}
	var all []string
	for _, line := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Fields(line[1])...)
	}
	if file := "config/packages/" + strings.TrimSuffix(unit, ".service") + ".environment"; testtool.FileFound(filepath.Join(root, file)) {
		all = append(all, regexp.MustCompile(`(?m)^[A-Z_]+=.*$`).FindAllString(read(t, file), -1)...)
	}
	values := map[string]string{}
	for _, variable := range append(all, variables...) {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	return strings.Fields(os.Expand(start[1], func(name string) string { return values[name] }))
}

// TestUnits_PassValidArguments starts the binaries with the arguments of the units.
func TestUnits_PassValidArguments(t *testing.T) {
	t.Parallel()
	for _, name := range unitNames() {
		args := arguments(t, name, "UPGRADE_AGENT_CONFIG="+agentConfig(t),
			"UPGRADE_CONTROLLER_CONFIG="+filepath.Join(root, "config", "packages", "upgrade-controller.config.yaml"))
		p := program{args[0], []string{"CONSUL_HTTP_TOKEN_FILE=/no/such/token"}}
		code, out := p.run(t, args[1:]...)
		if code == 0 || !strings.Contains(out, "/no/such/token") {
			t.Errorf("%s: exit code %d:\n%s", args, code, out)
		}
	}
}

// An operator who sets flags must not lose the configuration file.
func TestUnits_ReadTheConfigurationWithFlagsOfTheOperator(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"upgrade-agent", "upgrade-controller"} {
		flags := strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_FLAGS=--datacenter dc2"
		args := strings.Join(arguments(t, name+".service", flags), " ")
		if !strings.Contains(args, "--config /etc/"+name+"/config.yaml") || !strings.HasSuffix(args, "--datacenter dc2") {
			t.Errorf("the unit runs %s", args)
		}
	}
}
