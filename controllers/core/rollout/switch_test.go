// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"
	"time"
)

const oneAtATime = "instructions: {rollingRules: {global: 1}}"

// docs/design/protocol.md, section 4: the switch of the version, and who keeps a slot through it.
func TestVersionSwitch(t *testing.T) {
	check(t, []example{{
		name:  "one change deletes the tree, sets global and the version; no host is granted",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v1 web1..2\nkey host/web1..2 True -1h\nkey role/web True -1h",
		spec:  oneAtATime,
		want: `web1..2 Upgraded AtVersion
			gate VersionSwitch
			not complete
			delete the tree
			+global = False (rewritten)
			+current_version = v2
			-role/web
			-host/web1
			-host/web2`,
	}, {
		name:  "without a version there is nothing to delete first",
		fleet: "bare\nrecord v0 web1",
		spec:  oneAtATime,
		want:  "web1 Upgrading VersionSwitch: setting current_version to v2 first\ndelete the tree\n+global = False\n+current_version = v2",
	}, {
		name:  "a legacy host that was enabled for the old version is marked first, an agent is not",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v0 web1..4\nagent web2\nkey host/web1..2 True -1m",
		spec:  oneAtATime,
		want: `web1..2 Upgrading Granted
			web3..4 Pending VersionSwitch
			delete the tree
			+started/web1 = by controller
			+global = False (rewritten)
			+current_version = v2
			-host/web1
			-host/web2`,
	}, {
		name:  "after it: a host at the version gets its key in the first commit, together with the first start",
		fleet: "record v2 web1\nrecord v1 web2..3",
		spec:  oneAtATime,
		want: `web1 Upgraded AtVersion
			web2 Upgrading Starting: takes slot 1 of 1 of web
			web3 Pending NoFreeSlot: 1 of 1 slots of web are taken by web2
			+host/web1 = True
			+host/web2 = True`,
	}, {
		name:  "after it: a marked host holds a slot, and gets its own grant in it",
		fleet: "record v0 web1..3\nmarked web2 v1 -5m",
		spec:  oneAtATime,
		want: `web1 Pending NoFreeSlot: 1 of 1 slots of web are taken by web2
			web2 Upgrading Starting: it holds a slot of web already
			web3 Pending NoFreeSlot
			+host/web2 = True`,
	}, {
		name:  "several marked hosts are granted within the limit",
		fleet: "record v0 web1..3\nmarked web1 v1 -5m\nmarked web2 v1 -5m",
		spec:  "instructions: {rollingRules: {global: 2}}",
		want:  "web1..2 Upgrading Starting\nweb3 Pending NoFreeSlot: 2 of 2 slots of web are taken by web1, web2",
	}, {
		name:  "while more hosts may change than a lowered limit allows, none of them is granted",
		fleet: "record v0 web1..4\nmarked web1 v1 -5m\nmarked web2 v1 -5m\nmarked web3 v1 -5m",
		spec:  "instructions: {rollingRules: {global: 2}}",
		want:  "web1..4 Pending NoFreeSlot: 3 of 2 slots of web are taken by web1, web2, web3\nno change",
	}, {
		name: "of those that failed before the limit was lowered, as many are granted as it allows",
		fleet: "current v1\nrecord v0 web1..4\nagent web1..4\nknows web1..4\n" +
			"attempt web1 1 waits -5m\nattempt web2 1 waits -5m\nattempt web3 1 waits -5m\ncurrent v2",
		spec: "instructions: {rollingRules: {global: 2}}",
		want: "web1..2 Upgrading Starting\nweb3..4 Pending NoFreeSlot: 3 of 2 slots of web are taken by web1, web2, web3",
	}, {
		name: "nor is one that failed, while one that may change takes the only slot",
		fleet: "current v1\nrecord v0 web1..3\nagent web1..3\nknows web1..3\n" +
			"attempt web1 1 waits -5m\nstarted web2 v1 -5m\ncurrent v2",
		spec: oneAtATime,
		want: "web1..3 Pending NoFreeSlot: 2 of 1 slots of web are taken by web1, web2\nno change",
	}, {
		name: "nor while one whose checks fail may change",
		fleet: "current v2 1\nrecord v1 web1..3\nagent web1..3\nknows web1..3\nstarted web1 v2 -5m in 1\nattempt web2 1 waits -5m\n" +
			"current v1 2\ncurrent v2 3\ncheck web1 disk critical",
		spec: oneAtATime + "\nhealthGate: {checks: [disk]}",
		want: "web1 Failed ChecksFailing\nweb2..3 Pending NoFreeSlot: 2 of 1 slots of web are taken by web1, web2\nno change",
	}, {
		name:  "a mark of ours ends when the host has reported since",
		fleet: "marked web2 v1 -5m\nrecord v1 web1..3",
		spec:  oneAtATime,
		want: `web1 Upgrading Starting: takes slot 1 of 1 of web
			web2..3 Pending NoFreeSlot
			+host/web1 = True
			-started/web2`,
	}, {
		name:  "a mark of ours does not end by a record that is older than it",
		fleet: "record v1 web1..3\nmarked web2 v1 -5m",
		spec:  oneAtATime,
		want:  "web1 Pending NoFreeSlot\nweb2 Upgrading Starting\nweb3 Pending NoFreeSlot",
	}, {
		name:  "a mark of ours ends at its deadline",
		fleet: "record v0 web1..3\nmarked web2 v1 -1h",
		spec:  oneAtATime,
		want:  "web1 Upgrading Starting\nweb2..3 Pending NoFreeSlot\n+host/web1 = True\n-started/web2",
	}, {
		name:  "a mark of ours with a host that is at the version already: it may be leaving it",
		fleet: "record v2 web1\nrecord v1 web2\nmarked web1 v1 -5m",
		spec:  oneAtATime,
		want:  "web1 Upgrading Starting\nweb2 Pending NoFreeSlot: taken by web1",
	}, {
		name:  "an agent's own mark holds a slot until its report, however old",
		fleet: "record v0 web1..2\nagent web2\nstarted web2 v1 -30m",
		spec:  oneAtATime,
		want:  "web1 Pending NoFreeSlot\nweb2 Upgrading Starting: it holds a slot of web already",
	}, {
		name:  "an agent that failed to reach the last version is granted for the new one",
		fleet: "record v0 web1..2\nreport web2 Failed v1 -2h\nstarted web2 v1 -3h",
		spec:  oneAtATime,
		want:  "web1 Pending NoFreeSlot: failed: web2\nweb2 Upgrading Starting: it holds a slot of web already\n+host/web2 = True",
	}, {
		name:  "an agent that failed to reach this version, and lost its grant since, is granted again in its own slot",
		fleet: "record v0 web1..2\nreport web2 Failed v2 -2h\nstarted web2 v2 -3h",
		spec:  oneAtATime,
		want:  "web1 Pending NoFreeSlot\nweb2 Upgrading Starting\n+host/web2 = True",
	}, {
		name:  "and until it can be, it is Failed all the same",
		fleet: "record v0 web1..2\nreport web2 Failed v1 -2h\nstarted web2 v1 -3h\nrecord v1 db1",
		spec:  "instructions: {rollingRules: {global: 1}, roleOrder: {web: db}}",
		want:  "db1 Upgrading Starting\nweb1 Pending WaitingForRole\nweb2 Failed WaitingForRole",
	}, {
		name:  "a legacy host that was granted after its marker gets a new marker from the next switch",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v0 web1..2\nmarked web1 v0 -50m\nkey host/web1 True -20m",
		spec:  oneAtATime,
		want: `web1 Upgrading Granted
			web2 Pending VersionSwitch
			delete the tree
			+started/web1 = by controller
			+global = False (rewritten)
			+current_version = v2
			-host/web1`,
	}, {
		name:  "a version that an operator set by hand is switched back, and old keys start no host meanwhile",
		fleet: "bare\nkey global False\nrecord v2 web1\nrecord v1 web2\nagent web1..2\nkey host/web1..2 True -1m\ncurrent v9",
		spec:  oneAtATime,
		want:  "web1..2 Pending VersionSwitch: switching current_version from v9 to v2 first\ndelete the tree\n+global = False (rewritten)\n+current_version = v2\n-host/web1\n-host/web2",
	}, {
		name:  "the plan's own version set by hand: agents are granted again within the limits",
		fleet: "bare\nkey global False\nrecord v1 web1..2\nagent web1..2\nkey host/web1..2 True -1m\ncurrent v2",
		spec:  oneAtATime,
		want:  "web1 Upgrading Starting\nweb2 Pending NoFreeSlot\n+host/web1 = True (rewritten)\n-host/web2",
	}})
}

