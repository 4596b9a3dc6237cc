// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/httpserver/pipenet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

const secret = "2b8e1a4c-0000-4000-8000-0000000000ff"

// calls are all calls of a store.
var calls = map[string]struct {
	call  func(ctx context.Context, s store.Store) error
	write bool
}{
	"List":      {func(ctx context.Context, s store.Store) error { _, _, err := s.List(ctx, "a/"); return err }, false},
	"Keys":      {func(ctx context.Context, s store.Store) error { _, _, err := s.Keys(ctx, "a/"); return err }, false},
	"Get":       {func(ctx context.Context, s store.Store) error { _, _, err := s.Get(ctx, "a/b"); return err }, false},
	"Unhealthy": {func(ctx context.Context, s store.Store) error { _, _, err := s.Unhealthy(ctx); return err }, false},
	"Nodes":     {func(ctx context.Context, s store.Store) error { _, _, err := s.Nodes(ctx); return err }, false},
	"Txn of checks": {func(ctx context.Context, s store.Store) error {
		_, err := s.Txn(ctx, []store.Op{{Verb: store.CheckIndex, Key: "a/b", Index: 1}})
		return err
	}, false},
	"Txn": {func(ctx context.Context, s store.Store) error {
		_, err := s.Txn(ctx, []store.Op{{Verb: store.Set, Key: "a/b"}})
		return err
	}, true},
	"CreateSession": {func(ctx context.Context, s store.Store) error {
		_, err := s.CreateSession(ctx, store.SessionOptions{Name: "x", TTL: 10 * time.Second})
		return err
	}, true},
	"RenewSession":   {func(ctx context.Context, s store.Store) error { return s.RenewSession(ctx, "x") }, true},
	"DestroySession": {func(ctx context.Context, s store.Store) error { return s.DestroySession(ctx, "x") }, true},
}

// server answers as f says and counts the requests.
func server(t *testing.T, f http.HandlerFunc) (addr string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		f(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), requests
}

// pipedStore returns a store whose server answers as f says, in a synctest bubble.
func pipedStore(t *testing.T, c consul.Config, f http.HandlerFunc) (s *consul.Store, requests *atomic.Int64) {
	t.Helper()
	network := &pipenet.Network{}
	listener := network.Listen()
	requests = new(atomic.Int64)
	server := &http.Server{ReadHeaderTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		f(w, r)
	})}
	go func() { _ = server.Serve(listener) }() // until Close
	t.Cleanup(func() { _ = server.Close() })
	c.Address = listener.Addr().String()
	s = open(t, c)
	s.Dial(network.DialContext)
	return s, requests
}

func wantUnavailable(t *testing.T, err error, addr string) {
	t.Helper()
	if unavailable, ok := errors.AsType[*store.UnavailableError](err); !ok || unavailable.Address != addr || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v, want unavailable, naming %s", err, addr)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error holds the token: %v", err)
	}
}

func TestStore_ConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			s := open(t, consul.Config{Address: addr, Token: secret, RetryFor: 100 * time.Millisecond})
			wantUnavailable(t, c.call(t.Context(), s), addr)
		})
	}
}

func TestStore_RetriesReadsOnly(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503} {
		for name, c := range calls {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config := consul.Config{Token: secret, RetryFor: 200 * time.Millisecond}
					s, requests := pipedStore(t, config, func(w http.ResponseWriter, _ *http.Request) {
						http.Error(w, "No cluster leader for "+secret, status)
					})
					err := c.call(t.Context(), s)
					wantUnavailable(t, err, s.Address())
					if !strings.Contains(err.Error(), "No cluster leader") {
						t.Errorf("%v", err)
					}
					if got := requests.Load(); (got == 1) != c.write {
						t.Errorf("%d requests", got)
					}
				})
			})
		}
	}
}

