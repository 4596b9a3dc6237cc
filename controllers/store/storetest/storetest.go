// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storetest judges implementations of store.Store by one suite.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// ttl is how long sessions last: the least that is allowed.
const ttl = 10 * time.Second

// nobody is the id of a session that never was.
const nobody = "11111111-2222-3333-4444-555555555555"

// Run judges the stores that open returns; each must be empty.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(t harness)
	}{
		{"reads of what is not there", readMissing},
		{"reads are sorted and complete", readSorted},
		{"keys with unusual characters", readUnusual},
		{"a prefix is not a folder", readPrefix},
		{"get keeps the order asked, more keys than one transaction takes", getMany},
		{"get without keys", getNone},
		{"get of an empty key is refused", getEmptyKey},
		{"values come back as they went in", values},
		{"values are copied", valuesAreCopied},
		{"verbs that pass", verbsPass},
		{"verbs that are refused", verbsRefused},
		{"a refused transaction writes nothing and lists all that failed", refusedWhole},
		{"operations see those before them", seesBefore},
		{"setting what is there moves no index", sameValue},
		{"one transaction, one index", oneIndex},
		{"a removed key is created anew", createdAnew},
		{"the result names what was written", results},
		{"the index of a read follows its prefix", metaIndex},
		{"an empty transaction does nothing", emptyTxn},
		{"checks alone", checksAlone},
		{"too many operations", tooManyOps},
		{"as many operations as allowed", fullTxn},
		{"too many bytes", tooManyBytes},
		{"an empty session is refused", emptySession},
		{"an empty key is refused", emptyKey},
		{"lock, write through, unlock", locking},
		{"a second session cannot lock", lockHeld},
		{"a session that ends releases its lock", sessionEnds},
		{"a plain set on a locked key keeps the lock", setLocked},
		{"a session that is gone", sessionGone},
		{"a TTL out of bounds", badTTL},
		{"a context that has ended", endedContext},
		{"writers do not lose updates", concurrent},
		{"a wait wakes for what changes below its prefix, and for nothing else", waits},
		{"a wait wakes when a session ends", waitsForSession},
		{"a wait does not miss what changed before it", waitsLate},
		{"a wait for a prefix without keys", waitsForNothing},
		{"a wait stops with its context", waitStops},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(harness{t, open(t)}) })
	}
}

// Expiry judges that a session nobody renews ends by itself and releases its lock, and that one that is renewed does
// not. Pass lets the store's clock go on.
func Expiry(t *testing.T, s store.Store, pass func(time.Duration)) {
	h := harness{t, s}
	kept, left := h.session(), h.session()
	h.must(store.Op{Verb: store.Lock, Key: "kept", Session: kept}, store.Op{Verb: store.Lock, Key: "left", Session: left})
	locked := h.get("left")
	for passed := time.Duration(0); h.get("left").Session != ""; passed += time.Second {
		if passed > 6*ttl {
			t.Fatalf("the lock is still held %s after the last renewal, the TTL is %s", passed, ttl)
		}
		if err := s.RenewSession(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
	}
	if h.get("left").ModifyIndex <= locked.ModifyIndex {
		t.Error("the release of a lock moved no index")
	}
	if got := h.get("kept").Session; got != kept {
		t.Errorf("the renewed session lost its lock: held by %q", got)
	}
	if err := s.RenewSession(t.Context(), left); !errors.Is(err, store.ErrSessionGone) {
		t.Errorf("renewing the expired session: %v", err)
	}
}

// harness is a store with the calls that must not fail.
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

// refused tries a transaction that must be refused, and conflict tells what failed.
func (h harness) refused(ops ...store.Op) {
	h.Helper()
	_ = h.conflict(ops...)
}

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
		h.Error("a read that nothing was hidden from says it was filtered")
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
	id, err := h.CreateSession(h.Context(), "test", ttl)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = h.DestroySession(context.Background(), id) })
	return id
}

