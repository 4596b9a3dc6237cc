// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/hack/testca"
)

// gate is a Consul that accepts one token.
type gate struct {
	mu       sync.Mutex
	accepts  string
	requests int
	seen     map[string]int // requests by token
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get("X-Consul-Token")
	g.mu.Lock()
	g.requests++
	g.seen[token]++
	accepted := token == g.accepts
	g.mu.Unlock()
	if !accepted {
		http.Error(w, "ACL not found: "+token, http.StatusForbidden)
		return
	}
	w.Header().Set("X-Consul-Index", "7")
	switch {
	case r.URL.Path == "/v1/txn":
		_, _ = w.Write([]byte(`{"Results":[{"KV":{"Key":"a/b","ModifyIndex":7}}],"Errors":null}`))
	case strings.HasPrefix(r.URL.Path, "/v1/session"):
		_, _ = w.Write([]byte(`{"ID":"x"}`))
	default:
		_, _ = w.Write([]byte("[]"))
	}
}

func (g *gate) accept(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accepts, g.requests, g.seen = token, 0, map[string]int{}
}

func (g *gate) count() (requests int, seen map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests, g.seen
}

func newGate(t *testing.T, token string) (g *gate, addr, tokenFile string) {
	t.Helper()
	g = &gate{}
	g.accept(token)
	addr, _ = server(t, g.ServeHTTP)
	return g, addr, writeFile(t, filepath.Join(t.TempDir(), "token"), token+"\n")
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStore_ReadsAReplacedToken replaces the token file and the token that Consul accepts, and makes each kind of call.
func TestStore_ReadsAReplacedToken(t *testing.T) {
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			g, addr, file := newGate(t, "first")
			s := open(t, consul.Config{Address: addr, TokenFile: file})
			if err := c.call(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			writeFile(t, file, "second")
			g.accept("second")
			if err := c.call(t.Context(), s); err != nil {
				t.Errorf("after the rotation: %v", err)
			}
			if _, seen := g.count(); seen["first"] != 1 || seen["second"] != 1 {
				t.Errorf("requests by token: %v, want one refused and one repeated", seen)
			}
		})
	}
}

