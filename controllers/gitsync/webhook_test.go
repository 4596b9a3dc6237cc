// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// unavailable is a store that does not answer.
type unavailable struct{ store.Store }

func (unavailable) Txn(context.Context, []store.Op) (store.Result, error) {
	return store.Result{}, &store.UnavailableError{Err: io.EOF}
}

func TestWebhooks(t *testing.T) {
	now := time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sources := []gitsync.Source{{Name: "a", WebhookSecretFile: secret}, {Name: "b", WebhookSecretFile: secret + ".gone"}, {Name: "c"}}
	s := memory.New(func() time.Time { return now })
	serve := func(s gitsync.Requests) func(source, body, key string) int {
		mux := http.NewServeMux()
		mux.Handle("POST /hook/{source}", gitsync.NewWebhooks(sources, s, func() time.Time { return now }, logr.Discard()))
		return func(source, body, key string) int {
			mac := hmac.New(sha256.New, []byte(key))
			mac.Write([]byte(body))
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hook/"+source, strings.NewReader(body))
			request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
			recorder := httptest.NewRecorder()
			mux.ServeHTTP(recorder, request)
			return recorder.Code
		}
	}
	post := serve(s)
	requested := func() string {
		pairs, _, err := s.Get(t.Context(), keys.Request("a"))
		if err != nil {
			t.Fatal(err)
		}
		return string(pairs[0].Value)
	}
	if code := post("a", "{}", "wrong"); code != http.StatusUnauthorized || requested() != "" {
		t.Errorf("wrong signature: %d, request %s", code, requested())
	}
	if code := post("a", "{}", "hush"); code != http.StatusAccepted || !strings.Contains(requested(), "webhook") {
		t.Errorf("valid signature: %d, request %s", code, requested())
	}
	if code := post("a", strings.Repeat("x", 25<<20+1), "hush"); code != http.StatusRequestEntityTooLarge {
		t.Errorf("large body: %d", code)
	}
	for source, want := range map[string]int{"b": http.StatusServiceUnavailable, "c": http.StatusNotFound, "d": http.StatusNotFound} {
		if code := post(source, "{}", "hush"); code != want {
			t.Errorf("source %s: %d, want %d", source, code, want)
		}
	}
	first, codes := requested(), map[int]int{}
	for range 30 {
		codes[post("a", "{}", "hush")]++
	}
	if codes[http.StatusAccepted] != 4 || codes[http.StatusTooManyRequests] != 26 {
		t.Errorf("status codes %v", codes)
	}
	if requested() == first {
		t.Error("two webhooks at the same time created the same request")
	}
	now = now.Add(time.Minute)
	if code := post("a", "{}", "hush"); code != http.StatusAccepted {
		t.Errorf("a minute later: %d", code)
	}
	if code := serve(unavailable{s})("a", "{}", "hush"); code != http.StatusServiceUnavailable {
		t.Errorf("store unavailable: %d", code)
	}
}

// TestWebhooks_WrongSignaturesDoNotStarveValidOnes floods a source with requests that are not signed, from the address of a
// proxy and from others.
func TestWebhooks_WrongSignaturesDoNotStarveValidOnes(t *testing.T) {
	now := time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	log := funcr.New(func(prefix, args string) { lines.WriteString(prefix + args + "\n") }, funcr.Options{})
	mux := http.NewServeMux()
	mux.Handle("POST /hook/{source}", gitsync.NewWebhooks([]gitsync.Source{{Name: "a", WebhookSecretFile: secret}},
		memory.New(time.Now), func() time.Time { return now }, log))
	post := func(from, body, key string) int {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(body))
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hook/a", strings.NewReader(body))
		request.RemoteAddr = from + ":4711"
		request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, request)
		return recorder.Code
	}
	codes := map[int]int{}
	for i := range 1000 {
		codes[post("192.0.2.1", "{}", "wrong")]++
		post(fmt.Sprintf("198.51.100.%d", i%100), "{}", "wrong")
	}
	if codes[http.StatusUnauthorized] != 20 || codes[http.StatusTooManyRequests] != 980 {
		t.Errorf("wrong signatures of one address: status codes %v", codes)
	}
	for _, from := range []string{"192.0.2.1", "203.0.113.1"} {
		if code := post(from, strings.Repeat("x", 1<<19), "hush"); code != http.StatusAccepted {
			t.Errorf("valid signature from %s: %d", from, code)
		}
	}
	if code := post("192.0.2.1", strings.Repeat("x", 2<<20), "wrong"); code != http.StatusTooManyRequests {
		t.Errorf("large body of an address that sent too many: %d", code)
	}
	if n := strings.Count(lines.String(), "webhook refused"); n != 20+100*10 {
		t.Errorf("%d lines in the log", n)
	}
}
