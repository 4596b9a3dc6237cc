// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
)

// ask requests a path of the dashboard without a network. It returns the status code.
func (s *site) ask(path string, header ...string) int {
	s.Helper()
	request := httptest.NewRequestWithContext(s.Context(), http.MethodGet, "/"+path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	s.pages.ServeHTTP(recorder, request)
	return recorder.Code
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestPages_MemoryIsBounded sends queries that differ, and keeps one snapshot in use.
func TestPages_MemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 16,000 requests")
	}
	const most = 12 << 20
	for name, tt := range map[string]struct {
		requests, size int
		path           string
	}{
		"long queries":  {40, 900_000, "plans/fleet/hosts?name="},
		"long states":   {40, 900_000, "plans/fleet/hosts?state="},
		"long hosts":    {40, 900_000, "plans/fleet/hosts/"},
		"many queries":  {4_000, 1_900, "plans/fleet/hosts?name="},
		"many hosts":    {4_000, 1_900, "plans/fleet/hosts/"},
		"long plans":    {40, 900_000, "plans/"},
		"many plans":    {4_000, 1_900, "plans/"},
		"other queries": {40, 900_000, "?x="},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFleet(t, 5)
			s.ask("plans/fleet")
			before := heap()
			for i := range tt.requests {
				s.ask(tt.path + fmt.Sprint(i) + strings.Repeat("x", tt.size))
			}
			if grown := heap() - before; grown > most {
				t.Errorf("%d requests: the heap grew by %d MB, want at most %d MB", tt.requests, grown>>20, most>>20)
			}
			if code := s.ask("plans/fleet"); code != http.StatusOK {
				t.Errorf("the plan: %d", code)
			}
		})
	}
}

// TestPages_InventedPlansTakeNoFeeds asks for more plans that do not exist than the dashboard has feeds.
func TestPages_InventedPlansTakeNoFeeds(t *testing.T) {
	s := newFleet(t, 5)
	for i := range 300 {
		if code := s.ask(fmt.Sprintf("plans/invented%d", i)); code != http.StatusNotFound {
			t.Fatalf("plan %d, which does not exist: %d", i, code)
		}
	}
	for _, path := range []string{"plans/fleet", "plans/fleet/hosts", ""} {
		if code := s.ask(path); code != http.StatusOK {
			t.Errorf("/%s: %d", path, code)
		}
	}
	if waits := s.store.waits.Load(); waits > 50 {
		t.Errorf("%d watches are running", waits)
	}
}

// TestStream_OutlivesTheTimeoutsOfTheServer serves the dashboard with timeouts that are shorter than the stream.
func TestStream_OutlivesTheTimeoutsOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		limit := 3 * heartbeat
		server := httpserver.Serve(s.network.Listen(), s.pages, httpserver.Options{Log: logr.Discard(),
			Limits: httpserver.Limits{HeaderTimeout: limit, ReadTimeout: limit, WriteTimeout: limit, IdleTimeout: limit}})
		defer server.Close()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr()+"/plans/fleet", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "text/event-stream")
		response, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		lines, heartbeats := bufio.NewScanner(response.Body), 0
		lines.Buffer(nil, 1<<20)
		for heartbeats < 10 && lines.Scan() {
			if lines.Text() == "event: heartbeat" {
				heartbeats++
			}
		}
		if heartbeats < 10 {
			t.Errorf("the stream ended after %d heartbeats: %v", heartbeats, lines.Err())
		}
	})
}