func readMissing(h harness) {
	h.wantKeys("")
	h.wantKeys("a/")
	if pair := h.get("a"); pair.Exists() || pair.Key != "a" || pair.Value != nil {
		h.Errorf("a key that is not there: %+v", pair)
	}
}

func readSorted(h harness) {
	for _, key := range []string{"b/2", "a", "b/10", "b/1/x", "c"} {
		h.set(key, "value of "+key)
	}
	h.wantKeys("", "a", "b/1/x", "b/10", "b/2", "c")
	h.wantKeys("b/", "b/1/x", "b/10", "b/2")
	for _, pair := range h.list("b/") {
		if string(pair.Value) != "value of "+pair.Key || !pair.Exists() || pair.CreateIndex == 0 {
			h.Errorf("%+v", pair)
		}
	}
}

func readUnusual(h harness) {
	names := []string{"a b", "a%2Fb", "a+b", "a?b=c#d", "aé", "a\"b", `a\b`, "a<b>&c", "a\tb", "a//b", "a/../b", "\u2028", "😀"}
	for _, key := range names {
		h.set(key, key)
	}
	slices.Sort(names)
	h.wantKeys("", names...)
	for _, pair := range h.list("a") {
		if string(pair.Value) != pair.Key || h.get(pair.Key).ModifyIndex != pair.ModifyIndex {
			h.Errorf("%+v", pair)
		}
	}
	for _, prefix := range []string{"a b", "a%2F", "a+", "a?b=", "aé", "😀"} {
		if got := h.keys(prefix); len(got) != 1 || !strings.HasPrefix(got[0], prefix) {
			h.Errorf("keys below %q: %q", prefix, got)
		}
	}
}

func readPrefix(h harness) {
	h.set("web", "")
	h.set("web/1", "")
	h.set("web1", "")
	h.wantKeys("web", "web", "web/1", "web1")
	h.wantKeys("web/", "web/1")
	h.must(store.Op{Verb: store.DeleteTree, Key: "web/"})
	h.wantKeys("", "web", "web1")
	h.must(store.Op{Verb: store.DeleteTree, Key: "we"})
	h.wantKeys("")
}

func getMany(h harness) {
	var asked []string
	for i := range 3*h.MaxOps() + 7 {
		asked = append(asked, fmt.Sprintf("many/%04d", i*7919%1000))
	}
	for chunk := range slices.Chunk(asked, 50) {
		var ops []store.Op
		for _, key := range chunk[:len(chunk)/2] {
			ops = append(ops, store.Op{Verb: store.Set, Key: key, Value: []byte(key)})
		}
		h.must(ops...)
	}
	if few, _, err := h.Keys(h.Context(), "many/", store.ExpectFew); err != nil || !slices.Equal(few, h.keys("many/")) {
		h.Errorf("%d few keys (%v)", len(few), err)
	}
	pairs, meta, err := h.Get(h.Context(), asked...)
	if err != nil {
		h.Fatal(err)
	}
	if len(pairs) != len(asked) {
		h.Fatalf("%d pairs for %d keys", len(pairs), len(asked))
	}
	highest, found := uint64(0), 0
	for i, pair := range pairs {
		if pair.Key != asked[i] {
			h.Fatalf("pair %d is of %s, want %s", i, pair.Key, asked[i])
		}
		if pair.Exists() {
			found++
			if string(pair.Value) != pair.Key {
				h.Errorf("value of %s: %q", pair.Key, pair.Value)
			}
		}
		highest = max(highest, pair.ModifyIndex)
	}
	if found != len(h.keys("many/")) {
		h.Errorf("%d keys found, want %d", found, len(h.keys("many/")))
	}
	if meta.Index != highest {
		h.Errorf("index of the read: %d, want %d", meta.Index, highest)
	}
}

func getNone(h harness) {
	if pairs, _, err := h.Get(h.Context()); err != nil || len(pairs) != 0 {
		h.Errorf("%v, %v", pairs, err)
	}
}