// TestStore_ReadsAReplacedTokenAfterADeniedOperation replaces a token that Consul knows, but that lacks a rule: the answer is 409.
func TestStore_ReadsAReplacedTokenAfterADeniedOperation(t *testing.T) {
	requests := 0
	addr, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if r.Header.Get("X-Consul-Token") == "second" {
			_, _ = w.Write([]byte(`{"Results":[{"KV":{"Key":"a/b","ModifyIndex":7}}],"Errors":null}`))
			return
		}
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"Results":null,"Errors":[{"OpIndex":0,"What":"Permission denied: key write"}]}`))
	})
	for name, call := range map[string]func(*consul.Store) error{
		"write": func(s *consul.Store) error {
			_, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: "a/b"}})
			return err
		},
		"read": func(s *consul.Store) error { _, _, err := s.Get(t.Context(), "a/b"); return err },
	} {
		file := writeFile(t, filepath.Join(t.TempDir(), "token"), "first")
		s := open(t, consul.Config{Address: addr, TokenFile: file})
		requests = 0
		forbidden, ok := errors.AsType[*store.ForbiddenError](call(s))
		if !ok || forbidden.Key != "a/b" || requests != 1 {
			t.Errorf("%s with the first token: %v, %d requests", name, forbidden, requests)
		}
		s = open(t, consul.Config{Address: addr, TokenFile: file})
		writeFile(t, file, "second")
		if err := call(s); err != nil {
			t.Errorf("%s after the rotation: %v", name, err)
		}
	}
}

// TestStore_ReadsFilesEachMinute replaces a token while the old one is still good.
func TestStore_ReadsFilesEachMinute(t *testing.T) {
	g, addr, file := newGate(t, "first")
	s := open(t, consul.Config{Address: addr, TokenFile: file, RereadInterval: time.Nanosecond})
	get := func() error { _, _, err := s.Get(t.Context(), "a/b"); return err }
	if err := get(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, "second")
	g.accept("second")
	if err := get(); err != nil {
		t.Fatal(err)
	}
	if _, seen := g.count(); seen["first"] != 0 {
		t.Errorf("requests by token: %v", seen)
	}
}

// TestStore_ReadsAllFilesByTheHook replaces each file while the hook refuses it. What was read before stays in use.
func TestStore_ReadsAllFilesByTheHook(t *testing.T) {
	dir := t.TempDir()
	ca := testca.New(t, "ca")
	cert, key := ca.Issue("client", time.Now().Add(time.Hour))
	files := map[string]string{"token": "first", "ca": string(ca.PEM), "cert": string(cert), "key": string(key), "jwt": "jwt"}
	var refuses atomic.Bool
	var mu sync.Mutex
	read := map[string]int{}
	hook := func(path string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		read[filepath.Base(path)]++
		if refuses.Load() {
			return nil, errors.New("refused")
		}
		return []byte(files[filepath.Base(path)]), nil
	}
	g, addr, _ := newGate(t, "first")
	path := func(name string) string { return filepath.Join(dir, name) } // no file exists
	s := open(t, consul.Config{Address: "http://" + addr, TokenFile: path("token"), CAFile: path("ca"), ClientCert: path("cert"),
		ClientKey: path("key"), RereadInterval: time.Nanosecond, ReadFile: hook})
	get := func() error { _, _, err := s.Get(t.Context(), "a/b"); return err }
	if err := get(); err != nil {
		t.Fatal(err)
	}
	refuses.Store(true)
	if err := get(); err != nil {
		t.Errorf("the hook refuses the files: %v", err)
	}
	refuses.Store(false)
	files["token"] = "second"
	g.accept("second")
	if err := get(); err != nil {
		t.Errorf("a replaced token: %v", err)
	}
	for _, name := range []string{"token", "ca", "cert", "key"} {
		if read[name] < 2 {
			t.Errorf("the hook has read %s %d times", name, read[name])
		}
	}
	refuses.Store(true)
	if _, err := consul.New(consul.Config{Address: addr, TokenFile: path("token"), ReadFile: hook}); err == nil {
		t.Error("a refused token at start: no error")
	}
	login := open(t, consul.Config{Address: addr, ReadFile: hook, RetryFor: -1, Login: consul.Login{AuthMethod: "m", BearerTokenFile: path("jwt")}})
	if _, _, err := login.Get(t.Context(), "a/b"); err == nil || !strings.Contains(err.Error(), "refused") || read["jwt"] != 1 {
		t.Errorf("a refused JWT: %v, read %d times", err, read["jwt"])
	}
}

// TestStore_KeepsTheTokenWhileItsFileIsUnusable replaces the token file by what an interrupted rotation leaves.
func TestStore_KeepsTheTokenWhileItsFileIsUnusable(t *testing.T) {
	_, addr, file := newGate(t, "first")
	s := open(t, consul.Config{Address: addr, TokenFile: file, RereadInterval: time.Nanosecond})
	get := func() error { _, _, err := s.Get(t.Context(), "a/b"); return err }
	writeFile(t, file, "")
	if err := get(); err != nil {
		t.Errorf("empty file: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Errorf("no file: %v", err)
	}
}

// TestStore_RefusedTokensCostOneRequest makes calls with a token that Consul does not know. Its file does not change.
func TestStore_RefusedTokensCostOneRequest(t *testing.T) {
	g, addr, file := newGate(t, "other")
	writeFile(t, file, secret)
	s := open(t, consul.Config{Address: addr, TokenFile: file})
	for range 100 {
		_, _, err := s.Get(t.Context(), "a/b")
		forbidden, ok := errors.AsType[*store.ForbiddenError](err)
		if !ok || strings.Contains(err.Error(), secret) {
			t.Fatalf("%v, %v", forbidden, err)
		}
	}
	if requests, _ := g.count(); requests != 100 {
		t.Errorf("%d requests for 100 calls", requests)
	}
}

// TestStore_HidesTheTokenBefore checks that the message of a request that was sent before a rotation hides its token.
func TestStore_HidesTheTokenBefore(t *testing.T) {
	g, addr, file := newGate(t, "none")
	writeFile(t, file, secret)
	s := open(t, consul.Config{Address: addr, TokenFile: file})
	g.accept("none")
	writeFile(t, file, "2b8e1a4c-0000-4000-8000-000000000011")
	_, _, err := s.Get(t.Context(), "a/b")
	if err == nil || strings.Contains(err.Error(), "4000-8000") || !strings.Contains(err.Error(), "<token>") {
		t.Errorf("%v", err)
	}
}

// TestStore_ReadsReplacedCertificates replaces the CA of Consul, then the one of its clients.
func TestStore_ReadsReplacedCertificates(t *testing.T) {
	dir := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	servers, clients := testca.New(t, "servers"), testca.New(t, "clients")
	var config atomic.Pointer[tls.Config]
	serve := func() {
		config.Store(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{servers.Pair("consul")},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(), SessionTicketsDisabled: true})
	}
	serve()
	g := &gate{}
	g.accept("")
	backend := httptest.NewUnstartedServer(g)
	backend.TLS = &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config.Load(), nil }}
	backend.StartTLS()
	t.Cleanup(backend.Close)
	writeFile(t, caFile, string(servers.PEM))
	clients.WriteFiles("upgrade-controller", certFile, keyFile)
	s := open(t, consul.Config{Address: backend.URL, CAFile: caFile, ClientCert: certFile, ClientKey: keyFile})
	get := func(when string) {
		t.Helper()
		if _, _, err := s.Get(t.Context(), "a/b"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	get("at first")
	servers = testca.New(t, "new servers")
	writeFile(t, caFile, string(servers.PEM))
	serve()
	backend.CloseClientConnections()
	get("after a new CA of Consul")
	clients = testca.New(t, "new clients")
	clients.WriteFiles("upgrade-controller", certFile, keyFile)
	serve()
	backend.CloseClientConnections()
	get("after a new client certificate")
}

func TestStore_NamesTheFileOfATokenThatConsulDoesNotKnow(t *testing.T) {
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			g, addr, file := newGate(t, "first")
			s := open(t, consul.Config{Address: addr, TokenFile: file})
			g.accept("second")
			err := c.call(t.Context(), s)
			if err == nil || !strings.Contains(err.Error(), "the token of "+file+" has expired, was revoked") ||
				strings.Contains(err.Error(), "needs") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestNew_RejectsAnEmptyTokenFile(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "token"), " \n")
	for name, c := range map[string]struct{ flag, environment string }{"flag": {flag: file}, "environment": {environment: file}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CONSUL_HTTP_TOKEN_FILE", c.environment)
			_, err := consul.New(consul.Config{Address: "127.0.0.1:1", TokenFile: c.flag})
			if err == nil || !strings.Contains(err.Error(), file+" is empty") {
				t.Errorf("error %v, want one that names the empty file", err)
			}
		})
	}
}
