// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"strings"
	"testing"
)

// docs/design/protocol.md, section 4: limits of roles, groups and the fleet.
func TestLimits(t *testing.T) {
	mons := "groupMappings: {mons: [stmon]}"
	check(t, []example{{
		name:  "no rule: all start",
		fleet: "record v1 web1..2",
		want:  "web1..2 Upgrading Starting: nothing limits its role\n+host/web1 = True\n+host/web2 = True",
	}, {
		name:  "a rule for the role takes precedence over global",
		fleet: "record v1 web1..3 db1..3",
		spec:  "instructions: {rollingRules: {global: 1, roles: {web: 2}}}",
		want: `db1 Upgrading Starting: takes slot 1 of 1 of db
			db2..3 Pending NoFreeSlot: 1 of 1 slots of db are taken by db1
			web1 Upgrading Starting: takes slot 1 of 2 of web
			web2 Upgrading Starting: takes slot 2 of 2 of web
			web3 Pending NoFreeSlot: 2 of 2 slots of web are taken by web1, web2
			+host/db1 = True
			+host/web1 = True
			+host/web2 = True`,
	}, {
		name:  "0 blocks a role even if global allows more",
		fleet: "record v1 web1 db1",
		spec:  "instructions: {rollingRules: {global: 5, roles: {web: 0}}}",
		want:  "db1 Upgrading Starting\nweb1 Pending LimitZero: =the limit of web is 0 by rollingRules.roles.web\n+host/db1 = True",
	}, {
		name:  "0 as global blocks all but those with a rule of their own",
		fleet: "record v1 web1 db1",
		spec:  "instructions: {rollingRules: {global: 0, roles: {web: 1}}}",
		want:  "db1 Pending LimitZero: =the limit of db is 0 by rollingRules.global\nweb1 Upgrading Starting",
	}, {
		name:  "0 as the fleet's blocks all",
		fleet: "record v1 web1",
		spec:  "instructions: {rollingRules: {global: 5, fleet: 0}}",
		want:  "web1 Pending LimitZero: =the limit of the fleet is 0 by rollingRules.fleet\nno change",
	}, {
		name:  "numbers as strings",
		fleet: "record v1 web1..2",
		spec:  "instructions: {rollingRules: {global: '1'}}",
		want:  "web1 Upgrading Starting: takes slot 1 of 1\nweb2 Pending NoFreeSlot",
	}, {
		name:  "a percentage is rounded down, and the number is shown",
		fleet: "record v1 web1..9\nrecord v2 web10..19",
		spec:  "instructions: {rollingRules: {global: '15%'}}",
		want: `web1 Upgrading Starting: takes slot 1 of 2 of web
			web2 Upgrading Starting: takes slot 2 of 2 of web
			web3..9 Pending NoFreeSlot: 2 of 2 slots of web are taken by web1, web2 (15% of 19)
			web10..19 Upgraded AtVersion`,
	}, {
		name:  "a percentage above 0 is at least 1",
		fleet: "record v1 web1..3",
		spec:  "instructions: {rollingRules: {global: '1%'}}",
		want:  "web1 Upgrading Starting: takes slot 1 of 1\nweb2..3 Pending NoFreeSlot: (1% of 3)",
	}, {
		name:  "0% blocks",
		fleet: "record v1 web1",
		spec:  "instructions: {rollingRules: {global: '0%'}}",
		want:  "web1 Pending LimitZero: =the limit of web is 0 (0% of 1) by rollingRules.global",
	}, {
		name:  "100% is all",
		fleet: "record v1 web1..2",
		spec:  "instructions: {rollingRules: {global: '100%'}}",
		want:  "web1..2 Upgrading Starting\n+host/web1 = True\n+host/web2 = True",
	}, {
		name:  "percentages are of the hosts that count: not of excluded and exempt ones",
		fleet: "record v1 web1..8\nhold host/web8 exempt",
		spec:  "hosts: {exclude: ['web[567]']}\ninstructions: {rollingRules: {global: '50%'}}",
		want: `web1 Upgrading Starting: slot 1 of 2
			web2 Upgrading Starting: slot 2 of 2
			web3..4 Pending NoFreeSlot: (50% of 4)
			web5..7 Exempt Excluded
			web8 Exempt ExemptByHold`,
	}, {
		name:  "the message omits a percentage that another rule replaces",
		fleet: "record v1 db1..2",
		spec:  "instructions: {rollingRules: {global: '50%', roles: {db: 1}}}",
		want:  "db1 Upgrading Starting\ndb2 Pending NoFreeSlot: =1 of 1 slots of db are taken by db1",
	}, {
		name:  "roles of a group share its limit, in natural order of hosts",
		fleet: "record v1 stmon1..2 stmonleader1",
		spec:  "instructions: {rollingRules: {global: 9, roles: {mons: 2}}, " + mons + "}",
		want: `stmon1 Upgrading Starting: takes slot 1 of 2 of mons
			stmon2 Upgrading Starting: takes slot 2 of 2 of mons
			stmonleader1 Pending NoFreeSlot: 2 of 2 slots of mons are taken by stmon1, stmon2`,
	}, {
		name:  "a rule for a role inside a group applies to that role as well",
		fleet: "record v1 stmon1..2 stmonleader1",
		spec:  "instructions: {rollingRules: {global: 9, roles: {mons: 2, stmon: 1}}, " + mons + "}",
		want: `stmon1 Upgrading Starting: takes slot 1 of 1 of stmon
			stmon2 Pending NoFreeSlot: 1 of 1 slots of stmon are taken by stmon1
			stmonleader1 Upgrading Starting: takes slot 2 of 2 of mons`,
	}, {
		name:  "0 for a role inside a group blocks that role, not the group",
		fleet: "record v1 stmon1 stmonleader1",
		spec:  "instructions: {rollingRules: {global: 9, roles: {stmon: 0}}, " + mons + "}",
		want:  "stmon1 Pending LimitZero: the limit of stmon is 0\nstmonleader1 Upgrading Starting",
	}, {
		name:  "0 for a group blocks each role of it",
		fleet: "record v1 stmon1 stmonleader1",
		spec:  "instructions: {rollingRules: {roles: {mons: 0, stmon: 5}}, " + mons + "}",
		want:  "stmon1 Pending LimitZero: the limit of mons is 0\nstmonleader1 Pending LimitZero: the limit of mons is 0",
	}, {
		name:  "patterns are anchored at the front only",
		fleet: "record v1 stmonleader1 bigstmon1",
		spec:  "instructions: {rollingRules: {global: 9, roles: {mons: 0}}, " + mons + "}",
		want:  "bigstmon1 Upgrading Starting\nstmonleader1 Pending LimitZero",
	}, {
		name:  "an alternative in a pattern is anchored as well",
		fleet: "record v1 abc1 xbc1",
		spec:  "instructions: {rollingRules: {global: 9, roles: {g: 0}}, groupMappings: {g: 'a|bc'}}",
		want:  "abc1 Pending LimitZero\nxbc1 Upgrading Starting",
	}, {
		name:  "a role that several groups match goes to the first by name, and status says so",
		fleet: "record v1 stmon1",
		spec:  "instructions: {rollingRules: {roles: {g10: 9, g9: 0}}, groupMappings: {g10: st, g9: stm}}",
		want:  "stmon1 Pending LimitZero: the limit of g9 is 0\n!role stmon matches the groups g9 and g10; it belongs to g9",
	}, {
		name:  "the fleet's cap is filled by groups in natural order",
		fleet: "record v1 web1..2 db1 cache1",
		spec:  "instructions: {rollingRules: {fleet: 3}}",
		want: `cache1 Upgrading Starting: takes slot 1 of 3 of the fleet
			db1 Upgrading Starting: takes slot 2 of 3 of the fleet
			web1 Upgrading Starting: takes slot 3 of 3 of the fleet
			web2 Pending NoFreeSlot: 3 of 3 slots of the fleet are taken by cache1, db1, web1`,
	}, {
		name:  "groups, not roles, fill the cap in natural order",
		fleet: "record v1 web1 db1",
		spec:  "instructions: {rollingRules: {fleet: 1}, groupMappings: {a: web}}",
		want:  "db1 Pending NoFreeSlot: taken by web1\nweb1 Upgrading Starting",
	}, {
		name:  "no slot of the fleet's cap is lost to a role that may not start",
		fleet: "record v1 cache1..2 db1",
		spec:  "instructions: {rollingRules: {fleet: 1, roles: {cache: 0}}}",
		want:  "cache1..2 Pending LimitZero\ndb1 Upgrading Starting",
	}, {
		name:  "hosts are taken in natural order",
		fleet: "record v1 foo10 foo9 foo2",
		spec:  oneAtATime,
		want:  "foo2 Upgrading Starting\nfoo9 Pending NoFreeSlot\nfoo10 Pending NoFreeSlot",
	}, {
		name:  "more in flight than a reduced limit: nothing is revoked, nothing is granted",
		fleet: "record v1 web1..4\nagent web1..4\nkey host/web1..3 True -1m",
		spec:  oneAtATime,
		want:  "web1..3 Upgrading Granted\nweb4 Pending NoFreeSlot: 3 of 1 slots of web are taken by web1, web2, web3\nno change",
	}, {
		name:  "an excluded host in flight takes a slot",
		fleet: "record v1 web1..2\nkey host/web1 True -1m",
		spec:  "hosts: {exclude: [web1]}\n" + oneAtATime,
		want:  "web1 Exempt Excluded: keeps its slot\nweb2 Pending NoFreeSlot: taken by web1",
	}, {
		name:  "a sentence names the first five",
		fleet: "record v1 web1..8\nkey host/web1..7 True -1m",
		spec:  "instructions: {rollingRules: {global: 7}}",
		want:  "web1..7 Upgrading Granted\nweb8 Pending NoFreeSlot: 7 of 7 slots of web are taken by web1, web2, web3, web4, web5 and 2 more",
	}})
}

