// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diff_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
)

func TestCompute_DetectsDifferences(t *testing.T) {
	for _, e := range []struct {
		name     string
		from, to diff.Entry
		want     string
	}{
		{"unchanged", diff.Entry{Value: "True", Flags: 5, Index: 3}, diff.Entry{Value: "True", Flags: 5}, ""},
		{"only flags differ", diff.Entry{Value: "True", Flags: 5, Index: 3}, diff.Entry{Value: "True", Flags: 6}, ""},
		{"unknown flags are stamped", diff.Entry{Value: "True", Index: 3}, diff.Entry{Value: "True", Flags: 6},
			"-k = True\n+k = True (rewritten)\n"},
		{"renewed", diff.Entry{Value: "True", Flags: 5, Index: 3}, diff.Entry{Value: "True", Flags: 6, Renew: true},
			"-k = True\n+k = True (rewritten)\n"},
		{"another value", diff.Entry{Value: "true", Flags: 5, Index: 3}, diff.Entry{Value: "True", Flags: 5}, "-k = true\n+k = True\n"},
	} {
		e.from.Key, e.to.Key = "k", "k"
		c := diff.Compute(diff.KeySet{e.from}, diff.KeySet{e.to})
		if c.String() != e.want || c.Empty() != (e.want == "") {
			t.Errorf("%s: %q", e.name, c)
		}
	}
}

// Sets come in ascending rank, then deletes in descending rank. Sets of one rank keep their order.
func TestCompute_OrdersChangesByRank(t *testing.T) {
	actual := diff.KeySet{{Key: "a2", Rank: 2, Index: 1}, {Key: "a3", Rank: 3, Index: 2}, {Key: "both", Rank: 1, Index: 3}}
	desired := diff.KeySet{{Key: "z3", Rank: 3}, {Key: "z1", Rank: 1}, {Key: "y1", Rank: 1}, {Key: "both", Rank: 1}}
	got := ""
	for _, c := range diff.Compute(actual, desired).List {
		got += string(c.Op) + " " + c.Key() + "; "
	}
	if want := "set z1; set y1; set z3; delete a3; delete a2; "; got != want {
		t.Errorf("%s", got)
	}
	if j := diff.Compute(actual, nil).JSON(); len(j) != 3 || j[0].Op != diff.Delete || j[0].Key != "a3" || j[0].Index != 2 {
		t.Errorf("%+v", j)
	}
}
