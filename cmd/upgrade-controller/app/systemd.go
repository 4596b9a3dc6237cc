// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/manager"
)

// systemd is told what the process does, by sd_notify, if it wants to be.
type systemd struct {
	log logr.Logger

	mu           sync.Mutex
	ready, ended bool
}

// does tells what the manager does. The service is ready once it leads or stands by.
func (s *systemd) does(d manager.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	state := "STATUS=" + d.Text
	if d.Ready && !s.ready {
		s.ready = true
		state = daemon.SdNotifyReady + "\n" + state
	}
	s.notify(state)
}

// stopping tells, once, that the process ends. What it does until then is of no interest.
func (s *systemd) stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.notify(daemon.SdNotifyStopping + "\nSTATUS=stopping")
}

// watch tells until stop is called that the process is well, as long as healthy says so, twice in the time after which
// systemd would restart it.
func (s *systemd) watch(healthy func() error) (stop func()) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Error(err, "systemd's watchdog is not told anything")
	}
	if within <= 0 {
		return func() {}
	}
	tick, stopped, ended := time.NewTicker(within/2), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-stopped:
				return
			}
			if err := healthy(); err != nil {
				s.log.Error(err, "not well: systemd's watchdog is not told otherwise")
				continue
			}
			s.notify(daemon.SdNotifyWatchdog)
		}
	}()
	return func() { close(stopped); <-ended }
}

func (s *systemd) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Error(err, "systemd could not be told", "state", state)
	}
}
