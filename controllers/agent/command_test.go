// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// guest is a user without privileges.
var guest = &User{Name: "guest", Home: "/nonexistent", UID: 65534, GID: 65534}

// inTerminal makes the test binary run a shell command as a step that commandTerminal configures.
const inTerminal = "UPGRADE_AGENT_TEST_COMMAND"

func TestMain(m *testing.M) {
	script, ok := os.LookupEnv(inTerminal)
	if !ok {
		os.Exit(m.Run())
	}
	c := shell(script)
	if os.Getenv("STEP_USER") != "" {
		c.User = guest
	}
	output, err := c.Run(context.Background(), change)
	fmt.Printf("output: %s\nerror: %v\n", output, err)
}

// agentProcess returns a process that runs the script as a step of an agent, as guest or as root.
func agentProcess(script string, user string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), inTerminal+"="+script, "STEP_USER="+user, "CONSUL_HTTP_TOKEN=s3cret", "CONSUL_HTTP_ADDR=127.0.0.1:1")
	return cmd
}

// A step must not write into the terminal of the administrator who started the agent: TIOCSTI types commands into it, as root.
func TestCommand_HasNoTerminalOfTheAgent(t *testing.T) {
	testtool.NeedRoot(t, "runs a program as another user")
	for _, user := range []string{"", "guest"} {
		cmd := agentProcess(`cat /proc/self/stat; (: </dev/tty) 2>&1 || echo no terminal; ls -l /proc/self/fd`, user)
		terminal, err := pty.Start(cmd) // in a new session, with this terminal
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			text.Write(buffer[:n])
			if err != nil {
				break
			}
		}
		_ = cmd.Wait()
		got := text.String()
		_, stat, _ := strings.Cut(got, ") ")
		fields := strings.Fields(stat) // state ppid pgrp session tty_nr
		if len(fields) < 5 || fields[4] != "0" || fields[3] == strconv.Itoa(cmd.Process.Pid) || !strings.Contains(got, "no terminal") ||
			strings.Contains(got, "/dev/pts") || strings.Contains(got, "/dev/tty ->") {
			t.Errorf("user %q: the step has a terminal:\n%s", user, got)
		}
	}
}

func TestCommand_InheritsNoFilesAndNoDirectory(t *testing.T) {
	testtool.NeedRoot(t, "runs a program as another user")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"", "guest"} {
		file, err := os.Open(secret)
		if err != nil {
			t.Fatal(err)
		}
		cmd := agentProcess(`cat <&3; cat /dev/fd/3; pwd; ls /proc/self/cwd/secret secret; echo "[$PWD][$OLDPWD]"`, user)
		cmd.Dir, cmd.ExtraFiles = filepath.Dir(secret), []*os.File{file}
		cmd.Env = append(cmd.Env, "OLDPWD="+cmd.Dir)
		out, err := cmd.CombinedOutput()
		_ = file.Close()
		if err != nil || strings.Contains(string(out), "s3cret") || !strings.Contains(string(out), "\n/\n") || !strings.Contains(string(out), "\n[/][]\n") {
			t.Errorf("user %q: %v\n%s", user, err, out)
		}
	}
}

func TestCommand_LeavesOutTheAgentsAccessToConsul(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "s3cret")
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", "/etc/upgrade-agent/token")
	t.Setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1")
	t.Setenv("SITE", "east")
	output, err := shell("env").Run(t.Context(), change)
	if err != nil || strings.Contains(output, "CONSUL_") || !strings.Contains(output, "SITE=east") || !strings.Contains(output, "UPGRADE_VERSION=v2") {
		t.Errorf("%v\n%s", err, output)
	}
}

// A set-user-ID program of root must give a command with a user nothing, unless the configuration says so.
func TestCommand_GainsNoPrivileges(t *testing.T) {
	testtool.NeedRoot(t, "makes a set-user-ID program")
	dir := t.TempDir()
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	id := filepath.Join(dir, "id")
	program, err := exec.LookPath("id")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	syscall.ForkLock.RLock()
	err = os.WriteFile(id, data, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(id, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	allowed := *guest
	allowed.GainPrivileges = true
	for _, tt := range []struct {
		user *User
		want string
	}{{guest, "65534"}, {&allowed, "0"}} {
		c := Command{Path: id, Args: []string{"-u"}, User: tt.user}
		if output, err := c.Run(t.Context(), change); err != nil || output != tt.want {
			t.Errorf("allowed %t: the user is %s, want %s (%v)", tt.user.GainPrivileges, output, tt.want, err)
		}
	}
	if output, err := shell("grep NoNewPrivs /proc/self/status").Run(t.Context(), change); err != nil || !strings.HasSuffix(output, "0") {
		t.Errorf("a step of root after a command with a user: %s (%v)", output, err)
	}
}

// When the group gets SIGKILL, its leader must still have its number: otherwise the number may be that of a new process.
func TestCommand_KillsTheGroupBeforeTheLeaderIsReaped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	c := shell(`sleep 1000 & wait`)
	path, err := exec.LookPath(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, c.Args...)
	cmd.SysProcAttr = c.processAttributes()
	copied := make(chan struct{})
	close(copied)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reap := c.wait(ctx, cmd, copied)
	if state := processState(cmd.Process.Pid); state != "Z" {
		t.Errorf("after SIGKILL the leader has state %q, want Z", state)
	}
	if err := reap(); err == nil {
		t.Error("no error of a program that was stopped")
	}
}

func processState(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(data), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}
