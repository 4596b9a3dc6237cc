// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consultest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// ProxyOptions say what a Proxy does with writes. It counts the writes of keys from 1. Writes of sessions also pass one by one and
// are checked, but they are not counted, since renewals depend on time.
type ProxyOptions struct {
	// Check checks the whole state after each applied write, through a store that bypasses the proxy. No other write passes
	// meanwhile. An error fails the test.
	Check func(ctx context.Context, direct store.Store) error
	// FailWrite is the number of the write that is answered with status 500 and not forwarded. 0 means none.
	FailWrite int
	// DropReply is the number of the write that is forwarded, but whose connection is closed without an answer. 0 means none.
	DropReply int
}

// Proxy forwards requests to a real Consul: writes one at a time, and reads without delay.
type Proxy struct {
	t       testing.TB
	target  *url.URL
	options ProxyOptions
	direct  store.Store
	server  *httptest.Server
	reads   *httputil.ReverseProxy

	mu     sync.Mutex // held from the arrival of a write until it was checked
	writes []string
}

// StartProxy runs a proxy for the Consul at addr (host:port) until the test ends.
func StartProxy(t testing.TB, addr string, o ProxyOptions) *Proxy {
	t.Helper()
	direct, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{t: t, target: &url.URL{Scheme: "http", Host: addr}, options: o, direct: direct}
	p.reads = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(p.target) }}
	p.server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// Addr is the address of the proxy, host:port.
func (p *Proxy) Addr() string { return p.server.Listener.Addr().String() }

// Writes describes the writes of keys that have arrived, also those that were refused or not forwarded.
func (p *Proxy) Writes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.writes...)
}

// ServeHTTP forwards a request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch what := describe(r, body); {
	case what == "":
		p.reads.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/session/"):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forward(w, r, what)
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.writes = append(p.writes, what)
		if len(p.writes) == p.options.FailWrite {
			http.Error(w, "the test fails this write", http.StatusInternalServerError)
			return
		}
		p.forward(w, r, what)
	}
}

// forward forwards a write, checks the state after it, and answers.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, what string) {
	answer := httptest.NewRecorder()
	p.reads.ServeHTTP(answer, r)
	if answer.Code == http.StatusOK && p.options.Check != nil {
		if err := p.options.Check(context.WithoutCancel(r.Context()), p.direct); err != nil {
			p.t.Errorf("after write %d (%s): %v", len(p.writes), what, err)
		}
	}
	if len(p.writes) == p.options.DropReply && !strings.HasPrefix(r.URL.Path, "/v1/session/") {
		panic(http.ErrAbortHandler) // closes the connection
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the client may be gone
}

// describe returns what a request writes. Empty means that it only reads.
func describe(r *http.Request, body []byte) string {
	changes := r.Method == http.MethodPut || r.Method == http.MethodDelete
	switch {
	case changes && (strings.HasPrefix(r.URL.Path, "/v1/kv/") || strings.HasPrefix(r.URL.Path, "/v1/session/")):
		return r.Method + " " + r.URL.Path
	case changes && r.URL.Path == "/v1/txn":
		return describeTxn(body)
	}
	return ""
}

// describeTxn lists the operations of a transaction, if one of them writes.
func describeTxn(body []byte) string {
	var ops api.TxnOps
	if err := json.Unmarshal(body, &ops); err != nil {
		return fmt.Sprintf("a transaction that cannot be read: %v", err)
	}
	var words []string
	writes := false
	for _, op := range ops {
		if op.KV == nil {
			continue
		}
		switch op.KV.Verb {
		case api.KVGet, api.KVGetOrEmpty, api.KVGetTree, api.KVCheckIndex, api.KVCheckNotExists, api.KVCheckSession:
		default:
			writes = true
		}
		words = append(words, fmt.Sprintf("%s %s", op.KV.Verb, op.KV.Key))
	}
	if !writes {
		return ""
	}
	return strings.Join(words, ", ")
}