func TestStore_ReadWaitsForALeader(t *testing.T) {
	agent := consultest.Start(t)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: agent.Addr()})
	var tries atomic.Int64
	addr, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) < 3 {
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	s := open(t, consul.Config{Address: addr})
	if names, _, err := s.Keys(t.Context(), ""); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestStore_Timeouts(t *testing.T) {
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			addr, _ := server(t, func(http.ResponseWriter, *http.Request) { <-release })
			t.Cleanup(func() { close(release) }) // before the server is closed
			s := open(t, consul.Config{Address: addr, RetryFor: -1, ReadTimeout: 50 * time.Millisecond,
				WriteTimeout: 50 * time.Millisecond})
			err := c.call(t.Context(), s)
			wantUnavailable(t, err, addr)
			if !strings.Contains(err.Error(), "no answer within 50ms") {
				t.Errorf("%v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			slow := open(t, consul.Config{Address: addr})
			if err := c.call(ctx, slow); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ended context: %v", err)
			}
		})
	}
}

func TestStore_TruncatedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, requests := pipedStore(t, consul.Config{RetryFor: 100 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Consul-Index", "7")
			_, _ = io.WriteString(w, `["a/b","a`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		_, _, err := s.Keys(t.Context(), "a/")
		wantUnavailable(t, err, s.Address())
		if requests.Load() < 2 {
			t.Error("it was not tried again")
		}
	})
}

func TestStore_ServerIsNotConsul(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"404": http.NotFound,
		"page": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>welcome to nginx</html>")
		},
		"other JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Consul-Index", "7")
			_, _ = io.WriteString(w, `{"a":1}`)
		},
	} {
		addr, requests := server(t, answer)
		s := open(t, consul.Config{Address: addr})
		for call, c := range calls {
			if c.write && call != "Txn" {
				continue
			}
			before := requests.Load()
			err := c.call(t.Context(), s)
			if err == nil || !strings.Contains(err.Error(), addr) {
				t.Errorf("%s, %s: %v", name, call, err)
			}
			if requests.Load() != before+1 {
				t.Errorf("%s, %s: tried again", name, call)
			}
		}
	}
}

// token makes a token with the rules.
func token(t *testing.T, agent *consuldev.Agent, rules string) string {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: agent.Addr(), Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, t.Name())
	policy, _, err := c.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, _, err := c.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made.SecretID
}

func wantForbidden(t *testing.T, err error, key, rule string) {
	t.Helper()
	if forbidden, ok := errors.AsType[*store.ForbiddenError](err); !ok || forbidden.Key != key || forbidden.Policy != rule {
		t.Errorf("got %v, want forbidden on %s: %s", err, key, rule)
	}
}