func TestRoleOrder(t *testing.T) {
	after := "instructions: {roleOrder: {compute: controller}}"
	check(t, []example{{
		name:  "nothing starts until every host of the awaited role is upgraded",
		fleet: "record v1 compute1\nrecord v2 controller1\nrecord v1 controller2\nkey host/controller2 True -1m",
		spec:  after,
		want: `compute1 Pending WaitingForRole: waits for controller: 1 of 2 hosts are upgraded
			controller1 Upgraded AtVersion
			controller2 Upgrading Granted`,
	}, {
		name:  "it starts when they are",
		fleet: "record v1 compute1\nrecord v2 controller1..2",
		spec:  after,
		want:  "compute1 Upgrading Starting\ncontroller1..2 Upgraded AtVersion",
	}, {
		name:  "a failed host of the awaited role blocks",
		fleet: "record v1 compute1 controller1\nkey host/controller1 True -2h",
		spec:  after,
		want:  "compute1 Pending WaitingForRole\ncontroller1 Failed ProgressDeadlineExceeded",
	}, {
		name:  "a held host of the awaited role blocks",
		fleet: "record v1 compute1 controller1\nhold host/controller1",
		spec:  after,
		want:  "compute1 Pending WaitingForRole\ncontroller1 Held OnHold",
	}, {
		name:  "several are awaited",
		fleet: "record v1 a1 c1\nrecord v2 b1",
		spec:  "instructions: {roleOrder: {a: [b, c]}}",
		want:  "a1 Pending WaitingForRole: waits for c\nb1 Upgraded AtVersion\nc1 Upgrading Starting",
	}, {
		name:  "a role waits for a group: for all roles of it",
		fleet: "record v1 compute1 stmonleader1\nrecord v2 stmon1",
		spec:  "instructions: {roleOrder: {compute: mons}, groupMappings: {mons: stmon}}",
		want:  "compute1 Pending WaitingForRole: waits for mons: 1 of 2 hosts\nstmon1 Upgraded AtVersion\nstmonleader1 Upgrading Starting",
	}, {
		name:  "a group waits for a role: all roles of it do",
		fleet: "record v1 db1 stmon1 stmonleader1",
		spec:  "instructions: {roleOrder: {mons: db}, groupMappings: {mons: stmon}}",
		want:  "db1 Upgrading Starting\nstmon1 Pending WaitingForRole\nstmonleader1 Pending WaitingForRole",
	}, {
		name:  "a role waits for one role of a group only",
		fleet: "record v1 compute1 stmonleader1\nrecord v2 stmon1",
		spec:  "instructions: {roleOrder: {compute: stmon}, groupMappings: {mons: stmon}}",
		want:  "compute1 Upgrading Starting\nstmon1 Upgraded AtVersion\nstmonleader1 Upgrading Starting",
	}, {
		name:  "a role inside a group may wait for itself alone",
		fleet: "record v1 db1 stmon1 stmonleader1",
		spec:  "instructions: {roleOrder: {stmonleader: db}, groupMappings: {mons: stmon}}",
		want:  "db1 Upgrading Starting\nstmon1 Upgrading Starting\nstmonleader1 Pending WaitingForRole",
	}, {
		name:  "a chain",
		fleet: "record v1 a1 b1 c1",
		spec:  "instructions: {roleOrder: {c: b, b: a}}",
		want:  "a1 Upgrading Starting\nb1 Pending WaitingForRole: waits for a\nc1 Pending WaitingForRole: waits for b",
	}, {
		name:  "a name that no host ever had blocks nothing, with a warning",
		fleet: "record v1 compute1",
		spec:  "instructions: {roleOrder: {compute: [controller, mons]}, groupMappings: {mons: stmon}}",
		want: `compute1 Upgrading Starting
			!roleOrder for compute references role controller, which no host has had
			!roleOrder for compute references role mons, which no host has had`,
	}, {
		name:  "a role once seen that vanished blocks",
		fleet: "record v1 compute1\nseen compute controller",
		spec:  after,
		want:  "compute1 Pending WaitingForRole: waits for controller, whose hosts have all vanished",
	}, {
		name:  "so does a group whose roles have all vanished",
		fleet: "record v1 compute1\nseen compute stmon",
		spec:  "instructions: {roleOrder: {compute: mons}, groupMappings: {mons: stmon}}",
		want:  "compute1 Pending WaitingForRole: waits for mons, whose hosts have all vanished",
	}, {
		name:  "an unknown host holds nothing back",
		fleet: "record v1 compute1 CONTROLLER",
		spec:  after,
		want:  "CONTROLLER Unknown NoRole\ncompute1 Upgrading Starting",
	}, {
		name:  "an in-flight host from before waits too, in its slot",
		fleet: "record v0 compute1 controller1\nmarked compute1 v1 -1m",
		spec:  after,
		want:  "compute1 Pending WaitingForRole\ncontroller1 Upgrading Starting",
	}})
}

