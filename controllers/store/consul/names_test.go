// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"slices"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

func TestNames_ReturnsDirectChildren(t *testing.T) {
	t.Parallel()
	s := open(t, consul.Config{Address: consultest.Start(t).Addr()})
	if names, _, err := s.Names(t.Context(), "a/"); err != nil || len(names) != 0 {
		t.Errorf("of nothing: %q, %v", names, err)
	}
	var ops []store.Op
	for _, key := range []string{"a/x/1", "a/x/2", "a/y/z/3", "a/key", "ab/x"} {
		ops = append(ops, store.Op{Verb: store.Set, Key: key})
	}
	if _, err := s.Txn(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	if names, _, err := s.Names(t.Context(), "a/"); err != nil || !slices.Equal(names, []string{"key", "x", "y"}) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestLeader_NeedsNoToken(t *testing.T) {
	t.Parallel()
	s := open(t, consul.Config{Address: consultest.Start(t).Addr()})
	if leader, err := s.Leader(t.Context()); err != nil || leader == "" {
		t.Errorf("%q, %v", leader, err)
	}
	away := open(t, consul.Config{Address: "127.0.0.1:1", RetryFor: -1})
	if leader, err := away.Leader(t.Context()); err == nil {
		t.Errorf("of no Consul: %q", leader)
	}
}
