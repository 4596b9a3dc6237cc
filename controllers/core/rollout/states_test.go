// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"slices"
	"testing"
)

// docs/design/protocol.md, sections 1 to 3: what a host is.
func TestHostStates(t *testing.T) {
	check(t, []example{{
		name:  "its newest record is the version: upgraded",
		fleet: `record v2 web1`,
		want:  "web1 Upgraded AtVersion: has reached v2\ncomplete",
	}, {
		name:  "another record and no key that enables it: pending, and released",
		fleet: `record v1 web1`,
		want:  "web1 Upgrading Starting: nothing limits its role\n+host/web1 = True",
	}, {
		name:  "under two versions the record with the highest ModifyIndex counts: the newer is the old version",
		fleet: "record v2 web1\nrecord v1 web1\nkey host/web1 True -1m",
		want:  "web1 Upgrading Granted",
	}, {
		name:  "under two versions the record with the highest ModifyIndex counts: the newer is the plan's",
		fleet: "record v1 web1 at 5m\nrecord v2 web1 at -5m",
		want:  "web1 Upgraded AtVersion",
	}, {
		name:  "an agent that has started is not upgraded, even if its record says so",
		fleet: "record v2 web1\nagent web1\nstarted web1 v2 -1m",
		want:  "web1 Upgrading Starting: it holds a slot of web already",
		spec:  "instructions: {rollingRules: {global: 1}}",
	}, {
		name:  "an agent whose last report is of another version begun is not upgraded",
		fleet: "record v2 web1\nreport web1 Upgrading v3 -1m",
		spec:  "instructions: {rollingRules: {global: 0}}",
		want:  "web1 Pending LimitZero",
	}, {
		name:  "an agent whose last report is of another version failed is not upgraded",
		fleet: "record v2 web1\nreport web1 Failed v3 -1m",
		spec:  "instructions: {rollingRules: {global: 0}}",
		want:  "web1 Pending LimitZero",
	}, {
		name:  "an agent that reports an older version idle, with the record of the plan's, is not upgraded",
		fleet: "record v2 web1\nreport web1 Idle v1 -1h",
		spec:  "instructions: {rollingRules: {global: 0}}",
		want:  "web1 Pending LimitZero",
	}, {
		name:  "an agent that reports the plan's version, without a record or with one of an older version, is upgraded",
		fleet: "record v1 web1\nreport web1 Idle v2 -1h\nreport web2 Idle v2 -1h",
		want:  "web1..2 Upgraded AtVersion",
	}, {
		name:  "a granted agent is upgrading",
		fleet: "record v1 web1\nagent web1\nkey host/web1 True -1m",
		want:  "web1 Upgrading Granted: granted at 2026-03-06T11:59:00Z by its host key",
	}, {
		name:  "a started agent says since when",
		fleet: "record v1 web1\nagent web1\nkey host/web1 True -2m\nstarted web1 v2 -1m",
		want:  "web1 Upgrading Granted: started at 2026-03-06T11:59:00Z",
	}, {
		name:  "Failed: it reported a failure, and the sentence says which",
		fleet: "record v1 web1\nreport web1 Failed v2 -1m disk full\nkey host/web1 True -5m\nstarted web1 v2 -4m",
		want:  "web1 Failed ReportedFailure: failed to reach v2: disk full",
	}, {
		name:  "Failed: silent past progressDeadlineSeconds",
		fleet: "record v1 web1\nkey host/web1 True -1h",
		want:  "web1 Failed ProgressDeadlineExceeded: silent since 2026-03-06T11:00:00Z",
	}, {
		name:  "not yet silent past the deadline",
		fleet: "record v1 web1\nkey host/web1 True -3599s",
		want:  "web1 Upgrading Granted",
	}, {
		name:  "the deadline runs from the later of grant and start: the start is later",
		fleet: "record v1 web1\nagent web1\nkey host/web1 True -2h\nstarted web1 v2 -59m",
		want:  "web1 Upgrading Granted",
	}, {
		name:  "the deadline runs from the later of grant and start: the grant is later",
		fleet: "record v1 web1\nagent web1\nkey host/web1 True -59m\nstarted web1 v1 -2h",
		want:  "web1 Upgrading Granted",
	}, {
		name:  "the deadline of the plan counts",
		fleet: "record v1 web1\nkey host/web1 True -61s",
		spec:  "progressDeadlineSeconds: 60",
		want:  "web1 Failed ProgressDeadlineExceeded",
	}, {
		name:  "a grant from the future counts as given now",
		fleet: "record v1 web1\nkey host/web1 True 100h",
		want:  "web1 Upgrading Granted: granted at 2026-03-06T12:00:00Z",
	}, {
		name:  "Unknown: no role in its name, never released, blocks nothing",
		fleet: "record v1 HOST web1",
		want:  "HOST Unknown NoRole: its name contains no role\nweb1 Upgrading Starting",
	}, {
		name:  "Unknown: it does not count",
		fleet: "record v1 HOST\nrecord v2 web1",
		want:  "HOST Unknown NoRole\nweb1 Upgraded AtVersion\ncomplete",
	}, {
		name:  "the role of web12-a is web",
		fleet: "record v1 web12-a",
		spec:  "instructions: {rollingRules: {global: 9, roles: {web: 0}}}",
		want:  "web12-a Pending LimitZero: the limit of web is 0",
	}, {
		name:  "a role by the plan's pattern",
		fleet: "record v1 dc1-web7",
		spec:  "hosts: {rolePattern: '-([a-z]+)'}\ninstructions: {rollingRules: {global: 9, roles: {web: 0}}}",
		want:  "dc1-web7 Pending LimitZero: the limit of web is 0",
	}, {
		name:  "the host's report takes precedence over the plan's pattern",
		fleet: "record v1 dc1-web7\nsays dc1-web7 cache",
		spec:  "hosts: {rolePattern: '-([a-z]+)'}\ninstructions: {rollingRules: {global: 9, roles: {cache: 0}}}",
		want:  "dc1-web7 Pending LimitZero: the limit of cache is 0",
	}, {
		name:  "a pattern that does not match: no role",
		fleet: "record v1 web7",
		spec:  "hosts: {rolePattern: '-([a-z]+)'}",
		want:  "web7 Unknown NoRole",
	}, {
		name:  "a host that has only a report is known",
		fleet: `report web1 Idle "" -1m`,
		spec:  "instructions: {rollingRules: {global: 1}}",
		want:  "web1 Upgrading Starting",
	}, {
		name:  "Duplicate: two machines report as it, and it is not released",
		fleet: "record v1 web1\nagent web1\nduplicate web1",
		want: `web1 Duplicate Duplicate: reported by two machines (3f2a…, 91cc…): it is not granted until one of them is gone
			no change`,
	}, {
		name:  "a Duplicate loses its unused grant",
		fleet: "record v1 web1\nagent web1\nknows web1\nduplicate web1\ngrant web1 -1m",
		want: `web1 Duplicate Duplicate: (its grant is revoked before it started)
			-grants/web1`,
	}, {
		name:  "a Duplicate that has started keeps its slot",
		fleet: "record v1 web1 web2\nagent web1\nduplicate web1\nstarted web1 v2 -1m",
		spec:  "instructions: {rollingRules: {global: 1}}",
		want: `web1 Duplicate Duplicate: (it may have started, and keeps its slot until it reports)
			web2 Pending NoFreeSlot: 1 of 1 slots of web are taken by web1`,
	}, {
		name:  "a Duplicate that failed is shown as failed",
		fleet: "record v1 web1\nreport web1 Failed v2 -1m disk full\nduplicate web1\nkey host/web1 True -5m\nstarted web1 v2 -4m",
		want:  "web1 Failed ReportedFailure",
	}, {
		name:  "a Duplicate that has the version is complete, and its state says so",
		fleet: "record v2 web1\nagent web1\nduplicate web1",
		want:  "web1 Duplicate Duplicate: has reached v2, but it is reported by two machines\ncomplete",
	}, {
		name:  "without a plan current_version decides the states, and nothing is written",
		fleet: "record v2 web1\nrecord v1 web2 web3\nkey host/web2 True",
		spec:  "no plan",
		want:  "web1 Upgraded AtVersion\nweb2 Upgrading Granted\nweb3 Pending NoPlan\nno change\nnot complete",
	}})
}

