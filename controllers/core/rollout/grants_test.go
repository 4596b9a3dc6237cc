// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// knowing is a fleet of agents that know grants, at v1. The current version is v2.
const knowing = "record v1 web1..3\nagent web1..3\nknows web1..3\n"

// Section 2: agents change their version by grants.
func TestGrants(t *testing.T) {
	check(t, []example{{
		name:  "a start is a grant, and a key for its Puppet",
		fleet: knowing,
		spec:  oneAtATime,
		want: `web1 Upgrading Starting: takes slot 1 of 1 of web
			web2..3 Pending NoFreeSlot: taken by web1
			+host/web1 = True
			+grants/web1`,
	}, {
		name:  "a grant takes a slot until it is used",
		fleet: knowing + "grant web1 -1m\nkey host/web1 True -1m",
		spec:  oneAtATime,
		want: `web1 Upgrading Granted: not started yet
			web2..3 Pending NoFreeSlot: taken by web1
			no change`,
	}, {
		name:  "a key alone is no grant",
		fleet: knowing + "key host/web1 True -1m",
		spec:  "instructions: {rollingRules: {global: 0}}",
		want:  "web1..3 Pending LimitZero\n-host/web1",
	}, {
		name:  "a grant that was not used is revoked by a pause",
		fleet: knowing + "grant web1 -1m\nkey host/web1 True -1m\npaused",
		spec:  oneAtATime,
		want:  "web1 Upgrading Revoked\nweb2..3 Pending PlanPaused\n-host/web1\n-grants/web1",
	}, {
		name:  "a grant that was not used is revoked by a hold",
		fleet: knowing + "grant web1 -1m\nkey host/web1 True -1m\nhold host/web1",
		spec:  oneAtATime,
		want:  "web1 Held OnHold\nweb2..3 Pending Revoking\n-host/web1\n-grants/web1",
	}, {
		name:  "a start is not revoked",
		fleet: knowing + "started web1 v2 -1m\nkey host/web1 True -1m\npaused",
		spec:  oneAtATime,
		want:  "web1 Upgrading Granted: started\nweb2..3 Pending PlanPaused\nno change",
	}, {
		name:  "a start whose key was revoked at the same moment gets the key back, and no other grant",
		fleet: knowing + "started web1 v2 -1m",
		spec:  oneAtATime,
		want:  "web1 Upgrading Granted: started\nweb2..3 Pending NoFreeSlot: taken by web1\n+host/web1 = True",
	}, {
		name:  "also while the plan is stopped by a window",
		fleet: knowing + "started web1 v2 -1m",
		spec:  oneAtATime + "\nwindows: {allow: [{schedule: '0 2 * * *', duration: 1h}]}",
		want:  "web1 Upgrading Granted: started\nweb2..3 Pending OutsideWindow\n+host/web1 = True",
	}, {
		name:  "but no key is written while the plan is paused",
		fleet: knowing + "started web1 v2 -1m\npaused",
		spec:  oneAtATime,
		want:  "web1 Upgrading Granted: started\nweb2..3 Pending PlanPaused\nno change",
	}, {
		name:  "nor is a host that has failed granted again: it tries again by its key",
		fleet: knowing + "started web1 v2 -2h",
		spec:  oneAtATime,
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2..3 Pending NoFreeSlot: failed: web1\n+host/web1 = True",
	}, {
		name:  "a host that has started fails by its start, not by a key that does not enable it",
		fleet: knowing + "started web1 v2 -2h\nkey host/web1 false -1m",
		spec:  oneAtATime,
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2..3 Pending NoFreeSlot: failed: web1\n+host/web1 = True",
	}, {
		name: "a failure of an earlier rollout of the same version is none of this one",
		fleet: "current v2 1\n" + knowing + "attempt web1 1 gone -2h\ncurrent v1 2\ncurrent v2 3\nstarted web1 v2 -1m in 3\n" +
			"key host/web1 True -1m",
		spec: oneAtATime + "\nfailurePolicy: {maxFailed: 0}",
		want: "web1 Upgrading Granted: started\nweb2..3 Pending NoFreeSlot: taken by web1\nno change",
	}, {
		name:  "the grant of a host that is upgraded is deleted",
		fleet: "record v2 web1\nagent web1\nknows web1\ngrant web1 -1m\nkey host/web1 True -1m\nkey role/web True -1m",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\n-grants/web1",
	}, {
		name:  "a grant of an earlier rollout is deleted, and the host is granted again",
		fleet: "current v0\n" + knowing + "grant web1 -1m\ncurrent v2",
		spec:  oneAtATime,
		want: `web1 Upgrading Starting
			web2..3 Pending NoFreeSlot
			+host/web1 = True
			+grants/web1`,
	}, {
		name:  "a silent host fails by the time of its grant",
		fleet: knowing + "grant web1 -2h",
		spec:  oneAtATime,
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2..3 Pending NoFreeSlot: failed: web1\n+host/web1 = True",
	}, {
		name:  "an agent of an earlier release goes by its key",
		fleet: "record v1 web1..2\nagent web1..2\nknows web2",
		spec:  "instructions: {rollingRules: {global: 2}}",
		want:  "web1..2 Upgrading Starting\n+host/web1 = True\n+host/web2 = True\n+grants/web2",
	}, {
		name:  "a role key is not written beside a legacy host or an agent of an earlier release",
		fleet: "record v2 web1..2 db1\nagent web1..2\nknows web1\nkey host/web1..2 True -1m\nkey host/db1 True -1m",
		spec:  oneAtATime,
		want:  "db1 Upgraded AtVersion\nweb1..2 Upgraded AtVersion\nno change",
	}, {
		name:  "a host that comes back at an old version waits for a slot, although its role is complete",
		fleet: "record v2 web1\nrecord v1 web2\nagent web1..2\nknows web1..2\nkey host/web1 True -1m\nkey role/web True -1m\npaused",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\nweb2 Pending PlanPaused\n-role/web",
	}})
}

