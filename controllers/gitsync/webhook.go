// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// maxHook bounds the body of a webhook, in bytes: GitHub's own bound.
	maxHook = 25 << 20
	// hookTimeout bounds how long the store may take to note that a webhook has rung.
	hookTimeout = 10 * time.Second
)

// Hooks answers webhooks: POST /hook/<source>, signed as GitHub signs them (X-Hub-Signature-256). A webhook only rings the
// bell: what is synced is what the repository says. A controller that stands by passes the ring on.
//
// It answers 202; 401 to a wrong signature; 404 for a source without webhook; 413 to a body that is too large; 429 to too
// many; 503 when the store does not answer.
type Hooks struct {
	sources map[string]*hook
	store   store.Writer
	now     func() time.Time
	log     logr.Logger
}

// hook is that of one source.
type hook struct {
	secretFile string
	// tries bounds what is looked at at all, and rings how often the bell rings.
	tries, rings *rate.Limiter
	mu           sync.Mutex
	count        uint64
}

// NewHooks serves those sources that have a secret.
func NewHooks(sources []Source, w store.Writer, now func() time.Time, log logr.Logger) *Hooks {
	h := &Hooks{map[string]*hook{}, w, now, log}
	for _, s := range sources {
		if s.WebhookSecretFile != "" {
			h.sources[s.Name] = &hook{secretFile: s.WebhookSecretFile, tries: rate.NewLimiter(10, 20),
				rings: rate.NewLimiter(rate.Every(2*time.Second), 5)}
		}
	}
	return h
}

func (h *Hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("source")
	hook, ok := h.sources[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	now := h.now()
	if !hook.tries.AllowN(now, 1) {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	if code, err := hook.check(w, r); err != nil {
		h.log.Error(err, "a webhook was refused", "source", name, "from", r.RemoteAddr)
		http.Error(w, http.StatusText(code), code)
		return
	}
	if !hook.rings.AllowN(now, 1) {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), hookTimeout)
	defer cancel()
	request := Request{ID: "webhook-" + strconv.FormatInt(now.UnixNano(), 36) + "-" + hook.next(), By: "webhook", Time: now.UTC()}
	if err := Ring(ctx, h.store, name, request); err != nil {
		h.log.Error(err, "a webhook could not ring", "source", name)
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// check says what is wrong with a request, and the code to answer with.
func (h *hook) check(w http.ResponseWriter, r *http.Request) (int, error) {
	secret, err := os.ReadFile(h.secretFile)
	if err != nil {
		return http.StatusServiceUnavailable, err
	}
	key := strings.TrimSpace(string(secret))
	if key == "" {
		return http.StatusServiceUnavailable, errors.New(h.secretFile + ": is empty")
	}
	mac := hmac.New(sha256.New, []byte(key))
	if _, err := io.Copy(mac, http.MaxBytesReader(w, r.Body, maxHook)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return http.StatusRequestEntityTooLarge, err
		}
		return http.StatusBadRequest, err
	}
	given, found := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	signature, err := hex.DecodeString(given)
	if !found || err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return http.StatusUnauthorized, errors.New("X-Hub-Signature-256: is not that of the secret")
	}
	return http.StatusAccepted, nil
}

// next tells rings of the same moment apart.
func (h *hook) next() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	return strconv.FormatUint(h.count, 36)
}