// A mark that a switch renews lasts until the deadline from that switch: the host may have begun just before.
func TestMarkerLastsFromTheLastGrant(t *testing.T) {
	w := newWorld(t, "bare\ncurrent v1\nkey global False\nrecord v0 web1..2\nmarked web1 v0 -50m\nkey host/web1 True -20m", oneAtATime)
	w.step() // the switch
	w.now = w.now.Add(30 * time.Minute)
	if d := w.decide(); !d.Verdicts[0].InFlight {
		t.Errorf("50 minutes after its grant the host has lost its slot: %s", verdictLines(d))
	}
}

// What a stop stops, and what it revokes.
func TestStopsAndHolds(t *testing.T) {
	check(t, []example{{
		name: "a pause grants no host, and revokes only the grants of agents that have not started",
		fleet: "record v1 web1..4\nagent web1..3\nkey host/web1..2 True -1m\nkey host/web4 True -1m\nstarted web2 v2 -1m\n" +
			"paused lunch",
		want: `web1 Upgrading Revoked: revoked before it started: the plan is paused by ops: lunch
			web2 Upgrading Granted
			web3 Pending PlanPaused: the plan is paused by ops: lunch
			web4 Upgrading Granted
			-host/web1`,
	}, {
		name:  "spec.paused does the same",
		fleet: "record v1 web1..2\nagent web1\nkey host/web1 True -1m",
		spec:  "paused: true",
		want:  "web1 Upgrading Revoked: spec.paused\nweb2 Pending PlanPaused\n-host/web1",
	}, {
		name:  "a pause holds the switch up as well",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v1 web1\nkey host/web1 True -1h\npaused",
		want:  "web1 Upgraded AtVersion\ngate PlanPaused\nno change\nnot complete",
	}, {
		name:  "a pause that comes with a new version revokes the grants for the old one, and switches nothing",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v0 web1..2\nagent web1..2\nkey host/web1 True -1m\npaused",
		spec:  oneAtATime,
		want:  "web1 Upgrading Revoked\nweb2 Pending PlanPaused\n-host/web1",
	}, {
		name:  "a pause before there is any version writes none",
		fleet: "bare\nrecord v0 web1\npaused",
		want:  "web1 Upgrading PlanPaused\nno change",
	}, {
		name:  "no host is granted while a grant is revoked, and the same pass grants afterwards",
		fleet: "record v1 web1..3\nagent web1..3\nkey host/web1 True -1m\nhold host/web1 disk",
		spec:  oneAtATime,
		want: `web1 Held OnHold: on hold: disk
			web2..3 Pending Revoking
			-host/web1`,
	}, {
		name:  "a hold keeps a host back, others take the slot",
		fleet: "record v1 web1..2\nhold host/web1 until 1h disk",
		spec:  oneAtATime,
		want:  "web1 Held OnHold: on hold until 2026-03-06T13:00:00Z: disk\nweb2 Upgrading Starting\n+host/web2 = True",
	}, {
		name:  "a hold that has expired holds nothing",
		fleet: "record v1 web1\nhold host/web1 until -1s",
		spec:  oneAtATime,
		want:  "web1 Upgrading Starting",
	}, {
		name:  "a hold on a role",
		fleet: "record v1 web1..2 db1\nhold role/web audit",
		spec:  oneAtATime,
		want:  "db1 Upgrading Starting\nweb1..2 Held OnHold: on hold of role web: audit",
	}, {
		name:  "a hold on the role that the host itself knows holds it too",
		fleet: "record v1 dc1-web7\nhold role/dc audit",
		spec:  "hosts: {rolePattern: '-([a-z]+)'}",
		want:  "dc1-web7 Held OnHold: on hold of role dc: audit",
	}, {
		name:  "a held legacy host that was enabled keeps its key and its slot",
		fleet: "record v1 web1..2\nkey host/web1 True -1m\nhold host/web1",
		spec:  oneAtATime,
		want:  "web1 Held OnHold: may have started, and keeps its slot\nweb2 Pending NoFreeSlot: taken by web1\nno change",
	}, {
		name:  "a held agent that has started keeps its key and its slot",
		fleet: "record v1 web1..2\nagent web1\nkey host/web1 True -1m\nstarted web1 v2 -1m\nhold host/web1",
		spec:  oneAtATime,
		want:  "web1 Held OnHold: keeps its slot\nweb2 Pending NoFreeSlot: taken by web1\nno change",
	}, {
		name:  "a held agent that is upgraded keeps its key",
		fleet: "record v2 web1\nagent web1\nkey host/web1 True -1m\nhold host/web1",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\nno change",
	}, {
		name:  "an exempt host does not count, and nothing waits for it",
		fleet: "record v1 web1\nrecord v1 db1\nhold host/db1 exempt broken",
		spec:  "instructions: {roleOrder: {web: db}}",
		want:  "db1 Exempt ExemptByHold: exempt by a hold: broken\nweb1 Upgrading Starting",
	}, {
		name:  "an excluded host does not count, by name or pattern, and does not look up a role key",
		fleet: "record v1 web1..3 db1",
		spec:  "hosts: {exclude: [web2, 'd*']}\ninstructions: {roleOrder: {web: db}}",
		want: `db1 Exempt Excluded: excluded by spec.hosts.exclude
			web1 Upgrading Starting
			web2 Exempt Excluded
			web3 Upgrading Starting
			+host/web1 = True
			+host/web3 = True`,
	}, {
		name:  "an excluded host that has started keeps its slot; the grant of one that has not is revoked",
		fleet: "record v1 web1..4\nagent web1 web3\nkey host/web1 True -1m\nkey host/web3 True -1m\nstarted web1 v2 -1m",
		spec:  "hosts: {exclude: [web1, web3]}\n" + oneAtATime,
		want:  "web1 Exempt Excluded: keeps its slot\nweb2 Pending Revoking\nweb3 Exempt Excluded: its grant is revoked before it started\nweb4 Pending Revoking\n-host/web3",
	}, {
		name:  "all but excluded hosts upgraded is complete",
		fleet: "record v2 web1\nrecord v1 web2",
		spec:  "hosts: {exclude: [web2]}",
		want:  "web1 Upgraded AtVersion\nweb2 Exempt Excluded\ncomplete",
	}, {
		name:  "a pause key on the host, on the role, on all; host before role before global",
		fleet: "record v1 web1..2 db1\npausekey host/web1 False\npausekey role/db False",
		want: `db1 Held PausedByKey: paused by the key config_state/role/db/enable_puppet
			web1 Held PausedByKey: paused by the key config_state/host/web1/enable_puppet
			web2 Upgrading Starting`,
	}, {
		name:  "a pause key of the host that says True takes precedence over the role's, and the role's over global's",
		fleet: "record v1 web1..2 db1\npausekey global False\npausekey role/web True\npausekey host/web1 False",
		want:  "db1 Held PausedByKey: config_state/global/enable_puppet\nweb1 Held PausedByKey\nweb2 Upgrading Starting",
	}, {
		name:  "an incomplete observation grants no host and changes nothing, not even a deleted tree",
		fleet: "bare\ncurrent v2\nrecord v1 web1..2\nagent web1\nmarked web2 v1 -2h\nincomplete ACLs hid something",
		want:  "web1 Pending ObservationIncomplete: no host is granted: ACLs hid something\nweb2 Upgrading Granted\nno change\nnot complete",
	}, {
		name:  "an incomplete observation is never complete",
		fleet: "record v2 web1\nincomplete ACLs hid something",
		want:  "web1 Upgraded AtVersion\nno change\nnot complete",
	}, {
		name:  "a failed host keeps its slot, and the sentence of those behind it names it",
		fleet: "record v1 web1..3\nreport web1 Failed v2 -1m\nkey host/web1 True -9m\nstarted web1 v2 -8m",
		spec:  oneAtATime,
		want:  "web1 Failed ReportedFailure\nweb2..3 Pending NoFreeSlot: 1 of 1 slots of web are taken by web1; failed: web1\nno change",
	}, {
		name:  "a host that is silent past its deadline keeps its slot",
		fleet: "record v1 web1..2\nkey host/web1 True -2h",
		spec:  oneAtATime,
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2 Pending NoFreeSlot: failed: web1\nno change",
	}})
}

