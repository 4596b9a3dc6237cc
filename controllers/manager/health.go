// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// stuckAfter is how long a pass may take. Each call in it is bounded, so a pass that takes longer will not end.
const stuckAfter = 10 * time.Minute

// mode is what a manager does.
type mode uint8

const (
	notRunning mode = iota
	starting
	standingBy
	leading
	ended
)

func (m mode) String() string {
	return [...]string{"not running yet", "asking for the lock", "standing by", "leading", "ended"}[m]
}

// health is the state of a manager's loops.
type health struct {
	mu     sync.Mutex
	mode   mode
	passes map[*time.Time]struct{} // the starts of those under way
	denied map[string]error        // by plan, of passes that the store denied
}

func (h *health) set(m mode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode = m
	h.denied = nil
}

// ended notes how a pass over a plan ended.
func (h *health) ended(plan string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.denied, plan)
	if _, ok := errors.AsType[*store.ForbiddenError](err); !ok {
		return
	}
	if h.denied == nil {
		h.denied = map[string]error{}
	}
	h.denied[plan] = err
}

// pass notes the start of a pass. The function that it returns notes the end.
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

// Healthy returns an error if the manager does not run, or if a pass or a runner is stuck.
func (m *Manager) Healthy() error {
	for _, r := range m.Runners {
		if err := r.Healthy(); err != nil {
			return err
		}
	}
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if m.health.mode == notRunning || m.health.mode == ended {
		return errors.New(m.health.mode.String())
	}
	for started := range m.health.passes {
		if took := time.Since(*started); took > stuckAfter {
			return fmt.Errorf("a pass has not ended for %s", took.Round(time.Second))
		}
	}
	return nil
}

// firstDenied returns the error of the first plan, by name, of those that the store denied. Nil means none. The lock must be held.
func (h *health) firstDenied() error {
	if len(h.denied) == 0 {
		return nil
	}
	return h.denied[slices.Min(slices.Collect(maps.Keys(h.denied)))]
}

// Ready returns what the manager does, or an error if it could not work or take over: it neither leads nor stands by, or
// Consul does not answer or denies what its work needs.
func (m *Manager) Ready(ctx context.Context) (string, error) {
	m.health.mu.Lock()
	now, denied := m.health.mode, m.health.firstDenied()
	m.health.mu.Unlock()
	if now != leading && now != standingBy {
		return "", errors.New(now.String())
	}
	if _, err := leaderelection.LockHolder(ctx, m.Store, keys.Leader); err != nil {
		return "", fmt.Errorf("%s, but %w", now, err)
	}
	if denied != nil {
		return "", fmt.Errorf("%s, but %w", now, denied)
	}
	return now.String(), nil
}
