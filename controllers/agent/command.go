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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
)

// Command runs a program, without a shell, with UPGRADE_VERSION, UPGRADE_LOCAL_VERSION, UPGRADE_HOSTNAME and UPGRADE_ROLE in
// its environment. Exit code 0 means success.
//
// The program runs in a session of its own, without a terminal, in the directory /. It inherits no open file.
type Command struct {
	// Path is the program. Run refuses one that untrusted users can change.
	Path string
	Args []string
	// SuccessCodes are exit codes besides 0 that mean success.
	SuccessCodes []int
	// Env is added to the agent's own environment without CONSUL_* or, if User is given, to PATH, HOME, USER and LANG.
	Env []string
	// User runs the program. Nil means the user of the agent.
	User *User
	// Trust names users and groups that may change the program. User may, too.
	Trust trust.Owners
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
	// GainPrivileges lets the program run set-user-ID programs such as sudo.
	GainPrivileges bool
}

// Owners returns the owners that a program of the user may have: the user, too. Nil means the user of the agent.
func (u *User) Owners(owners trust.Owners) trust.Owners {
	if u != nil {
		owners.Users = append(slices.Clip(owners.Users), u.UID)
	}
	return owners
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
	path, err := c.program()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", err
	}
	end := &tail{limit: maxOutput}
	cmd := exec.Command(path, c.Args...) //nolint:noctx // wait stops it, before the process is reaped
	cmd.Args[0] = c.Path
	cmd.Dir = "/"
	cmd.Env = c.environment(change)
	cmd.SysProcAttr = c.processAttributes()
	ended := make(chan error, 1)
	go func() { ended <- c.onThread(ctx, cmd, end) }() // a goroutine of its own, which keeps its thread
	err = <-ended
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && slices.Contains(c.SuccessCodes, exit.ExitCode()) {
		err = nil
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return end.String(), err
}

// Check returns an error if Run would not start the program: it is missing, or untrusted users can change it.
func (c Command) Check() error {
	_, err := c.program()
	return err
}

// program returns the path of the program. No untrusted user can change it after this check: see trust.Owners.Check.
func (c Command) program() (path string, err error) {
	if path, err = exec.LookPath(c.Path); err != nil {
		return "", err
	}
	return path, c.User.Owners(c.Trust).Check(path)
}

// onThread runs cmd and keeps the thread that started it, since Linux sends the signal of endWithAgent when that thread ends. A
// thread that cannot gain privileges ends with its goroutine.
func (c Command) onThread(ctx context.Context, cmd *exec.Cmd, end *tail) error {
	runtime.LockOSThread()
	if c.User == nil || c.User.GainPrivileges {
		defer runtime.UnlockOSThread()
	} else if err := dropPrivileges(); err != nil {
		return err
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	return c.run(ctx, cmd, end)
}

// run starts the program, copies its output and waits for its end.
func (c Command) run(ctx context.Context, cmd *exec.Cmd, end *tail) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	cmd.Stdout, cmd.Stderr = writer, writer
	err = cmd.Start()
	_ = writer.Close()
	if err != nil {
		return err
	}
	var out io.Writer = end
	if c.Output != nil {
		out = io.MultiWriter(end, c.Output)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(out, reader)
	}()
	reap := c.wait(ctx, cmd, copied)
	_ = reader.SetReadDeadline(time.Now()) // a background process may keep the output open
	<-copied
	return reap()
}

// wait waits until the program has exited and its output is closed, and stops its process group when the context ends. The result
// reaps the program. Until then no other process can get its number, so no signal reaches one.
func (c Command) wait(ctx context.Context, cmd *exec.Cmd, copied <-chan struct{}) (reap func() error) {
	exited := make(chan func() error, 1)
	go func() { exited <- awaitExit(cmd) }()
	grace := cmp.Or(c.grace, defaultGrace)
	select {
	case reap = <-exited:
		select {
		case <-copied:
		case <-time.After(grace):
		}
		return reap
	case <-ctx.Done():
	}
	group := -cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	limit := time.After(grace)
	select {
	case reap = <-exited:
		select { // its children may have more to say
		case <-copied:
		case <-limit:
		}
	case <-limit:
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // for processes that ignored SIGTERM
	if reap == nil {
		reap = <-exited
	}
	return reap
}

// environment leaves out the agent's own access to Consul: a step that needs Consul has a token of its own.
func (c Command) environment(change Change) []string {
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "CONSUL_") || strings.HasPrefix(variable, "PWD=") || strings.HasPrefix(variable, "OLDPWD=")
	})
	if c.User != nil {
		env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
			"HOME=" + c.User.Home, "USER=" + c.User.Name, "LOGNAME=" + c.User.Name}
	}
	env = append(env, "PWD=/", "UPGRADE_VERSION="+change.To, "UPGRADE_LOCAL_VERSION="+change.From,
		"UPGRADE_HOSTNAME="+change.Host, "UPGRADE_ROLE="+change.Role)
	return append(env, c.Env...)
}

// processAttributes makes the program the leader of a session, without a terminal to write to, and of a process group, so that
// Run can stop all its children.
func (c Command) processAttributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setsid: true}
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
