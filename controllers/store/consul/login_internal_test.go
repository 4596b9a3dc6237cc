// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver/pipenet"
)

// piped is a store with a Consul that answers by a handler, in a synctest bubble. It logs in, and collects what it observes.
type piped struct {
	*Store
	observed []string
}

func newPiped(t *testing.T, handler http.HandlerFunc) *piped {
	t.Helper()
	network := &pipenet.Network{}
	listener := network.Listen()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Hour}
	go func() { _ = server.Serve(listener) }() // until Close
	t.Cleanup(func() { _ = server.Close() })
	file := filepath.Join(t.TempDir(), "jwt")
	if err := os.WriteFile(file, []byte("jwt"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &piped{}
	var err error
	p.Store, err = New(Config{Address: listener.Addr().String(), RetryFor: -1, Login: Login{AuthMethod: "machines", BearerTokenFile: file},
		Observe: func(kind, code string, _ int64) { p.observed = append(p.observed, kind+" "+code) }})
	if err != nil {
		t.Fatal(err)
	}
	p.Dial(network.DialContext)
	t.Cleanup(func() { p.clients.get(p.credentials.get(), forReads).CloseIdleConnections() })
	return p
}

// TestLogin_IsNotRepeatedWithoutPause deletes each token as soon as a login made it.
func TestLogin_IsNotRepeatedWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins := 0
		s := newPiped(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/acl/login" {
				logins++
				_, _ = w.Write([]byte(`{"SecretID":"made"}`))
				return
			}
			http.Error(w, "ACL not found", http.StatusForbidden)
		})
		for range 200 {
			if _, _, err := s.Get(t.Context(), "a/b"); err == nil {
				t.Fatal("no error")
			}
		}
		if logins != 1 {
			t.Errorf("%d logins", logins)
		}
		for range 3600 {
			<-time.After(time.Second)
			_, _, _ = s.Get(t.Context(), "a/b") // ditto
		}
		if logins < 30 || logins > 130 {
			t.Errorf("%d logins within an hour", logins)
		}
	})
}

// TestLogin_IsRenewedInTime makes calls with tokens of 300 seconds. None fails.
func TestLogin_IsRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime = 300 * time.Second
		logins, last := 0, time.Time{}
		s := newPiped(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/acl/login" {
				logins, last = logins+1, time.Now()
				made := time.Now().Add(-24 * time.Hour) // the clock of Consul is a day behind
				token, _ := json.Marshal(map[string]any{"SecretID": fmt.Sprint("made", logins), "CreateTime": made, "ExpirationTime": made.Add(lifetime)})
				_, _ = w.Write(token)
				return
			}
			if time.Since(last) > lifetime || r.Header.Get(tokenHeader) != fmt.Sprint("made", logins) {
				http.Error(w, "ACL not found", http.StatusForbidden)
				return
			}
			_, _ = w.Write([]byte(`{"Results":[{"KV":{"Key":"a/b","ModifyIndex":7}}],"Errors":null}`))
		})
		for call := range 1000 {
			if _, _, err := s.Get(t.Context(), "a/b"); err != nil {
				t.Fatalf("call %d, after %d logins: %v", call, logins, err)
			}
			<-time.After(time.Second)
		}
		if logins != 5 { // each 201 seconds
			t.Errorf("%d logins within 1000 seconds", logins)
		}
	})
}

// TestLogin_CountsItsRequests fails logins and logouts, each of which is one request. What needs them is not sent.
func TestLogin_CountsItsRequests(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices only then that the client is gone
		<-r.Context().Done()
	}
	made := func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"SecretID":"made"}`)) }
	for name, tt := range map[string]struct {
		login func(http.ResponseWriter, *http.Request)
		call  func(context.Context, *piped)
		want  []string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
			func(ctx context.Context, p *piped) { _, _, _ = p.Get(ctx, "a/b") }, []string{"login 403"}},
		"no connection": {nil, func(ctx context.Context, p *piped) {
			p.Dial(func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED })
			_, _, _ = p.Get(ctx, "a/b")
		}, []string{"login none"}},
		"no answer in time": {silent,
			func(ctx context.Context, p *piped) { _, _, _ = p.Get(ctx, "a/b") }, []string{"login none"}},
		"ended": {silent, func(ctx context.Context, p *piped) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, _, _ = p.Get(ctx, "a/b")
		}, []string{"login ended"}},
		"not JSON": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			func(ctx context.Context, p *piped) { _, _, _ = p.Get(ctx, "a/b") }, []string{"login none"}},
		"in the pause after a failure": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
			func(ctx context.Context, p *piped) {
				_, _, _ = p.Get(ctx, "a/b")
				_, _, _ = p.Get(ctx, "a/b")
			}, []string{"login 403"}},
		"no file": {nil, func(ctx context.Context, p *piped) {
			p.credentials.login.BearerTokenFile = "/no/such/jwt"
			_, _, _ = p.Get(ctx, "a/b")
		}, nil},
		"success and logout": {func(w http.ResponseWriter, _ *http.Request) { made(w) }, func(ctx context.Context, p *piped) {
			_, _, _ = p.Get(ctx, "a/b")
			_ = p.Logout(ctx)
		}, []string{"login 200", "get 200", "logout 200"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPiped(t, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/v1/acl/login":
						tt.login(w, r)
					case "/v1/txn":
						_, _ = w.Write([]byte(`{"Results":[{"KV":{"Key":"a/b","ModifyIndex":7}}],"Errors":null}`))
					}
				})
				tt.call(t.Context(), p)
				if !slices.Equal(p.observed, tt.want) {
					t.Errorf("observed %q, want %q", p.observed, tt.want)
				}
			})
		})
	}
}
