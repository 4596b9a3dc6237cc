// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package inhibit_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/godbus/dbus/v5"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/inhibit"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

var change = agent.Change{Host: "web1", From: "v1", To: "v2"}

// logind is a fake login manager. Its locks are pipes, whose other ends show when they are closed.
type logind chan inhibitor

type inhibitor struct {
	request string
	// reader sees the end of the pipe when all copies of writer are closed.
	reader *os.File
	writer int
}

// Inhibit implements the method of org.freedesktop.login1.Manager.
func (l logind) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	var ends [2]int
	if err := errors.Join(syscall.Pipe(ends[:]), syscall.SetNonblock(ends[0], true)); err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	l <- inhibitor{strings.Join([]string{what, who, why, mode}, "|"), os.NewFile(uintptr(ends[0]), "inhibitor"), ends[1]}
	return dbus.UnixFD(ends[1]), nil
}

// startBus starts a system bus for the test, with the fake login manager.
func startBus(t *testing.T) logind {
	t.Helper()
	testtool.Need(t, "dbus-daemon")
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address", "--address", "unix:tmpdir="+t.TempDir())
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = daemon.Process.Kill(), daemon.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", strings.TrimSpace(address))
	connection, err := dbus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	l := make(logind, 1)
	if err := connection.Export(l, "/org/freedesktop/login1", "org.freedesktop.login1.Manager"); err != nil {
		t.Fatal(err)
	}
	if reply, err := connection.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue); err != nil ||
		reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return l
}

func TestWithInhibitor_HoldsTheLockWhileTheStepRuns(t *testing.T) {
	l := startBus(t)
	var given inhibitor
	broken := errors.New("exit status 3")
	step := inhibit.WithInhibitor(func(context.Context, agent.Change) (string, error) {
		if given = <-l; given.request != "shutdown|upgrade-agent|changing the version to v2|block" {
			t.Errorf("request %q", given.request)
		}
		return "output", broken
	}, inhibit.Logind, funcr.New(func(_, line string) { t.Error(line) }, funcr.Options{}))
	if output, err := step(t.Context(), change); output != "output" || !errors.Is(err, broken) {
		t.Errorf("%q %v", output, err)
	}
	if err := syscall.Close(given.writer); err != nil { // the agent has a copy of its own
		t.Fatal(err)
	}
	if err := given.reader.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(given.reader); err != nil {
		t.Errorf("the lock is still held: %v", err)
	}
}

func TestWithInhibitor_RunsTheStepWithoutABusAndLogsOnce(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/such/bus")
	var lines []string
	ran := 0
	step := inhibit.WithInhibitor(func(context.Context, agent.Change) (string, error) {
		ran++
		return "", nil
	}, inhibit.Logind, funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
	for range 2 {
		if _, err := step(t.Context(), change); err != nil {
			t.Error(err)
		}
	}
	if ran != 2 || len(lines) != 1 || !strings.Contains(lines[0], "/no/such/bus") {
		t.Errorf("ran %d times, logged %q", ran, lines)
	}
}
