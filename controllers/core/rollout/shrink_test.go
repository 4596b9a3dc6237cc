// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// shrunken is a fleet of which only the last pass had ten hosts.
const shrunken = "record v1 web1..4\nagent web1..4\nknows web1..4\nsize 10\n"

// Section 4, rule 18.
func TestFleetShrank(t *testing.T) {
	check(t, []example{{
		name:  "no host is granted",
		fleet: shrunken,
		spec:  oneAtATime,
		want: `web1..4 Pending FleetShrank: the fleet shrank from 10 to 4 hosts that count
			gate FleetShrank
			no change`,
	}, {
		name:  "the version is not switched",
		fleet: shrunken + "current v1",
		spec:  oneAtATime,
		want:  "web1..4 Upgraded AtVersion\ngate FleetShrank\nno change",
	}, {
		name:  "unused grants are revoked",
		fleet: shrunken + "grant web1 -1m\nkey host/web1 True -1m",
		spec:  oneAtATime,
		want:  "web1 Upgrading Revoked\nweb2..4 Pending FleetShrank\n-host/web1\n-grants/web1",
	}, {
		name:  "exempt hosts are not gone",
		fleet: shrunken + "record v1 web5\nhold host/web5 exempt",
		spec:  oneAtATime,
		want: `web1 Upgrading Starting
			web2..4 Pending NoFreeSlot
			web5 Exempt ExemptByHold`,
	}, {
		name:  "all hosts are gone: that is another reason",
		fleet: "size 10",
		spec:  oneAtATime,
		want:  "gate NoHosts",
	}})
}

func TestFleetShrank_IsNotComplete(t *testing.T) {
	for size, complete := range map[int]bool{8: true, 9: false} {
		d := newWorld(t, fmt.Sprintf("record v2 web1..4\nsize %d", size), oneAtATime).decide()
		if d.Complete != complete || complete != (d.Gate.Reason == "") {
			t.Errorf("from %d to 4 hosts: complete %v, %+v", size, d.Complete, d.Gate)
		}
	}
}

// Half of a fleet may go in one pass, and so may one host.
func TestFleetShrank_ComparesWithTheLastPass(t *testing.T) {
	for _, tt := range []struct {
		before, now int
		want        v1alpha1.Reason
	}{{0, 1, ""}, {1, 1, ""}, {2, 1, ""}, {3, 2, ""}, {3, 1, "FleetShrank"}, {4, 2, ""}, {4, 1, "FleetShrank"}, {10, 5, ""},
		{10, 4, "FleetShrank"}, {11, 5, "FleetShrank"}, {4, 10, ""}} {
		w := newWorld(t, fmt.Sprintf("record v1 web1..%d\nsize %d", tt.now, tt.before), oneAtATime)
		d := w.decide()
		if d.Gate.Reason != tt.want || d.Complete {
			t.Errorf("from %d to %d hosts: %+v, want %q", tt.before, tt.now, d.Gate, tt.want)
		}
		want := tt.now
		if tt.want != "" {
			want = tt.before
		}
		if got := d.Ledger.Size.Hosts; got != want {
			t.Errorf("from %d to %d hosts: the ledger has %d, want %d", tt.before, tt.now, got, want)
		}
	}
}

// The last accepted size stands in the ledger until hosts return, or an operator accepts the new one.
func TestFleetShrank_GoesOnWhenHostsReturn(t *testing.T) {
	w := newWorld(t, "record v1 web1..10\nagent web1..10\nknows web1..10", oneAtATime)
	w.settle()
	if got := w.raw.Ledger.Size.Hosts; got != 10 {
		t.Fatalf("the ledger has %d", got)
	}
	records, reports := slices.Clone(w.raw.Records), slices.Clone(w.raw.Reports)
	var hidden []keys.Pair
	for _, p := range w.raw.Records {
		if !strings.HasSuffix(p.Key, "web1") && !strings.HasSuffix(p.Key, "web2") {
			hidden = append(hidden, p)
		}
	}
	for _, p := range hidden {
		remove(&w.raw.Records, p.Key)
		remove(&w.raw.Reports, w.layout.Report(p.Key[strings.LastIndex(p.Key, "/")+1:]))
	}
	for range 3 {
		if d := w.settle(); d.Gate.Reason != "FleetShrank" || d.Starts() != 0 || d.FleetHold == nil {
			t.Fatalf("%+v %+v", d.Gate, d.FleetHold)
		}
	}
	w.raw.Records, w.raw.Reports = records, reports
	if d := w.settle(); d.Gate.Reason != "" || d.FleetHold != nil {
		t.Errorf("%+v", d.Gate)
	}
}

// An operator accepts one size of a fleet, once.
func TestFleetShrank_GoesOnWhenAccepted(t *testing.T) {
	w := newWorld(t, shrunken, oneAtATime)
	w.control.Shrunk = &fleet.Shrunk{From: w.raw.Ledger.Size, Hosts: w.decide().Size}
	if d := w.settle(); d.Gate.Reason != "" || d.Starts() != 1 || w.raw.Ledger.Size.Hosts != 4 {
		t.Errorf("%+v, ledger %+v", d.Gate, w.raw.Ledger.Size)
	}
	if w.raw.Ledger.Size == w.control.Shrunk.From || w.control.Shrunk.Accepts(w.raw.Ledger.Size) {
		t.Errorf("the order still applies to %+v", w.raw.Ledger.Size)
	}
	for _, host := range []string{"web2", "web3", "web4"} {
		remove(&w.raw.Records, w.layout.Record("v1", host))
		remove(&w.raw.Reports, w.layout.Report(host))
	}
	if d := w.decide(); d.Gate.Reason != "FleetShrank" {
		t.Errorf("another shrink: %+v", d.Gate)
	}
}

// An order for a fleet whose hosts have come back is used up, too.
func TestFleetShrank_AcceptsOneShrinkOnly(t *testing.T) {
	w := newWorld(t, "record v1 web1..10\nsize 10", oneAtATime)
	w.control.Shrunk = &fleet.Shrunk{From: w.raw.Ledger.Size, Hosts: 4}
	w.settle()
	if size := w.raw.Ledger.Size; size.Hosts != 10 || w.control.Shrunk.Accepts(size) {
		t.Errorf("the order still applies to %+v", size)
	}
}

// Hosts that go between an order and the pass that follows it are not accepted with it.
func TestFleetShrank_AcceptsNoSmallerFleet(t *testing.T) {
	w := newWorld(t, "record v1 web1..3\nsize 20", oneAtATime)
	w.control.Shrunk = &fleet.Shrunk{From: w.raw.Ledger.Size, Hosts: 8}
	if d := w.decide(); d.Gate.Reason != "FleetShrank" || !strings.Contains(d.Gate.Message, "from 8 to 3") {
		t.Errorf("%+v", d.Gate)
	}
}
