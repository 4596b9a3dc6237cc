// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

const tenPercent = "instructions: {rollingRules: {global: 10%}}"

// invent writes the records of hosts that do not exist, as any agent's token can.
func (w *world) invent(hosts string) {
	for _, h := range expand([]string{hosts}) {
		put(&w.raw.Records, w.pair(w.layout.Record("v1", h), "1", 0))
	}
}

func limitOf(d rollout.Decision, role string) int {
	for _, r := range d.Roles {
		if r.Name == role && r.Limit != nil {
			return *r.Limit
		}
	}
	return -1
}

// Hosts of which only records are known raise no percentage in a fleet of agents, neither in a rollout nor before the next one.
func TestInventedHosts_RaiseNoPercentage(t *testing.T) {
	w := governed(t, "web1..10", tenPercent)
	w.invent("web100..1089")
	d := w.settle()
	if got := limitOf(d, "web"); got != 1 || d.Starts() > 1 {
		t.Errorf("in the rollout: the limit is %d, %d starts", got, d.Starts())
	}
	v := d.Verdicts[20]
	if v.Reason != "NotAdmitted" || v.Counts || v.State != rollout.Unknown {
		t.Errorf("%s: %s %s: %s", v.Host, v.State, v.Reason, v.Message)
	}
	if !strings.Contains(strings.Join(d.Warnings, "\n"), "990 of 990 legacy hosts are not admitted (web100, ") {
		t.Errorf("%q", d.Warnings)
	}
	w.plan.Spec.Version = "v3"
	if d = w.settle(); limitOf(d, "web") != 1 {
		t.Errorf("in the next rollout: the limit is %d", limitOf(d, "web"))
	}
}

// The number of hosts that percentages are of does not grow within a rollout, unless an operator says so.
func TestPercentages_DoNotGrowWithinARollout(t *testing.T) {
	for name, join := range map[string]func(w *world){
		"legacy hosts": func(w *world) { w.invent("web100..189") },
		"agents": func(w *world) {
			for _, h := range expand([]string{"web100..189"}) {
				w.report(h, fleet.Report{Schema: fleet.ReportSchema, Version: "v1", Phase: fleet.PhaseIdle})
			}
		},
	} {
		lines := "bare\ncurrent v1\nrecord v1 web1..10 db1..20\n"
		spec := tenPercent
		if name == "agents" {
			lines += "agent web1..10 db1..20\nknows web1..10 db1..20\n"
		}
		w := newWorld(t, lines, spec)
		w.settle()
		join(w)
		d := w.settle()
		if limitOf(d, "web") != 1 {
			t.Errorf("%s: the limit is %d", name, limitOf(d, "web"))
		}
		if name == "agents" && limitOf(d, "db") != 2 {
			t.Errorf("%s: the limit of another role is %d", name, limitOf(d, "db"))
		}
		if !d.Grown {
			t.Errorf("%s: the decision does not say that the fleet grew", name)
		}
		w.control.Grown = &fleet.Grown{From: w.raw.Ledger.Base}
		if d = w.settle(); limitOf(d, "web") != 10 || d.Grown || w.control.Grown.Accepts(w.raw.Ledger.Base) {
			t.Errorf("%s: accepted: the limit is %d, base %+v", name, limitOf(d, "web"), w.raw.Ledger.Base)
		}
	}
}

