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

// recorder is a Consul that records calls. It returns err, which may be nil.
type recorder struct {
	calls []string
	err   error
}

func (r *recorder) SetCheck(_ context.Context, id string, ttl time.Duration, status, output string) error {
	r.calls = append(r.calls, fmt.Sprintf("%s %s %s: %s", id, ttl, status, output))
	return r.err
}

func newReporter(t *testing.T, c checks.Consul) *checks.Reporter {
	return &checks.Reporter{Consul: c, TTL: time.Hour,
		Results: atomicfile.State[map[string]checks.Result](filepath.Join(t.TempDir(), "checks"))}
}

func want(t *testing.T, r *recorder, lines ...string) {
	t.Helper()
	if !slices.Equal(r.calls, lines) {
		t.Errorf("Consul got\n%q, want\n%q", r.calls, lines)
	}
	r.calls = nil
}

func TestReporter_SetsChecksOfPuppetAndValidation(t *testing.T) {
	r := &recorder{}
	b := newReporter(t, r)
	if err := b.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, r) // there is no result yet
	for _, step := range []string{"preHook", "facts", "sources", "apt", "puppet"} {
		b.StepEnded(t.Context(), change, step, "", nil)
	}
	b.StepEnded(t.Context(), change, "validation", "no route", errors.New("20-net: exit status 3"))
	passing, failing := "puppet 1h0m0s passing: passed for v2", "validation 1h0m0s warning: failed for v2: 20-net: exit status 3\nno route"
	want(t, r, passing, failing)
	again := &checks.Reporter{Consul: r, Results: b.Results, TTL: b.TTL} // after a restart
	if err := again.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, r, passing, failing)
}

func TestReporter_RenewsAfterAnOutage(t *testing.T) {
	r := &recorder{err: errors.New("down")}
	b := newReporter(t, r)
	b.StepEnded(t.Context(), change, "puppet", "", nil)
	r.calls = nil
	if err := b.Renew(t.Context()); !errors.Is(err, r.err) {
		t.Errorf("error %v", err)
	}
	r.calls, r.err = nil, nil
	if err := b.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, r, "puppet 1h0m0s passing: passed for v2")
}

// clock records sleeps and ends the third one.
type clock struct{ slept []time.Duration }

func (c *clock) Now() time.Time { return time.Time{} }

func (c *clock) Sleep(_ context.Context, d time.Duration) error {
	if c.slept = append(c.slept, d); len(c.slept) == 3 {
		return context.Canceled
	}
	return nil
}

func TestReporter_RenewsThreeTimesPerTTL(t *testing.T) {
	r, c := &recorder{}, &clock{}
	b := newReporter(t, r)
	b.StepEnded(t.Context(), change, "puppet", "", nil)
	b.Run(t.Context(), c)
	if len(r.calls) != 4 || c.slept[0] != 20*time.Minute {
		t.Errorf("%d calls, slept %s", len(r.calls), c.slept)
	}
}

func TestReporter_WithConsul(t *testing.T) {
	addr := consultest.Start(t).Addr()
	s, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	client, err := api.NewClient(&api.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	b := newReporter(t, s)
	for _, tt := range []struct {
		err            error
		stepOutput     string
		status, output string
	}{
		{nil, "", api.HealthPassing, "passed for v2"},
		{errors.New("exit status 4"), "Error: x", api.HealthWarning, "failed for v2: exit status 4\nError: x"},
		{nil, "", api.HealthPassing, "passed for v2"},
	} {
		b.StepEnded(t.Context(), change, "puppet", tt.stepOutput, tt.err)
		all, err := client.Agent().Checks()
		if err != nil {
			t.Fatal(err)
		}
		got := all["puppet"]
		if got == nil || got.Status != tt.status || got.Output != tt.output || got.Type != "ttl" || got.ServiceID != "" {
			t.Errorf("want %s %q, got %+v", tt.status, tt.output, got)
		}
	}
	if err := client.Agent().CheckDeregister("puppet"); err != nil {
		t.Fatal(err)
	}
	if err := b.Renew(t.Context()); err != nil { // Consul has lost its data directory
		t.Error(err)
	}
	if all, err := client.Agent().Checks(); err != nil || all["puppet"] == nil {
		t.Errorf("not registered again: %v %v", all, err)
	}
}
