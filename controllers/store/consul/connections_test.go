// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// Reads and waits that hang use their own connections, no more than their limits. A write passes beside them.
func TestConnections_AreLimitedByKind(t *testing.T) {
	var mu sync.Mutex
	accepted, most := map[net.Conn]bool{}, 0
	hanging, released := make(chan string, 100), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		if strings.HasPrefix(r.URL.Path, "/v1/kv/") {
			hanging <- r.URL.RawQuery
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}
		_, _ = w.Write([]byte("{}"))
	}))
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			accepted[c] = true
			most = max(most, len(accepted))
		case http.StateClosed, http.StateHijacked:
			delete(accepted, c)
		}
	}
	server.Start()
	defer server.Close()
	s := open(t, consul.Config{Address: server.URL, MaxConnections: consul.Connections{Reads: 2, Writes: 1, Waits: 3}})
	var asking sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 10 {
		asking.Go(func() { _, _, _ = s.Keys(ctx, "a/") })
		asking.Go(func() { _, _ = s.Wait(ctx, store.WatchTarget{Prefix: "b/"}, 7, store.MaxWait) })
	}
	for range 5 {
		<-hanging
	}
	if err := s.DestroySession(ctx, "id"); err != nil {
		t.Errorf("a write beside reads and waits that hang: %v", err)
	}
	mu.Lock()
	if most != 6 {
		t.Errorf("%d connections, want 2 for reads, 3 for waits and 1 for the write", most)
	}
	mu.Unlock()
	cancel()
	close(released)
	asking.Wait()
}
