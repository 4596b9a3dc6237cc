// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// observed collects the requests that a store reports.
type observed struct {
	mu    sync.Mutex
	lines []string
}

func (s *observed) observe(kind, code string, received int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%s %s %d", kind, code, received))
}

func (s *observed) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

func TestObserve_EveryRequest(t *testing.T) {
	const body = `[{"Key":"a/b","Value":null,"ModifyIndex":7}]`
	const checks = `[{"Node":"n","CheckID":"c","Status":"critical"}]`
	addr, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		switch {
		case r.URL.Path == "/v1/txn":
			_, _ = fmt.Fprint(w, `{"Results":[{"KV":{"Key":"a/b","ModifyIndex":7}}]}`)
		case r.URL.Path == "/v1/session/create":
			_, _ = fmt.Fprint(w, `{"ID":"x"}`)
		case r.URL.Path == "/v1/health/state/any":
			_, _ = fmt.Fprint(w, checks)
		case r.URL.Path == "/v1/catalog/nodes":
			_, _ = fmt.Fprint(w, `[{"Node":"n"}]`)
		case r.URL.Query().Has("recurse"):
			_, _ = fmt.Fprint(w, body)
		case r.URL.Query().Has("keys"):
			_, _ = fmt.Fprint(w, `["a/b"]`)
		}
	})
	requests := &observed{}
	s := open(t, consul.Config{Address: addr, Token: "some", Observe: requests.observe})
	want := map[string]string{"List": fmt.Sprintf("list 200 %d", len(body)), "Keys": "keys 200 7", "Get": "get 200 50",
		"Txn of checks": "txn 200 50", "Txn": "txn 200 50", "CreateSession": "session 200 10", "RenewSession": "session 200 0",
		"DestroySession": "session 200 0", "Wait": "wait 200 7", "Unhealthy": fmt.Sprintf("health 200 %d", len(checks)),
		"Nodes": "catalog 200 14"}
	call := func(name string, call func(context.Context, store.Store) error) {
		if err := call(t.Context(), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := requests.take(); !slices.Equal(got, []string{want[name]}) {
			t.Errorf("%s: %q, want %q", name, got, want[name])
		}
	}
	for name, c := range calls {
		call(name, c.call)
	}
	call("Wait", func(ctx context.Context, s store.Store) error {
		_, err := s.Wait(ctx, store.WatchTarget{Prefix: "a/"}, 1, store.MaxWait)
		return err
	})
}

func TestObserve_Failures(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   []string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, []string{"keys 403 3"}},
		"interrupted": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Consul-Index", "7")
			w.Header().Set("Content-Length", "100")
			_, _ = fmt.Fprint(w, `["a`)
		}, []string{"keys none 3"}},
		"too late":            {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []string{"keys none 0"}},
		"the caller gives up": {func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }, []string{"keys ended 0"}},
	} {
		addr, _ := server(t, tt.answer)
		requests := &observed{}
		s := open(t, consul.Config{Address: addr, Observe: requests.observe, RetryFor: -1, ReadTimeout: time.Second})
		asked := t.Context()
		if name == "the caller gives up" {
			asked = ctx
		}
		if _, _, err := s.Keys(asked, "a/"); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := requests.take(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestObserve_CountsReceivedBytes(t *testing.T) {
	requests := &observed{}
	s := open(t, consul.Config{Address: consultest.Start(t).Addr(), Observe: requests.observe})
	if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: "a/b", Value: make([]byte, 3000)}}); err != nil {
		t.Fatal(err)
	}
	requests.take()
	if _, _, err := s.List(t.Context(), "a/"); err != nil {
		t.Fatal(err)
	}
	var bytes int
	if got := requests.take(); len(got) != 1 {
		t.Errorf("%q", got)
	} else if _, err := fmt.Sscanf(got[0], "list 200 %d", &bytes); err != nil || bytes < 4000 || bytes > 4500 {
		t.Errorf("%q, want 4000 bytes of base64 and a little", got)
	}
}