// A role that vanishes between two passes is remembered by the ledger.
func TestVanishedRoleStaysInTheLedger(t *testing.T) {
	w := newWorld(t, "record v1 compute1 controller1", "instructions: {roleOrder: {compute: controller}}")
	w.settle()
	w.raw.Records = w.raw.Records[:1]
	if d := w.settle(); d.Verdicts[0].Reason != "WaitingForRole" {
		t.Error(verdictLines(d))
	}
}

func TestStrategies(t *testing.T) {
	batch := "strategy: Batch\ninstructions: {rollingRules: {global: 2}}"
	check(t, []example{{
		name:  "Rolling refills a slot as soon as it is free",
		fleet: "record v2 web1\nrecord v1 web2..3\nkey host/web2 True -1m",
		spec:  "instructions: {rollingRules: {global: 2}}",
		want:  "web1 Upgraded AtVersion\nweb2 Upgrading Granted\nweb3 Upgrading Starting",
	}, {
		name:  "Batch waits for the whole set, over the whole fleet",
		fleet: "record v2 web1\nrecord v1 web2..3 db1\nkey host/web2 True -1m",
		spec:  batch,
		want: `db1 Pending BatchRunning: the next batch starts when the 1 hosts of this batch have completed or failed
			web1 Upgraded AtVersion
			web2 Upgrading Granted
			web3 Pending BatchRunning`,
	}, {
		name:  "Batch begins a set over the whole fleet",
		fleet: "record v1 web1..3 db1..3",
		spec:  batch,
		want:  "db1..2 Upgrading Starting\ndb3 Pending NoFreeSlot\nweb1..2 Upgrading Starting\nweb3 Pending NoFreeSlot",
	}, {
		name:  "a failed host ends its part of the batch, and keeps its slot",
		fleet: "record v2 web1\nrecord v1 web2..4\nkey host/web2 True -2h",
		spec:  batch,
		want:  "web1 Upgraded AtVersion\nweb2 Failed ProgressDeadlineExceeded\nweb3 Upgrading Starting\nweb4 Pending NoFreeSlot: failed: web2",
	}, {
		name:  "a soaking host is not complete",
		fleet: "record v2 web1 at -1m\nagent web1\nrecord v1 web2",
		spec:  "minReadySeconds: 600\n" + batch,
		want:  "web1 Upgraded Soaking\nweb2 Pending BatchRunning",
	}, {
		name:  "a host that has begun before the batch starts in it",
		fleet: "record v0 web1..3\nmarked web2 v1 -1m",
		spec:  batch,
		want:  "web1 Pending BatchRunning\nweb2 Upgrading Starting\nweb3 Pending BatchRunning",
	}})
}

