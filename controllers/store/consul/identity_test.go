// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"regexp"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

func TestIdentity_DependsOnTheClusterOnly(t *testing.T) {
	addr := consultest.Start(t).Addr()
	s, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Identity(t.Context())
	if err != nil || !regexp.MustCompile(`^dc1/[0-9a-f-]{36}\.consul$`).MatchString(id) {
		t.Errorf("%q, %v", id, err)
	}
	again, err := consul.New(consul.Config{Address: "http://" + addr, Datacenter: "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := again.Identity(t.Context()); err != nil || other != id {
		t.Errorf("%q by another address: %q, %v", id, other, err)
	}
}
