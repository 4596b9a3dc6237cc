// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

func TestInspect(t *testing.T) {
	s := open(t, consul.Config{Address: consultest.Start(t).Addr()})
	if at, err := s.Clock(t.Context()); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("clock: %s, %v", at, err)
	}
	servers, err := s.Servers(t.Context())
	if err != nil || len(servers) != 1 || servers[0].Version == "" {
		t.Errorf("servers: %+v, %v", servers, err)
	}
	agent, err := s.Agent(t.Context())
	if err != nil || agent.Node != servers[0].Name || agent.Version != servers[0].Version || agent.MaxValue != 512<<10 ||
		agent.MaxTxn != 512<<10 {
		t.Errorf("agent: %+v, %v", agent, err)
	}
	if allowed, err := s.Authorize(t.Context(), []store.Access{{Resource: "key", Segment: "a", Access: "write"}}); allowed != nil || err != nil {
		t.Errorf("without ACLs: %v, %v", allowed, err)
	}
}

func TestAuthorize_AnswersByTheTokenInOrder(t *testing.T) {
	binary := consultest.Binary(t)
	c, err := consuldev.Start(t.Context(), consuldev.Options{Binary: binary, ManagementToken: "management"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	token := consultest.Token(t, c.Addr(), "management", `key_prefix "a/" { policy = "list" }
key "b" { policy = "write" }
session "here" { policy = "write" }
`)
	s := open(t, consul.Config{Address: c.Addr(), Token: token})
	var accesses []store.Access
	for _, a := range [][3]string{{"key", "a/", "list"}, {"key", "a/", "write-prefix"}, {"key", "b", "write"}, {"key", "c", "read"},
		{"session", "here", "write"}, {"session", "there", "write"}} {
		accesses = append(accesses, store.Access{Resource: a[0], Segment: a[1], Access: a[2]})
	}
	want := []bool{true, false, true, false, true, false}
	for range 4 { // more than one request takes
		accesses, want = append(accesses, accesses...), append(want, want...)
	}
	if got, err := s.Authorize(t.Context(), accesses); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := s.Agent(t.Context()); !isForbidden(err) {
		t.Errorf("agent: %v", err)
	}
	unknown := open(t, consul.Config{Address: c.Addr(), Token: "f0f0f0f0-0000-4000-8000-000000000000"})
	if _, err := unknown.Authorize(t.Context(), accesses); !isForbidden(err) {
		t.Errorf("an unknown token: %v", err)
	}
}

func isForbidden(err error) bool {
	_, ok := errors.AsType[*store.ForbiddenError](err)
	return ok
}
