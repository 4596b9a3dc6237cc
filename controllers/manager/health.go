// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// stuckAfter is how long a pass may take: each call in it is bounded, so that one that takes longer will not end.
const stuckAfter = 10 * time.Minute

// mode is what a manager does.
type mode uint8

const (
	notRun mode = iota
	starting
	standingBy
	leading
	ended
)

func (m mode) String() string {
	return [...]string{"not running yet", "asking for the lock", "standing by", "leading", "ended"}[m]
}

// health is what is known of a manager's loops.
type health struct {
	mu     sync.Mutex
	mode   mode
	passes map[*time.Time]struct{} // the starts of those under way
}

func (h *health) set(m mode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode = m
}

// pass notes that one has begun; what it returns notes its end.
func (h *health) pass() (done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.passes == nil {
		h.passes = map[*time.Time]struct{}{}
	}
	now := time.Now()
	h.passes[&now] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.passes, &now)
	}
}

// Healthy says what is wrong with the manager's loops: they do not run, or are stuck. Nil: nothing.
func (m *Manager) Healthy() error {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if m.health.mode == notRun || m.health.mode == ended {
		return errors.New(m.health.mode.String())
	}
	for begun := range m.health.passes {
		if took := time.Since(*begun); took > stuckAfter {
			return fmt.Errorf("a pass has not ended for %s", took.Round(time.Second))
		}
	}
	return nil
}

// Ready says why the manager could not work now, or take over: it neither leads nor stands by, or Consul does not
// answer. Nil, with what it does: it could.
func (m *Manager) Ready(ctx context.Context) (string, error) {
	m.health.mu.Lock()
	now := m.health.mode
	m.health.mu.Unlock()
	if now != leading && now != standingBy {
		return "", errors.New(now.String())
	}
	if _, err := leaderelection.LockHolder(ctx, m.Store, keys.Leader); err != nil {
		return "", fmt.Errorf("%s, but %w", now, err)
	}
	return now.String(), nil
}
