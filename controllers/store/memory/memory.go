// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// ttlMultiplier is after how many TTLs without renewal Consul ends a session (agent/structs: SessionTTLMultiplier).
const ttlMultiplier = 2

// The TTLs that Consul allows.
const (
	minTTL = 10 * time.Second
	maxTTL = 24 * time.Hour
)

// Store is a store.Store in memory, safe for concurrent use.
type Store struct {
	now func() time.Time

	mu       sync.Mutex
	index    uint64
	entries  map[string]entry
	sorted   []string // the keys of entries, in order; nil if it must be sorted again
	sessions map[string]session
	created  uint64
	removed  map[string]uint64 // the index of the removal of each removed key
	waiters  map[*waiter]struct{}
	catalog  catalog
}

// entry is a stored pair. Its value is never changed in place.
type entry struct {
	keys.Pair
	// locks counts how often the key was locked, like Consul's LockIndex. A plain write resets it, which is a change.
	locks uint64
}

type session struct {
	ttl  time.Duration
	ends time.Time
	// deletes says that its end deletes the keys that it locks.
	deletes bool
}

// New returns an empty store. Now is the clock by which sessions expire.
func New(now func() time.Time) *Store {
	return &Store{now: now, index: 1, entries: map[string]entry{}, sessions: map[string]session{}, removed: map[string]uint64{},
		waiters: map[*waiter]struct{}{},
		catalog: catalog{nodes: map[string][]store.ServiceCheck{}, checkIndex: 1, nodeIndex: 1}}
}

var _ store.Store = (*Store)(nil)

// MaxOps is store.MaxOps.
func (s *Store) MaxOps() int { return store.MaxOps }

// lock takes the mutex, unless the context has ended, and ends expired sessions.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.expire()
	return nil
}

// List returns all pairs below prefix.
func (s *Store) List(ctx context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	if err := s.lock(ctx); err != nil {
		return nil, store.Meta{}, err
	}
	defer s.mu.Unlock()
	below := s.below(prefix)
	pairs := make([]keys.Pair, 0, len(below))
	for _, key := range below {
		pairs = append(pairs, s.entries[key].copy())
	}
	return pairs, store.Meta{Index: s.keyIndex(prefix)}, nil
}

// Keys returns all keys below prefix.
func (s *Store) Keys(ctx context.Context, prefix string, _ ...store.ReadHint) ([]string, store.Meta, error) {
	if err := s.lock(ctx); err != nil {
		return nil, store.Meta{}, err
	}
	defer s.mu.Unlock()
	return slices.Clone(s.below(prefix)), store.Meta{Index: s.keyIndex(prefix)}, nil
}

// Get reads all keys at the same moment.
func (s *Store) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	if slices.Contains(key, "") {
		return nil, store.Meta{}, fmt.Errorf("get: key is required")
	}
	if err := s.lock(ctx); err != nil {
		return nil, store.Meta{}, err
	}
	defer s.mu.Unlock()
	var meta store.Meta
	pairs := make([]keys.Pair, 0, len(key))
	for _, k := range key {
		pair := keys.Pair{Key: k}
		if e, ok := s.entries[k]; ok {
			pair = e.copy()
		}
		meta.Index = max(meta.Index, pair.ModifyIndex)
		pairs = append(pairs, pair)
	}
	return pairs, meta, nil
}

// Txn applies all operations or none.
func (s *Store) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if err := store.CheckOps(ops, s.MaxOps()); err != nil {
		return store.Result{}, err
	}
	if err := s.lock(ctx); err != nil {
		return store.Result{}, err
	}
	defer s.mu.Unlock()
	t := txn{store: s, index: s.index + 1, changed: map[string]*entry{}}
	var failed []store.FailedOp
	for i, op := range ops {
		if what := t.apply(op); what != "" {
			failed = append(failed, store.FailedOp{Index: i, Op: op, What: what})
		}
	}
	if len(failed) > 0 {
		return store.Result{}, &store.ConflictError{Failed: failed}
	}
	result := store.NewResult(ops, func(key string) uint64 {
		e, _ := t.get(key)
		return e.ModifyIndex
	})
	t.commit()
	return result, nil
}

// below returns the keys that begin with prefix, sorted.
func (s *Store) below(prefix string) []string {
	if s.sorted == nil {
		s.sorted = slices.Sorted(maps.Keys(s.entries))
	}
	from, _ := slices.BinarySearch(s.sorted, prefix)
	to := from
	for to < len(s.sorted) && strings.HasPrefix(s.sorted[to], prefix) {
		to++
	}
	return s.sorted[from:to]
}

