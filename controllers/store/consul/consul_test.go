// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
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
	for name, options := range map[string]consuldev.Options{"dev": {}, "server": {Server: true}} {
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

func TestCatalog(t *testing.T) {
	agent := consultest.Start(t)
	direct, err := api.NewClient(&api.Config{Address: agent.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, consul.Config{Address: agent.Addr()})
	eventually(t, "the agent is in the catalog", func() bool {
		found := servers(t, direct)
		return len(found) == 1 && len(found[0].TaggedAddresses) > 0
	})
	storetest.Catalog(t, func(*testing.T) (store.Store, storetest.Registry) {
		return s, &registry{client: direct, nodes: map[string]bool{}}
	})
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// servers are the nodes that Consul's servers are, in the catalog.
func servers(t *testing.T, client *api.Client) []*api.CatalogService {
	t.Helper()
	found, _, err := client.Catalog().Service("consul", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// registry is the catalog of a Consul; what a test put there goes when it ends.
type registry struct {
	client *api.Client
	nodes  map[string]bool
}

func (r *registry) Register(t testing.TB, node, service string, checks ...fleet.Check) {
	t.Helper()
	if !r.nodes[node] {
		r.nodes[node] = true
		t.Cleanup(func() { r.Deregister(t, node) })
	}
	r.dropChecks(t, node, service, checks)
	put := &api.CatalogRegistration{Node: node, Address: "192.0.2.1", NodeMeta: map[string]string{"external-node": "true"}}
	if service != "" {
		put.Service = &api.AgentService{ID: service, Service: "the-" + service}
	}
	for _, c := range checks {
		put.Checks = append(put.Checks, &api.HealthCheck{Node: node, CheckID: c.ID, Name: c.ID, Status: string(c.Status),
			ServiceID: service})
	}
	if _, err := r.client.Catalog().Register(put, nil); err != nil {
		t.Fatal(err)
	}
}

// dropChecks removes the checks of the service that are not among these.
func (r *registry) dropChecks(t testing.TB, node, service string, checks []fleet.Check) {
	t.Helper()
	have, _, err := r.client.Health().Node(node, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range have {
		stays := slices.ContainsFunc(checks, func(kept fleet.Check) bool { return kept.ID == c.CheckID })
		if c.ServiceID == service && !stays {
			r.remove(t, &api.CatalogDeregistration{Node: node, CheckID: c.CheckID})
		}
	}
}

func (r *registry) Deregister(t testing.TB, node string) {
	t.Helper()
	r.remove(t, &api.CatalogDeregistration{Node: node})
}

func (r *registry) remove(t testing.TB, what *api.CatalogDeregistration) {
	t.Helper()
	if _, err := r.client.Catalog().Deregister(what, nil); err != nil {
		t.Fatal(err)
	}
}

// Answers that are large by nature travel as they are, small ones packed.
func TestStore_CompressesSmallAnswersOnly(t *testing.T) {
	for name, read := range map[string]func(*consul.Store) error{
		"identity": func(s *consul.Store) error { _, _, err := s.Keys(t.Context(), "a/"); return err },
		"gzip":     func(s *consul.Store) error { _, _, err := s.Keys(t.Context(), "a/", store.ExpectFew); return err },
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

// Consul compresses answers of at least 1400 bytes. An indented answer has them sooner.
func TestTxn_AsksForIndentationIfThatCompressesTheAnswer(t *testing.T) {
	addr := consultest.StartWith(t, consuldev.Options{Server: true}).Addr()
	for _, c := range []struct {
		name string
		verb store.Verb
		ops  int
		want string // the encoding of the answer
	}{
		{"few operations", store.Set, 4, ""},
		{"an answer that is compressed if it is indented", store.Set, 6, "gzip"},
		{"an answer that is just too short without indentation", store.Set, 11, "gzip"},
		{"many operations", store.Set, 20, "gzip"},
		{"operations without a result", store.Delete, 11, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			encoding, length := "", 0
			proxy := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: addr}) },
				ModifyResponse: func(r *http.Response) error {
					body, err := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					encoding, length = r.Header.Get("Content-Encoding"), len(body)
					return err
				}})
			defer proxy.Close()
			var ops []store.Op
			for i := range c.ops {
				ops = append(ops, store.Op{Verb: c.verb, Key: fmt.Sprintf("upgrade.jiocloud.com/plans/fleet/%08d", i)})
			}
			if _, err := open(t, consul.Config{Address: proxy.URL}).Txn(t.Context(), ops); err != nil {
				t.Fatal(err)
			}
			if encoding != c.want || length > 700 {
				t.Errorf("encoding %q, want %q; %d bytes", encoding, c.want, length)
			}
		})
	}
}

func TestSessionExpires(t *testing.T) {
	if testing.Short() && os.Getenv("CI") != "true" {
		t.Skip("Consul takes twenty seconds to end a session")
	}
	t.Parallel()
	s := open(t, consul.Config{Address: consultest.Start(t).Addr()})
	storetest.Expiry(t, s, func(d time.Duration) { <-time.After(d) })
}

// A token must not be sent over plain HTTP because the operator forgot the scheme.
func TestNew_CertificatesRequireTLS(t *testing.T) {
	_, err := consul.New(consul.Config{Address: "127.0.0.1:8501", CAFile: "ca.pem"})
	if err == nil || !strings.Contains(err.Error(), "https://127.0.0.1:8501") {
		t.Errorf("got %v", err)
	}
}
