// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package wording_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

func TestWording(t *testing.T) {
	hosts := []string{"a", "b", "c"}
	for want, got := range map[string]string{
		"0 hosts":            wording.Count(0, "host"),
		"1 host":             wording.Count(1, "host"),
		"2 hosts":            wording.Count(2, "host"),
		"a, b, c":            wording.First(hosts, 3),
		"a, b and 1 more":    wording.First(hosts, 2),
		"a, b, c and 7 more": wording.Names(hosts, 10),
		"":                   wording.First(nil, 2),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
