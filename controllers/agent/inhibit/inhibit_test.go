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
)

var change = agent.Change{Host: "web1", From: "v1", To: "v2"}

// logind is a login manager that gives out inhibitors: pipes, whose other ends tell when they are closed.
type logind chan inhibitor

type inhibitor struct {
	asked string
	here  *os.File
	there int
}

// Inhibit is the method of org.freedesktop.login1.Manager.
func (l logind) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	var ends [2]int
	if err := errors.Join(syscall.Pipe(ends[:]), syscall.SetNonblock(ends[0], true)); err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	l <- inhibitor{strings.Join([]string{what, who, why, mode}, "|"), os.NewFile(uintptr(ends[0]), "inhibitor"), ends[1]}
	return dbus.UnixFD(ends[1]), nil
}

// startBus is a system bus of the test, with the login manager on it.
func startBus(t *testing.T) logind {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		const missing = "needs dbus-daemon: run `make deps` as root on Debian"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
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

func TestAnInhibitorStandsWhileTheStepRuns(t *testing.T) {
	l := startBus(t)
	var given inhibitor
	broken := errors.New("exit status 3")
	step := inhibit.WithInhibitor(func(context.Context, agent.Change) (string, error) {
		if given = <-l; given.asked != "shutdown|upgrade-agent|changing the version to v2|block" {
			t.Errorf("logind was asked %q", given.asked)
		}
		return "said", broken
	}, inhibit.Logind, funcr.New(func(_, line string) { t.Error(line) }, funcr.Options{}))
	if says, err := step(t.Context(), change); says != "said" || !errors.Is(err, broken) {
		t.Errorf("%q %v", says, err)
	}
	if err := syscall.Close(given.there); err != nil { // what is left is that of the agent
		t.Fatal(err)
	}
	if err := given.here.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(given.here); err != nil {
		t.Errorf("the inhibitor is held still: %v", err)
	}
}

func TestWithoutABusTheStepIsRunAndThatIsSaidOnce(t *testing.T) {
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
		t.Errorf("ran %d times and said %q", ran, lines)
	}
}