func getEmptyKey(h harness) {
	if _, _, err := h.Get(h.Context(), "a", ""); err == nil || !strings.Contains(err.Error(), "key is required") {
		h.Errorf("%v", err)
	}
}

func values(h harness) {
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	for name, value := range map[string][]byte{
		"nil": nil, "empty": {}, "binary": binary, "text": []byte("True"), "escapes": []byte(`"\u0041",` + "\n\x00"),
		"100 KiB": bytes.Repeat(binary, 400),
	} {
		for _, flags := range []uint64{0, 1782000000, 1<<64 - 1} {
			h.must(store.Op{Verb: store.Set, Key: name, Value: value, Flags: flags})
			listed := h.list(name)
			if len(listed) != 1 {
				h.Fatalf("%s: %d pairs", name, len(listed))
			}
			for _, pair := range []keys.Pair{h.get(name), listed[0]} {
				if !bytes.Equal(pair.Value, value) || pair.Flags != flags || pair.Key != name || pair.Session != "" {
					h.Errorf("%s came back as %d bytes, flags %d, want %d bytes, %d", name, len(pair.Value), pair.Flags,
						len(value), flags)
				}
				if len(value) == 0 && pair.Value != nil {
					h.Errorf("%s: an empty value is %#v, want nil", name, pair.Value)
				}
			}
		}
	}
}

func valuesAreCopied(h harness) {
	value := []byte("kept")
	h.must(store.Op{Verb: store.Set, Key: "a", Value: value})
	copy(value, "lost")
	read := h.get("a").Value
	if string(read) != "kept" {
		h.Fatalf("a write to the value that went in changed the store: %q", read)
	}
	copy(read, "lost")
	copy(h.list("a")[0].Value, "lost")
	h.keys("a")[0] = "lost"
	if got := h.get("a"); string(got.Value) != "kept" {
		h.Errorf("a write to the value that came out changed the store: %q", got.Value)
	}
	h.wantKeys("", "a")
}

func verbsPass(h harness) {
	old := h.set("old", "1")
	for _, test := range []struct {
		op   store.Op
		want string // the value after; "-": no such key
	}{
		{store.Op{Verb: store.Set, Key: "new", Value: []byte("2")}, "2"},
		{store.Op{Verb: store.CAS, Key: "fresh", Value: []byte("3")}, "3"},
		{store.Op{Verb: store.CAS, Key: "old", Index: old, Value: []byte("4")}, "4"},
		{store.Op{Verb: store.CheckNotExists, Key: "none"}, "-"},
		{store.Op{Verb: store.Delete, Key: "none"}, "-"},
		{store.Op{Verb: store.DeleteCAS, Key: "none", Index: 0}, "-"},
		{store.Op{Verb: store.DeleteCAS, Key: "none", Index: 7}, "-"},
		{store.Op{Verb: store.DeleteTree, Key: "none/"}, "-"},
		{store.Op{Verb: store.Delete, Key: "new"}, "-"},
	} {
		h.must(test.op)
		pair := h.get(test.op.Key)
		if pair.Exists() != (test.want != "-") || pair.Exists() && string(pair.Value) != test.want {
			h.Errorf("%s %s: %q, exists %t, want %q", test.op.Verb, test.op.Key, pair.Value, pair.Exists(), test.want)
		}
	}
	now := h.get("old").ModifyIndex
	h.must(store.Op{Verb: store.CheckIndex, Key: "old", Index: now}, store.Op{Verb: store.DeleteCAS, Key: "old", Index: now})
	h.wantKeys("", "fresh")
}

