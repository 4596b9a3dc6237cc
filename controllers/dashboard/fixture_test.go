// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/dashboard"
	"github.com/jiocloud/upgrade-controller/controllers/httpserver/pipenet"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// basePath is the path at which the proxy serves the dashboard.
const basePath = "/ops/upgrades"

// heartbeat is the interval of messages to a stream when nothing changes.
const heartbeat = 100 * time.Millisecond

// counted counts the reads of whole trees and the running watches. While it is broken, Get fails.
type counted struct {
	store.Store
	trees, waits atomic.Int64
	broken       atomic.Bool
	// leaderBroken makes the reads of the leader fail.
	leaderBroken atomic.Bool
}

func (c *counted) fail(key ...string) error {
	if c.broken.Load() || c.leaderBroken.Load() && slices.Contains(key, keys.Leader) {
		return &store.UnavailableError{Address: "test", Err: errors.New("broken")}
	}
	return nil
}

func (c *counted) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	if err := c.fail(key...); err != nil {
		return nil, store.Meta{}, err
	}
	return c.Store.Get(ctx, key...)
}

func (c *counted) Wait(ctx context.Context, target store.WatchTarget, index uint64, atMost time.Duration) (store.WatchIndex, error) {
	c.waits.Add(1)
	defer c.waits.Add(-1)
	return c.Store.Wait(ctx, target, index, atMost)
}

func (c *counted) List(ctx context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	c.trees.Add(1)
	return c.Store.List(ctx, prefix)
}

// site is a dashboard behind a reverse proxy, with the store of its fleet.
type site struct {
	testing.TB
	store   *counted
	pages   *dashboard.Dashboard
	proxy   *httptest.Server
	offline atomic.Bool // the proxy answers no request
	session string
	client  *http.Client
	network *pipenet.Network // nil: the network of the machine
}

func newSite(t testing.TB) *site {
	return startSite(&site{TB: t, client: http.DefaultClient})
}

// newPipedSite returns a site without sockets, for a synctest bubble.
func newPipedSite(t testing.TB) *site {
	network := &pipenet.Network{}
	return startSite(&site{TB: t, network: network, client: &http.Client{Transport: &http.Transport{DialContext: network.DialContext}}})
}

// serve starts a server.
func (s *site) serve(handler http.Handler) *httptest.Server {
	if s.network == nil {
		return httptest.NewServer(handler)
	}
	server := &httptest.Server{Listener: s.network.Listen(), Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Hour}}
	server.Start()
	return server
}

func startSite(s *site) *site {
	t := s.TB
	s.store = &counted{Store: memory.New(time.Now)}
	session, err := s.store.CreateSession(t.Context(), store.SessionOptions{Name: "test", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.session = session
	s.write(store.Op{Verb: store.Lock, Key: keys.Leader, Session: session, Value: []byte("upgrade-controller on test")})
	s.pages = dashboard.New(dashboard.Options{Store: s.store, Now: time.Now, Log: logr.Discard(), Linger: 2 * time.Second,
		Heartbeat: heartbeat})
	back := s.serve(s.pages)
	to, _ := url.Parse(back.URL)
	through := httputil.NewSingleHostReverseProxy(to)
	through.Transport = s.client.Transport
	s.proxy = s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.offline.Load() {
			http.Error(w, "offline", http.StatusBadGateway)
			return
		}
		http.StripPrefix(basePath, through).ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.proxy.CloseClientConnections()
		s.pages.Close()
		back.CloseClientConnections()
		s.proxy.Close()
		back.Close()
		s.client.CloseIdleConnections()
	})
	return s
}

func (s *site) url(path string) string { return s.proxy.URL + basePath + "/" + path }

func (s *site) write(ops ...store.Op) {
	s.Helper()
	for chunk := range slices.Chunk(ops, s.store.MaxOps()) {
		if _, err := s.store.Txn(s.Context(), chunk); err != nil {
			s.Fatal(err)
		}
	}
}

