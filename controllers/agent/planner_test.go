// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// fakeClock is an agent.Clock that a test advances.
type fakeClock struct{ now time.Time }

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) Sleep(context.Context, time.Duration) error {
	return errors.New("no sleep in this test")
}

// plannedHost is one host with its agent, and the keys that the planner reads.
type plannedHost struct {
	store   *memory.Store
	version agent.MemoryVersion
	clock   fakeClock
	step    agent.Step
	agent   *agent.Agent
}

func newPlannedHost(t *rapid.T, local string) *plannedHost {
	h := &plannedHost{clock: fakeClock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	h.store = memory.New(h.clock.Now)
	if err := h.version.SetVersion(local); err != nil {
		t.Fatal(err)
	}
	h.restart(t)
	if _, err := h.agent.Once(t.Context()); err != nil { // its report makes it an agent to the planner
		t.Fatal(err)
	}
	return h
}

func (h *plannedHost) restart(t *rapid.T) {
	a, err := agent.New(agent.Options{Host: "web1", Store: h.store, Version: &h.version, Clock: &h.clock,
		Step:   func(ctx context.Context, c agent.Change) (string, error) { return h.step(ctx, c) },
		Random: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	h.agent = a
}

// governed writes current_version as a controller does.
func (h *plannedHost) governed(t *rapid.T) {
	op := store.Op{Verb: store.Set, Key: "current_version", Value: []byte(rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "governed")),
		Flags: keys.CurrentFlags(rapid.Uint64Range(1, 2).Draw(t, "rollout"), false)}
	if _, err := h.store.Txn(t.Context(), []store.Op{op}); err != nil {
		t.Fatal(err)
	}
}

func grantOf(version string, rollout uint64) string {
	return string(keys.EncodeGrant(fleet.Grant{Version: version, Rollout: rollout, ID: "1.1"}))
}

// draw returns an action that sets the key to one of the values, or deletes it.
func (h *plannedHost) draw(key string, values ...string) func(*rapid.T) {
	return func(t *rapid.T) {
		op := store.Op{Verb: store.Delete, Key: key}
		if v := rapid.SampledFrom(append(values, "")).Draw(t, key); v != "" {
			op = store.Op{Verb: store.Set, Key: key, Value: []byte(v)}
		}
		if _, err := h.store.Txn(t.Context(), []store.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
}

// pass runs the agent once. The step succeeds, fails, or is interrupted by the end of the process.
func (h *plannedHost) pass(t *rapid.T) {
	h.clock.now = h.clock.now.Add(2 * time.Hour)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	result := rapid.SampledFrom([]string{"success", "failure", "interruption"}).Draw(t, "result")
	h.step = func(ctx context.Context, _ agent.Change) (string, error) {
		switch result {
		case "failure":
			return "", errors.New("failed")
		case "interruption":
			interrupt()
			return "", ctx.Err()
		}
		return "", nil
	}
	_, _ = h.agent.Once(ctx) // it returns the error of the step
	h.restart(t)
}

// planned returns what the planner says about the host.
func (h *plannedHost) planned(t *rapid.T) rollout.Verdict {
	snapshot, err := fleetstore.ReadFleet(t.Context(), h.store, keys.Layout{}, fleetstore.SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := keys.Decode(snapshot, keys.Layout{}, keys.Options{Now: h.clock.now})
	for _, v := range rollout.Compute(rollout.Input{Fleet: &f, Now: h.clock.now}).Verdicts {
		if v.Host == "web1" {
			return v
		}
	}
	t.Fatal("the planner does not know the host")
	return rollout.Verdict{}
}

// check compares the agent with the planner.
func (h *plannedHost) check(t *rapid.T) {
	o, v, err := h.agent.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	planned := h.planned(t)
	if v.Change.Allowed && !planned.InFlight {
		t.Errorf("the agent may change (%s), and the planner says %+v", v.Change.Message, planned)
	}
	idle := o.Own.Started == nil && o.View.Local != o.View.Current.Name
	if granted := permission.Grant(o.View).Allowed; idle && planned.InFlight != granted {
		t.Errorf("the agent has a grant: %v, and the planner says %+v", granted, planned)
	}
	free := o.View.PausedBy == 0 && !o.View.OnHold && keys.ValidVersion(o.View.Current.Name) == ""
	if idle && free && planned.InFlight != v.Change.Allowed {
		t.Errorf("the agent says %+v, and the planner %+v", v.Change, planned)
	}
}

// The planner must count a host as in flight whenever its agent may change the version. Otherwise more hosts than a limit
// allows could change at once. This compares both with the same keys, in states that operators and the agent reach.
func TestDecide_AgreesWithThePlanner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newPlannedHost(t, rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(t, "local"))
		t.Repeat(map[string]func(*rapid.T){
			"":             h.check,
			"version":      h.draw("current_version", "v1", "v2", "v3", "a/b"),
			"governed":     h.governed,
			"grant":        h.draw(keys.Layout{}.Grant("web1"), grantOf("v2", 1), grantOf("v3", 1), grantOf("v2", 2), "?"),
			"fleet hold":   h.draw(keys.Layout{}.HoldFleet(), "{}"),
			"host":         h.draw("config_state/enable_puppet/host/web1", "True", "False", "v2", "?"),
			"role":         h.draw("config_state/enable_puppet/role/web", "True", "0", "v3"),
			"global":       h.draw("config_state/enable_puppet/global", "1", "False"),
			"pause host":   h.draw("config_state/host/web1/enable_puppet", "False", "True"),
			"pause global": h.draw("config_state/global/enable_puppet", "False"),
			"hold":         h.draw(keys.Layout{}.HoldHost("web1"), "{}"),
			"pass":         h.pass,
		})
	})
}
