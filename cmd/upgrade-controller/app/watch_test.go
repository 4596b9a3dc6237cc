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

// A process that is stuck lets the watchdog run out: systemd restarts it.
func TestTheWatchdogIsNotToldOfAProcessThatIsStuck(t *testing.T) {
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
	asked := 0
	recovered := make(chan struct{})
	stop := s.watch(func() error {
		if asked++; asked <= 3 {
			return errors.New("stuck")
		}
		if asked == 4 {
			s.notify("STATUS=well again")
			close(recovered)
		}
		return nil
	})
	<-recovered
	for _, want := range []string{"STATUS=well again", "WATCHDOG=1"} {
		message := make([]byte, 100)
		n, err := socket.Read(message)
		if err != nil || string(message[:n]) != want {
			t.Errorf("told %q (%v), want %q", message[:n], err, want)
		}
	}
	stop()
}

func TestNobodyIsToldWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	s := &systemd{log: logr.Discard()}
	s.watch(func() error { t.Error("the watchdog asked"); return nil })()
	s.stopping()
}
