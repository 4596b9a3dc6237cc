// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/plantest"
)

// history is a real Consul behind a proxy that forwards writes one by one, and a checker of the whole state after each write.
// Hosts, operators and the controller all go through the proxy.
type history struct {
	*fixture
	proxy   *consultest.Proxy
	mu      sync.Mutex
	checker *plantest.InvariantChecker
}

func newHistory(t *testing.T, limits map[string]int, o consultest.ProxyOptions) *history {
	h := &history{checker: &plantest.InvariantChecker{Limits: limits}}
	o.Check = func(ctx context.Context, direct store.Store) error {
		pairs, _, err := direct.List(ctx, "")
		if err != nil {
			return err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.checker.Look(pairs)
	}
	addr := consultest.Start(t).Addr()
	h.fixture = newFixture(t, openConsul(t, addr), &clock{now: time.Now()})
	h.proxy = consultest.StartProxy(t, addr, o)
	h.through = openConsul(t, h.proxy.Addr())
	return h
}

// agents run the code of real agents through the proxy. Their step takes no time.
func (h *history) agents(names ...string) []*agent.Agent {
	var out []*agent.Agent
	for _, name := range names {
		version := &agent.MemoryVersion{}
		h.must(version.SetVersion("1"))
		a, err := agent.New(agent.Options{Host: name, Store: h.through, Version: version, Clock: agent.SystemClock{},
			Random: rand.New(rand.NewPCG(1, 1)).Float64, Log: testr.New(h.t.(*testing.T)),
			Step: func(context.Context, agent.Change) (string, error) { return "", nil }})
		h.must(err)
		out = append(out, a)
	}
	return out
}

func once(agents []*agent.Agent) error {
	var failed error
	for _, a := range agents {
		if _, err := a.Once(context.Background()); err != nil {
			failed = err
		}
	}
	return failed
}

// A whole rollout with real agents, whose connection fails at one write after another. The rollout goes on, the cache stays
// correct, and no state that Consul ever had exceeds a limit.
func TestHistory_LimitsHoldWhenTheConnectionFails(t *testing.T) {
	limits := map[string]int{"web": 2, "db": 1}
	run := func(t *testing.T, o consultest.ProxyOptions) int {
		h := newHistory(t, limits, o)
		h.set("current_version", "1")
		agents := h.agents(append(names("web", 4), "db1", "db2")...)
		_ = once(agents)
		_, _, err := planstore.Plans{Store: h.store}.Apply(t.Context(), planOf(t,
			"version: '2'\ninstructions: {rollingRules: {global: 1, roles: {web: 2}}, roleOrder: {web: db}}"), false)
		h.must(err)
		r := newCaching(h.fixture)
		r.reportsMayHide = true
		for range 30 {
			if _, err := r.pass(); err == nil {
				if wrong := r.believes(); wrong != "" {
					t.Fatal(wrong)
				}
				o, err := planstore.Observe(t.Context(), h.store, "fleet", h.clock.Now())
				h.must(err)
				if o.Decision.Complete {
					return len(h.proxy.Writes())
				}
			}
			_ = once(agents)
		}
		t.Fatal("not complete")
		return 0
	}
	writes := run(t, consultest.ProxyOptions{})
	step := 3
	if testing.Short() {
		step = 11
	}
	for k := 1; k <= writes; k += step {
		for name, o := range map[string]consultest.ProxyOptions{"fails": {FailWrite: k}, "loses its reply": {DropReply: k}} {
			t.Run(fmt.Sprintf("write %d of %d %s", k, writes, name), func(t *testing.T) {
				t.Parallel()
				run(t, o)
			})
		}
	}
}

// Two controllers, one of which holds the lock at a time, switch the version again and again under running hosts, while an operator
// pauses and resumes.
func TestHistory_LimitsHoldWithTwoControllers(t *testing.T) {
	h := newHistory(t, map[string]int{"web": 2}, consultest.ProxyOptions{})
	h.set("current_version", "1")
	agents := h.agents(names("web", 6)...)
	h.must(once(agents))
	h.apply("version: '2'\ninstructions: {rollingRules: {global: 2}}")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := func(err error) { // of goroutines, which may not end the test
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			cancel()
		}
	}
	// The fixture leaves its lock to the two controllers.
	h.must(h.store.DestroySession(t.Context(), h.session))
	var group sync.WaitGroup
	for _, me := range []string{"one", "two"} {
		group.Go(func() {
			for ctx.Err() == nil {
				lease, err := leaderelection.Acquire(ctx, h.through, keys.Leader, me, leaderelection.Options{})
				if err != nil {
					must(err)
					return
				}
				r := &upgradeplan.Reconciler{Store: h.through, Session: lease.Session(), Now: time.Now, Log: testr.New(t)}
				result, err := r.Reconcile(lease.Context(), "fleet")
				must(err)
				must(lease.Release())
				if err == nil && result.Decision.Complete && result.Decision.Version == "4" {
					cancel()
				}
			}
		})
	}
	group.Go(func() {
		for ctx.Err() == nil {
			_ = once(agents) // an agent whose start is refused looks again
		}
	})
	group.Go(func() {
		plans := planstore.Plans{Store: h.through}
		for _, version := range []string{"3", "1.5", "4"} {
			_, err := plans.SetPause(ctx, "fleet", &fleet.Pause{By: "operator"})
			must(err)
			_, _, err = plans.Apply(ctx, planOf(t, "version: '"+version+"'\ninstructions: {rollingRules: {global: 2}}"), false)
			must(err)
			_, err = plans.SetPause(ctx, "fleet", nil)
			must(err)
		}
	})
	group.Wait()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("not complete within a minute")
	}
}

