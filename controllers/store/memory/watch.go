// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// waiter is somebody who waits for a change below a prefix, or for a bell; empty: of anything.
type waiter struct {
	prefix string
	wake   chan struct{}
}

// Wait returns when the index of the prefix is above the given one, or after store.MaxWait.
func (s *Store) Wait(ctx context.Context, prefix string, index uint64) (store.WatchIndex, error) {
	over := time.NewTimer(store.MaxWait)
	defer over.Stop()
	for timeout := false; ; {
		if err := s.lock(ctx); err != nil {
			return store.WatchIndex{}, err
		}
		mark := s.mark(prefix)
		if index == 0 || mark.Index > index || timeout {
			s.mu.Unlock()
			return mark, nil
		}
		w := &waiter{prefix: prefix, wake: make(chan struct{}, 1)}
		if mark.Empty {
			w.prefix = ""
		}
		s.waiters[w] = struct{}{}
		expiry := time.NewTimer(s.nextExpiry())
		s.mu.Unlock()
		select {
		case <-w.wake:
		case <-expiry.C: // a session that ends releases what it locks
		case <-over.C:
			timeout = true
		case <-ctx.Done():
		}
		expiry.Stop()
		s.mu.Lock()
		delete(s.waiters, w)
		s.mu.Unlock()
	}
}

// mark is where the prefix stands: with nothing below it, where the whole store does.
func (s *Store) mark(prefix string) store.WatchIndex {
	switch prefix {
	case store.ChecksTarget:
		return store.WatchIndex{Index: s.catalog.checkIndex}
	case store.NodesTarget:
		return store.WatchIndex{Index: s.catalog.nodeIndex}
	}
	m := store.WatchIndex{Empty: true}
	for _, key := range s.below(prefix) {
		m.Index, m.Empty = max(m.Index, s.entries[key].ModifyIndex), false
	}
	for key, removed := range s.removed {
		if strings.HasPrefix(key, prefix) {
			m.Index = max(m.Index, removed)
		}
	}
	if m.Empty {
		m.Index = s.index
	}
	return m
}

// moved wakes who waits for a change of the key, or for the bell.
func (s *Store) moved(key string) {
	for w := range s.waiters {
		if strings.HasPrefix(key, w.prefix) {
			select {
			case w.wake <- struct{}{}:
			default: // it is awake
			}
		}
	}
}

// nextExpiry is how long it takes until a session can end by itself.
func (s *Store) nextExpiry() time.Duration {
	next := store.MaxWait
	for _, held := range s.sessions {
		next = min(next, held.ends.Sub(s.now()))
	}
	return max(next, time.Millisecond)
}