func TestStore_ACLs(t *testing.T) {
	agent := consultest.StartWith(t, consuldev.Options{ManagementToken: secret})
	all := open(t, consul.Config{Address: agent.Addr(), Token: secret})
	for _, key := range []string{"current_version", "config_state/enable_puppet/global", "hidden/a", "seen/a"} {
		if _, err := all.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: key, Value: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	limited := token(t, agent, `key_prefix "seen/" { policy = "read" } key "own" { policy = "write" }`)
	if err := os.WriteFile(file, []byte(limited+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, consul.Config{Address: agent.Addr(), TokenFile: file})
	ctx := t.Context()

	t.Run("what is hidden does not look absent", func(t *testing.T) {
		for _, asked := range [][]string{{"hidden/a"}, {"seen/a", "hidden/a"}, {"hidden/a", "seen/a"},
			{"seen/a", "hidden/a", "seen/none"}} {
			_, _, err := s.Get(ctx, asked...)
			wantForbidden(t, err, "hidden/a", `key "hidden/a" { policy = "read" }`)
		}
		_, _, err := s.Get(ctx, "seen/a", "config_state/enable_puppet/global")
		wantForbidden(t, err, "config_state/enable_puppet/global", `key_prefix "config_state/" { policy = "read" }`)
		if pairs, _, err := s.Get(ctx, "seen/a", "seen/none", "seen/a"); err != nil || !pairs[0].Exists() || pairs[1].Exists() ||
			!pairs[2].Exists() {
			t.Errorf("%v, %v", pairs, err)
		}
	})
	t.Run("a filtered read says so", func(t *testing.T) {
		names, meta, err := s.Keys(ctx, "")
		if err != nil || len(names) != 1 || names[0] != "seen/a" || !meta.Filtered {
			t.Errorf("%v, %+v, %v", names, meta, err)
		}
		pairs, meta, err := s.List(ctx, "hidden/")
		if err != nil || len(pairs) != 0 || !meta.Filtered {
			t.Errorf("%v, %+v, %v", pairs, meta, err)
		}
		if _, meta, err := s.List(ctx, "seen/"); err != nil || meta.Filtered {
			t.Errorf("nothing was hidden: %+v, %v", meta, err)
		}
		if _, meta, err := all.List(ctx, ""); err != nil || meta.Filtered {
			t.Errorf("nothing was hidden: %+v, %v", meta, err)
		}
	})
	t.Run("a transaction names the operation that is denied", func(t *testing.T) {
		allowed := store.Op{Verb: store.Set, Key: "own"}
		for _, test := range []struct {
			op   store.Op
			rule string
		}{
			{store.Op{Verb: store.Set, Key: "current_version"}, `key "current_version" { policy = "write" }`},
			{store.Op{Verb: store.Set, Key: "config_state/enable_puppet/host/a"}, `key_prefix "config_state/" { policy = "write" }`},
			{store.Op{Verb: store.Delete, Key: "blue/config_state/x"}, `key_prefix "blue/config_state/" { policy = "write" }`},
			{store.Op{Verb: store.DeleteTree, Key: "seen/"}, `key_prefix "seen/" { policy = "write" }`},
			{store.Op{Verb: store.CheckNotExists, Key: "seen/b"}, `key "seen/b" { policy = "write" }`},
			{store.Op{Verb: store.CheckIndex, Key: "hidden/a", Index: 1}, `key "hidden/a" { policy = "read" }`},
			{store.Op{Verb: store.CheckSession, Key: "hidden/a", Session: "x"}, `key "hidden/a" { policy = "read" }`},
		} {
			_, err := s.Txn(ctx, []store.Op{allowed, test.op})
			wantForbidden(t, err, test.op.Key, test.rule)
		}
		if _, err := s.Txn(ctx, []store.Op{allowed}); err != nil {
			t.Error(err)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		_, err := s.CreateSession(ctx, store.SessionOptions{Name: "x", TTL: 10 * time.Second})
		wantForbidden(t, err, "sessions", `session_prefix "" { policy = "write" }`)
	})
	t.Run("a token that is not known", func(t *testing.T) {
		const unknown = "2b8e1a4c-0000-4000-8000-00000000dead"
		s := open(t, consul.Config{Address: agent.Addr(), Token: unknown})
		for name, c := range calls {
			err := c.call(ctx, s)
			if _, ok := errors.AsType[*store.ForbiddenError](err); !ok || strings.Contains(err.Error(), unknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("no token", func(t *testing.T) {
		_, _, err := open(t, consul.Config{Address: agent.Addr()}).Get(ctx, "current_version")
		wantForbidden(t, err, "current_version", `key "current_version" { policy = "read" }`)
	})
}

func TestCatalog_ACLs(t *testing.T) {
	agent := consultest.StartWith(t, consuldev.Options{ManagementToken: secret})
	client, err := api.NewClient(&api.Config{Address: agent.Addr(), Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server in the catalog", func() bool { return len(servers(t, client)) == 1 })
	catalog := &registry{client: client, nodes: map[string]bool{}}
	catalog.Register(t, "web1", "", fleet.Check{ID: "disk", Status: fleet.Critical})
	catalog.Register(t, "web2", "http", fleet.Check{ID: "port", Status: "passing"})
	const nodeRead, serviceRead = `node_prefix "" { policy = "read" }`, ` service_prefix "" { policy = "read" }`
	for name, tt := range map[string]struct {
		token                       string
		checksHidden, nodesHidden   bool
		checksVisible, nodesVisible int
	}{
		"management":          {secret, false, false, 1, 3},
		"both rules":          {consultest.Token(t, agent.Addr(), secret, nodeRead+serviceRead), false, false, 1, 3},
		"nodes alone":         {consultest.Token(t, agent.Addr(), secret, nodeRead), true, false, 1, 3},
		"services alone":      {consultest.Token(t, agent.Addr(), secret, serviceRead), true, true, 0, 0},
		"one node":            {consultest.Token(t, agent.Addr(), secret, `node "web1" { policy = "read" }`), true, true, 1, 1},
		"nothing":             {consultest.Token(t, agent.Addr(), secret, `key "a" { policy = "read" }`), true, true, 0, 0},
		"no token":            {"", true, true, 0, 0},
		"the anonymous token": {"anonymous", true, true, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, consul.Config{Address: agent.Addr(), Token: tt.token})
			bad, meta, err := s.Unhealthy(t.Context())
			if err != nil || len(bad) != tt.checksVisible || meta.Filtered != tt.checksHidden {
				t.Errorf("checks: %v, %+v, %v", bad, meta, err)
			}
			names, meta, err := s.Nodes(t.Context())
			if err != nil || names == nil || len(names) != tt.nodesVisible || meta.Filtered != tt.nodesHidden {
				t.Errorf("nodes: %q, %+v, %v", names, meta, err)
			}
		})
	}
	t.Run("a token that is not known", func(t *testing.T) {
		s := open(t, consul.Config{Address: agent.Addr(), Token: "2b8e1a4c-0000-4000-8000-00000000dead"})
		_, _, err := s.Unhealthy(t.Context())
		wantForbidden(t, err, "checks", nodeRead+" and"+serviceRead)
		_, err = s.Wait(t.Context(), store.WatchTarget{Kind: store.Checks}, 0, store.MaxWait)
		wantForbidden(t, err, "checks", nodeRead+" and"+serviceRead)
		_, _, err = s.Nodes(t.Context())
		wantForbidden(t, err, "nodes", nodeRead)
		_, err = s.Wait(t.Context(), store.WatchTarget{Kind: store.Nodes}, 0, store.MaxWait)
		wantForbidden(t, err, "nodes", nodeRead)
	})
	t.Run("what the message says", func(t *testing.T) {
		all := `key_prefix "" { policy = "read" } `
		for _, tt := range []struct{ rules, want string }{
			{all + nodeRead + serviceRead, ""},
			{all + nodeRead, "ACLs hid checks: the token needs " + nodeRead + " and" + serviceRead},
			{all, "ACLs hid checks: the token needs " + nodeRead + " and" + serviceRead},
		} {
			s := open(t, consul.Config{Address: agent.Addr(), Token: consultest.Token(t, agent.Addr(), secret, tt.rules)})
			raw, err := fleetstore.ReadFleet(t.Context(), s, keys.Layout{}, fleetstore.SnapshotOptions{Checks: true, Nodes: true})
			if err != nil || raw.Incomplete != tt.want {
				t.Errorf("%s: %q, %v", tt.rules, raw.Incomplete, err)
			}
		}
	})
}

func TestStore_KeyListPolicy(t *testing.T) {
	addr, _ := server(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Permission denied: token with AccessorID 'x' lacks permission 'key:list'", http.StatusForbidden)
	})
	_, _, err := open(t, consul.Config{Address: addr}).List(t.Context(), "running/versions/")
	wantForbidden(t, err, "running/versions/", `key_prefix "running/versions/" { policy = "list" }`)
}

// before114 lets a real Consul look like one before 1.14.
func before114(t *testing.T, agent *consuldev.Agent, between func()) string {
	addr, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var ops api.TxnOps
		if err := json.Unmarshal(body, &ops); err != nil {
			t.Error(err)
		}
		if len(ops) > 64 {
			http.Error(w, fmt.Sprintf("Transaction contains too many operations (%d > 64)", len(ops)),
				http.StatusRequestEntityTooLarge)
			return
		}
		for i, op := range ops {
			if op.KV.Verb == api.KVGetOrEmpty {
				w.WriteHeader(http.StatusConflict)
				_, _ = fmt.Fprintf(w, `{"Results":null,"Errors":[{"OpIndex":%d,"What":"unknown KV verb \"get-or-empty\""}]}`, i)
				return
			}
		}
		request, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+agent.Addr()+r.URL.RequestURI(),
			strings.NewReader(string(body)))
		if err != nil {
			t.Error(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
		between()
	})
	return addr
}

func TestStore_ConsulBefore114(t *testing.T) {
	agent := consultest.Start(t)
	direct := open(t, consul.Config{Address: agent.Addr()})
	var asked []string
	for i := range 100 {
		asked = append(asked, fmt.Sprintf("k%02d", i))
	}
	for i := range 50 {
		if _, err := direct.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: asked[2*i], Value: []byte(asked[2*i])}}); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, consul.Config{Address: before114(t, agent, func() {})})
	if got := s.MaxOps(); got != 128 {
		t.Errorf("MaxOps before the first read: %d", got)
	}
	for range 2 {
		pairs, _, err := s.Get(t.Context(), asked...)
		if err != nil || len(pairs) != len(asked) {
			t.Fatalf("%d pairs, %v", len(pairs), err)
		}
		for i, pair := range pairs {
			if pair.Key != asked[i] || pair.Exists() != (i%2 == 0) || pair.Exists() && string(pair.Value) != asked[i] {
				t.Errorf("pair %d: %+v", i, pair)
			}
		}
	}
	if got := s.MaxOps(); got != 64 {
		t.Errorf("MaxOps after the first read: %d", got)
	}
	fresh := open(t, consul.Config{Address: before114(t, agent, func() {})})
	ops := make([]store.Op, 65)
	for i := range ops {
		ops[i] = store.Op{Verb: store.Set, Key: "k"}
	}
	if _, err := fresh.Txn(t.Context(), ops); err == nil || !strings.Contains(err.Error(), "older than Consul 1.14, try again") ||
		fresh.MaxOps() != 64 {
		t.Errorf("65 operations: %v, then MaxOps %d", err, fresh.MaxOps())
	}
	if pairs, _, err := s.Get(t.Context(), "none", "nothing"); err != nil || pairs[0].Exists() || pairs[1].Exists() {
		t.Errorf("all missing: %v, %v", pairs, err)
	}
}

func TestStore_ConsulBefore114_KeysChange(t *testing.T) {
	agent := consultest.Start(t)
	direct := open(t, consul.Config{Address: agent.Addr()})
	there := false
	flip := func() {
		op := store.Op{Verb: store.Set, Key: "a"}
		if there {
			op.Verb = store.Delete
		}
		there = !there
		if _, err := direct.Txn(t.Context(), []store.Op{op}); err != nil {
			t.Error(err)
		}
	}
	addr := before114(t, agent, flip)
	s := open(t, consul.Config{Address: addr, RetryFor: -1})
	// The key changes after each answer, so it is missing in one and there in the next.
	pairs, _, err := s.Get(t.Context(), "none", "a")
	if err == nil {
		t.Fatalf("read as of one moment: %v", pairs)
	}
	wantUnavailable(t, err, addr)
}

func TestStore_ReadModes(t *testing.T) {
	var query atomic.Value
	addr, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		query.Store(r.URL.RawQuery)
		if got := r.Header.Get("X-Consul-Token"); got != secret {
			t.Errorf("token %q", got)
		}
		http.Error(w, "no", http.StatusBadRequest)
	})
	for _, stale := range []bool{false, true} {
		s := open(t, consul.Config{Address: addr, Token: secret, Datacenter: "dc 2", Namespace: "n", Stale: stale})
		for name, c := range calls {
			_ = c.call(t.Context(), s)
			got := query.Load().(string)
			if !strings.HasPrefix(got, "dc=dc+2&ns=n") {
				t.Errorf("%s: %s", name, got)
			}
			if want := !c.write && stale; strings.HasSuffix(got, "&stale") != want {
				t.Errorf("%s, stale %t: %s", name, stale, got)
			}
			if want := !c.write && !stale; strings.HasSuffix(got, "&consistent") != want {
				t.Errorf("%s, stale %t: %s", name, stale, got)
			}
		}
	}
}

