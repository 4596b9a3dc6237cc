// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// SystemClock is the time of the machine.
type SystemClock struct{}

// Now is time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep waits for d or for the end of the context.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ctx.Err()
	}
}

// File is a VersionFile at a path: one line with the name of the version. A file that is missing says that there is no
// version yet; one that is empty or holds anything else is an error, lest damage look like a first boot.
type File string

// Memory is a VersionFile that is none: for hosts that are only played.
type Memory struct{ version string }

// Version is what was set last.
func (m *Memory) Version() (string, error) { return m.version, nil }

// SetVersion keeps it.
func (m *Memory) SetVersion(version string) error {
	m.version = version
	return nil
}

// maxVersionFile is more than any version name is long.
const maxVersionFile = 4 << 10

// Version reads the file.
func (f File) Version() (string, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("version file: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxVersionFile))
	if err != nil {
		return "", fmt.Errorf("version file: %w", err)
	}
	version := strings.TrimSpace(string(data))
	if wrong := keys.ValidVersion(version); wrong != "" {
		return "", fmt.Errorf("version file %s: %.40q is no version: it %s (remove the file if the host has none yet)",
			string(f), version, wrong)
	}
	return version, nil
}

// SetVersion replaces the file in one step.
func (f File) SetVersion(version string) error {
	if err := f.replace(version + "\n"); err != nil {
		return fmt.Errorf("version file: %w", err)
	}
	return nil
}

func (f File) replace(content string) (err error) {
	dir := filepath.Dir(string(f))
	temp, err := os.CreateTemp(dir, "."+filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = temp.Close(), os.Remove(temp.Name())
		}
	}()
	if _, err := temp.WriteString(content); err != nil {
		return err
	}
	if err := temp.Chmod(0o644); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), string(f)); err != nil {
		return err
	}
	return errors.Join(temp.Close(), syncDir(dir))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Command is a Step that runs a program, without a shell, with UPGRADE_VERSION, UPGRADE_LOCAL_VERSION, UPGRADE_HOSTNAME
// and UPGRADE_ROLE in its environment. Exit status 0 is success.
type Command struct {
	Path string
	Args []string
	// Timeout ends the program, and everything else in its process group; 0: none.
	Timeout time.Duration
	// Output gets all that the program writes; nil: nobody does.
	Output io.Writer
	// grace is how long the program may take to stop when it is told to, and how long the output of what it left behind
	// is waited for; 0: defaultGrace.
	grace time.Duration
}

const (
	// maxSays is how much of the end of the output goes into a report.
	maxSays      = 4 << 10
	defaultGrace = 10 * time.Second
)

// Run runs the program; it is a Step.
func (c Command) Run(ctx context.Context, change Change) (says string, err error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("timed out after %s", c.Timeout))
		defer cancel()
	}
	end := &tail{limit: maxSays}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(os.Environ(), "UPGRADE_VERSION="+change.To, "UPGRADE_LOCAL_VERSION="+change.From,
		"UPGRADE_HOSTNAME="+change.Host, "UPGRADE_ROLE="+change.Role)
	var out io.Writer = end
	if c.Output != nil {
		out = io.MultiWriter(end, c.Output)
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = cmp.Or(c.grace, defaultGrace)
	err = cmd.Run()
	if cause := context.Cause(ctx); cause != nil && err != nil {
		if cmd.Process != nil { // who did not heed the first signal
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return end.String(), cause
	}
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well, and something that it started keeps its output open
		err = nil
	}
	return end.String(), err
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