// Section 4, rule 5: hosts without a version.
func TestNewcomers(t *testing.T) {
	const joining = knowing + "grant web1 -1m\nkey host/web1 True -1m\n" +
		"report web8 Idle \"\" -1m\nreport web9 Idle \"\" -1m\nknows web8..9\n"
	check(t, []example{{
		name:  "are granted at once, beside the limits",
		fleet: joining,
		spec:  oneAtATime,
		want: `web1 Upgrading Granted
			web2..3 Pending NoFreeSlot: 1 of 1 slots of web are taken by web1
			web8..9 Upgrading Starting: no version yet
			+host/web8 = True
			+host/web9 = True
			+grants/web8
			+grants/web9`,
	}, {
		name:  "wait for a stop",
		fleet: joining + "paused",
		spec:  oneAtATime,
		want:  "web1 Upgrading Revoked\nweb2..3 Pending PlanPaused\nweb8..9 Pending PlanPaused",
	}, {
		name:  "wait for a slot by the rules",
		fleet: joining,
		spec:  "hosts: {newcomers: ByRules}\n" + oneAtATime,
		want:  "web1 Upgrading Granted\nweb2..3 Pending NoFreeSlot\nweb8..9 Pending NoFreeSlot\nno change",
	}, {
		name:  "take no slot when they have started",
		fleet: "record v1 web1\nagent web1\nreport web8 Upgrading v2 -1m\nknows web1 web8\nstarted web8 v2 -1m\nkey host/web8 True -1m",
		spec:  oneAtATime,
		want:  "web1 Upgrading Starting: takes slot 1 of 1 of web\nweb8 Upgrading Granted: started",
	}})
}

