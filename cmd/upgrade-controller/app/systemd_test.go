// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// supervisor stands for systemd: it has heard what a service told it.
type supervisor struct {
	address string
	heard   output
}

func newSupervisor(t *testing.T) *supervisor {
	s := &supervisor{address: filepath.Join(t.TempDir(), "notify")}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		for message := make([]byte, 4096); ; {
			n, err := socket.Read(message)
			if err != nil {
				return
			}
			_, _ = s.heard.Write(append(message[:n:n], '\n'))
		}
	}()
	return s
}

func (s *supervisor) lines() []string {
	return strings.Split(strings.TrimSpace(s.heard.String()), "\n")
}

func (s *supervisor) hears(line string) func() bool {
	return func() bool { return slices.Contains(s.lines(), line) }
}

func (s *supervisor) env() []string {
	return []string{"NOTIFY_SOCKET=" + s.address, "WATCHDOG_USEC=100000"}
}

func TestSystemdIsToldWhatTheServiceDoes(t *testing.T) {
	b := newBench(t)
	binary := build(t)
	first, second := newSupervisor(t), newSupervisor(t)
	leader := b.process(binary, first.env()...)
	eventually(t, "READY", first.hears("READY=1"))
	if got := first.lines(); !slices.Equal(got[:3], []string{"STATUS=asking for the lock", "READY=1", "STATUS=leading"}) {
		t.Errorf("the leader told %q", got)
	}
	eventually(t, "the watchdog", first.hears("WATCHDOG=1"))

	standby := b.process(binary, second.env()...)
	eventually(t, "READY", second.hears("READY=1"))
	told := second.lines()
	last := slices.IndexFunc(told, func(line string) bool {
		return strings.HasPrefix(line, "STATUS=standing by: the leader is upgrade-controller on ")
	})
	if last < 0 {
		t.Errorf("the standby told %q", told)
	}
	leader.signal(t, syscall.SIGTERM)
	eventually(t, "STOPPING", first.hears("STOPPING=1"))
	eventually(t, "the standby to lead", second.hears("STATUS=leading"))
	if n := strings.Count(second.heard.String(), "READY=1"); n != 1 {
		t.Errorf("it was ready %d times", n)
	}
	if err := <-leader.exited; err != nil {
		t.Error(err)
	}
	standby.signal(t, syscall.SIGTERM)
	if err := <-standby.exited; err != nil {
		t.Error(err)
	}
	eventually(t, "STOPPING", second.hears("STOPPING=1"))
	if n := strings.Count(second.heard.String(), "STOPPING=1"); n != 1 {
		t.Errorf("it was stopping %d times", n)
	}
}

// Without Consul the service is not ready, and says what it does.
func TestSystemdIsNotToldThatTheServiceIsReadyBeforeItIs(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t)
	b := &bench{T: t, addr: freeAddress(t)}
	p := b.process(build(t), s.env()...)
	eventually(t, "an error", p.has("the lock could not be taken"))
	eventually(t, "the watchdog", s.hears("WATCHDOG=1"))
	if s.hears("READY=1")() || !s.hears("STATUS=asking for the lock")() {
		t.Errorf("it told %q", s.lines())
	}
}
