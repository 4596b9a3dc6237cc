// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/plantest"
)

// RoundsEnv is how many rounds are played; make soak plays more.
const roundsEnv = "UPGRADE_CHAOS_ROUNDS"

// TestChaos_RolloutsComplete upgrades a fleet of agents repeatedly, with two upgrade-controller processes and three Consul servers.
// In each round a process is killed with -9, stopped past its session's TTL and continued, or disconnected. After each write an
// invariant checker reads the whole state: no start exceeds a limit, and every rollout completes.
func TestChaos_RolloutsComplete(t *testing.T) {
	rounds := 4
	if text := os.Getenv(roundsEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", roundsEnv, err)
		}
		rounds = n
	}
	c := newChaos(t)
	faults := []struct {
		name string
		play func()
	}{
		{"kill the Consul server that leads", c.killServer},
		{"kill the controller that leads", c.killController},
		{"stop the controller that leads past its TTL", c.stopController},
		{"cut the controller that leads off", c.cutController},
	}
	for round := range rounds {
		fault := faults[round%len(faults)]
		version := fmt.Sprintf("v%d", round+2)
		t.Logf("round %d: to %s: %s", round+1, version, fault.name)
		c.apply(version)
		c.await(fmt.Sprintf("a host at %s", version), func() bool { return c.reached(version) > 0 })
		fault.play()
		c.await("the fleet at "+version, func() bool { return c.reached(version) == len(hosts()) })
	}
}

func hosts() []string {
	var all []string
	for i := 1; i <= 8; i++ {
		all = append(all, fmt.Sprintf("web%d", i))
	}
	return append(all, "db1", "db2", "db3")
}

type chaos struct {
	t           *testing.T
	cluster     *consuldev.Cluster
	direct      store.Store // to the cluster, past the proxy
	controllers []*controller
}

// controller is an upgrade-controller process behind a line that can be cut.
type controller struct {
	binary string
	line   *line
	cmd    *exec.Cmd
	out    *bytes.Buffer
}

