// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestVersionFile(t *testing.T) {
	dir := t.TempDir()
	f := File(filepath.Join(dir, "current_version"))
	if v, err := f.Version(); v != "" || err != nil {
		t.Errorf("missing file: %q %v", v, err)
	}
	for _, v := range []string{"v1", "2026.03.01-2"} {
		if err := f.SetVersion(v); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Version(); got != v || err != nil {
			t.Errorf("%q %v, want %q", got, err, v)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("other files: %v %v", entries, err)
	}
	for name, content := range map[string]string{"empty": "", "blank": " \n", "two lines": "v1\nv2\n", "binary": "\x00\x01",
		"huge": strings.Repeat("v ", 1<<20), "not a version": "True"} {
		if err := os.WriteFile(string(f), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := f.Version(); err == nil || v != "" || !strings.Contains(err.Error(), string(f)) || len(err.Error()) > 400 {
			t.Errorf("%s: %q %v", name, v, err)
		}
	}
	if err := File(filepath.Join(dir, "none", "current_version")).SetVersion("v1"); err == nil {
		t.Error("no error for a missing directory")
	}
	if _, err := File(dir).Version(); err == nil {
		t.Error("no error for a directory")
	}
}

// shell returns a Command that runs a script.
func shell(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"-c", script}, grace: time.Minute}
}

var change = Change{Host: "web1", Role: "web", From: "v1", To: "v2"}

func TestCommand_PassesEnvironmentAndArguments(t *testing.T) {
	var out bytes.Buffer
	c := shell(`echo "$UPGRADE_HOSTNAME $UPGRADE_ROLE $UPGRADE_LOCAL_VERSION $UPGRADE_VERSION $1 $2" >&2`)
	c.Args = append(c.Args, "sh", "a b", "$HOME;")
	c.Output = &out
	output, err := c.Run(t.Context(), change)
	if want := "web1 web v1 v2 a b $HOME;"; err != nil || output != want || out.String() != want+"\n" {
		t.Errorf("output %q, copy %q, error %v", output, out.String(), err)
	}
}

func TestCommand_ReturnsTheEndOfTheOutput(t *testing.T) {
	output, err := shell(`i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i+1)); done; printf 'cut \303'; exit 3`).
		Run(t.Context(), change)
	if err == nil || err.Error() != "exit status 3" {
		t.Errorf("error %v", err)
	}
	if len(output) > maxOutput+3 || len(output) < maxOutput-3 || !strings.HasSuffix(output, "line 2999\ncut \uFFFD") {
		t.Errorf("%d bytes, the end is %q", len(output), output[max(0, len(output)-30):])
	}
}

func TestCommand_FailsWithoutAProgram(t *testing.T) {
	if _, err := (Command{Path: "/no/such/program"}).Run(t.Context(), change); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestCommand_TimesOut(t *testing.T) {
	c := shell("echo working; sleep 1000")
	c.Timeout = 50 * time.Millisecond
	_, err := c.Run(t.Context(), change)
	if err == nil || err.Error() != "timed out after 50ms" {
		t.Errorf("error %v", err)
	}
}

// watcher passes on what is written to it.
type watcher func(p []byte)

func (w watcher) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

func TestCommand_StopsItsChildren(t *testing.T) {
	for name, script := range map[string]string{
		"all obey SIGTERM":        `sleep 1000 & echo $!; wait`,
		"a child ignores SIGTERM": `(trap '' TERM; exec sleep 1000) & echo $!; wait`,
		"it ignores SIGTERM":      `trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			c := shell(script)
			c.grace = 100 * time.Millisecond
			var pid int
			c.Output = watcher(func(p []byte) {
				pid, _ = strconv.Atoi(strings.TrimSpace(string(p)))
				stop()
			})
			if _, err := c.Run(ctx, change); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			eventually(t, fmt.Sprintf("process %d to end", pid), func() bool { return pid != 0 && !alive(pid) })
		})
	}
}

func TestCommand_MayCleanUpWhenStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := shell(`trap 'echo cleaned; exit 1' TERM; echo ready; while :; do sleep 0.01; done`)
	c.Output = watcher(func([]byte) { stop() })
	if output, err := c.Run(ctx, change); !errors.Is(err, context.Canceled) || !strings.HasSuffix(output, "cleaned") {
		t.Errorf("output %q, error %v", output, err)
	}
}

func TestCommand_DoesNotWaitForBackgroundProcesses(t *testing.T) {
	var pid int
	c := shell(`sleep 1000 & echo $!`)
	c.grace = 100 * time.Millisecond
	c.Output = watcher(func(p []byte) { pid, _ = strconv.Atoi(strings.TrimSpace(string(p))) })
	if _, err := c.Run(t.Context(), change); err != nil {
		t.Errorf("error %v", err)
	}
	if !alive(pid) {
		t.Error("a background process was stopped")
	}
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

// alive reports whether a process runs. A zombie does not.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(data))
	return len(fields) > 2 && !slices.Contains([]string{"Z", "X"}, fields[2])
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !condition() {
		if (SystemClock{}).Sleep(ctx, 5*time.Millisecond) != nil {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func TestSystemClock_SleepEndsWithTheContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := (SystemClock{}).Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
