// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

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
		{Verb: store.Lock, Key: "a", Session: unknownSession, Value: []byte("2")},
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
		h.Errorf("the index of a changed from %d to %d", index, got)
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
		h.Error("other flags changed no index")
	}
	back := h.must(store.Op{Verb: store.Set, Key: "a", Value: []byte("2"), Flags: 8},
		store.Op{Verb: store.Set, Key: "a", Value: []byte("1"), Flags: 8})
	if back.Index <= flags.Index {
		h.Error("two writes that cancel out changed no index")
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

func createdAgain(h harness) {
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
		if at := h.state(below("a/")).Index; listed.Index != at || named.Index != at || few.Index != at || at < written {
			h.Errorf("read at %d, %d and %d, written at %d, and a watch returns %d", listed.Index, named.Index, few.Index, written, at)
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

// invalid applies a transaction that must fail before anything is sent, with an error that contains want.
func (h harness) invalid(want string, ops ...store.Op) {
	h.Helper()
	_, err := h.Txn(h.Context(), ops)
	if _, ok := errors.AsType[*store.ConflictError](err); err == nil || ok || !strings.Contains(err.Error(), want) {
		h.Errorf("got %v, want an error with %q", err, want)
	}
	h.wantKeys("")
}

// sets are n operations that set values of a size.
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
