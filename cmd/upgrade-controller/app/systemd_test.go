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

// supervisor is a fake systemd. It records the notifications of a service.
type supervisor struct {
	address  string
	received output
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
			_, _ = s.received.Write(append(message[:n:n], '\n'))
		}
	}()
	return s
}

func (s *supervisor) lines() []string {
	return strings.Split(strings.TrimSpace(s.received.String()), "\n")
}

func (s *supervisor) has(line string) func() bool {
	return func() bool { return slices.Contains(s.lines(), line) }
}

func (s *supervisor) env() []string {
	return []string{"NOTIFY_SOCKET=" + s.address, "WATCHDOG_USEC=100000"}
}

func TestSystemd_GetsTheStateOfTheService(t *testing.T) {
	b := newBench(t)
	binary := build(t)
	first, second := newSupervisor(t), newSupervisor(t)
	leader := b.process(binary, first.env()...)
	eventually(t, "READY", first.has("READY=1"))
	states := func(lines []string) []string { // pings of the watchdog can come at any time
		return slices.DeleteFunc(lines, func(line string) bool { return line == "WATCHDOG=1" })
	}
	eventually(t, "the state", first.has("STATUS=leading"))
	if got := states(first.lines()); !slices.Equal(got, []string{"STATUS=asking for the lock", "READY=1", "STATUS=leading"}) {
		t.Errorf("notifications of the leader: %q", got)
	}
	eventually(t, "the watchdog", first.has("WATCHDOG=1"))

	standby := b.process(binary, second.env()...)
	eventually(t, "READY", second.has("READY=1"))
	lines := second.lines()
	last := slices.IndexFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "STATUS=standing by: the leader is upgrade-controller on ")
	})
	if last < 0 {
		t.Errorf("notifications of the standby: %q", lines)
	}
	leader.signal(t, syscall.SIGTERM)
	eventually(t, "STOPPING", first.has("STOPPING=1"))
	eventually(t, "the standby to lead", second.has("STATUS=leading"))
	if n := strings.Count(second.received.String(), "READY=1"); n != 1 {
		t.Errorf("READY was sent %d times", n)
	}
	if err := <-leader.exited; err != nil {
		t.Error(err)
	}
	standby.signal(t, syscall.SIGTERM)
	if err := <-standby.exited; err != nil {
		t.Error(err)
	}
	eventually(t, "STOPPING", second.has("STOPPING=1"))
	if n := strings.Count(second.received.String(), "STOPPING=1"); n != 1 {
		t.Errorf("STOPPING was sent %d times", n)
	}
}

func TestSystemd_IsNotReadyWithoutConsul(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t)
	b := &bench{T: t, addr: "127.0.0.1:1"} // no other test gets this port for its Consul
	p := b.process(build(t), s.env()...)
	eventually(t, "an error", p.has("cannot take the lock"))
	eventually(t, "the watchdog", s.has("WATCHDOG=1"))
	if s.has("READY=1")() || !s.has("STATUS=asking for the lock")() {
		t.Errorf("notifications: %q", s.lines())
	}
}
