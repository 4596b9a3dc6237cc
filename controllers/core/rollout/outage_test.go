// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// docs/design/protocol.md, section 4, rule 3: hosts that are not in flight and do not serve take slots by alsoCount.
func TestAlsoCount(t *testing.T) {
	const maintained = "\ncheck db2 _node_maintenance maintenance"
	rules := func(rules string) string { return "instructions: {rollingRules: {" + rules + "}}" }
	check(t, []example{{
		name:  "without alsoCount a host in maintenance takes no slot",
		fleet: "record v1 db1..2\nagent db1..2" + maintained,
		spec:  rules("global: 1"),
		want:  "db1 Upgrading Starting: slot 1 of 1\ndb2 Pending NoFreeSlot: =1 of 1 slots of db are taken by db1",
	}, {
		name:  "a host in maintenance takes a slot at any version",
		fleet: "record v1 db1\nrecord v2 db2\nagent db1..2" + maintained,
		spec:  rules("global: 1, alsoCount: [Maintenance]"),
		want:  "db1 Pending NoFreeSlot: =1 of 1 slots of db are taken: db2 is in maintenance\ndb2 Upgraded AtVersion",
	}, {
		name:  "a host in maintenance waits itself",
		fleet: "record v1 db1..3\nagent db1..3" + maintained + "\ncheck db3 _node_maintenance maintenance",
		spec:  rules("global: 2, alsoCount: [Maintenance]"),
		want:  "db1..3 Pending NoFreeSlot: =2 of 2 slots of db are taken: db2, db3 are in maintenance\nno change",
	}, {
		name:  "a host in flight is named before it",
		fleet: "record v1 db1..3\nagent db1..3\nkey host/db1 True -1m" + maintained,
		spec:  rules("global: 2, alsoCount: [Maintenance, Critical]"),
		want: "db1 Upgrading Granted\ndb2..3 Pending NoFreeSlot: =2 of 2 slots of db are taken by db1; db2 is in maintenance\n" +
			"no change",
	}, {
		name:  "a host in flight takes one slot, also in maintenance",
		fleet: "record v1 db1..3\nagent db1..3\nkey host/db2 True -1m" + maintained,
		spec:  rules("global: 2, alsoCount: [Maintenance]"),
		want:  "db1 Upgrading Starting: slot 2 of 2\ndb2 Upgrading Granted\ndb3 Pending NoFreeSlot: =2 of 2 slots of db are taken by db2, db1",
	}, {
		name:  "a host in maintenance that starts keeps its slot",
		fleet: "record v2 db1\nrecord v1 db2..4\nagent db1..4" + maintained,
		spec:  rules("global: 2, alsoCount: [Maintenance]"),
		want: `db1 Upgraded AtVersion
			db2 Upgrading Starting: =granted now: it holds a slot of db already
			db3 Upgrading Starting: slot 2 of 2
			db4 Pending NoFreeSlot: =2 of 2 slots of db are taken by db2, db3`,
	}, {
		name: "of several hosts in maintenance, those that start are named as in flight",
		fleet: "record v2 db1\nrecord v1 db2..5\nagent db1..5\nhold host/db4\nkey host/db4 False" + maintained +
			"\ncheck db4 _node_maintenance maintenance",
		spec: rules("global: 3, alsoCount: [Maintenance]"),
		want: `db1 Upgraded AtVersion
			db2 Upgrading Starting
			db3 Upgrading Starting: slot 3 of 3
			db4 Held OnHold
			db5 Pending NoFreeSlot: =3 of 3 slots of db are taken by db2, db3; db4 is in maintenance`,
	}, {
		name:  "a host that starts again in maintenance takes one slot",
		fleet: "record v1 db1..4\nagent db1..4\nstarted db2 v1 -1m" + maintained,
		spec:  rules("global: 2, alsoCount: [Maintenance]"),
		want: `db1 Upgrading Starting: slot 2 of 2
			db2 Upgrading Starting: it holds a slot of db already
			db3..4 Pending NoFreeSlot: =2 of 2 slots of db are taken by db2, db1`,
	}, {
		name:  "a host that starts again goes on only within the limit",
		fleet: "record v1 db1..2\nagent db1..2\nstarted db1 v1 -1m" + maintained,
		spec:  rules("global: 1, alsoCount: [Maintenance]"),
		want:  "db1..2 Pending NoFreeSlot: =2 of 1 slots of db are taken by db1; db2 is in maintenance\nno change",
	}, {
		name:  "serfHealth and the checks of the gate are critical; other checks and warnings take no slot",
		fleet: "record v1 db1..3 web1..3\nagent db1..3 web1..3\ncheck db2 serfHealth critical\ncheck db3 puppet critical\ncheck web2 disk critical\ncheck web3 puppet warning",
		spec:  rules("global: 2, alsoCount: [Critical]") + "\nhealthGate: {checks: [puppet]}",
		want: `db1..3 Pending NoFreeSlot: =2 of 2 slots of db are taken: db2, db3 are critical
			web1..2 Upgrading Starting
			web3 Pending NoFreeSlot`,
	}, {
		name:  "maintenance is not critical",
		fleet: "record v1 db1..2\nagent db1..2" + maintained,
		spec:  rules("global: 1, alsoCount: [Critical]"),
		want:  "db1 Upgrading Starting\ndb2 Pending NoFreeSlot",
	}, {
		name: "both kinds are named, and the first hosts of many",
		fleet: "record v1 db1..9\nagent db1..9\ncheck db1 serfHealth critical\ncheck db2 _node_maintenance maintenance\ncheck db3 _node_maintenance maintenance\n" +
			"check db4 _node_maintenance maintenance\ncheck db5 _node_maintenance maintenance\ncheck db6 _node_maintenance maintenance\ncheck db7 _node_maintenance maintenance",
		spec: rules("global: 4, alsoCount: [Critical, Maintenance]"),
		want: "db1..9 Pending NoFreeSlot: =7 of 4 slots of db are taken: db2, db3, db4, db5, db6 and 1 more are in maintenance; db1 is critical",
	}, {
		name:  "the percentage is of all hosts that count, those in maintenance once",
		fleet: "record v1 db1..4\nagent db1..4" + maintained,
		spec:  rules("global: 50%, alsoCount: [Maintenance]"),
		want: `db1 Upgrading Starting: slot 2 of 2
			db2..4 Pending NoFreeSlot: =2 of 2 slots of db are taken by db1 (50% of 4); db2 is in maintenance`,
	}, {
		name:  "it takes a slot of the group and of the fleet",
		fleet: "record v1 web1 db1..2\nagent web1 db1..2" + maintained,
		spec:  rules("fleet: 1, alsoCount: [Maintenance]"),
		want:  "db1..2 Pending NoFreeSlot: =1 of 1 slots of the fleet are taken: db2 is in maintenance\nweb1 Pending NoFreeSlot",
	}, {
		name:  "excluded and exempt hosts take none",
		fleet: "record v1 db1..3\nagent db1..3" + maintained + "\ncheck db3 _node_maintenance maintenance\nhold host/db3 exempt",
		spec:  rules("global: 1, alsoCount: [Maintenance]") + "\nhosts: {exclude: [db2]}",
		want:  "db1 Upgrading Starting: slot 1 of 1\ndb2 Exempt Excluded\ndb3 Exempt ExemptByHold",
	}, {
		name:  "a host without a version does not serve, and takes none",
		fleet: "record v1 db1\nagent db1\nreport db2 Idle \"\" -1m\nknows db1..2" + maintained,
		spec:  rules("global: 1, alsoCount: [Maintenance]"),
		want:  "db1 Upgrading Starting: slot 1 of 1\ndb2 Upgrading Starting: it has no version yet",
	}, {
		name:  "hosts out of service are named before those that have failed",
		fleet: "record v1 db1..4\nagent db1..4\nkey host/db3 True -2h" + maintained,
		spec:  rules("global: 2, alsoCount: [Maintenance]"),
		want: "db1..2 Pending NoFreeSlot: =2 of 2 slots of db are taken by db3; db2 is in maintenance; failed: db3\n" +
			"db3 Failed ProgressDeadlineExceeded\ndb4 Pending NoFreeSlot",
	}, {
		name:  "a host that is set aside frees its slot, and takes one while it does not serve",
		fleet: knowing + "attempt web1 3 is_over\ncheck web1 serfHealth critical",
		spec: "failurePolicy: {maxFailed: 2, setAside: Failed, afterAttempts: 3}\n" +
			rules("global: 1, alsoCount: [Critical]"),
		want: "web1 SetAside SetAside\nweb2..3 Pending NoFreeSlot: 1 of 1 slots of web are taken: web1 is critical",
	}, {
		name:  "under ByRules it takes one",
		fleet: "record v1 db1\nagent db1\nreport db2 Idle \"\" -1m\nknows db1..2" + maintained,
		spec:  rules("global: 1, alsoCount: [Maintenance]") + "\nhosts: {newcomers: ByRules}",
		want:  "db1..2 Pending NoFreeSlot: =1 of 1 slots of db are taken: db2 is in maintenance",
	}})
}

