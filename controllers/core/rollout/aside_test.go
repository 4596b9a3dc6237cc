// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import "testing"

const (
	threeAttempts = "failurePolicy: {maxFailed: 2, setAside: Failed, afterAttempts: 3}\n" + oneAtATime
	keepsSlot     = "failurePolicy: {maxFailed: 2}\n" + oneAtATime
)

func TestSetAside_FreesTheSlotOfAFailedHost(t *testing.T) {
	check(t, []example{{
		name:  "without the policy a failed host keeps its slot",
		fleet: knowing + "attempt web1 9 waits -1m\nkey host/web1 True -1m",
		spec:  keepsSlot,
		want:  "web1 Failed ReportedFailure\nweb2..3 Pending NoFreeSlot: failed: web1\nno change",
	}, {
		name:  "an attempt is left",
		fleet: knowing + "attempt web1 2 waits -1m\nkey host/web1 True -1m",
		spec:  threeAttempts,
		want:  "web1 Failed ReportedFailure\nweb2..3 Pending NoFreeSlot: failed: web1\nno change",
	}, {
		name:  "no attempt is left: the marker goes first",
		fleet: knowing + "attempt web1 3 waits -1m\nkey host/web1 True -1m",
		spec:  threeAttempts,
		want:  "web1 SetAside SetAside: after failed attempt 3 of 3\nweb2..3 Pending Revoking\n-host/web1\n-started/web1",
	}, {
		name:  "the next pass grants another host",
		fleet: knowing + "attempt web1 3 is_over",
		spec:  threeAttempts,
		want: `web1 SetAside SetAside
			web2 Upgrading Starting
			web3 Pending NoFreeSlot
			+host/web2 = True
			+grants/web2`,
	}, {
		name:  "an attempt that runs is not set aside",
		fleet: knowing + "attempt web1 3 runs -1m\nkey host/web1 True -1m",
		spec:  threeAttempts,
		want:  "web1 Failed ReportedFailure\nweb2..3 Pending NoFreeSlot\nno change",
	}, {
		name:  "a host that was set aside stays so without the policy",
		fleet: knowing + "attempt web1 3 is_over",
		spec:  keepsSlot,
		want:  "web1 SetAside SetAside\nweb2 Upgrading Starting\nweb3 Pending NoFreeSlot\n+host/web2 = True\n+grants/web2",
	}, {
		name:  "hosts that are set aside spend the budget",
		fleet: knowing + "attempt web1 3 is_over\nattempt web2 3 is_over\nattempt web3 3 waits -1m\nkey host/web3 True -1m",
		spec:  "failurePolicy: {maxFailed: 2, setAside: Failed}\n" + oneAtATime,
		want: `web1..3 SetAside SetAside
			-host/web3
			-started/web3`,
	}, {
		name:  "a role does not wait for a host that is set aside",
		fleet: "record v1 db1..2 web1\nagent db1..2 web1\nknows db1..2 web1\nrecord v2 db2\nreport db2 Idle v2\nknows db2\nattempt db1 3 is_over\nkey host/db2 True -1m",
		spec:  "failurePolicy: {maxFailed: 2, setAside: Failed}\ninstructions: {roleOrder: {web: db}}",
		want:  "db1 SetAside SetAside\ndb2 Upgraded AtVersion\nweb1 Upgrading Starting\n+host/web1 = True\n+grants/web1",
	}, {
		name:  "by order, although its attempt may run",
		fleet: knowing + "started web1 v2 -2h\nkey host/web1 True -2h\nsetaside web1 broken disk",
		spec:  oneAtATime,
		want:  "web1 SetAside SetAside: broken disk; its slot is free until\nweb2..3 Pending Revoking\n-host/web1\n-started/web1",
	}, {
		name:  "by order, and the operator saw its start",
		fleet: knowing + "started web1 v2 -2h\nkey host/web1 True -2h\nsetaside web1\nsaw web1",
		spec:  oneAtATime,
		want:  "web1 SetAside SetAside\nweb2..3 Pending Revoking\n-host/web1\n-started/web1",
	}, {
		name:  "not by an order that came before its start",
		fleet: knowing + "setaside web1\nsaw web1\nstarted web1 v2 -1m\nkey host/web1 True -2h",
		spec:  oneAtATime,
		want:  "web1 Upgrading Granted\nweb2..3 Pending NoFreeSlot\nno change",
	}, {
		name:  "by an order that came before its start, once that attempt has failed",
		fleet: knowing + "setaside web1\nsaw web1\nattempt web1 1 waits -1m\nkey host/web1 True -2h",
		spec:  oneAtATime,
		want:  "web1 SetAside SetAside\nweb2..3 Pending Revoking\n-host/web1\n-started/web1",
	}, {
		name:  "not by an order of an operator whose clock is ahead: it has not failed yet",
		fleet: knowing + "started web1 v2 -10m\nkey host/web1 True -10m\nsetaside web1\nsaw web1",
		spec:  oneAtATime,
		want: "web1 Upgrading Granted: it is set aside by ops if it has not reported by 2026-03-06T12:50:00Z\n" +
			"web2..3 Pending NoFreeSlot\nno change",
	}, {
		name:  "but at once if it has not started: it loses its grant",
		fleet: knowing + "grant web1 -10m\nkey host/web1 True -10m\nsetaside web1\nsaw web1",
		spec:  oneAtATime,
		want:  "web1 SetAside SetAside\nweb2..3 Pending Revoking\n-host/web1\n-grants/web1",
	}, {
		name:  "nor by one against a legacy host",
		fleet: "record v1 web1..2\nkey host/web1 True -10m\nsetaside web1",
		spec:  oneAtATime,
		want:  "web1 Upgrading Granted\nweb2 Pending NoFreeSlot\nno change",
	}, {
		name:  "by order, a legacy host",
		fleet: "record v1 web1..2\nkey host/web1 True -2h\nsetaside web1",
		spec:  oneAtATime,
		want:  "web1 SetAside SetAside\nweb2 Pending Revoking\n-host/web1",
	}, {
		name:  "by order, a host that has the version, while its checks fail",
		fleet: knowing + "record v2 web1\nreport web1 Idle v2\nknows web1\nkey host/web1 True -1m\ncheck web1 web critical\nsetaside web1",
		spec:  "healthGate: {checks: [web]}\n" + oneAtATime,
		want:  "web1 SetAside SetAside\nweb2 Upgrading Starting\nweb3 Pending NoFreeSlot\n+host/web2 = True\n+grants/web2",
	}, {
		name:  "by order, after an order to retry it",
		fleet: knowing + "attempt web1 2 waits -1m\nkey host/web1 True -1m\nretry web1 2\nsetaside web1\npaused",
		spec:  threeAttempts,
		want:  "web1 SetAside SetAside\nweb2..3 Pending PlanPaused\n-host/web1\n-started/web1",
	}, {
		name:  "among canaries too, no role waits for it",
		fleet: "record v1 db1..2 web1..2\nagent db1..2 web1..2\nknows db1..2 web1..2\nattempt db1 3 is_over",
		spec:  "failurePolicy: {maxFailed: 2, setAside: Failed}\ncanary: {hosts: [db1, web1]}\ninstructions: {roleOrder: {web: db}}",
		want: `db1 SetAside SetAside
			db2 Pending WaitingForCanary
			web1 Upgrading Starting
			web2 Pending WaitingForCanary
			+host/web1 = True
			+grants/web1`,
	}, {
		name:  "a host that succeeds after all is upgraded",
		fleet: knowing + "record v2 web1\nreport web1 Idle v2\nknows web1\nkey host/web1 True -1m\nsetaside web1",
		spec:  "instructions: {rollingRules: {global: 0}}",
		want:  "web1 Upgraded AtVersion\nweb2..3 Pending LimitZero\nno change",
	}})
}

