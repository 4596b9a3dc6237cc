// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// racing is a store to which another client writes between a read and a write, as often as between has functions.
type racing struct {
	store.Store
	between []func()
}

func (r *racing) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if len(r.between) > 0 {
		write := r.between[0]
		r.between = r.between[1:]
		write()
	}
	return r.Store.Txn(ctx, ops)
}

// ask requests a sync of the source default.
func ask(t *testing.T, s gitsync.Requests, r gitsync.Request) gitsync.Request {
	t.Helper()
	stored, err := gitsync.RequestSync(t.Context(), s, "default", r)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// storedRequest is the value of the key.
func storedRequest(t *testing.T, s store.Reader) string {
	t.Helper()
	pairs, _, err := s.Get(t.Context(), keys.Request("default"))
	if err != nil {
		t.Fatal(err)
	}
	return string(pairs[0].Value)
}

func handle(t *testing.T, s store.Writer, status string) {
	t.Helper()
	_, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: keys.Source("default"), Value: []byte(status)}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRequestSync_KeepsPendingAccept(t *testing.T) {
	s := &racing{Store: memory.New(time.Now)}
	ask(t, s, gitsync.Request{ID: "1", By: "alice", Accept: commitA})
	ask(t, s, gitsync.Request{ID: "2", By: "webhook"})
	if got := storedRequest(t, s); !strings.Contains(got, `"id":"2"`) || !strings.Contains(got, commitA) || !strings.Contains(got, "alice") {
		t.Errorf("after a webhook: %s", got)
	}
	ask(t, s, gitsync.Request{ID: "3", By: "bob", Accept: commitA}) // the same commit
	_, err := gitsync.RequestSync(t.Context(), s, "default", gitsync.Request{ID: "4", By: "bob", Accept: commitB})
	if pending, ok := errors.AsType[*gitsync.PendingAcceptError](err); !ok || pending.Pending.Accept != commitA || !strings.Contains(err.Error(), commitA) {
		t.Errorf("another commit: %v", err)
	}
	if got := storedRequest(t, s); !strings.Contains(got, `"id":"3"`) || !strings.Contains(got, commitA) {
		t.Errorf("after another commit: %s", got)
	}
	handle(t, s, `{"source":{"name":"default"},"handledRequest":"3","handledNumber":3}`)
	ask(t, s, gitsync.Request{ID: "5", By: "bob", Accept: commitB})
	if got := storedRequest(t, s); strings.Contains(got, commitA) || !strings.Contains(got, commitB) {
		t.Errorf("after the request was handled: %s", got)
	}
}

func TestRequestSync_KeepsAcceptOfARace(t *testing.T) {
	s := &racing{Store: memory.New(time.Now)}
	s.between = []func(){
		func() { ask(t, s.Store, gitsync.Request{ID: "1", By: "alice", Accept: commitA}) },
		func() { ask(t, s.Store, gitsync.Request{ID: "2", By: "webhook"}) },
	}
	ask(t, s, gitsync.Request{ID: "3", By: "webhook"})
	if got := storedRequest(t, s); !strings.Contains(got, `"id":"3"`) || !strings.Contains(got, commitA) {
		t.Errorf("%s", got)
	}
}

// A later request replaces one that is not handled. A command that waits for the first one must end, too.
func TestHandled(t *testing.T) {
	s := memory.New(time.Now)
	handled := func(r gitsync.Request) bool {
		t.Helper()
		pairs, _, err := s.Get(t.Context(), keys.Source("default"))
		if err != nil {
			t.Fatal(err)
		}
		status, _ := gitsync.DecodeStatus(pairs[0])
		return status.Handled(r)
	}
	first := ask(t, s, gitsync.Request{ID: "1"})
	if handled(first) {
		t.Error("without a status")
	}
	second := ask(t, s, gitsync.Request{ID: "2"})
	handle(t, s, `{"source":{"name":"default"},"handledRequest":"1","handledNumber":1}`)
	if !handled(first) || handled(second) {
		t.Error("the first request was handled")
	}
	ask(t, s, gitsync.Request{ID: "3"})
	ask(t, s, gitsync.Request{ID: "4"})
	handle(t, s, `{"source":{"name":"default"},"handledRequest":"3","handledNumber":3}`)
	if !handled(first) || !handled(second) {
		t.Error("a later request was handled")
	}
	// A request that was written by hand has no number.
	_, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: keys.Request("default"), Value: []byte("now")}})
	if err != nil {
		t.Fatal(err)
	}
	if next := ask(t, s, gitsync.Request{ID: "5"}); handled(next) {
		t.Error("a request after one that was written by hand counts as handled")
	}
}

func TestRunner_ReportsAnAcceptedCommitThatIsNotOffered(t *testing.T) {
	f := newVerifiedFixture(t)
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v2")
	if s := f.accept(first); s.LastError != nil {
		t.Errorf("%+v", s.LastError)
	}
	f.wantWarning(gitsync.ReasonAcceptDropped, first, "alice", "main@sha1:"+second)
	f.reset(first)
	f.wantFailed("the request was for one sync", gitsync.ReasonRewind, first, "fleet=v2")
	f.accept(commitA)
	f.wantWarning(gitsync.ReasonAcceptDropped, commitA, "alice", "RewindRefused")
	before := len(f.status("default").Events)
	f.accept(first)
	f.wantStored("accepted", "fleet=v1")
	for _, e := range f.status("default").Events[before:] {
		if e.Reason == gitsync.ReasonAcceptDropped {
			t.Error(e)
		}
	}
}