func TestLegacyHosts_AreAdmittedByThePlan(t *testing.T) {
	for _, tt := range []struct {
		name, fleet, hosts, want string
		complete                 bool
	}{
		{"a fleet without agents", "record v2 web1..3", "", "AtVersion AtVersion AtVersion", true},
		{"the first pass over a mixed fleet", "report db1 Idle v2 -1h\nrecord v2 web1..3", "", "AtVersion AtVersion AtVersion AtVersion", true},
		{"as many as at the switch", "report db1 Idle v2 -1h\nrecord v2 web1..3\nbase 4 3", "", "AtVersion AtVersion AtVersion AtVersion", true},
		{"fewer at the switch", "report db1 Idle v2 -1h\nrecord v2 web1..2\nrecord v1 web3\nbase 3 2", "", "AtVersion AtVersion AtVersion NotAdmitted", false},
		{"fewer at the switch, and all upgraded", "report db1 Idle v2 -1h\nrecord v2 web1..3\nbase 3 2", "", "AtVersion AtVersion AtVersion AtVersion", true},
		{"those in flight first", "report db1 Idle v2 -1h\nrecord v1 web1..3\nkey host/web3 True -1m\nbase 2 1", "",
			"AtVersion NotAdmitted NotAdmitted Granted", false},
		{"a lost host takes no place", "report db1 Idle v2 -1h\nrecord v1 web1..3\nnodes db1 web2 web3", "legacy: 2, source: Catalog",
			"AtVersion LostFromCatalog LimitZero LimitZero", false},
		{"none at the switch", "report db1 Idle v2 -1h\nrecord v1 web1..3\nbase 1 0", "", "AtVersion NotAdmitted NotAdmitted NotAdmitted", true},
		{"Allow", "report db1 Idle v2 -1h\nrecord v2 web1..3\nbase 1 0", "legacy: Allow", "AtVersion AtVersion AtVersion AtVersion", true},
		{"Deny", "report db1 Idle v2 -1h\nrecord v1 web1..3", "legacy: Deny", "AtVersion NotAdmitted NotAdmitted NotAdmitted", true},
		{"Deny without agents", "record v2 web1..3", "legacy: Deny", "AtVersion AtVersion AtVersion", false},
		{"a number", "report db1 Idle v2 -1h\nrecord v1 web1..3", "legacy: 1", "AtVersion LimitZero NotAdmitted NotAdmitted", false},
		{"in the catalog", "report db1 Idle v2 -1h\nrecord v2 web1..3\nbase 1 0\nnodes db1 web1 web2", "source: Catalog",
			"AtVersion AtVersion AtVersion LostFromCatalog", true},
		{"more in the catalog than at the switch", "report db1 Idle v2 -1h\nrecord v1 web1..3\nbase 2 1\nnodes db1 web1 web2 web3", "source: Catalog",
			"AtVersion LimitZero LimitZero LimitZero", false},
	} {
		w := newWorld(t, tt.fleet, "hosts: {"+tt.hosts+"}\ninstructions: {rollingRules: {global: 1, roles: {web: 0}}}")
		d := w.decide()
		var got []string
		for _, v := range d.Verdicts {
			got = append(got, string(v.Reason))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if d.Complete != tt.complete {
			t.Errorf("%s: complete %v", tt.name, d.Complete)
		}
	}
}

// Records that appear in a rollout may displace legacy hosts of the fleet. Nothing goes on as if these were upgraded.
func TestLegacyHosts_ThatAreNotAdmittedDelayOthers(t *testing.T) {
	w := newWorld(t, "report web1 Idle v1 -1h\nrecord v1 db1..2\nbase 3 2\nrecord v1 a1..2",
		"instructions: {rollingRules: {roles: {a: 0}}, roleOrder: {web: [db]}}")
	w.knowsGrants("web1")
	d := w.settle()
	for _, v := range d.Verdicts {
		if v.Host == "web1" && (v.Reason != "WaitingForRole" || !strings.Contains(v.Message, "0 of 2")) {
			t.Errorf("%s: %s: %s", v.Host, v.Reason, v.Message)
		}
		if v.Role == "db" && v.Reason != "NotAdmitted" {
			t.Errorf("%s: %s: %s", v.Host, v.Reason, v.Message)
		}
	}
	if d.Complete || d.Settled || !d.Grown {
		t.Errorf("complete %t, settled %t, grown %t", d.Complete, d.Settled, d.Grown)
	}
}

// Legacy hosts may join while there are no agents. The first agent does not take that back.
func TestLegacyHosts_StayAdmittedWhenAnAgentJoins(t *testing.T) {
	w := newWorld(t, "record v2 web1..3", "instructions: {rollingRules: {global: 1}}")
	w.settle()
	w.line("record v2 web4..5")
	if d := w.settle(); !d.Complete {
		t.Fatal("not complete")
	}
	w.line("report web1 Idle v2 0s")
	if d := w.settle(); !d.Complete || len(d.Warnings) > 0 {
		t.Errorf("complete %t, %q", d.Complete, d.Warnings)
	}
	w.invent("web100..102")
	if d := w.settle(); d.Complete || !d.Grown {
		t.Errorf("invented hosts: complete %t, grown %t", d.Complete, d.Grown)
	}
}

// A host that the catalog did not list at the switch is one of the fleet all the same when it is back.
func TestLegacyHosts_ThatWereLostAtTheSwitchAreAdmitted(t *testing.T) {
	w := newWorld(t, "report db1 Idle v1 -1h\nrecord v1 web1\nnodes db1", "hosts: {source: Catalog}\n"+oneAtATime)
	w.settle()
	if got := w.raw.Ledger.Base.Legacy; got != 1 {
		t.Errorf("the base has %d legacy hosts", got)
	}
	w.plan.Spec.Hosts.Source = ""
	w.line("nodes db1 web1")
	for _, v := range w.settle().Verdicts {
		if v.Reason == "NotAdmitted" {
			t.Errorf("%s: %s", v.Host, v.Message)
		}
	}
}

// An operator who says how many legacy hosts count has nothing to resume.
func TestGrown_NotIfThePlanSaysHowManyLegacyHostsCount(t *testing.T) {
	for _, legacy := range []string{"Deny", "1"} {
		w := newWorld(t, "report db1 Idle v2 -1h\nrecord v2 web1..3", "hosts: {legacy: "+legacy+"}\n"+oneAtATime)
		if d := w.settle(); d.Grown {
			t.Errorf("%s: grown", legacy)
		}
	}
}

// The ledger of an earlier release has no base: the fleet of the first pass counts.
func TestBase_IsKeptSinceTheFirstPass(t *testing.T) {
	w := newWorld(t, "report db1 Idle v2 -1h\nrecord v1 web1..3", oneAtATime)
	w.settle()
	first := w.raw.Ledger.Base
	if first.Hosts != 4 || first.Legacy != 3 || first.Counter == 0 {
		t.Fatalf("%+v", first)
	}
	w.invent("web4")
	w.settle()
	if got := w.raw.Ledger.Base; got != first {
		t.Errorf("%+v, want %+v", got, first)
	}
	decoded, err := keys.DecodeLedger(w.pair("ledger", `{"counter":7,"size":{"hosts":4,"counter":6}}`, 0))
	if err != nil || decoded.Base != (fleet.Base{}) {
		t.Errorf("%+v, %v", decoded, err)
	}
}