func verbsRefused(h harness) {
	index := h.set("a", "1")
	mine := h.session()
	for _, op := range []store.Op{
		{Verb: store.CAS, Key: "a", Index: 0, Value: []byte("2")},
		{Verb: store.CAS, Key: "a", Index: index - 1, Value: []byte("2")},
		{Verb: store.CAS, Key: "a", Index: index + 1, Value: []byte("2")},
		{Verb: store.CAS, Key: "none", Index: index, Value: []byte("2")},
		{Verb: store.DeleteCAS, Key: "a", Index: index + 1},
		{Verb: store.DeleteCAS, Key: "a", Index: 0},
		{Verb: store.CheckIndex, Key: "a", Index: index + 1},
		{Verb: store.CheckIndex, Key: "a", Index: 0},
		{Verb: store.CheckIndex, Key: "none", Index: 0},
		{Verb: store.CheckNotExists, Key: "a"},
		{Verb: store.CheckSession, Key: "a", Session: mine},
		{Verb: store.CheckSession, Key: "none", Session: mine},
		{Verb: store.Lock, Key: "a", Session: nobody, Value: []byte("2")},
		{Verb: store.Unlock, Key: "a", Session: mine, Value: []byte("2")},
		{Verb: store.Unlock, Key: "none", Session: mine},
	} {
		conflict := h.conflict(op)
		if len(conflict.Failed) != 1 || conflict.Failed[0].Index != 0 || conflict.Failed[0].What == "" ||
			conflict.Failed[0].Op.Verb != op.Verb || !conflict.FailedKey(op.Key) {
			h.Errorf("%s %s: %+v", op.Verb, op.Key, conflict)
		}
	}
	if got := h.get("a"); string(got.Value) != "1" || got.ModifyIndex != index {
		h.Errorf("a is %q at %d", got.Value, got.ModifyIndex)
	}
	h.wantKeys("", "a")
}

func refusedWhole(h harness) {
	index := h.set("a", "1")
	h.set("tree/1", "1")
	conflict := h.conflict(
		store.Op{Verb: store.Set, Key: "b", Value: []byte("2")},
		store.Op{Verb: store.CheckNotExists, Key: "a"},
		store.Op{Verb: store.Delete, Key: "a"},
		store.Op{Verb: store.DeleteTree, Key: "tree/"},
		store.Op{Verb: store.CheckIndex, Key: "none", Index: 1},
		store.Op{Verb: store.Set, Key: "c", Value: []byte("2")},
	)
	var failed []int
	for _, f := range conflict.Failed {
		failed = append(failed, f.Index)
	}
	if !slices.Equal(failed, []int{1, 4}) || conflict.FailedKey("b") || !conflict.FailedKey("none") {
		h.Errorf("failed: %v", conflict)
	}
	if !strings.Contains(conflict.Error(), "check-not-exists a") {
		h.Errorf("%v", conflict)
	}
	h.wantKeys("", "a", "tree/1")
	if got := h.get("a").ModifyIndex; got != index {
		h.Errorf("a moved from %d to %d", index, got)
	}
}

func seesBefore(h harness) {
	h.set("tree/old", "1")
	h.set("tree/kept", "1")
	h.must(
		store.Op{Verb: store.Set, Key: "tree/new", Value: []byte("1")},
		store.Op{Verb: store.DeleteTree, Key: "tree/"},
		store.Op{Verb: store.CheckNotExists, Key: "tree/old"},
		store.Op{Verb: store.CheckNotExists, Key: "tree/new"},
		store.Op{Verb: store.Set, Key: "tree/kept", Value: []byte("2")},
		store.Op{Verb: store.CAS, Key: "tree/old", Index: 0, Value: []byte("2")},
	)
	h.wantKeys("tree/", "tree/kept", "tree/old")
	conflict := h.conflict(
		store.Op{Verb: store.Set, Key: "x", Value: []byte("1")},
		store.Op{Verb: store.CheckNotExists, Key: "x"},
	)
	if conflict.Failed[0].Index != 1 {
		h.Errorf("%v", conflict)
	}
}