// Keys that ACLs hide must not look like missing keys.
func TestReconcile_GrantsNoHostWhenACLsHideKeys(t *testing.T) {
	const management = "6f6b7b1e-8f0e-4d2a-9f3b-1c2d3e4f5a6b"
	addr := consultest.StartWith(t, consuldev.Options{ManagementToken: management}).Addr()
	open := func(token string) *consul.Store {
		s, err := consul.New(consul.Config{Address: addr, Token: token, RetryFor: -1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	f := newFixture(t, open(management), newClock())
	f.set("current_version", "1")
	f.hosts(true, "1", names("web", 4)...)
	f.apply(twoAtATime)
	for name, c := range map[string]struct{ rule, want string }{
		"a record":        {`key_prefix "" { policy = "write" } key_prefix "running/versions/1/web2" { policy = "deny" }`, "running/versions/"},
		"a key of a host": {`key_prefix "" { policy = "write" } key_prefix "config_state/enable_puppet/host/web9" { policy = "deny" }`, "config_state/"},
		"a report":        {`key_prefix "" { policy = "write" } key_prefix "upgrade.jiocloud.com/hosts/web2" { policy = "deny" }`, "upgrade.jiocloud.com/hosts/"},
	} {
		t.Run(name, func(t *testing.T) {
			f.set("config_state/enable_puppet/host/web9", "False")
			f.through = open(consultest.Token(t, addr, management, c.rule+` session_prefix "" { policy = "write" }`))
			before := f.indexes()
			r := f.reconcile()
			if d := r.Decision; d.Gate.Reason != v1alpha1.ReasonObservationIncomplete || !strings.Contains(d.Gate.Message, c.want) {
				t.Errorf("%s: %s", d.Gate.Reason, d.Gate.Message)
			}
			if after := f.indexes(); len(after) != len(before) {
				t.Error("keys were written")
			}
			if v := string(f.get("current_version").Value); v != "1" {
				t.Errorf("the version was switched to %s", v)
			}
		})
	}
	for name, c := range map[string]struct{ rule, want string }{
		"the version itself": {`key "current_version" { policy = "deny" }`, "current_version"},
		"a whole tree":       {`key_prefix "running/versions/" { policy = "deny" }`, "running/versions/"},
	} {
		t.Run(name, func(t *testing.T) {
			f.through = open(consultest.Token(t, addr, management,
				`key_prefix "" { policy = "write" } session_prefix "" { policy = "write" } `+c.rule))
			_, err := f.reconciler().Reconcile(t.Context(), "fleet")
			if _, ok := errors.AsType[*store.ForbiddenError](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