func newChaos(t *testing.T) *chaos {
	cluster, err := consuldev.StartCluster(t.Context(), consultest.Binary(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	front := frontOf(t, cluster.Addrs())
	checker := &plantest.InvariantChecker{Limits: map[string]int{"web": 2, "db": 1}}
	proxy := consultest.StartProxy(t, front, consultest.ProxyOptions{
		Check: func(ctx context.Context, direct store.Store) error {
			pairs, _, err := direct.List(ctx, "")
			if err != nil {
				return err
			}
			return checker.Look(pairs)
		}})
	c := &chaos{t: t, cluster: cluster, direct: open(t, front)}
	if _, err := c.direct.Txn(t.Context(), []store.Op{
		{Verb: store.Set, Key: keys.Layout{}.CurrentVersion(), Value: []byte("v1")}}); err != nil {
		t.Fatal(err)
	}
	c.startAgents(proxy.Addr())
	binary := filepath.Join(t.TempDir(), "upgrade-controller")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/jiocloud/upgrade-controller/cmd/upgrade-controller")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for range 2 {
		m := &controller{binary: binary, line: newLine(t, proxy.Addr())}
		c.controllers = append(c.controllers, m)
		c.run(m)
		t.Cleanup(m.kill)
	}
	return c
}

func open(t *testing.T, addr string) store.Store {
	t.Helper()
	s, err := consul.New(consul.Config{Address: addr, RetryFor: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startAgents runs the agents' code for each host. Their steps take a moment; they never fail.
func (c *chaos) startAgents(addr string) {
	s := open(c.t, addr)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	c.t.Cleanup(func() { cancel(); group.Wait() })
	for i, host := range hosts() {
		version := &agent.MemoryVersion{}
		if err := version.SetVersion("v1"); err != nil {
			c.t.Fatal(err)
		}
		a, err := agent.New(agent.Options{Host: host, Store: s, Version: version, Clock: agent.SystemClock{},
			Random: rand.New(rand.NewPCG(1, uint64(i))).Float64, Interval: 200 * time.Millisecond, Jitter: 100 * time.Millisecond,
			Step: func(ctx context.Context, _ agent.Change) (string, error) {
				return "", agent.SystemClock{}.Sleep(ctx, 300*time.Millisecond)
			}})
		if err != nil {
			c.t.Fatal(err)
		}
		group.Go(func() { a.Run(ctx) })
	}
}

func (c *chaos) run(m *controller) {
	m.out = &bytes.Buffer{}
	m.cmd = exec.CommandContext(context.Background(), m.binary, "--http-addr", m.line.addr(), "-v", "1",
		"--health-probe-bind-address", "0", "--metrics-bind-address", "0", "--dashboard-bind-address", "0")
	m.cmd.Stderr = m.out
	if err := m.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
}

func (m *controller) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

// apply and the looks below go straight to the cluster. A write may be lost with a server: it is tried again.
func (c *chaos) apply(version string) {
	plan := &v1alpha1.UpgradePlan{}
	plan.Name = "fleet"
	plan.Spec.Version = version
	plan.Spec.Instructions.RollingRules = v1alpha1.RollingRules{Global: new(intstr.FromInt32(1)),
		Roles: map[string]intstr.IntOrString{"web": intstr.FromInt32(2)}}
	c.await("the plan to be stored", func() bool {
		_, _, err := planstore.Plans{Store: c.direct}.Apply(c.t.Context(), plan, false)
		if err != nil {
			c.t.Log(err)
		}
		return err == nil
	})
}

func (c *chaos) reached(version string) int {
	found, _, err := c.direct.Keys(c.t.Context(), keys.Layout{}.RecordTree()+version+"/")
	if err != nil {
		c.t.Log(err)
	}
	return len(found)
}

// leader is the controller that holds the lock.
func (c *chaos) leader() *controller {
	var leader *controller
	c.await("a controller that leads", func() bool {
		held, err := leaderelection.LockHolder(c.t.Context(), c.direct, keys.Leader)
		if err != nil || held == nil {
			return false
		}
		for _, m := range c.controllers {
			if strings.Contains(held.Holder, fmt.Sprintf("process %d)", m.cmd.Process.Pid)) {
				leader = m
			}
		}
		return leader != nil
	})
	return leader
}

func (c *chaos) killServer() {
	leads, err := c.cluster.Leader(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	c.cluster.Kill(leads)
	if _, err := c.cluster.Leader(c.t.Context()); err != nil { // the other two go on
		c.t.Fatal(err)
	}
	if err := c.cluster.Restart(c.t.Context(), leads); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) killController() {
	m := c.leader()
	m.kill()
	c.run(m)
}

// stopController: another takes over while the leader stands still, and the stale one wakes up as it leads.
func (c *chaos) stopController() {
	m := c.leader()
	c.signal(m, syscall.SIGSTOP)
	c.await("another to take over", func() bool { return c.leader() != m })
	c.signal(m, syscall.SIGCONT)
}

func (c *chaos) cutController() {
	m := c.leader()
	m.line.cut(true)
	c.await("another to take over", func() bool { return c.leader() != m })
	m.line.cut(false)
}

func (c *chaos) signal(m *controller, s syscall.Signal) {
	if err := m.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// await looks until it is so.
func (c *chaos) await(what string, so func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-ctx.Done():
			for i, m := range c.controllers {
				c.t.Logf("controller %d:\n%s", i, m.out)
			}
			c.t.Fatalf("waited in vain for %s", what)
		}
		if c.t.Failed() {
			c.t.FailNow()
		}
	}
}

// frontOf is one address for all servers: requests go to the first that takes the connection.
func frontOf(t *testing.T, addrs []string) string {
	var dialer net.Dialer
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var failed error
		for _, addr := range addrs {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err == nil {
				return conn, nil
			}
			failed = errors.Join(failed, err)
		}
		return nil, failed
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "consul"}) },
		Transport:    &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.Listener.Addr().String()
}

// line forwards connections until it is cut.
type line struct {
	listener net.Listener
	dead     atomic.Bool
	mu       sync.Mutex
	open     map[net.Conn]bool
}

func newLine(t *testing.T, target string) *line {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, open: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = listener.Close(); l.cut(true) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.forward(conn, target)
		}
	}()
	return l
}

func (l *line) addr() string { return l.listener.Addr().String() }

// cut ends all connections and lets none through; or lets them through again.
func (l *line) cut(dead bool) {
	l.dead.Store(dead)
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		if dead {
			_ = conn.Close()
		}
	}
}

func (l *line) forward(conn net.Conn, target string) {
	defer func() { _ = conn.Close() }()
	if l.dead.Load() {
		return
	}
	beyond, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = beyond.Close() }()
	l.mu.Lock()
	l.open[conn], l.open[beyond] = true, true
	l.mu.Unlock()
	go func() {
		_, _ = io.Copy(beyond, conn)
		_ = beyond.Close()
	}()
	_, _ = io.Copy(conn, beyond)
	l.mu.Lock()
	delete(l.open, conn)
	delete(l.open, beyond)
	l.mu.Unlock()
}