func sameValue(h harness) {
	op := store.Op{Verb: store.Set, Key: "a", Value: []byte("1"), Flags: 7}
	first := h.must(op)
	h.set("other", "x")
	again := h.must(op)
	if again.ModifyIndex["a"] != first.ModifyIndex["a"] || h.get("a").ModifyIndex != first.Index {
		h.Errorf("the same value again: %v, then %v", first, again)
	}
	cas := h.must(store.Op{Verb: store.CAS, Key: "a", Index: first.Index, Value: []byte("1"), Flags: 7})
	if cas.ModifyIndex["a"] != first.Index {
		h.Errorf("the same value by cas: %v", cas)
	}
	flags := h.must(store.Op{Verb: store.Set, Key: "a", Value: []byte("1"), Flags: 8})
	if flags.Index <= first.Index {
		h.Error("other flags moved no index")
	}
	back := h.must(store.Op{Verb: store.Set, Key: "a", Value: []byte("2"), Flags: 8},
		store.Op{Verb: store.Set, Key: "a", Value: []byte("1"), Flags: 8})
	if back.Index <= flags.Index {
		h.Error("there and back in one transaction moved no index")
	}
	if got := h.get("a").CreateIndex; got != first.Index {
		h.Errorf("CreateIndex went from %d to %d", first.Index, got)
	}
}

func oneIndex(h harness) {
	h.set("a", "0")
	result := h.must(
		store.Op{Verb: store.Set, Key: "a", Value: []byte("1")},
		store.Op{Verb: store.Set, Key: "b", Value: []byte("1")},
		store.Op{Verb: store.Set, Key: "c", Value: []byte("1")},
	)
	for _, pair := range h.list("") {
		if pair.ModifyIndex != result.Index || result.ModifyIndex[pair.Key] != result.Index {
			h.Errorf("%s is at %d, want %v", pair.Key, pair.ModifyIndex, result)
		}
	}
	if next := h.set("d", "1"); next <= result.Index {
		h.Errorf("index %d after %d", next, result.Index)
	}
}

func createdAnew(h harness) {
	first := h.set("a", "1")
	result := h.must(store.Op{Verb: store.Delete, Key: "a"}, store.Op{Verb: store.Set, Key: "a", Value: []byte("1")})
	pair := h.get("a")
	if pair.CreateIndex != result.Index || pair.ModifyIndex != result.Index || result.Index <= first {
		h.Errorf("%+v, want both at %d", pair, result.Index)
	}
}

func results(h harness) {
	old := h.set("same", "1")
	h.set("gone", "1")
	result := h.must(
		store.Op{Verb: store.CheckIndex, Key: "same", Index: old},
		store.Op{Verb: store.Set, Key: "same", Value: []byte("1")},
		store.Op{Verb: store.Set, Key: "new", Value: []byte("1")},
		store.Op{Verb: store.Set, Key: "tree/x", Value: []byte("1")},
		store.Op{Verb: store.Delete, Key: "gone"},
		store.Op{Verb: store.Set, Key: "short", Value: []byte("1")},
		store.Op{Verb: store.Delete, Key: "short"},
		store.Op{Verb: store.DeleteTree, Key: "tree/"},
	)
	if len(result.ModifyIndex) != 2 || result.ModifyIndex["same"] != old || result.ModifyIndex["new"] != result.Index ||
		result.Index <= old {
		h.Errorf("%+v", result)
	}
	if removed := h.must(store.Op{Verb: store.Delete, Key: "new"}); removed.Index != 0 || len(removed.ModifyIndex) != 0 {
		h.Errorf("of a removal: %+v", removed)
	}
}

func metaIndex(h harness) {
	written := h.set("a/1", "1")
	for range 2 {
		_, listed, err := h.List(h.Context(), "a/")
		if err != nil {
			h.Fatal(err)
		}
		_, named, err := h.Keys(h.Context(), "a/")
		if err != nil {
			h.Fatal(err)
		}
		_, few, err := h.Keys(h.Context(), "a/", store.ExpectFew)
		if err != nil {
			h.Fatal(err)
		}
		h.set("b/1", fmt.Sprint("written after ", written))
		// It is what a bell tells.
		if at := h.state(below("a/")).Index; listed.Index != at || named.Index != at || few.Index != at || at < written {
			h.Errorf("read at %d, %d and %d, written at %d; a bell tells %d", listed.Index, named.Index, few.Index, written, at)
		}
		written = h.set("a/2", "1")
	}
}

