// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// get_host_match of python-jiocloud, on ASCII.
var hostMatch = regexp.MustCompile(`([a-z]+)(\d+)(-.*)?`)

func TestRoleOfIsTheFirstMatch(t *testing.T) {
	for host, want := range map[string]string{"web12-a": "web", "web12": "web", "WEB12": "", "12": "", "web": "", "": "",
		"dc-1-web2": "web", "aBc3": "c", "web-12": "", "stmon.example2": "example", "éa1": "a", "1web2": "web"} {
		if got := fleet.RoleOf(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9._-]{0,12}`), rapid.String()).Draw(t, "host")
		want := ""
		if m := hostMatch.FindStringSubmatch(host); m != nil {
			want = m[1]
		}
		if got := fleet.RoleOf(host); got != want {
			t.Fatalf("%q: %q, want %q", host, got, want)
		}
	})
}

func name() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[ab/:]{0,2}(0{0,25})[0-9]{0,22}(-[0-9a]{0,3})?`), rapid.StringMatching(`[a-b0-2]{0,4}`))
}

func TestNaturalOrderIsATotalOrder(t *testing.T) {
	sorted := []string{"", "foo", "foo0", "foo2", "foo2-1", "foo02x", "foo9", "foo10", "foo12345678901234567890", "foo12345678901234567891", "foox"}
	if got := inOrder(sorted); !slices.Equal(got, sorted) {
		t.Errorf("%q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := name().Draw(t, "a"), name().Draw(t, "b"), name().Draw(t, "c")
		ab, ba, bc, ac := fleet.CompareNatural(a, b), fleet.CompareNatural(b, a), fleet.CompareNatural(b, c), fleet.CompareNatural(a, c)
		switch {
		case ab != -ba:
			t.Fatalf("%q and %q: %d one way, %d the other", a, b, ab, ba)
		case (ab == 0) != (a == b):
			t.Fatalf("%q and %q are taken for the same", a, b)
		case ab <= 0 && bc <= 0 && ac > 0:
			t.Fatalf("%q ≤ %q ≤ %q, but not the first and the last", a, b, c)
		}
	})
}

func TestNaturalOrderAgreesWithCompareNatural(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(name()).Draw(t, "names")
		want := slices.SortedFunc(slices.Values(names), fleet.CompareNatural)
		if got := inOrder(names); !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

func TestHostIsFoundByName(t *testing.T) {
	f := fleet.Fleet{Hosts: []fleet.Host{{Name: "web2"}, {Name: "web10"}}}
	if h, ok := f.Host("web10"); !ok || h.Name != "web10" {
		t.Error(h, ok)
	}
	if _, ok := f.Host("web3"); ok {
		t.Error("web3 was found")
	}
}

func inOrder(names []string) []string {
	var out []string
	for _, i := range fleet.NaturalOrder(names) {
		out = append(out, names[i])
	}
	return out
}
