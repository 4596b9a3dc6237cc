// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consultest

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/hashicorp/consul/api"
)

// Token makes an ACL token with the rules, on the Consul at addr (host:port), and returns its secret.
func Token(t testing.TB, addr, management, rules string) string {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: addr, Token: management})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(t.Name() + rules))
	policy, _, err := client.ACL().PolicyCreate(&api.ACLPolicy{Name: "test-" + hex.EncodeToString(sum[:8]), Rules: rules}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := client.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.SecretID
}
