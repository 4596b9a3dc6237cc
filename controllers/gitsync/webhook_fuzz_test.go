// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// FuzzWebhooks posts bodies with a signature. Only that of the body requests a sync.
func FuzzWebhooks(f *testing.F) {
	const key = "hush"
	sign := func(body []byte) []byte {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		return mac.Sum(nil)
	}
	for _, body := range []string{"", "{}", `{"ref":"refs/heads/main"}`, strings.Repeat("[", 1<<10)} {
		good := "sha256=" + hex.EncodeToString(sign([]byte(body)))
		for _, signature := range []string{good, strings.ToUpper(good), good[:len(good)-1], good + "00", good[7:], "sha256=", "sha1=00", ""} {
			f.Add([]byte(body), signature)
		}
	}
	secret := filepath.Join(f.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(key+"\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_772_800_000, 0)
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		s := memory.New(func() time.Time { return now })
		mux := http.NewServeMux()
		mux.Handle("POST /hook/{source}", gitsync.NewWebhooks([]gitsync.Source{{Name: "a", WebhookSecretFile: secret}}, s, func() time.Time { return now }, logr.Discard()))
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hook/a", bytes.NewReader(body))
		request.Header["X-Hub-Signature-256"] = []string{signature}
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, request)
		given, _ := strings.CutPrefix(signature, "sha256=")
		want := http.StatusUnauthorized
		if strings.HasPrefix(signature, "sha256=") && strings.EqualFold(given, hex.EncodeToString(sign(body))) {
			want = http.StatusAccepted
		}
		if recorder.Code != want {
			t.Errorf("%d, want %d", recorder.Code, want)
		}
		pairs, _, err := s.Get(t.Context(), keys.Request("a"))
		if err != nil || pairs[0].Exists() != (want == http.StatusAccepted) {
			t.Errorf("request %q, error %v", pairs[0].Value, err)
		}
	})
}