func emptyTxn(h harness) {
	if result, err := h.Txn(h.Context(), nil); err != nil || result.Index != 0 {
		h.Errorf("%v, %v", result, err)
	}
}

func checksAlone(h harness) {
	index := h.set("a", "1")
	result := h.must(store.Op{Verb: store.CheckIndex, Key: "a", Index: index},
		store.Op{Verb: store.CheckNotExists, Key: "b"})
	if result.Index != 0 || len(result.ModifyIndex) != 0 {
		h.Errorf("%+v", result)
	}
	h.refused(store.Op{Verb: store.CheckIndex, Key: "a", Index: index + 1})
}

func (h harness) invalid(want string, ops ...store.Op) {
	h.Helper()
	_, err := h.Txn(h.Context(), ops)
	if _, ok := errors.AsType[*store.ConflictError](err); err == nil || ok || !strings.Contains(err.Error(), want) {
		h.Errorf("got %v, want an error with %q", err, want)
	}
	h.wantKeys("")
}

func sets(n, size int) []store.Op {
	ops := make([]store.Op, n)
	for i := range ops {
		ops[i] = store.Op{Verb: store.Set, Key: fmt.Sprintf("k%03d", i), Value: bytes.Repeat([]byte{'x'}, size)}
	}
	return ops
}

func tooManyOps(h harness) {
	h.invalid(fmt.Sprintf("at most %d are allowed", h.MaxOps()), sets(h.MaxOps()+1, 1)...)
}

func fullTxn(h harness) {
	h.must(sets(h.MaxOps(), 1900)...)
	if got := len(h.keys("")); got != h.MaxOps() {
		h.Errorf("%d keys", got)
	}
}

func tooManyBytes(h harness) {
	h.invalid(fmt.Sprintf("at most %d are allowed", store.MaxBytes), sets(3, 100<<10)...)
}

func emptySession(h harness) {
	for _, verb := range []store.Verb{store.CheckSession, store.Lock, store.Unlock} {
		h.invalid("session is required", store.Op{Verb: verb, Key: "a"})
	}
}

func emptyKey(h harness) {
	for _, verb := range []store.Verb{store.Set, store.Delete, store.DeleteTree, store.CheckNotExists} {
		h.invalid("key is required", store.Op{Verb: verb})
	}
}

func locking(h harness) {
	mine := h.session()
	lock := h.must(store.Op{Verb: store.Lock, Key: "l", Session: mine, Value: []byte("me"), Flags: 3})
	pair := h.get("l")
	if pair.Session != mine || string(pair.Value) != "me" || pair.Flags != 3 || pair.ModifyIndex != lock.Index {
		h.Errorf("locked: %+v at %v", pair, lock)
	}
	if got := h.list("l")[0].Session; got != mine {
		h.Errorf("the list shows session %q", got)
	}
	h.must(store.Op{Verb: store.CheckSession, Key: "l", Session: mine}, store.Op{Verb: store.Set, Key: "a"})
	again := h.must(store.Op{Verb: store.Lock, Key: "l", Session: mine, Value: []byte("me"), Flags: 3})
	if again.ModifyIndex["l"] != lock.Index {
		h.Errorf("locking again with the same value moved the index to %d", again.Index)
	}
	h.must(store.Op{Verb: store.Unlock, Key: "l", Session: mine, Value: []byte("free")})
	pair = h.get("l")
	if pair.Session != "" || string(pair.Value) != "free" || pair.CreateIndex != lock.Index {
		h.Errorf("unlocked: %+v", pair)
	}
	h.refused(store.Op{Verb: store.CheckSession, Key: "l", Session: mine})
	h.refused(store.Op{Verb: store.Unlock, Key: "l", Session: mine})
}

