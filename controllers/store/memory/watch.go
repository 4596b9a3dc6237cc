// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// waiter waits for a change of a target, or of anything.
type waiter struct {
	target   store.WatchTarget
	anything bool
	wake     chan struct{}
	// restored says that a backup was restored, which ends the wait.
	restored bool
}

// Wait returns when the index of the target is above the given one, or after the time that is given, store.MaxWait at most.
func (s *Store) Wait(ctx context.Context, target store.WatchTarget, index uint64, atMost time.Duration) (store.WatchIndex, error) {
	over := time.NewTimer(min(atMost, store.MaxWait))
	defer over.Stop()
	for timeout := false; ; {
		if err := s.lock(ctx); err != nil {
			return store.WatchIndex{}, err
		}
		now := s.watchIndex(target)
		if index == 0 || now.Index > index || timeout {
			s.mu.Unlock()
			return now, nil
		}
		w := &waiter{target: target, anything: now.Empty, wake: make(chan struct{}, 1)}
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
		timeout = timeout || w.restored
		s.mu.Unlock()
	}
}

// watchIndex is the state of a target. If no key has the prefix, its index is that of the whole store.
func (s *Store) watchIndex(target store.WatchTarget) store.WatchIndex {
	switch target.Kind {
	case store.Checks:
		return store.WatchIndex{Index: s.catalog.checkIndex}
	case store.Nodes:
		return store.WatchIndex{Index: s.catalog.nodeIndex}
	}
	at := store.WatchIndex{Empty: true}
	for _, key := range s.below(target.Prefix) {
		at.Index, at.Empty = max(at.Index, s.entries[key].ModifyIndex), false
	}
	for key, removed := range s.removed {
		if strings.HasPrefix(key, target.Prefix) {
			at.Index = max(at.Index, removed)
		}
	}
	if at.Empty {
		at.Index = s.index
	}
	return at
}

// keyIndex is the index of the keys below prefix.
func (s *Store) keyIndex(prefix string) uint64 {
	return s.watchIndex(store.WatchTarget{Prefix: prefix}).Index
}

// keyChanged wakes those that wait for a key.
func (s *Store) keyChanged(key string) {
	s.wake(func(t store.WatchTarget) bool {
		return (t.Kind == store.KeyTree || t.Kind == store.FlatKeyTree) && strings.HasPrefix(key, t.Prefix)
	})
}

// catalogChanged wakes those that wait for checks, or for nodes.
func (s *Store) catalogChanged(kind store.TargetKind) {
	s.wake(func(t store.WatchTarget) bool { return t.Kind == kind })
}

func (s *Store) wake(changed func(store.WatchTarget) bool) {
	for w := range s.waiters {
		if w.anything || changed(w.target) {
			select {
			case w.wake <- struct{}{}:
			default: // it wakes already
			}
		}
	}
}

// nextExpiry is how long it takes until the next session may expire.
func (s *Store) nextExpiry() time.Duration {
	next := store.MaxWait
	for _, held := range s.sessions {
		next = min(next, held.ends.Sub(s.now()))
	}
	return max(next, time.Millisecond)
}