func TestNew_ReadsConsulEnvironment(t *testing.T) {
	tokens := make(chan string, 1)
	addr, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("X-Consul-Token")
		w.Header().Set("X-Consul-Index", "1")
		http.Error(w, "", http.StatusNotFound)
	})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("of-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		env    map[string]string
		config consul.Config
		want   string
	}{
		{"nothing", nil, consul.Config{}, ""},
		{"token", map[string]string{"CONSUL_HTTP_TOKEN": "of-the-env"}, consul.Config{}, "of-the-env"},
		{"token file", map[string]string{"CONSUL_HTTP_TOKEN": "of-the-env", "CONSUL_HTTP_TOKEN_FILE": file}, consul.Config{}, "of-a-file"},
		{"flag before env", map[string]string{"CONSUL_HTTP_TOKEN": "of-the-env", "CONSUL_HTTP_TOKEN_FILE": file},
			consul.Config{Token: "of-the-flag"}, "of-the-flag"},
		{"file flag before all", map[string]string{"CONSUL_HTTP_TOKEN": "of-the-env"},
			consul.Config{Token: "of-the-flag", TokenFile: file}, "of-a-file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("CONSUL_HTTP_ADDR", "http://"+addr)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			if _, _, err := open(t, test.config).Keys(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if got := <-tokens; got != test.want {
				t.Errorf("token %q, want %q", got, test.want)
			}
		})
	}
}