func lockHeld(h harness) {
	mine, other := h.session(), h.session()
	h.must(store.Op{Verb: store.Lock, Key: "l", Session: mine, Value: []byte("me")})
	h.refused(store.Op{Verb: store.Lock, Key: "l", Session: other})
	h.refused(store.Op{Verb: store.Unlock, Key: "l", Session: other})
	h.refused(store.Op{Verb: store.CheckSession, Key: "l", Session: other}, store.Op{Verb: store.Set, Key: "a"})
	h.must(store.Op{Verb: store.Unlock, Key: "l", Session: mine})
	h.must(store.Op{Verb: store.Lock, Key: "l", Session: other})
}

func sessionEnds(h harness) {
	mine := h.session()
	h.must(store.Op{Verb: store.Lock, Key: "l/1", Session: mine, Value: []byte("me")},
		store.Op{Verb: store.Lock, Key: "l/2", Session: mine, Value: []byte("me")})
	before := h.get("l/1")
	if err := h.DestroySession(h.Context(), mine); err != nil {
		h.Fatal(err)
	}
	pairs := h.list("l/")
	for _, pair := range pairs {
		if pair.Session != "" || string(pair.Value) != "me" || pair.ModifyIndex <= before.ModifyIndex ||
			pair.ModifyIndex != pairs[0].ModifyIndex {
			h.Errorf("after the end of the session: %+v", pair)
		}
	}
	h.refused(store.Op{Verb: store.CheckSession, Key: "l/1", Session: mine}, store.Op{Verb: store.Set, Key: "a"})
	h.wantKeys("a")
}

func setLocked(h harness) {
	mine := h.session()
	lock := h.must(store.Op{Verb: store.Lock, Key: "l", Session: mine, Value: []byte("me")})
	overwritten := h.set("l", "you")
	pair := h.get("l")
	if pair.Session != mine || string(pair.Value) != "you" || overwritten <= lock.Index {
		h.Errorf("%+v", pair)
	}
	h.must(store.Op{Verb: store.CheckSession, Key: "l", Session: mine})
	// A plain write resets the lock's own counter, so the same value is a change the first time.
	fresh := h.must(store.Op{Verb: store.Lock, Key: "m", Session: mine, Value: []byte("me")})
	once, twice := h.set("m", "me"), h.set("m", "me")
	if once <= fresh.Index || twice != once {
		h.Errorf("setting a lock to its own value: index %d, then %d, then %d", fresh.Index, once, twice)
	}
	h.must(store.Op{Verb: store.Delete, Key: "l"})
	h.refused(store.Op{Verb: store.CheckSession, Key: "l", Session: mine})
}

func sessionGone(h harness) {
	mine := h.session()
	if err := h.RenewSession(h.Context(), mine); err != nil {
		h.Fatal(err)
	}
	for range 2 {
		if err := h.DestroySession(h.Context(), mine); err != nil {
			h.Fatalf("ending a session: %v", err)
		}
	}
	for _, id := range []string{mine, nobody} {
		if err := h.RenewSession(h.Context(), id); !errors.Is(err, store.ErrSessionGone) {
			h.Errorf("renewing %s: %v", id, err)
		}
	}
	h.refused(store.Op{Verb: store.Lock, Key: "l", Session: mine})
	if next := h.session(); next == mine {
		h.Error("the id of a session was used again")
	}
}

func badTTL(h harness) {
	for _, ttl := range []time.Duration{0, -time.Second, 9 * time.Second, 25 * time.Hour} {
		if _, err := h.CreateSession(h.Context(), "test", ttl); err == nil || !strings.Contains(err.Error(), "TTL") {
			h.Errorf("%s: %v", ttl, err)
		}
	}
}
