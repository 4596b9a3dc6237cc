// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Command runs a program, without a shell, with UPGRADE_VERSION, UPGRADE_LOCAL_VERSION, UPGRADE_HOSTNAME and UPGRADE_ROLE in
// its environment. Exit code 0 means success.
type Command struct {
	Path string
	Args []string
	// SuccessCodes are exit codes besides 0 that mean success.
	SuccessCodes []int
	// Env is added to the agent's own environment or, if User is given, to PATH, HOME, USER and LANG.
	Env []string
	// User runs the program. Nil means the user of the agent.
	User *User
	// Timeout ends the program and all processes of its group. 0 means no timeout.
	Timeout time.Duration
	// Output gets all that the program writes. Nil means that it is discarded.
	Output io.Writer
	// grace is the time between SIGTERM and SIGKILL, and how long to wait for the output of background processes. 0 means
	// defaultGrace.
	grace time.Duration
}

// User is the user that runs a program.
type User struct {
	Name, Home string
	UID, GID   uint32
	// Groups are the supplementary groups.
	Groups []uint32
}

const (
	// maxOutput is how much of the end of the output goes into a report.
	maxOutput    = 4 << 10
	defaultGrace = 10 * time.Second
)

// Run runs the program. It is a Step.
func (c Command) Run(ctx context.Context, change Change) (output string, err error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("timed out after %s", c.Timeout))
		defer cancel()
	}
	end := &tail{limit: maxOutput}
	var out io.Writer = end
	if c.Output != nil {
		out = io.MultiWriter(end, c.Output)
	}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = c.environment(change)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = c.processAttributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = cmp.Or(c.grace, defaultGrace)
	err = cmd.Run()
	if cause := context.Cause(ctx); cause != nil && err != nil {
		if cmd.Process != nil { // for processes that ignored SIGTERM
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return end.String(), cause
	}
	if errors.Is(err, exec.ErrWaitDelay) { // it succeeded, and a background process keeps its output open
		err = nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && slices.Contains(c.SuccessCodes, exit.ExitCode()) {
		err = nil
	}
	return end.String(), err
}

func (c Command) environment(change Change) []string {
	env := os.Environ()
	if c.User != nil {
		env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
			"HOME=" + c.User.Home, "USER=" + c.User.Name, "LOGNAME=" + c.User.Name}
	}
	env = append(env, "UPGRADE_VERSION="+change.To, "UPGRADE_LOCAL_VERSION="+change.From,
		"UPGRADE_HOSTNAME="+change.Host, "UPGRADE_ROLE="+change.Role)
	return append(env, c.Env...)
}

// processAttributes makes the program the leader of a process group, so that Run can stop all its children.
func (c Command) processAttributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	endWithAgent(attributes)
	if u := c.User; u != nil && int(u.UID) != os.Getuid() {
		attributes.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	return attributes
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	buf   []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	return strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "\uFFFD"))
}