func TestDuplicatesAreWarnedOf(t *testing.T) {
	d := newWorld(t, "record v2 web1..2\nagent web1..2\nduplicate web2", "").decide()
	want := []string{"1 of 2 hosts are each reported by two machines (web2): they are not granted"}
	if !slices.Equal(d.Warnings, want) {
		t.Errorf("%q, want %q", d.Warnings, want)
	}
}

// Section 1 and 3: what enables a host, as that host reads it.
func TestEnablingKeys(t *testing.T) {
	one := "instructions: {rollingRules: {global: 0}}" // grants no host
	check(t, []example{{
		name:  "the host's key takes precedence over the role's, and the role's over global",
		fleet: "record v1 web1..3\nkey host/web1 False\nkey role/web True -1m\nkey host/web3 True -2m",
		spec:  one,
		want: `web1 Pending LimitZero
			web2 Upgrading Granted: by its role key
			web3 Upgrading Granted: by its host key`,
	}, {
		name:  "global enables whom nothing else names",
		fleet: "record v1 web1\nkey global True -1m",
		spec:  one,
		want: `web1 Upgrading Granted: by its global key
			+host/web1 = True
			+global = False`,
	}, {
		name:  "none set: a legacy host is enabled; the next commit ends that, and it keeps its slot by a mark",
		fleet: "bare\ncurrent v2\nrecord v1 web1",
		spec:  one,
		want: `web1 Upgrading Revoked
			gate Revoking
			+started/web1 = by controller
			+global = False`,
	}, {
		name:  "none set: an agent may not change its version, and gets no marker",
		fleet: "bare\ncurrent v2\nrecord v1 web1\nagent web1",
		spec:  one,
		want:  "web1 Pending LimitZero\n+global = False",
	}, {
		name:  "none set: an agent on first boot goes by the lookup alone, and is enabled",
		fleet: "bare\ncurrent v2\nreport web1 Idle \"\" -1m",
		spec:  one,
		want:  "web1 Upgrading Revoked\n+global = False",
	}, {
		name:  "an old True is no grant to an agent, and a grant rewrites the key",
		fleet: "bare\nrecord v1 web1\nagent web1\nkey host/web1 True -2h\nkey global False\ncurrent v2",
		spec:  "instructions: {rollingRules: {global: 1}}",
		want:  "web1 Upgrading Starting\n+host/web1 = True (rewritten)",
	}, {
		name:  "an old True enables a legacy host",
		fleet: "bare\nrecord v1 web1\nkey host/web1 True -30m\nkey global False\ncurrent v2",
		spec:  one,
		want:  "web1 Upgrading Granted\nno change",
	}, {
		name:  "an old True on the role is a yes to an agent on first boot",
		fleet: "bare\nreport web1 Idle \"\" -1m\nkey role/web True -2m\nkey global False\ncurrent v2",
		spec:  one,
		want:  "web1 Upgrading Granted: by its role key",
	}, {
		name:  "false in lower case is a yes to a legacy host, and is written properly",
		fleet: "record v1 web1\nkey host/web1 false",
		spec:  one,
		want: `web1 Upgrading Revoked
			+started/web1 = by controller
			+host/web1 = False`,
	}, {
		name:  "false in lower case is a no to an agent, and is written properly",
		fleet: "record v1 web1\nagent web1\nkey host/web1 false",
		spec:  one,
		want:  "web1 Pending LimitZero\n+host/web1 = False",
	}, {
		name:  "true in lower case and 1 enable, and are written properly",
		fleet: "record v1 web1..2\nagent web1\nkey host/web1 true -1m\nkey host/web2 1 -1m",
		spec:  one,
		want:  "web1..2 Upgrading Granted\n+host/web1 = True\n+host/web2 = True",
	}, {
		name:  "0 disables an agent",
		fleet: "record v1 web1\nagent web1\nkey host/web1 0",
		spec:  one,
		want:  "web1 Pending LimitZero\n+host/web1 = False",
	}, {
		name:  "the version's own name enables",
		fleet: "record v1 web1..2\nagent web1\nkey host/web1 v2 -1m\nkey host/web2 v2 -1m",
		spec:  one,
		want:  "web1..2 Upgrading Granted\n+host/web1 = True\n+host/web2 = True",
	}, {
		name:  "another version's name: a no to an agent, a yes to a legacy host; the key goes",
		fleet: "record v1 web1..2\nagent web1\nkey host/web1..2 v9 -1m",
		spec:  one,
		want: `web1 Pending Revoking
			web2 Upgrading Revoked
			!host/web1 is "v9"
			+started/web2 = by controller
			-host/web1
			-host/web2`,
	}, {
		name:  "an invalid value disables an agent and enables a legacy host",
		fleet: "record v1 web1..2\nagent web1\nkey host/web1..2 \"\\x00\\xff!\"",
		spec:  one,
		want: `web1 Pending Revoking
			web2 Upgrading Revoked
			+started/web2 = by controller
			+host/web1 = False
			+host/web2 = False`,
	}, {
		name:  "an invalid value of the role's key enables all legacy hosts of the role",
		fleet: "record v1 web1..2\nkey role/web yes!",
		spec:  one,
		want: `web1..2 Upgrading Revoked
			+started/web1 = by controller
			+started/web2 = by controller
			+role/web = False`,
	}, {
		name:  "a key without grant time is stamped, with that the deadline begins",
		fleet: "record v1 web1\nkey host/web1 True",
		spec:  one,
		want:  "web1 Upgrading Granted: at an unknown time\n+host/web1 = True (rewritten)",
	}, {
		name:  "other flags alone are no difference",
		fleet: "record v1 web1\nkey host/web1 True -7m",
		spec:  one,
		want:  "web1 Upgrading Granted\nno change",
	}, {
		name:  "a deleted tree: hosts at the version get their keys back first, and agents are granted again after that",
		fleet: "bare\ncurrent v2\nrecord v2 web1\nrecord v1 web2..3\nagent web3",
		spec:  "instructions: {rollingRules: {global: 1}}",
		want: `web1 Upgraded AtVersion
			web2 Upgrading Revoked
			web3 Pending Revoking
			+started/web2 = by controller
			+host/web1 = True
			+global = False`,
	}, {
		name:  "keys of unknown hosts stay until the next switch; False by another writer stays",
		fleet: "record v2 web1\nagent web1\nknows web1\nkey host/web1 True -1m\nkey host/web7 True -1m\nkey host/web8 False",
		spec:  one,
		want:  "web1 Upgraded AtVersion\n+role/web = True",
	}})
}

