// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

const namedNode = `node_name = "web1"`

// statusOf is the status and the output of a check, as the catalog has them.
func statusOf(t *testing.T, s *consul.Store, id string) string {
	t.Helper()
	checks, _, err := s.NodeChecks(t.Context(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.ID == id {
			return c.Status + " " + c.Output
		}
	}
	return "none"
}

func waitForStatus(t *testing.T, s *consul.Store, id, want string) {
	t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for statusOf(t, s, id) != want {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("check %s: %q, want %q", id, statusOf(t, s, id), want)
		}
	}
}

func TestSetCheck_SetsTheLastStatus(t *testing.T) {
	t.Parallel()
	s := open(t, consul.Config{Address: consultest.StartWith(t, consuldev.Options{Config: namedNode}).Addr()})
	ctx := t.Context()
	for _, status := range []string{consul.Warning, consul.Critical, consul.Passing} {
		if err := s.SetCheck(ctx, "puppet", time.Hour, status, "it is "+status); err != nil {
			t.Fatal(err)
		}
		waitForStatus(t, s, "puppet", status+" it is "+status)
	}
	if err := s.SetCheck(ctx, "brief", time.Second, consul.Passing, ""); err != nil {
		t.Fatal(err)
	}
	waitForStatus(t, s, "brief", "critical TTL expired")
	if got := statusOf(t, s, "puppet"); got != "passing it is passing" {
		t.Errorf("after that: %s", got)
	}
	if err := s.SetCheck(ctx, "service:puppet", time.Hour, consul.Passing, ""); !errors.Is(err, consul.ErrNoCheck) {
		t.Errorf("the check of a service that is not there: %v", err)
	}
}

func TestNodeChecks_UnknownNode(t *testing.T) {
	t.Parallel()
	s := open(t, consul.Config{Address: consultest.StartWith(t, consuldev.Options{Config: namedNode}).Addr()})
	if checks, _, err := s.NodeChecks(t.Context(), "web2"); err != nil || len(checks) != 0 {
		t.Errorf("%v, %v", checks, err)
	}
	checks, _, err := s.NodeChecks(t.Context(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	want := []consul.NodeCheck{{ID: "serfHealth", Name: "Serf Health Status", Status: consul.Passing,
		Output: "Agent alive and reachable"}}
	if diff := cmp.Diff(want, checks); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSetCheck_RejectsInvalidArguments(t *testing.T) {
	s := open(t, consul.Config{Address: "127.0.0.1:1"})
	ctx := t.Context()
	for want, err := range map[string]error{
		`check puppet: status "fine": must be one of passing, warning, critical`: s.SetCheck(ctx, "puppet", time.Hour, "fine", ""),
		"check puppet: TTL 1ms: must be at least 1s":                             s.SetCheck(ctx, "puppet", time.Millisecond, "passing", ""),
		"set a check: its id is required":                                        s.SetCheck(ctx, "", time.Hour, "passing", ""),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSetCheck_NeedsWriteOnNodeOrService(t *testing.T) {
	t.Parallel()
	const management = "6f5a4c4e-93cb-4f4c-a6ad-8c1d1a0c7a11"
	addr := consultest.StartWith(t, consuldev.Options{ManagementToken: management, Config: namedNode +
		"\nservice { name = \"validation\"  check { ttl = \"1h\" } }"}).Addr()
	as := func(rules string) *consul.Store {
		return open(t, consul.Config{Address: addr, Token: consultest.Token(t, addr, management, rules)})
	}
	none, node, service := as(`key "a" { policy = "read" }`), as(`node "web1" { policy = "write" }`),
		as(`service "validation" { policy = "write" }`)
	forbidden := func(err error) bool {
		_, ok := errors.AsType[*store.ForbiddenError](err)
		return ok
	}
	set := func(s *consul.Store, id string) error {
		return s.SetCheck(t.Context(), id, time.Hour, consul.Passing, "")
	}
	if err := set(none, "puppet"); !forbidden(err) || !strings.Contains(err.Error(), `node_prefix "" { policy = "write" }`) {
		t.Errorf("a check of the node without rights: %v", err)
	}
	if err := set(node, "puppet"); err != nil {
		t.Error(err)
	}
	if err := set(node, "service:validation"); !forbidden(err) ||
		!strings.Contains(err.Error(), `service "validation" { policy = "write" }`) {
		t.Errorf("a check of a service without rights: %v", err)
	}
	if err := set(service, "service:validation"); err != nil {
		t.Error(err)
	}
	if checks, meta, err := none.NodeChecks(t.Context(), "web1"); err != nil || len(checks) != 0 || !meta.Filtered {
		t.Errorf("checks without rights: %v, filtered %t, %v", checks, meta.Filtered, err)
	}
}