func TestNew_UnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "consul.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Consul-Index", "1")
			_, _ = io.WriteString(w, `["a"]`)
		})}}
	s.Start()
	defer s.Close()
	if names, _, err := open(t, consul.Config{Address: "unix://" + path}).Keys(t.Context(), "a"); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestNew_RejectsBadConfig(t *testing.T) {
	for name, c := range map[string]consul.Config{
		"scheme":     {Address: "ftp://user:" + secret + "@host"},
		"token file": {TokenFile: "/nowhere/token"},
		"CA file":    {Address: "https://host", CAFile: "/nowhere/ca.pem"},
		"half a key": {Address: "https://host", ClientCert: "/nowhere/cert.pem"},
	} {
		if _, err := consul.New(c); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStore_ConsulBefore114_KeyIsRecreated(t *testing.T) {
	agent := consultest.Start(t)
	direct := open(t, consul.Config{Address: agent.Addr()})
	apply := func(verb store.Verb) {
		if _, err := direct.Txn(t.Context(), []store.Op{{Verb: verb, Key: "b"}}); err != nil {
			t.Error(err)
		}
	}
	apply(store.Set)
	answers := 0
	s := open(t, consul.Config{Address: before114(t, agent, func() {
		switch answers++; answers {
		case 1:
			apply(store.Delete)
		case 2:
			apply(store.Set)
		}
	})})
	pairs, _, err := s.Get(t.Context(), "b", "none")
	if err != nil || !pairs[0].Exists() || pairs[1].Exists() {
		t.Errorf("%v, %v", pairs, err)
	}
}
