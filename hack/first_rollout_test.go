// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// firstRollout does what a new user does, in a root with nothing but a shell, true, and the packages: two hosts report, and are
// upgraded.
func firstRollout(t *testing.T, built string) {
	root := debianRoot(t)
	addShell(t, root)
	mkdir(t, root+"/tmp")
	mkdir(t, root+"/dev")
	write(t, root+"/dev/null", "") // no device: not each machine may make one
	write(t, root+"/usr/bin/true", "#!/bin/sh\n")
	if err := os.Chmod(root+"/usr/bin/true", 0o755); err != nil {
		t.Fatal(err)
	}
	inside := newInside(t, root)
	for _, host := range []string{"web1", "web2"} {
		write(t, root+"/tmp/"+host, "v1\n")
	}
	command(t, "", "dpkg", append([]string{"--install", "--root=" + root, "--force-script-chrootless"}, packages(t, built, "deb")...)...) // 1
	agent := "upgrade-agent run --interval 1s --jitter 0s --exec true"
	inside.start(agent + " --hostname web1 --version-file /tmp/web1") // 2
	inside.start(agent + " --hostname web2 --version-file /tmp/web2") // 3
	inside.until("2 agents, 0 legacy hosts", "upgradectl check")      // 4
	inside.run(0, "upgradectl init -f /tmp/plan.yaml")                // 5
	plan := root + "/tmp/plan.yaml"
	write(t, plan, strings.Replace(read(t, plan), `version: v1`, `version: v2`, 1))                                      // 6: in an editor
	inside.run(0, "upgradectl simulate -f /tmp/plan.yaml")                                                               // 7
	inside.start("upgrade-controller --metrics-bind-address 0 --health-probe-bind-address 0 --dashboard-bind-address 0") // 8
	inside.run(0, "upgradectl apply -f /tmp/plan.yaml --wait")                                                           // 9
	if out := inside.run(0, "upgradectl status"); !strings.Contains(out, `"upgraded":["web1","web2"]`) {                 // 10
		t.Errorf("status: %s", out)
	}
	for _, host := range []string{"web1", "web2"} {
		if version := read(t, root+"/tmp/"+host); version != "v2\n" {
			t.Errorf("%s is at %s", host, version)
		}
	}
}

// inside runs commands in a root, with a Consul.
type inside struct {
	*testing.T
	root, consul string
}

func newInside(t *testing.T, root string) inside { return inside{t, root, consultest.Start(t).Addr()} }

func (i inside) command(line string) (*exec.Cmd, *bytes.Buffer) {
	words := strings.Fields(line)
	cmd := exec.CommandContext(i.Context(), "/usr/bin/"+words[0], words[1:]...)
	cmd.Env = []string{"CONSUL_HTTP_ADDR=" + i.consul, "PATH=/usr/bin", "HOME=/tmp", "USER=operator"}
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: i.root}
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// run runs a command, which must exit with a code.
func (i inside) run(want int, line string) string {
	i.Helper()
	cmd, out := i.command(line)
	_ = cmd.Run() // the exit code tells
	if got := cmd.ProcessState.ExitCode(); got != want {
		i.Fatalf("%s: exit code %d, want %d:\n%s", line, got, want, out)
	}
	return out.String()
}

// until runs a command until it prints a text.
func (i inside) until(text, line string) {
	i.Helper()
	gittest.Eventually(i.T, line+" prints "+text, func() bool {
		cmd, out := i.command(line)
		_ = cmd.Run() // what it prints tells
		return strings.Contains(out.String(), text)
	})
}

// start runs a daemon until the test ends.
func (i inside) start(line string) {
	i.Helper()
	cmd, out := i.command(line)
	if err := cmd.Start(); err != nil {
		i.Fatal(err)
	}
	i.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // the signal ends it
		if i.Failed() {
			i.Logf("%s:\n%s", line, out)
		}
	})
}
