// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

func (h harness) mark(prefix string) store.WatchIndex {
	h.Helper()
	mark, err := h.Wait(h.Context(), prefix, 0)
	if err != nil {
		h.Fatal(err)
	}
	if mark.Index == 0 {
		h.Fatalf("%s stands at index 0: the next wait would return at once, and every one after it", prefix)
	}
	return mark
}

// waiting waits for a change of the prefix after the mark, and tells where it stands then.
func (h harness) waiting(prefix string, after store.WatchIndex) <-chan store.WatchIndex {
	woken := make(chan store.WatchIndex, 1)
	go func() {
		defer close(woken)
		mark, err := h.Wait(h.Context(), prefix, after.Index)
		if err != nil {
			h.Error(err)
			return
		}
		woken <- mark
	}()
	return woken
}

// waits: each change below a prefix wakes, and no other does.
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
		before := h.mark("a/")
		woken := h.waiting("a/", before)
		h.must(store.Op{Verb: store.Set, Key: "ab", Value: []byte(change.Verb.String() + change.Key)},
			store.Op{Verb: store.Set, Key: "a", Value: []byte(change.Verb.String() + change.Key)})
		// The index of this write is that of the change, or the one before it.
		last := h.set("other", change.Verb.String()+string(change.Value))
		h.must(change)
		if mark := <-woken; mark.Index <= last || mark.Empty {
			h.Errorf("%s %s: woken at %+v, another key was written at %d", change.Verb, change.Key, mark, last)
		}
	}
}

// waitsForSession: a session that ends releases its lock, which is a change.
func waitsForSession(h harness) {
	session := h.session()
	h.must(store.Op{Verb: store.Lock, Key: "a/lock", Session: session})
	before := h.mark("a/lock")
	woken := h.waiting("a/lock", before)
	if err := h.DestroySession(h.Context(), session); err != nil {
		h.Fatal(err)
	}
	if mark := <-woken; mark.Index <= before.Index {
		h.Errorf("%+v, then %+v", before, mark)
	}
}

// waitsLate: what changed before the wait began is not missed.
func waitsLate(h harness) {
	h.set("a/1", "1")
	before := h.mark("a")
	written := h.set("a/1", "2")
	if mark := <-h.waiting("a", before); mark.Index < written {
		h.Errorf("stands at %d, written at %d", mark.Index, written)
	}
	if mark := h.mark("a"); mark.Index != written {
		h.Errorf("stands at %d, written at %d", mark.Index, written)
	}
}

// waitsForNothing: a prefix without keys says so, and wakes for its first key and after its last one.
func waitsForNothing(h harness) {
	before := h.mark("a/")
	if !before.Empty {
		h.Errorf("%+v", before)
	}
	woken := h.waiting("a/", before)
	h.set("a/1", "1")
	if mark := <-woken; mark.Empty {
		h.Errorf("%+v, there is a key", mark)
	}
	woken = h.waiting("a/", h.mark("a/"))
	h.must(store.Op{Verb: store.Delete, Key: "a/1"})
	if mark := <-woken; !mark.Empty {
		h.Errorf("%+v, the last key was removed", mark)
	}
}

func waitStops(h harness) {
	h.set("a/1", "1")
	before := h.mark("a/")
	ctx, cancel := context.WithCancel(h.Context())
	stopped := make(chan error)
	go func() {
		_, err := h.Wait(ctx, "a/", before.Index)
		stopped <- err
	}()
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		h.Errorf("%v, want %v", err, context.Canceled)
	}
}