// Section 1: a current_version that another writer or an earlier release wrote does not bind agents to grants.
func TestUngovernedFleet(t *testing.T) {
	check(t, []example{{
		name:  "current_version is written again before a host is granted",
		fleet: knowing + "ungoverned",
		spec:  oneAtATime,
		want:  "web1..3 Pending VersionSwitch: writing current_version v2 again first\ndelete grants\n+current_version = v2 (rewritten)",
	}, {
		name:  "also while the plan is paused",
		fleet: knowing + "ungoverned\npaused",
		spec:  oneAtATime,
		want:  "web1..3 Pending PlanPaused\ndelete grants\n+current_version = v2 (rewritten)",
	}, {
		name:  "hosts that started keep their slots",
		fleet: knowing + "ungoverned\nstarted web1 v2 -1m\nkey host/web1 True -1m",
		spec:  oneAtATime,
		want:  "web1 Upgrading Granted: started\nweb2..3 Pending VersionSwitch\ndelete grants\n+current_version = v2 (rewritten)",
	}})
}

// Section 2: Consul was restored from a backup.
func TestStoreWentBack(t *testing.T) {
	const back = knowing + "finished web2 7\n"
	check(t, []example{{
		name:  "a host reports a later rollout: no host is granted",
		fleet: back,
		spec:  oneAtATime,
		want: `web1..3 Pending StoreWentBack: web2 has taken part in rollout 7, and the keys are of rollout 1: Consul was restored
			gate StoreWentBack
			no change`,
	}, {
		name:  "unused grants are revoked",
		fleet: back + "grant web1 -1m\nkey host/web1 True -1m",
		spec:  oneAtATime,
		want:  "web1 Upgrading Revoked\nweb2..3 Pending StoreWentBack\n-host/web1\n-grants/web1",
	}, {
		name:  "the version is not switched",
		fleet: back + "current v1",
		spec:  oneAtATime,
		want:  "web1..3 Upgraded AtVersion\ngate StoreWentBack\nno change",
	}, {
		name:  "an operator accepts it: the version is written with a higher rollout",
		fleet: back + "accepted 7",
		spec:  oneAtATime,
		want: `web1..3 Pending VersionSwitch: rewriting current_version v2
			delete the tree
			+global = False (rewritten)
			+current_version = v2 (rewritten)`,
	}})
}

// After an accepted restore, the next rollout has a higher number than any that hosts have finished, and goes on by the rules.
func TestStoreWentBack_GoesOnWhenAccepted(t *testing.T) {
	w := newWorld(t, knowing+"finished web2 7\naccepted 7", oneAtATime)
	d := w.settle()
	if current := keys.DecodeCurrent(w.raw.Current); current.Rollout != 8 || !current.Governed || w.raw.Ledger.Rollout != 8 {
		t.Errorf("current_version %+v, ledger %+v", current, w.raw.Ledger)
	}
	if d.Starts() != 1 {
		t.Errorf("%d hosts are granted\n%s", d.Starts(), verdictLines(d))
	}
	if g := keys.DecodeGrant(w.raw.Grants[0]); g.Rollout != 8 || g.Version != "v2" {
		t.Errorf("the grant is %+v", g)
	}
}

// The controller's own finding outlasts it in the ledger, until an operator accepts it.
func TestStoreWentBack_IsRecordedInTheLedger(t *testing.T) {
	w := newWorld(t, knowing, oneAtATime)
	w.wentBack = "the ledger was at 9, and is at 3"
	w.settle()
	w.wentBack = ""
	if d := w.decide(); d.Gate.Reason != "StoreWentBack" || d.Starts() != 0 {
		t.Errorf("%+v", d.Gate)
	}
	w.control.Restored = &fleet.Restored{Rollout: 1}
	if d := w.settle(); d.Gate.Reason != "" || d.Starts() != 1 || w.raw.Ledger.WentBack != "" {
		t.Errorf("%+v, ledger %+v", d.Gate, w.raw.Ledger)
	}
}

// A stop that an operator must end sets the hold on the fleet, which agents check as they start.
func TestFleetHold_FollowsTheStop(t *testing.T) {
	for stop, want := range map[string]bool{"": false, "paused": true, "aborted": true, "halted v2 why": true, "conflict other": false} {
		w := newWorld(t, knowing+stop, oneAtATime)
		if d := w.decide(); (d.FleetHold != nil) != want {
			t.Errorf("%q: %+v", stop, d.FleetHold)
		}
	}
}
