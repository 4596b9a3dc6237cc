// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// CreateSession creates a session. As in Consul, it expires after twice its TTL without renewal.
func (s *Store) CreateSession(ctx context.Context, o store.SessionOptions) (string, error) {
	if o.TTL < minTTL || o.TTL > maxTTL {
		return "", fmt.Errorf("session TTL %s: must be from %s to %s", o.TTL, minTTL, maxTTL)
	}
	if err := s.lock(ctx); err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	s.created++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012x", s.created)
	s.sessions[id] = session{ttl: o.TTL, ends: s.now().Add(ttlMultiplier * o.TTL), deletes: o.DeleteKeys}
	s.index++
	return id, nil
}

// RenewSession extends a session by its TTL.
func (s *Store) RenewSession(ctx context.Context, id string) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	held, ok := s.sessions[id]
	if !ok {
		return store.ErrSessionGone
	}
	held.ends = s.now().Add(ttlMultiplier * held.ttl)
	s.sessions[id] = held
	return nil
}

// DestroySession ends a session, and releases or deletes what it locks.
func (s *Store) DestroySession(ctx context.Context, id string) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.end(id)
	return nil
}

// expire ends the expired sessions.
func (s *Store) expire() {
	if len(s.sessions) == 0 {
		return
	}
	now := s.now()
	var over []string
	for id, held := range s.sessions {
		if !now.Before(held.ends) {
			over = append(over, id)
		}
	}
	slices.Sort(over)
	for _, id := range over {
		s.end(id)
	}
}

// end removes a session and releases its locks, or deletes the keys, all at one index.
func (s *Store) end(id string) {
	ended, ok := s.sessions[id]
	if !ok {
		return
	}
	delete(s.sessions, id)
	s.index++
	for key, e := range s.entries {
		switch {
		case e.Session != id:
			continue
		case ended.deletes:
			delete(s.entries, key)
			s.removed[key] = s.index
			s.sorted = nil
		default:
			e.Session = ""
			e.ModifyIndex = s.index
			s.entries[key] = e
		}
		s.keyChanged(key)
	}
}