func TestRetry_GrantsAgain(t *testing.T) {
	check(t, []example{{
		name:  "after all others",
		fleet: knowing + "attempt web1 3 is_over\nretry web1 3",
		spec:  threeAttempts,
		want:  "web1 Pending NoFreeSlot\nweb2 Upgrading Starting\nweb3 Pending NoFreeSlot\n+host/web2 = True\n+grants/web2",
	}, {
		name:  "when a slot is free",
		fleet: "record v2 web2..3\nagent web2..3\nknows web2..3\nkey host/web2..3 True -1m\nrecord v1 web1\nagent web1\nknows web1\nattempt web1 3 is_over\nretry web1 3",
		spec:  threeAttempts,
		want:  "web1 Upgrading Starting\nweb2..3 Upgraded AtVersion\n+host/web1 = True\n+grants/web1",
	}, {
		name:  "a host that waits for its next attempt begins it now, in its slot",
		fleet: knowing + "attempt web1 2 waits -1m\nkey host/web1 True -1m\nretry web1 2",
		spec:  threeAttempts,
		want:  "web1 Upgrading Starting\nweb2..3 Pending NoFreeSlot\n+host/web1 = True (rewritten)\n+grants/web1",
	}, {
		name:  "not twice",
		fleet: knowing + "attempt web1 3 is_over\nretry web1 2",
		spec:  threeAttempts,
		want:  "web1 SetAside SetAside\nweb2 Upgrading Starting\nweb3 Pending NoFreeSlot\n+host/web2 = True\n+grants/web2",
	}, {
		name:  "it takes a place in the budget until it succeeds",
		fleet: knowing + "attempt web1 3 is_over\nretry web1 3",
		spec:  "failurePolicy: {maxFailed: 0, setAside: Failed}\n" + oneAtATime,
		want:  "web1 Pending FailureBudgetExceeded\nweb2..3 Pending FailureBudgetExceeded\nno change",
	}, {
		name:  "a host that does not begin fails by its deadline",
		fleet: knowing + "attempt web1 3 is_over\nretry web1 3\nkey host/web1 True -5h\ngrant web1 -5h",
		spec:  threeAttempts,
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2..3 Pending NoFreeSlot: failed: web1\nno change",
	}, {
		name:  "a host that was silent takes a place in the budget too",
		fleet: knowing + "retry web1 0",
		spec:  "failurePolicy: {maxFailed: 0}\n" + oneAtATime,
		want:  "web1..3 Pending FailureBudgetExceeded\nno change",
	}, {
		name:  "a pause holds it",
		fleet: knowing + "attempt web1 2 waits -1m\nkey host/web1 True -1m\nretry web1 2\npaused",
		spec:  threeAttempts,
		want:  "web1 Failed ReportedFailure\nweb2..3 Pending PlanPaused\nno change",
	}})
}