func TestAlsoCount_ExplainsWhatEndsTheWait(t *testing.T) {
	w := newWorld(t, "record v1 db1..3\nagent db1..3\nkey host/db3 True -1m\ncheck db1 serfHealth critical\ncheck db2 _node_maintenance maintenance",
		"instructions: {rollingRules: {global: 2, alsoCount: [Maintenance, Critical]}}")
	f := w.observe()
	chain := rollout.NewWhy(w.input(&f)).Host("db1")
	want := []string{"after: 2 more of db", "the maintenance of db2 ends", "the checks of db1 pass"}
	if len(chain) == 0 || !slices.Equal(chain[0].Change, want) {
		t.Errorf("%+v, want %q", chain, want)
	}
}

func TestMaxUnhealthy_CountsMaintenance(t *testing.T) {
	const lines = "record v1 web1..4\nagent web1..4\ncheck web2 _node_maintenance maintenance\ncheck web3 serfHealth critical\n"
	check(t, []example{{
		name:  "not by default",
		fleet: lines,
		spec:  "healthGate: {maxUnhealthy: 1}",
		want:  "web1..4 Upgrading Starting",
	}, {
		name:  "with countMaintenance",
		fleet: lines,
		spec:  "healthGate: {maxUnhealthy: 1, countMaintenance: true}",
		want: "web1..4 Pending TooManyUnhealthy: =2 of 4 hosts are critical or in maintenance (web2, web3), more than " +
			"healthGate.maxUnhealthy, which is 1\nno change",
	}, {
		name:  "a host that takes a slot by alsoCount is counted once",
		fleet: lines,
		spec: "healthGate: {maxUnhealthy: 50%, countMaintenance: true}\n" +
			"instructions: {rollingRules: {global: 75%, alsoCount: [Maintenance, Critical]}}",
		want: "web1 Upgrading Starting: slot 3 of 3\nweb2..4 Pending NoFreeSlot: (75% of 4); web2 is in maintenance; web3 is critical",
	}, {
		name:  "hosts that do not count are left out",
		fleet: lines,
		spec:  "healthGate: {maxUnhealthy: 1, countMaintenance: true}\nhosts: {exclude: [web2]}",
		want:  "web1 Upgrading Starting\nweb2 Exempt Excluded\nweb3..4 Upgrading Starting",
	}})
}

