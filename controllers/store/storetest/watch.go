// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// below is the watch target of the keys that begin with a prefix.
func below(prefix string) store.WatchTarget { return store.WatchTarget{Prefix: prefix} }

// state is the state of a target now.
func (h harness) state(target store.WatchTarget) store.WatchIndex {
	h.Helper()
	at, err := h.Wait(h.Context(), target, 0, store.MaxWait)
	if err != nil {
		h.Fatal(err)
	}
	if at.Index == 0 {
		h.Fatalf("%s has index 0: the next wait would return at once, and every one after it", target)
	}
	return at
}

// waiting waits for a change of the target, and sends its state after that.
func (h harness) waiting(target store.WatchTarget, after store.WatchIndex) <-chan store.WatchIndex {
	woken := make(chan store.WatchIndex, 1)
	go func() {
		defer close(woken)
		at, err := h.Wait(h.Context(), target, after.Index, store.MaxWait)
		if err != nil {
			h.Error(err)
			return
		}
		woken <- at
	}()
	return woken
}

// waits tests that each change below a prefix wakes a wait, and that no other change does.
func waits(h harness) {
	h.set("a/gone", "1")
	h.set("a/tree/1", "1")
	h.set("ab", "1")
	session := h.session()
	for _, change := range []store.Op{
		{Verb: store.Set, Key: "a/new"},
		{Verb: store.Set, Key: "a/new", Value: []byte("2")},
		{Verb: store.Set, Key: "a/new", Value: []byte("2"), Flags: 7},
		{Verb: store.Delete, Key: "a/gone"},
		{Verb: store.DeleteTree, Key: "a/tree/"},
		{Verb: store.Lock, Key: "a/lock", Session: session},
		{Verb: store.Unlock, Key: "a/lock", Session: session},
	} {
		before := h.state(below("a/"))
		woken := h.waiting(below("a/"), before)
		h.must(store.Op{Verb: store.Set, Key: "ab", Value: []byte(change.Verb.String() + change.Key)},
			store.Op{Verb: store.Set, Key: "a", Value: []byte(change.Verb.String() + change.Key)})
		// The index of this write is that of the change, or the one before it.
		last := h.set("other", change.Verb.String()+string(change.Value))
		h.must(change)
		if at := <-woken; at.Index <= last || at.Empty {
			h.Errorf("%s %s: woke at %+v, another key was written at %d", change.Verb, change.Key, at, last)
		}
	}
}

// waitsForSession tests that the end of a session, which releases its lock, is a change.
func waitsForSession(h harness) {
	session := h.session()
	h.must(store.Op{Verb: store.Lock, Key: "a/lock", Session: session})
	before := h.state(below("a/lock"))
	woken := h.waiting(below("a/lock"), before)
	if err := h.DestroySession(h.Context(), session); err != nil {
		h.Fatal(err)
	}
	if at := <-woken; at.Index <= before.Index {
		h.Errorf("%+v, then %+v", before, at)
	}
}

// waitsLate tests that a change before the wait began is not missed.
func waitsLate(h harness) {
	h.set("a/1", "1")
	before := h.state(below("a"))
	written := h.set("a/1", "2")
	if at := <-h.waiting(below("a"), before); at.Index < written {
		h.Errorf("index %d, written at %d", at.Index, written)
	}
	if at := h.state(below("a")); at.Index != written {
		h.Errorf("index %d, written at %d", at.Index, written)
	}
}

// waitsForNothing tests that a wait for a prefix without keys returns Empty, and wakes for the first key and for the removal of
// the last one.
func waitsForNothing(h harness) {
	before := h.state(below("a/"))
	if !before.Empty {
		h.Errorf("%+v", before)
	}
	woken := h.waiting(below("a/"), before)
	h.set("a/1", "1")
	if at := <-woken; at.Empty {
		h.Errorf("%+v, there is a key", at)
	}
	woken = h.waiting(below("a/"), h.state(below("a/")))
	h.must(store.Op{Verb: store.Delete, Key: "a/1"})
	if at := <-woken; !at.Empty {
		h.Errorf("%+v, the last key was removed", at)
	}
}

func waitStops(h harness) {
	h.set("a/1", "1")
	before := h.state(below("a/"))
	ctx, cancel := context.WithCancel(h.Context())
	stopped := make(chan error)
	go func() {
		_, err := h.Wait(ctx, below("a/"), before.Index, store.MaxWait)
		stopped <- err
	}()
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		h.Errorf("%v, want %v", err, context.Canceled)
	}
}

// waitsForFlatTree tests that a flat tree wakes for its keys, and has the index of a read of the tree.
func waitsForFlatTree(h harness) {
	flat := store.WatchTarget{Kind: store.FlatKeyTree, Prefix: "a/"}
	if !h.state(flat).Empty {
		h.Error("a tree without keys is not Empty")
	}
	h.set("a/1", "1")
	for _, change := range []store.Op{
		{Verb: store.Set, Key: "a/2"},
		{Verb: store.Set, Key: "a/2", Value: []byte("2")},
		{Verb: store.Delete, Key: "a/1"},
	} {
		before := h.state(flat)
		woken := h.waiting(flat, before)
		h.must(change)
		_, meta, err := h.List(h.Context(), "a/")
		if at := <-woken; err != nil || at.Index <= before.Index || at.Empty || at.Index != meta.Index {
			h.Errorf("%s %s: %+v, then %+v; a read has index %d (%v)", change.Verb, change.Key, before, at, meta.Index, err)
		}
	}
}

func checksTarget() store.WatchTarget { return store.WatchTarget{Kind: store.Checks} }

func nodesTarget() store.WatchTarget { return store.WatchTarget{Kind: store.Nodes} }