// at writes reports and records of hosts that reached a version at a time.
func (s *site) at(version string, since time.Time, hosts ...string) {
	s.Helper()
	var ops []store.Op
	l := keys.Layout{}
	for _, h := range hosts {
		ops = append(ops, store.Op{Verb: store.Set, Key: l.Record(version, h), Value: keys.EncodeTime(since)},
			store.Op{Verb: store.Set, Key: l.Report(h), Value: keys.EncodeReport(fleet.Report{Version: version, Phase: fleet.PhaseIdle, Time: since})},
			store.Op{Verb: store.Delete, Key: l.Started(h)})
	}
	s.write(ops...)
}

// upgrade moves hosts from v1 to v2.
func (s *site) upgrade(hosts ...string) {
	s.Helper()
	s.at("v2", time.Now(), hosts...)
	for _, h := range hosts {
		s.write(store.Op{Verb: store.Delete, Key: keys.Layout{}.Record("v1", h)})
	}
}

// fail writes the report of a host that failed to upgrade to v2.
func (s *site) fail(host, why string) {
	s.Helper()
	s.write(store.Op{Verb: store.Set, Key: keys.Layout{}.Report(host), Value: keys.EncodeReport(fleet.Report{Version: "v2",
		Phase: fleet.PhaseFailed, Message: why, Time: time.Now()})})
}

// startUpgrade marks hosts as started and upgrading to v2.
func (s *site) startUpgrade(hosts ...string) {
	s.Helper()
	for _, h := range hosts {
		s.write(store.Op{Verb: store.Set, Key: keys.Layout{}.Started(h), Value: keys.EncodeStarted(fleet.Started{Version: "v2", From: "v1",
			Time: time.Now()})},
			store.Op{Verb: store.Set, Key: keys.Layout{}.Report(h), Value: keys.EncodeReport(fleet.Report{Version: "v2",
				Phase: fleet.PhaseUpgrading, Time: time.Now()})})
	}
}

func (s *site) apply(spec string) {
	s.Helper()
	plan := &v1alpha1.UpgradePlan{}
	plan.Name = "fleet"
	if err := yaml.UnmarshalStrict([]byte(spec), &plan.Spec); err != nil {
		s.Fatal(err)
	}
	if _, _, err := (planstore.Plans{Store: s.store}).Apply(s.Context(), plan, false); err != nil {
		s.Fatal(err)
	}
}

// pass runs one pass of the controller.
func (s *site) pass() {
	s.Helper()
	r := upgradeplan.Reconciler{Store: s.store, Session: s.session, Now: time.Now, Log: logr.Discard()}
	if _, err := r.Reconcile(s.Context(), "fleet"); err != nil {
		s.Fatal(err)
	}
}

func names(role string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s%d", role, i+1))
	}
	return out
}

// newFleet returns a fleet with hosts in most states: web1 and web2 are upgraded, web3 has started, web4 has failed, and db1
// is on hold.
func newFleet(t testing.TB, webs int) *site { return fill(newSite(t), webs) }

// newPipedFleet is newFleet for a synctest bubble.
func newPipedFleet(t testing.TB, webs int) *site { return fill(newPipedSite(t), webs) }

func fill(s *site, webs int) *site {
	t := s.TB
	since := time.Now().Add(-time.Hour)
	s.at("v1", since, append(names("web", webs), names("db", 3)...)...)
	s.at("v1", since, "0815")
	s.apply("version: v2\ninstructions: {rollingRules: {global: 4}, roleOrder: {db: web}}\n" +
		fmt.Sprintf("windows: {deny: [{schedule: '0 0 1 %d *', duration: 1h}]}", (time.Now().Month()+5)%12+1)) // half a year away
	s.pass()
	if s.network != nil {
		<-time.After(time.Second) // the fake clock moves only so
	}
	s.startUpgrade("web1", "web2", "web3", "web4")
	s.upgrade("web1", "web2")
	s.fail("web4", "Puppet's run failed: Package[nginx] <b>not found</b>")
	if _, err := (planstore.Holds{Store: s.store}).Set(t.Context(), fleet.Place{Scope: fleet.ScopeHost, Name: "db1"},
		fleet.Hold{Reason: "disk is being replaced", Owner: "rb", Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	s.pass()
	return s
}
