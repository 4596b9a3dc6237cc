// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import "testing"

// The cases of python-jiocloud's own tests (branch rolling_upgrade_code, jiocloud/tests/test_upgrade.py), with our
// outcome. Where it differs on purpose the name says how; docs/how-to/migrate.md lists the differences.
func TestCasesOfPythonJiocloud(t *testing.T) {
	check(t, []example{{
		name: "upgrade_list: no data (differs: a fleet without hosts is not complete)",
		want: "no change\nnot complete",
	}, {
		name:  "upgrade_list: no instructions, upgrade everyone (differs: host keys as well, and i1's is not deleted)",
		fleet: "record v2 h1..2\nrecord v1 h3 i1..2 j1\nkey host/h3 True -1m\nkey host/i1 True -1m\nkey host/h1..2 True -1m",
		want: `h1..2 Upgraded AtVersion
			h3 Upgrading Granted
			i1 Upgrading Granted
			i2 Upgrading Starting
			j1 Upgrading Starting
			+host/i2 = True
			+host/j1 = True`,
	}, {
		name:  "upgrade_list: a limit above what is left (differs: host keys, no role key while any host is behind)",
		fleet: "record v2 h1..2\nrecord v1 h3..5\nkey host/h1..3 True -1m",
		spec:  "instructions: {rollingRules: {global: 5}}",
		want:  "h1..2 Upgraded AtVersion\nh3 Upgrading Granted\nh4..5 Upgrading Starting\n+host/h4 = True\n+host/h5 = True",
	}, {
		name:  "upgrade_list: upgrading is at the limit, do nothing (differs: a host in two states at once cannot be)",
		fleet: "record v1 h1..5\nkey host/h1..3 True -1m",
		spec:  "instructions: {rollingRules: {global: 3}}",
		want:  "h1..3 Upgrading Granted\nh4..5 Pending NoFreeSlot\nno change",
	}, {
		name:  "upgrade_list: some slots are free",
		fleet: "record v1 h1..7\nkey host/h1..3 True -1m",
		spec:  "instructions: {rollingRules: {global: 5}}",
		want:  "h1..3 Upgrading Granted\nh4..5 Upgrading Starting\nh6..7 Pending NoFreeSlot\n+host/h4 = True\n+host/h5 = True",
	}, {
		name:  "upgrade_list: global and an override for a role",
		fleet: "record v1 h1..4 i1..3\nkey host/h1 True -1m\nkey host/i1 True -1m",
		spec:  "instructions: {rollingRules: {global: 3, roles: {i: 2}}}",
		want: `h1 Upgrading Granted
			h2..3 Upgrading Starting
			h4 Pending NoFreeSlot
			i1 Upgrading Granted
			i2 Upgrading Starting
			i3 Pending NoFreeSlot
			+host/h2 = True
			+host/h3 = True
			+host/i2 = True`,
	}, {
		name:  "upgrade_list: one pending host and a limit of one (differs: its host key, not its role's)",
		fleet: "record v1 h2",
		spec:  oneAtATime,
		want:  "h2 Upgrading Starting\n+host/h2 = True",
	}, {
		name:  "upgrade_list: a group that is awaited is upgrading",
		fleet: "record v1 bar1 baz1\nkey host/bar1 True -1m",
		spec:  "instructions: {rollingRules: {global: 1}, groupMappings: {foo: [bar]}, roleOrder: {baz: foo}}",
		want:  "bar1 Upgrading Granted\nbaz1 Pending WaitingForRole\nno change",
	}, {
		name:  "upgrade_list: a group that is awaited is pending (differs: its host key, not its role's)",
		fleet: "record v1 bar1 baz1",
		spec:  "instructions: {rollingRules: {global: 1}, groupMappings: {foo: [bar]}, roleOrder: {baz: foo}}",
		want:  "bar1 Upgrading Starting\nbaz1 Pending WaitingForRole\n+host/bar1 = True",
	}, {
		name:  "upgrade_list: two roles of one group are pending, one starts (a group named like one of its roles)",
		fleet: "record v1 bar1 baz1",
		spec:  "instructions: {rollingRules: {global: 1}, groupMappings: {baz: [bar]}}",
		want:  "bar1 Upgrading Starting\nbaz1 Pending NoFreeSlot: taken by bar1\n+host/bar1 = True",
	}, {
		name:  "upgrade_list: a finished role of a group (differs: no role key while legacy hosts look it up)",
		fleet: "record v2 bar1\nrecord v1 baz1\nkey host/bar1 True -1m",
		spec:  "instructions: {rollingRules: {global: 1}, groupMappings: {baz: [bar]}}",
		want:  "bar1 Upgraded AtVersion\nbaz1 Upgrading Starting\n+host/baz1 = True",
	}, {
		name:  "upgrade_list: a role of our group is upgrading, we wait",
		fleet: "record v1 bar1 baz1\nkey host/bar1 True -1m",
		spec:  "instructions: {rollingRules: {global: 1}, groupMappings: {baz: [bar]}}",
		want:  "bar1 Upgrading Granted\nbaz1 Pending NoFreeSlot\nno change",
	}, {
		name:  "upgrade_status: hosts and no keys: enabled",
		fleet: "bare\nrecord v1 h2\nrecord v2 h1\ncurrent v2",
		spec:  "no plan",
		want:  "h1 Upgraded AtVersion\nh2 Upgrading Granted: enabled, because no key is set",
	}, {
		name:  "upgrade_status: role and host keys take precedence over global",
		fleet: "record v2 h1\nrecord v1 h2 i3\nrecord v3 i4\nkey role/h True -1m\nkey host/i4 True -1m",
		spec:  "no plan",
		want:  "h1 Upgraded AtVersion\nh2 Upgrading Granted\ni3 Pending NoPlan\ni4 Upgrading Granted",
	}, {
		name:  "upgrade_status: differs: the text False is a no",
		fleet: "record v1 h1\nkey host/h1 False",
		spec:  "no plan",
		want:  "h1 Pending NoPlan",
	}, {
		name:  "upgrade_status: differs: a host under two versions is counted once",
		fleet: "record v1 h1\nrecord v2 h1",
		spec:  "no plan",
		want:  "h1 Upgraded AtVersion",
	}, {
		name:  "key_status_off_role: differs: a host name without a role is reported, and is no error",
		fleet: "record v1 H1",
		want:  "H1 Unknown NoRole\nnot complete",
	}, {
		name:  "subrole_mappings and group_from_role: several patterns, matched from the front",
		fleet: "record v1 foo1..2 bar1",
		spec:  "instructions: {rollingRules: {roles: {g: 0}}, groupMappings: {g: [blah, 'fo.*?']}}",
		want:  "bar1 Upgrading Starting\nfoo1..2 Pending LimitZero: the limit of g is 0",
	}, {
		name:  "roles_not_allowed: c waits while a is upgrading",
		fleet: "record v1 a1 b1 b2 c1\nkey host/a1 True -1m\nkey host/b1 True -1m",
		spec:  "instructions: {roleOrder: {c: a}}",
		want:  "a1 Upgrading Granted\nb1 Upgrading Granted\nb2 Upgrading Starting\nc1 Pending WaitingForRole",
	}, {
		name:  "roles_not_allowed: without an order no role waits",
		fleet: "record v1 a1 b1 b2 c1\nkey host/a1 True -1m\nkey host/b1 True -1m",
		want:  "a1 Upgrading Granted\nb1 Upgrading Granted\nb2 Upgrading Starting\nc1 Upgrading Starting",
	}, {
		name:  "differs: a limit of 0 is 0, not the global one",
		fleet: "record v1 h1",
		spec:  "instructions: {rollingRules: {global: 2, roles: {h: 0}}}",
		want:  "h1 Pending LimitZero",
	}, {
		name:  "differs: a rule for a role inside a group applies",
		fleet: "record v1 bar1..2",
		spec:  "instructions: {rollingRules: {global: 2, roles: {bar: 1}}, groupMappings: {g: [bar]}}",
		want:  "bar1 Upgrading Starting\nbar2 Pending NoFreeSlot",
	}, {
		name:  "differs: an order for a role inside a group, or for a group, applies",
		fleet: "record v1 bar1 db1",
		spec:  "instructions: {groupMappings: {g: [bar]}, roleOrder: {bar: db}}",
		want:  "bar1 Pending WaitingForRole\ndb1 Upgrading Starting",
	}, {
		name:  "differs: natural order, not that of strings",
		fleet: "record v1 h10 h9",
		spec:  oneAtATime,
		want:  "h9 Upgrading Starting\nh10 Pending NoFreeSlot",
	}})
}