// outOfService returns the hosts that take a slot by alsoCount, by rules that are independent of the planner.
func (w *world) outOfService(inFlight map[string]bool) map[string]bool {
	f, out := w.observe(), map[string]bool{}
	counted := w.plan.Spec.Instructions.RollingRules.AlsoCount
	for _, c := range w.raw.Checks {
		h, ok := f.Host(c.Node)
		kind := v1alpha1.OutageMaintenance
		if c.Status == fleet.Critical && (c.ID == "serfHealth" || slices.Contains(w.plan.Spec.HealthGate.Checks, c.ID)) {
			kind = v1alpha1.OutageCritical
		} else if c.Status != fleet.Maintenance {
			continue
		}
		excluded := ok && len(w.plan.Spec.Hosts.Exclude) > 0 && strings.HasSuffix(h.Name, "2")
		if !ok || h.Role == "" || h.Record.Version == "" && h.Report == nil || inFlight[h.Name] || w.limitless(h.Name) ||
			excluded || h.Hold != nil && h.Hold.Exempt || !slices.Contains(counted, kind) {
			continue
		}
		out[h.Name] = true
	}
	return out
}

// No commit grants a host while the hosts in flight, and those that do not serve, take all slots.
func TestNoStartWhileHostsInFlightAndOutOfServiceTakeAllSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, r := anyWorld(t)
		for range 4 {
			inFlight := w.inFlight()
			down := w.outOfService(inFlight)
			before := w.slots(inFlight, down)
			d, _ := w.step()
			r.checkStarts(t, w, d, before, inFlight, down)
			if !d.NeedsAnotherPass() {
				break
			}
		}
	})
}

// inFlight returns the hosts in flight before the next pass.
func (w *world) inFlight() map[string]bool {
	f, out := w.observe(), map[string]bool{}
	for _, flight := range rollout.Flights(w.input(&f)) {
		out[f.Hosts[flight.Index].Name] = true
	}
	return out
}

// slots counts by scope the slots that hosts take.
func (w *world) slots(inFlight, down map[string]bool) map[string]int {
	f, taken := w.observe(), map[string]int{}
	for i := range f.Hosts {
		if h := &f.Hosts[i]; h.Role != "" && (down[h.Name] || inFlight[h.Name] && !w.limitless(h.Name)) {
			for _, s := range scopes(h.Name) {
				taken[s]++
			}
		}
	}
	return taken
}

// checkStarts fails if the decision grants a host in a scope whose slots were taken before it, or more hosts than there are slots.
func (r *rules) checkStarts(t *rapid.T, w *world, d rollout.Decision, before map[string]int, inFlight, down map[string]bool) {
	after := maps.Clone(before)
	for _, v := range d.Verdicts {
		if v.Reason != v1alpha1.ReasonStarting || w.limitless(v.Host) || inFlight[v.Host] {
			continue
		}
		for _, s := range scopes(v.Host) {
			if !down[v.Host] {
				after[s]++
			}
			if limit, ok := r.limit[s]; ok && (before[s] >= limit || after[s] > limit) {
				t.Fatalf("%s starts, and of %d slots of %s %d were taken, then %d; in flight %v, out of service %v\n%s", v.Host, limit, s,
					before[s], after[s], inFlight, down, verdictLines(d))
			}
		}
	}
}
