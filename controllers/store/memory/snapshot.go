// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"maps"
)

// Snapshot is a backup of the keys and sessions of a store, as consul snapshot save writes it. The catalog is not part of it.
type Snapshot struct {
	entries  map[string]entry
	sessions map[string]session
	removed  map[string]uint64
}

// Snapshot returns a backup of the store.
func (s *Store) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return Snapshot{maps.Clone(s.entries), maps.Clone(s.sessions), maps.Clone(s.removed)}
}

// Restore replaces all keys and sessions by those of a backup. As in Consul, each key has the index that it had in the backup, the
// next write has an index above all earlier ones, every wait ends, and each session lives for another TTL.
func (s *Store) Restore(b Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries, s.removed, s.sorted = maps.Clone(b.entries), maps.Clone(b.removed), nil
	s.sessions = make(map[string]session, len(b.sessions))
	for id, held := range b.sessions {
		held.ends = s.now().Add(ttlMultiplier * held.ttl)
		s.sessions[id] = held
	}
	s.index++
	for w := range s.waiters {
		w.restored = true
		select {
		case w.wake <- struct{}{}:
		default: // it wakes already
		}
	}
}
