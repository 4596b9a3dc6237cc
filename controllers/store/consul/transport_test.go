// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/hack/testca"
)

// tlsServer is a server with a certificate of an authority, which it writes to a file.
func tlsServer(t *testing.T, f http.HandlerFunc) (address, caFile string) {
	t.Helper()
	authority := testca.New(t, "consul")
	s := httptest.NewUnstartedServer(f)
	s.TLS = tlsConfig(authority)
	s.StartTLS()
	t.Cleanup(s.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, authority.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, caFile
}

// TestStore_FollowsNoRedirect sends each kind of request to a server that redirects it to plain HTTP on another host.
func TestStore_FollowsNoRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		leaked := make(chan string, 100)
		thief, _ := server(t, func(_ http.ResponseWriter, r *http.Request) {
			leaked <- r.URL.Path + " " + r.Header.Get("X-Consul-Token")
		})
		address, caFile := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+thief+r.URL.RequestURI(), status)
		})
		s, err := consul.New(consul.Config{Address: address, CAFile: caFile, Token: secret, RetryFor: -1})
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range calls {
			err := c.call(t.Context(), s)
			if err == nil || !strings.Contains(err.Error(), "redirect") || !strings.Contains(err.Error(), thief) {
				t.Errorf("%d, %s: %v", status, name, err)
			}
		}
		if _, err := s.Wait(t.Context(), store.WatchTarget{Prefix: keys.Plans}, 1, time.Millisecond); err == nil {
			t.Errorf("%d, Wait: no error", status)
		}
		if _, err := s.Identity(t.Context()); err == nil {
			t.Errorf("%d, Identity: no error", status)
		}
		select {
		case request := <-leaked:
			t.Errorf("%d: the other host received %s", status, request)
		default:
		}
	}
}

// TestNew_RefusesToSkipVerification serves a certificate that no configured CA signed.
func TestNew_RefusesToSkipVerification(t *testing.T) {
	address, caFile := tlsServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("null")) })
	list := func(c consul.Config) error {
		c.Address, c.RetryFor = address, -1
		s, err := consul.New(c)
		if err != nil {
			return err
		}
		_, _, err = s.List(context.WithoutCancel(t.Context()), "a/")
		return err
	}
	if err := list(consul.Config{}); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("without CA: %v", err)
	}
	for _, value := range []string{"false", "0", "F", "FALSE"} {
		t.Setenv("CONSUL_HTTP_SSL_VERIFY", value)
		for _, c := range []consul.Config{{}, {CAFile: caFile}} {
			if err := list(c); err == nil || !strings.Contains(err.Error(), "--insecure-skip-tls-verify") {
				t.Errorf("CONSUL_HTTP_SSL_VERIFY=%s, CA %q: %v", value, c.CAFile, err)
			}
		}
		if err := list(consul.Config{InsecureSkipVerify: true}); err != nil && strings.Contains(err.Error(), "certificate") {
			t.Errorf("CONSUL_HTTP_SSL_VERIFY=%s with the flag: %v", value, err)
		}
		if _, err := consul.New(consul.Config{Address: "http://127.0.0.1:8500"}); err != nil {
			t.Errorf("CONSUL_HTTP_SSL_VERIFY=%s without TLS: %v", value, err)
		}
	}
	t.Setenv("CONSUL_HTTP_SSL_VERIFY", "true")
	if err := list(consul.Config{InsecureSkipVerify: true}); err != nil && strings.Contains(err.Error(), "certificate") {
		t.Errorf("the flag alone: %v", err)
	}
}

func tlsConfig(a *testca.Authority) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{a.Pair("consul")}}
}
