// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/devagent"
	"github.com/jiocloud/upgrade-controller/controllers/store/storetest"
)

func open(t testing.TB, c consul.Config) *consul.Store {
	t.Helper()
	s, err := consul.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	for name, options := range map[string]devagent.Options{"dev": {}, "server": {Server: true}} {
		t.Run(name, func(t *testing.T) {
			agent := consultest.StartWith(t, options)
			storetest.Run(t, func(t *testing.T) store.Store {
				direct, err := api.NewClient(&api.Config{Address: agent.Addr()})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := direct.KV().DeleteTree("", nil); err != nil {
					t.Fatal(err)
				}
				return open(t, consul.Config{Address: agent.Addr()})
			})
		})
	}
}

// Answers that are large by nature travel as they are, small ones packed.
func TestOnlySmallAnswersArePacked(t *testing.T) {
	for name, read := range map[string]func(*consul.Store) error{
		"identity": func(s *consul.Store) error { _, _, err := s.Keys(t.Context(), "a/"); return err },
		"gzip":     func(s *consul.Store) error { _, _, err := s.FewKeys(t.Context(), "a/"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept-Encoding"); got != name {
					t.Errorf("it accepts %q", got)
				}
				w.Header().Set("X-Consul-Index", "7")
				_, _ = w.Write([]byte("[]"))
			}))
			defer server.Close()
			if err := read(open(t, consul.Config{Address: server.URL, RetryFor: -1})); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSessionExpires(t *testing.T) {
	if testing.Short() {
		t.Skip("Consul takes twenty seconds to end a session")
	}
	t.Parallel()
	s := open(t, consul.Config{Address: consultest.Start(t).Addr()})
	storetest.Expiry(t, s, func(d time.Duration) { <-time.After(d) })
}

// A token is not sent in the clear because somebody forgot the scheme.
func TestCertificatesAskForTLS(t *testing.T) {
	_, err := consul.New(consul.Config{Address: "127.0.0.1:8501", CAFile: "ca.pem"})
	if err == nil || !strings.Contains(err.Error(), "https://127.0.0.1:8501") {
		t.Errorf("got %v", err)
	}
}
