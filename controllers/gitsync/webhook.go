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

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
)

const (
	// maxWebhookBody limits the body of a webhook, in bytes. GitHub has the same limit.
	maxWebhookBody = 25 << 20
	// maxSuspectBody limits the body of a webhook from an address that sent too many with wrong signatures.
	maxSuspectBody = 1 << 20
	// webhookTimeout limits how long the write of the sync request may take.
	webhookTimeout = 10 * time.Second
)

// Webhooks handles POST /hook/<source> with GitHub's signature in X-Hub-Signature-256. A webhook only requests a sync: its
// body is not used. Every replica accepts webhooks, since the request goes through the store to the leader.
//
// Requests with a valid signature have a rate limit of their own, so that others cannot use it up. Requests without one are
// limited by remote address.
//
// Status codes: 202 for a sync request; 401 for a wrong signature; 404 for a source without webhook; 413 for a body that is
// too large; 429 for too many requests; 503 if the store does not answer or the secret cannot be read.
type Webhooks struct {
	sources map[string]*webhook
	store   Requests
	now     func() time.Time
	log     logr.Logger
	// refused limits the refused requests of an address.
	refused *httpserver.RateByAddress
}

// webhook has the secret and the rate limit of one source.
type webhook struct {
	secretFile string
	// syncs limits the requests with a valid signature.
	syncs *rate.Limiter
	mu    sync.Mutex
	count uint64
}

// NewWebhooks handles the webhooks of the sources that have a secret.
func NewWebhooks(sources []Source, s Requests, now func() time.Time, log logr.Logger) *Webhooks {
	h := &Webhooks{map[string]*webhook{}, s, now, log, httpserver.NewRateByAddress(1, 20)}
	for _, s := range sources {
		if s.WebhookSecretFile != "" {
			h.sources[s.Name] = &webhook{secretFile: s.WebhookSecretFile, syncs: rate.NewLimiter(rate.Every(2*time.Second), 5)}
		}
	}
	return h
}

func (h *Webhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("source")
	hook, ok := h.sources[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	now := h.now()
	maxBody := int64(maxWebhookBody)
	if h.refused.Exhausted(now, r.RemoteAddr) {
		maxBody = maxSuspectBody
	}
	if code, err := hook.check(w, r, maxBody); err != nil {
		h.refuse(w, r, code, err)
		return
	}
	if !hook.syncs.AllowN(now, 1) {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), webhookTimeout)
	defer cancel()
	request := Request{ID: "webhook-" + strconv.FormatInt(now.UnixNano(), 36) + "-" + hook.nextID(), By: "webhook", Time: now.UTC()}
	if _, err := RequestSync(ctx, h.store, name, request); err != nil {
		h.log.Error(err, "cannot store the sync request of a webhook", "source", name)
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// refuse answers a request that is not valid. It logs as many of an address as its limit allows.
func (h *Webhooks) refuse(w http.ResponseWriter, r *http.Request, code int, err error) {
	if !h.refused.Allow(h.now(), r.RemoteAddr) {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	h.log.Error(err, "webhook refused", "source", r.PathValue("source"), "from", r.RemoteAddr)
	http.Error(w, http.StatusText(code), code)
}

// check verifies the signature of a request. With an error it returns the status code for the client.
func (h *webhook) check(w http.ResponseWriter, r *http.Request, maxBody int64) (int, error) {
	secret, err := os.ReadFile(h.secretFile)
	if err != nil {
		return http.StatusServiceUnavailable, err
	}
	key := strings.TrimSpace(string(secret))
	if key == "" {
		return http.StatusServiceUnavailable, errors.New(h.secretFile + " is empty")
	}
	given, found := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	signature, err := hex.DecodeString(given)
	if !found || err != nil {
		return http.StatusUnauthorized, errors.New("X-Hub-Signature-256 is missing or has another form than sha256=HEX")
	}
	mac := hmac.New(sha256.New, []byte(key))
	if _, err := io.Copy(mac, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return http.StatusRequestEntityTooLarge, err
		}
		return http.StatusBadRequest, err
	}
	if !hmac.Equal(signature, mac.Sum(nil)) {
		return http.StatusUnauthorized, errors.New("X-Hub-Signature-256 does not match the secret")
	}
	return http.StatusAccepted, nil
}

// nextID distinguishes requests of the same nanosecond.
func (h *webhook) nextID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	return strconv.FormatUint(h.count, 36)
}