// The soak: minReadySeconds.
func TestSoak(t *testing.T) {
	soak := "minReadySeconds: 600\n" + oneAtATime
	check(t, []example{{
		name:  "a soaking host keeps its slot, and says until when",
		fleet: "record v2 web1 at -1m\nagent web1\nkey host/web1 True -9m\nrecord v1 web2",
		spec:  soak,
		want:  "web1 Upgraded Soaking: at 2026-03-06T12:09:00Z after soaking for 600 s\nweb2 Pending NoFreeSlot: taken by web1\nnot complete",
	}, {
		name:  "it ends",
		fleet: "record v2 web1 at -10m\nagent web1\nkey host/web1 True -19m\nrecord v1 web2",
		spec:  soak,
		want:  "web1 Upgraded AtVersion\nweb2 Upgrading Starting",
	}, {
		name:  "the future counts as now",
		fleet: "clocks 100h\nrecord v2 web1\nagent web1\nkey host/web1 True -9m",
		spec:  soak,
		want:  "web1 Upgraded Soaking: at 2026-03-06T12:10:00Z",
	}, {
		name:  "without a report: from now if the record is new, not from the time in the record",
		fleet: "clocks -5h\nrecord v2 web1\nkey host/web1 True -9m",
		spec:  soak,
		want:  "web1 Upgraded Soaking: at 2026-03-06T12:10:00Z",
	}, {
		name:  "without a report: from when its record was first seen",
		fleet: "record v2 web1\nunseen\nwatermark -4m\nrecord v2 web2 at -2m\nkey host/web1..2 True -9m",
		spec:  soak,
		want:  "web1 Upgraded Soaking: at 2026-03-06T12:06:00Z\nweb2 Upgraded Soaking: at 2026-03-06T12:08:00Z",
	}, {
		name:  "the record of an agent tells nothing of its soak",
		fleet: "record v2 web1 at -5h\nreport web1 Idle v2 -4m\nkey host/web1 True -9m",
		spec:  soak,
		want:  "web1 Upgraded Soaking: at 2026-03-06T12:06:00Z",
	}, {
		name:  "others wait for a soaking role",
		fleet: "record v2 db1 at -1m\nagent db1\nkey host/db1 True -9m\nrecord v1 web1",
		spec:  "minReadySeconds: 600\ninstructions: {roleOrder: {web: db}}",
		want:  "db1 Upgraded Soaking\nweb1 Pending WaitingForRole: waits for db: 0 of 1 hosts are upgraded",
	}})
}

