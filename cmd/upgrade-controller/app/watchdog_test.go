// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// systemd restarts a service whose watchdog pings are missing.
func TestWatchdog_NoPingWhileUnhealthy(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", address)
	t.Setenv("WATCHDOG_USEC", "20000")
	s := &systemd{log: logr.Discard()}
	calls := 0
	recovered := make(chan struct{})
	stop := s.startWatchdog(t.Context(), func() error {
		if calls++; calls <= 3 {
			return errors.New("stuck")
		}
		if calls == 4 {
			s.notify("STATUS=recovered")
			close(recovered)
		}
		return nil
	})
	<-recovered
	for _, want := range []string{"STATUS=recovered", "WATCHDOG=1"} {
		message := make([]byte, 100)
		n, err := socket.Read(message)
		if err != nil || string(message[:n]) != want {
			t.Errorf("received %q (%v), want %q", message[:n], err, want)
		}
	}
	stop()
}

func TestSystemd_IsOptional(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	s := &systemd{log: logr.Discard()}
	s.startWatchdog(t.Context(), func() error { t.Error("the watchdog ran"); return nil })()
	s.stopping()
}