func (e entry) copy() keys.Pair {
	pair := e.Pair
	pair.Value = bytes.Clone(pair.Value)
	return pair
}

// same says whether Consul would treat a write of o over e as no change.
func (e entry) same(o entry) bool {
	return e.locks == o.locks && e.Flags == o.Flags && e.Session == o.Session && bytes.Equal(e.Value, o.Value)
}

// txn is a transaction before its commit: what it has changed so far. A nil entry is a removal.
type txn struct {
	store   *Store
	index   uint64
	changed map[string]*entry
}

func (t *txn) get(key string) (entry, bool) {
	if e, ok := t.changed[key]; ok {
		if e == nil {
			return entry{}, false
		}
		return *e, true
	}
	e, ok := t.store.entries[key]
	return e, ok
}

// apply applies one operation to the transaction. It returns why the operation does not pass. Empty means that it passes.
func (t *txn) apply(op store.Op) string {
	current, exists := t.get(op.Key)
	switch op.Verb {
	case store.Set:
		t.write(op, current.Session, 0)
	case store.CAS:
		if op.Index != current.ModifyIndex {
			return fmt.Sprintf("failed to set key %q, index is stale", op.Key)
		}
		t.write(op, current.Session, 0)
	case store.Delete:
		t.remove(op.Key)
	case store.DeleteCAS:
		if exists && op.Index != current.ModifyIndex {
			return fmt.Sprintf("failed to delete key %q, index is stale", op.Key)
		}
		t.remove(op.Key)
	case store.DeleteTree:
		t.removeTree(op.Key)
	case store.CheckIndex:
		if !exists || op.Index != current.ModifyIndex {
			return fmt.Sprintf("key %q has index %d, not %d", op.Key, current.ModifyIndex, op.Index)
		}
	case store.CheckNotExists:
		if exists {
			return fmt.Sprintf("key %q exists", op.Key)
		}
	case store.CheckSession:
		if !exists || op.Session != current.Session {
			return fmt.Sprintf("key %q is locked by session %q, not %q", op.Key, current.Session, op.Session)
		}
	case store.Lock:
		return t.lock(op, current)
	case store.Unlock:
		if !exists || op.Session != current.Session {
			return fmt.Sprintf("failed to unlock key %q, it is not held by this session", op.Key)
		}
		t.write(op, "", current.locks)
	default:
		return fmt.Sprintf("unknown verb %d", op.Verb)
	}
	return ""
}

func (t *txn) lock(op store.Op, current entry) string {
	if _, ok := t.store.sessions[op.Session]; !ok {
		return fmt.Sprintf("invalid session %q", op.Session)
	}
	switch current.Session {
	case op.Session:
		t.write(op, op.Session, current.locks)
	case "":
		t.write(op, op.Session, current.locks+1)
	default:
		return fmt.Sprintf("failed to lock key %q, lock is already held", op.Key)
	}
	return ""
}

// write stores the value and flags of op. Writing the same again changes nothing, not even the index.
func (t *txn) write(op store.Op, session string, locks uint64) {
	next := entry{locks: locks, Pair: keys.Pair{
		Key: op.Key, Value: append([]byte(nil), op.Value...), Flags: op.Flags, Session: session,
		CreateIndex: t.index, ModifyIndex: t.index,
	}}
	if current, exists := t.get(op.Key); exists {
		if current.same(next) {
			return
		}
		next.CreateIndex = current.CreateIndex
	}
	t.changed[op.Key] = &next
}

func (t *txn) remove(key string) {
	if _, exists := t.get(key); exists {
		t.changed[key] = nil
	}
}

func (t *txn) removeTree(prefix string) {
	for key := range t.changed {
		if strings.HasPrefix(key, prefix) {
			t.changed[key] = nil
		}
	}
	for _, key := range t.store.below(prefix) {
		t.changed[key] = nil
	}
}

// commit applies the changes of the transaction to the store.
func (t *txn) commit() {
	if len(t.changed) == 0 {
		return
	}
	s := t.store
	for key, e := range t.changed {
		_, existed := s.entries[key]
		if existed != (e != nil) {
			s.sorted = nil
		}
		if e == nil {
			delete(s.entries, key)
			s.removed[key] = t.index
		} else {
			s.entries[key] = *e
			delete(s.removed, key)
		}
		s.keyChanged(key)
	}
	s.index = t.index
}