// A pass removes the started marker that the controller wrote and that has expired. It decides as if the marker were gone
// already: a second pass would otherwise decide differently. See example.check.
func TestExpiredMarkerDecidesNothing(t *testing.T) {
	check(t, []example{{
		name:  "a host known by its marker alone is no legacy host",
		fleet: "record v2 web1\nagent web1\nkey host/web1 True\nmarked db1 v0 -2h\nrecord v1 web2\nagent web2\npaused",
		spec:  "keys: {format: Version}",
		want: `db1 Lost LostFromCatalog: only a started marker that has expired
			web1 Upgraded AtVersion
			web2 Pending PlanPaused
			+host/web1 = v2
			-started/db1`,
	}, {
		name:  "so that it does not keep the version from being switched",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v1 web1\nagent web1\nmarked db1 v0 -2h\nkey host/db1 False",
		spec:  "keys: {format: Version}",
		want:  "db1 Lost LostFromCatalog\nweb1 Upgraded AtVersion\ngate VersionSwitch",
	}, {
		name:  "it is not granted, and counts for no percentage",
		fleet: "record v1 web1..9\nmarked web10 v1 -2h",
		spec:  "instructions: {rollingRules: {global: 20%}}",
		want:  "web1 Upgrading Starting: slot 1 of 1 of web\nweb2..9 Pending NoFreeSlot\nweb10 Lost LostFromCatalog",
	}, {
		name:  "it does not keep its role from being enabled",
		fleet: "record v2 web1..2\nagent web1..2\nknows web1..2\nkey host/web1..2 True -1m\nmarked web3 v1 -2h",
		want:  "web1..2 Upgraded AtVersion\nweb3 Lost LostFromCatalog\ncomplete\n+role/web = True\n-started/web3",
	}, {
		name:  "a role of which nothing else is known has vanished",
		fleet: "record v1 web1\nmarked db1 v1 -2h\nseen db web",
		spec:  "instructions: {roleOrder: {web: db}}",
		want:  "db1 Lost LostFromCatalog\nweb1 Pending WaitingForRole: whose hosts have all vanished",
	}, {
		name:  "the marker stays while a key enables the host",
		fleet: "record v1 web2\nmarked web1 v2 -2h\nkey host/web1 True -2h",
		spec:  oneAtATime,
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2 Pending NoFreeSlot\nno change",
	}, {
		name:  "checks that fail are not the rollout's doing when only the marker says that it began",
		fleet: "record v2 web1\nmarked web1 v2 -2h\ncheck web1 disk critical",
		spec:  "healthGate: {checks: [disk]}\nfailurePolicy: {maxFailed: 0}",
		want:  "web1 Upgraded AtVersion\ncomplete",
	}})
}

