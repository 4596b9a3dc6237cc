// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// ttl is how long sessions last: the shortest time that is allowed.
const ttl = 10 * time.Second

// unknownSession is the id of a session that never existed.
const unknownSession = "11111111-2222-3333-4444-555555555555"

// Run tests stores that open returns. Each must be empty.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(t harness)
	}{
		{"missing keys", readMissing},
		{"reads are sorted and complete", readSorted},
		{"keys with unusual characters", readUnusual},
		{"a prefix is not a directory", readPrefix},
		{"get of more keys than one transaction takes keeps their order", getMany},
		{"get without keys", getNone},
		{"get of an empty key is refused", getEmptyKey},
		{"values are read as they were written", values},
		{"values are copied", valuesAreCopied},
		{"operations that pass", verbsPass},
		{"operations that are refused", verbsRefused},
		{"a refused transaction writes nothing and lists every failed operation", refusedWhole},
		{"an operation sees the ones before it", seesBefore},
		{"setting the same value changes no index", sameValue},
		{"one transaction, one index", oneIndex},
		{"a removed key is created again", createdAgain},
		{"the result names what was written", results},
		{"the index of a read follows its prefix", metaIndex},
		{"an empty transaction does nothing", emptyTxn},
		{"a transaction of checks only", checksAlone},
		{"too many operations", tooManyOps},
		{"as many operations as allowed", fullTxn},
		{"too many bytes", tooManyBytes},
		{"an empty session is refused", emptySession},
		{"an empty key is refused", emptyKey},
		{"lock, write through, unlock", locking},
		{"a second session cannot lock", lockHeld},
		{"a session that ends releases its lock", sessionEnds},
		{"a session that ends deletes its keys", sessionDeletes},
		{"a plain set on a locked key keeps the lock", setLocked},
		{"a session that is gone", sessionGone},
		{"a TTL that is not allowed", badTTL},
		{"a context that has ended", endedContext},
		{"concurrent writers lose no update", concurrent},
		{"a wait wakes for changes of its prefix only", waits},
		{"a wait for a flat tree wakes for changes of its keys", waitsForFlatTree},
		{"a wait wakes when a session ends", waitsForSession},
		{"a wait does not miss an earlier change", waitsLate},
		{"a wait for an empty prefix", waitsForNothing},
		{"a wait stops with its context", waitStops},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(harness{t, open(t)}) })
	}
}

// harness is a store with helpers for calls that must not fail.
type harness struct {
	*testing.T
	store.Store
}

func (h harness) must(ops ...store.Op) store.Result {
	h.Helper()
	result, err := h.Txn(h.Context(), ops)
	if err != nil {
		h.Fatal(err)
	}
	return result
}

// refused applies a transaction that must be refused.
func (h harness) refused(ops ...store.Op) {
	h.Helper()
	_ = h.conflict(ops...)
}

// conflict applies a transaction that must be refused, and returns the error.
func (h harness) conflict(ops ...store.Op) *store.ConflictError {
	h.Helper()
	_, err := h.Txn(h.Context(), ops)
	conflict, ok := errors.AsType[*store.ConflictError](err)
	if !ok {
		h.Fatalf("got %v, want a conflict", err)
	}
	return conflict
}

func (h harness) set(key, value string) uint64 {
	h.Helper()
	return h.must(store.Op{Verb: store.Set, Key: key, Value: []byte(value)}).Index
}

func (h harness) get(key string) keys.Pair {
	h.Helper()
	pairs, _, err := h.Get(h.Context(), key)
	if err != nil {
		h.Fatal(err)
	}
	return pairs[0]
}

func (h harness) list(prefix string) []keys.Pair {
	h.Helper()
	pairs, meta, err := h.List(h.Context(), prefix)
	if err != nil {
		h.Fatal(err)
	}
	if meta.Filtered {
		h.Error("Filtered is true although nothing was hidden")
	}
	return pairs
}

func (h harness) keys(prefix string) []string {
	h.Helper()
	names, _, err := h.Keys(h.Context(), prefix)
	if err != nil {
		h.Fatal(err)
	}
	return names
}

func (h harness) wantKeys(prefix string, want ...string) {
	h.Helper()
	if got := h.keys(prefix); !slices.Equal(got, want) {
		h.Errorf("keys below %q: %q, want %q", prefix, got, want)
	}
	if few, _, err := h.Keys(h.Context(), prefix, store.ExpectFew); err != nil || !slices.Equal(few, want) {
		h.Errorf("few keys below %q: %q (%v), want %q", prefix, few, err, want)
	}
	var listed []string
	for _, pair := range h.list(prefix) {
		listed = append(listed, pair.Key)
	}
	if !slices.Equal(listed, want) {
		h.Errorf("pairs below %q: %q, want %q", prefix, listed, want)
	}
}

func (h harness) session() string {
	h.Helper()
	id, err := h.CreateSession(h.Context(), store.SessionOptions{Name: "test", TTL: ttl})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = h.DestroySession(context.Background(), id) })
	return id
}