// A soak without a usable report ends, and a restart (everything but the ledger is read again) does not shorten it.
func TestSoakEndsByTheLedger(t *testing.T) {
	for name, fleet := range map[string]string{
		"no report": "record v2 web1\nkey host/web1 True -9m",
		"no record": "report web1 Idle v2 0s\nkey host/web1 True -9m",
	} {
		w := newWorld(t, fleet, "minReadySeconds: 600\n"+oneAtATime)
		first := w.now
		for {
			d := w.settle()
			if d.Complete {
				break
			}
			if d.Next.IsZero() || w.now.Sub(first) > time.Hour {
				t.Fatalf("%s: it does not end: %s", name, verdictLines(d))
			}
			w.now = w.now.Add(time.Minute)
		}
		if got := w.now.Sub(first); got < 10*time.Minute || got > 12*time.Minute {
			t.Errorf("%s: it took %s", name, got)
		}
	}
}

// Next is when time alone changes something: the controller sleeps until then.
func TestNextIsTheEarliestChange(t *testing.T) {
	for _, e := range []struct {
		name, fleet, spec string
		want              time.Duration
	}{
		{"nothing is pending", "record v2 web1", "", 0},
		{"a deadline", "record v1 web1\nkey host/web1 True -20m", "", 40 * time.Minute},
		{"a soak", "record v2 web1 at -1m\nagent web1", "minReadySeconds: 600", 9 * time.Minute},
		{"a hold expires", "record v1 web1\nhold host/web1 until 7m", "", 7 * time.Minute},
		{"a mark expires", "record v2 web1\nmarked web1 v1 -50m", oneAtATime, 10 * time.Minute},
		{"the earliest of all", "record v1 web1..2\nkey host/web1 True -20m\nhold host/web2 until 7m", "", 7 * time.Minute},
	} {
		w := newWorld(t, e.fleet, e.spec)
		want := time.Time{}
		if e.want != 0 {
			want = noon.Add(e.want)
		}
		if d := w.decide(); !d.Next.Equal(want) {
			t.Errorf("%s: %s, want %s", e.name, d.Next, want)
		}
	}
}