// Section 4, rule 4: when a role's key is written, kept and revoked.
func TestRoleKeys(t *testing.T) {
	check(t, []example{{
		name:  "not while a limited role has hosts to upgrade",
		fleet: "record v1 web1\nrecord v2 web2\nkey host/web2 True -1m",
		spec:  "instructions: {rollingRules: {global: 5}}",
		want:  "web1 Upgrading Starting\nweb2 Upgraded AtVersion\n+host/web1 = True",
	}, {
		name:  "when all of a limited role is upgraded, and host keys stay",
		fleet: "record v2 web1..2\nagent web1..2\nknows web1..2\nkey host/web1..2 True -1m",
		spec:  oneAtATime,
		want:  "web1..2 Upgraded AtVersion\n+role/web = True",
	}, {
		name:  "not while it soaks",
		fleet: "record v2 web1 at -1m\nagent web1\nkey host/web1 True -1m",
		spec:  "minReadySeconds: 600\n" + oneAtATime,
		want:  "web1 Upgraded Soaking\nno change",
	}, {
		name:  "not while a host of it is held, paused or excluded",
		fleet: "record v2 a1 b1 c1\nkey host/a1 True -1m\nkey host/b1 True -1m\nkey host/c1 True -1m\nhold host/a1\npausekey host/b1 False",
		spec:  "hosts: {exclude: [c1]}",
		want:  "a1 Upgraded AtVersion\nb1 Upgraded AtVersion\nc1 Upgraded AtVersion\nno change",
	}, {
		name:  "not while a host that looks it up is of another role by the plan",
		fleet: "record v2 web1 web2-db\nkey host/web1 True -1m\nkey host/web2-db True -1m",
		spec:  "hosts: {rolePattern: '([a-z]+)([0-9]*)$'}",
		want:  "web1 Upgraded AtVersion\nweb2-db Upgraded AtVersion\n+role/db = True",
	}, {
		name:  "not while a role without limit waits",
		fleet: "record v1 web1 db1\nkey host/db1 True -1m",
		spec:  "instructions: {rollingRules: {roles: {db: 1}}, roleOrder: {web: db}}",
		want:  "db1 Upgrading Granted\nweb1 Pending WaitingForRole\nno change",
	}, {
		name:  "the fleet's cap is a limit of each role",
		fleet: "record v1 web1",
		spec:  "instructions: {rollingRules: {fleet: 5}}",
		want:  "web1 Upgrading Starting\n+host/web1 = True",
	}, {
		name:  "not while the plan is paused",
		fleet: "record v2 web1\nkey host/web1 True -1m\npaused",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\nno change",
	}, {
		name:  "a pause does not take it back",
		fleet: "record v2 web1\nagent web1\nknows web1\nkey host/web1 True -1m\nkey role/web True -1m\npaused",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\nno change",
	}, {
		name:  "revoked when a host is on hold, after all other hosts of the role got keys of their own",
		fleet: "record v2 web1..2\nagent web1..2\nkey host/web1 True -1m\nkey role/web True -1m\nhold host/web1",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\nweb2 Upgraded AtVersion\n+host/web2 = True\n-role/web",
	}, {
		name:  "a host that joins a finished role is released by its key, gets one of its own, and the role's goes",
		fleet: "record v2 web1\nrecord v1 web2\nagent web2\nkey host/web1 True -1m\nkey role/web True -1m",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\nweb2 Upgrading Granted: by its role key\n+host/web2 = True\n-role/web",
	}, {
		name:  "False in a role's key by another writer stays until the role is complete",
		fleet: "record v1 web1\nagent web1\nkey role/web False",
		spec:  "instructions: {rollingRules: {global: 0}}",
		want:  "web1 Pending LimitZero\nno change",
	}, {
		name:  "a key older than current_version stays as it is",
		fleet: "bare\nrecord v2 web1\nagent web1\nknows web1\nkey host/web1 True -1m\nkey role/web True -1m\nkey global False\ncurrent v2",
		spec:  oneAtATime,
		want:  "web1 Upgraded AtVersion\nno change",
	}, {
		name:  "of a role without hosts it goes",
		fleet: "record v2 web1\nkey host/web1 True -1m\nkey role/db True -1m",
		spec:  "instructions: {rollingRules: {global: 5}}",
		want:  "web1 Upgraded AtVersion\n-role/db",
	}})
}

// A whole rollout in Rolling, a host at a time, checked at each step by the keys alone.
func TestRolloutHostByHost(t *testing.T) {
	w := newWorld(t, "bare\ncurrent v1\nkey global False\nrecord v1 web1..3 web10", oneAtATime)
	var order []string
	for range 6 {
		d := w.settle()
		if d.Complete {
			break
		}
		var started []string
		for _, v := range d.Verdicts {
			if v.Reason == "Starting" {
				started = append(started, v.Host)
				remove(&w.raw.Records, w.layout.Record("v1", v.Host))
				w.line("record v2 " + v.Host)
			}
		}
		order = append(order, fmt.Sprint(started))
	}
	if got := strings.Join(order, " "); got != "[web1] [web2] [web3] [web10]" {
		t.Error(got)
	}
}
