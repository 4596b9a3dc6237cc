// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
	"github.com/jiocloud/upgrade-controller/controllers/agent/checks"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

var change = agent.Change{Host: "web1", Role: "web", From: "v1", To: "v2"}

// recorder is a Consul that keeps what it is told, unless it is away.
type recorder struct {
	told []string
	away error
}

func (r *recorder) SetCheck(_ context.Context, id string, ttl time.Duration, status, output string) error {
	r.told = append(r.told, fmt.Sprintf("%s %s %s: %s", id, ttl, status, output))
	return r.away
}

func board(t *testing.T, c checks.Consul) *checks.Reporter {
	return &checks.Reporter{Consul: c, TTL: time.Hour,
		Results: atomicfile.State[map[string]checks.Result](filepath.Join(t.TempDir(), "checks"))}
}

func want(t *testing.T, r *recorder, lines ...string) {
	t.Helper()
	if !slices.Equal(r.told, lines) {
		t.Errorf("Consul was told\n%q, want\n%q", r.told, lines)
	}
	r.told = nil
}

func TestTheTwoStepsAreChecks(t *testing.T) {
	r := &recorder{}
	b := board(t, r)
	if err := b.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, r) // of what is unknown nothing is said
	for _, step := range []string{"preHook", "facts", "sources", "apt", "puppet"} {
		b.Ended(t.Context(), change, step, "", nil)
	}
	b.Ended(t.Context(), change, "validation", "no route", errors.New("20-net: exit status 3"))
	passing, failing := "puppet 1h0m0s passing: passed for v2", "validation 1h0m0s warning: failed for v2: 20-net: exit status 3\nno route"
	want(t, r, passing, failing)
	again := &checks.Reporter{Consul: r, Results: b.Results, TTL: b.TTL} // after a restart
	if err := again.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, r, passing, failing)
}

func TestWhatCannotBeToldIsToldLater(t *testing.T) {
	r := &recorder{away: errors.New("away")}
	b := board(t, r)
	b.Ended(t.Context(), change, "puppet", "", nil)
	r.told = nil
	if err := b.Renew(t.Context()); !errors.Is(err, r.away) {
		t.Errorf("error %v", err)
	}
	r.told, r.away = nil, nil
	if err := b.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, r, "puppet 1h0m0s passing: passed for v2")
}

// clock counts its sleepers and ends them after three.
type clock struct{ slept []time.Duration }

func (c *clock) Now() time.Time { return time.Time{} }

func (c *clock) Sleep(_ context.Context, d time.Duration) error {
	if c.slept = append(c.slept, d); len(c.slept) == 3 {
		return context.Canceled
	}
	return nil
}

func TestChecksAreRenewedThreeTimesWithinTheirTTL(t *testing.T) {
	r, c := &recorder{}, &clock{}
	b := board(t, r)
	b.Ended(t.Context(), change, "puppet", "", nil)
	b.Keep(t.Context(), c)
	if len(r.told) != 4 || c.slept[0] != 20*time.Minute {
		t.Errorf("told %d times, slept %s", len(r.told), c.slept)
	}
}

func TestARealConsulHasTheChecks(t *testing.T) {
	addr := consultest.Start(t).Addr()
	s, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	client, err := api.NewClient(&api.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	b := board(t, s)
	for _, tt := range []struct {
		err            error
		says           string
		status, output string
	}{
		{nil, "", api.HealthPassing, "passed for v2"},
		{errors.New("exit status 4"), "Error: x", api.HealthWarning, "failed for v2: exit status 4\nError: x"},
		{nil, "", api.HealthPassing, "passed for v2"},
	} {
		b.Ended(t.Context(), change, "puppet", tt.says, tt.err)
		all, err := client.Agent().Checks()
		if err != nil {
			t.Fatal(err)
		}
		got := all["puppet"]
		if got == nil || got.Status != tt.status || got.Output != tt.output || got.Type != "ttl" || got.ServiceID != "" {
			t.Errorf("want %s %q, there is %+v", tt.status, tt.output, got)
		}
	}
	if err := client.Agent().CheckDeregister("puppet"); err != nil {
		t.Fatal(err)
	}
	if err := b.Renew(t.Context()); err != nil { // as after a restart of Consul with another data directory
		t.Error(err)
	}
	if all, err := client.Agent().Checks(); err != nil || all["puppet"] == nil {
		t.Errorf("it is not registered again: %v %v", all, err)
	}
}
