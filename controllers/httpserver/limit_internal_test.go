// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"fmt"
	"testing"
	"time"
)

func TestNetwork_GroupsAddressesOfOneClient(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.1:80": "192.0.2.1/32", "[::ffff:192.0.2.1]:80": "192.0.2.1/32",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64", "@": "invalid Prefix"} {
		if got := network(remote).String(); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func TestRateByAddress_RemembersABoundedNumber(t *testing.T) {
	r, now := NewRateByAddress(1, 2), time.Now()
	for i := range 4 * maxRates {
		remote := fmt.Sprintf("[2001:db8:%x:%x::1]:80", i>>16, i&0xffff)
		for range 2 {
			if !r.Allow(now, remote) {
				t.Fatalf("%s: within its limit", remote)
			}
		}
		if r.Allow(now, remote) || !r.Exhausted(now, remote) {
			t.Fatalf("%s: over its limit", remote)
		}
	}
	if n := r.rates.Len(); n > maxRates {
		t.Errorf("%d addresses", n)
	}
}