// An agent with a version starts by a key that is newer than current_version, so that writing an older one is a start.
func TestOldKeysAreNotMadeNew(t *testing.T) {
	const old = "bare\nkey global False\nkey host/web7 True\nkey host/web8 1 -5m\nkey role/web True\ncurrent v2\n" +
		"record v2 web1\nagent web1\nknows web1\nkey host/web1 True -1m\n"
	check(t, []example{{
		name:  "keys of unknown hosts stay as they are, and a stop keeps the key of the role",
		fleet: old + "paused",
		want:  "web1 Upgraded AtVersion\nno change",
	}, {
		name:  "also when keys say the version's name",
		fleet: old + "paused",
		spec:  "keys: {format: Version}",
		want:  "web1 Upgraded AtVersion\n+host/web1 = v2",
	}, {
		name:  "also without a stop",
		fleet: old,
		want:  "web1 Upgraded AtVersion\nno change",
	}, {
		name:  "newer keys of unknown hosts are written properly",
		fleet: old + "key host/web7 True\nkey host/web8 1 -5m\npaused",
		want:  "web1 Upgraded AtVersion\n+host/web7 = True (rewritten)\n+host/web8 = True",
	}, {
		name:  "what disables is written properly, and what means another version goes",
		fleet: old + "key host/web7 false\nkey host/web8 v1\npaused",
		want:  "web1 Upgraded AtVersion\n+host/web7 = False\n-host/web8",
	}})
}
