// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Expiry tests that a session expires without renewal and releases its lock, and that a renewed one does not. Pass advances
// the clock of the store.
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
		t.Error("the release of a lock changed no index")
	}
	if got := h.get("kept").Session; got != kept {
		t.Errorf("the renewed session lost its lock: held by %q", got)
	}
	if err := s.RenewSession(t.Context(), left); !errors.Is(err, store.ErrSessionGone) {
		t.Errorf("renew the expired session: %v", err)
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
		h.Errorf("locking again with the same value changed the index to %d", again.Index)
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
			h.Errorf("after the session was destroyed: %+v", pair)
		}
	}
	h.refused(store.Op{Verb: store.CheckSession, Key: "l/1", Session: mine}, store.Op{Verb: store.Set, Key: "a"})
	h.wantKeys("a")
}

func sessionDeletes(h harness) {
	mine, err := h.CreateSession(h.Context(), store.SessionOptions{Name: "test", TTL: ttl, DeleteKeys: true})
	if err != nil {
		h.Fatal(err)
	}
	h.must(store.Op{Verb: store.Lock, Key: "l/1", Session: mine, Value: []byte("me")},
		store.Op{Verb: store.Lock, Key: "l/2", Session: h.session(), Value: []byte("other")},
		store.Op{Verb: store.Set, Key: "l/3"})
	before, err := h.Wait(h.Context(), store.WatchTarget{Prefix: "l/"}, 0, time.Second)
	if err != nil {
		h.Fatal(err)
	}
	if err := h.DestroySession(h.Context(), mine); err != nil {
		h.Fatal(err)
	}
	h.wantKeys("l/", "l/2", "l/3")
	after, err := h.Wait(h.Context(), store.WatchTarget{Prefix: "l/"}, before.Index, time.Minute)
	if err != nil || after.Index <= before.Index {
		h.Errorf("the watch saw index %d after %d (%v)", after.Index, before.Index, err)
	}
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
			h.Fatalf("destroy session: %v", err)
		}
	}
	for _, id := range []string{mine, unknownSession} {
		if err := h.RenewSession(h.Context(), id); !errors.Is(err, store.ErrSessionGone) {
			h.Errorf("renew %s: %v", id, err)
		}
	}
	h.refused(store.Op{Verb: store.Lock, Key: "l", Session: mine})
	if next := h.session(); next == mine {
		h.Error("a session id was reused")
	}
}

func badTTL(h harness) {
	for _, ttl := range []time.Duration{0, -time.Second, 9 * time.Second, 25 * time.Hour} {
		_, err := h.CreateSession(h.Context(), store.SessionOptions{Name: "test", TTL: ttl})
		if err == nil || !strings.Contains(err.Error(), "TTL") {
			h.Errorf("%s: %v", ttl, err)
		}
	}
}
