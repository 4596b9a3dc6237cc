// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
)

// systemd reports the state of the process to systemd by sd_notify. Without systemd it does nothing.
type systemd struct {
	log logr.Logger

	mu           sync.Mutex
	ready, ended bool // what was reported
}

// StateChanged reports what the manager does. The service is ready once it leads or stands by.
func (s *systemd) StateChanged(now manager.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	state := "STATUS=" + now.Text
	if now.Ready && !s.ready {
		s.ready = true
		state = daemon.SdNotifyReady + "\n" + state
	}
	s.notify(state)
}

// stopping reports once that the process stops. Later states are not reported.
func (s *systemd) stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.notify(daemon.SdNotifyStopping + "\nSTATUS=stopping")
}

// startWatchdog pings systemd's watchdog twice per timeout while the process is healthy, until stop is called or the context
// ends. systemd restarts a service that does not ping.
func (s *systemd) startWatchdog(ctx context.Context, healthy func() error) (stop func()) {
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Error(err, "cannot read the watchdog settings; not pinging systemd's watchdog")
	}
	if timeout <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for backoff.Sleep(ctx, timeout/2) == nil {
			if err := healthy(); err != nil {
				s.log.Error(err, "unhealthy; withholding systemd watchdog ping")
				continue
			}
			s.notify(daemon.SdNotifyWatchdog)
		}
	})
	return func() { cancel(); running.Wait() }
}

func (s *systemd) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Error(err, "cannot notify systemd", "state", state)
	}
}
