// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Required checks: when they decide about a host, and when they do not.
func TestRequiredChecks(t *testing.T) {
	const two = "healthGate: {checks: [puppet, validation, service:web]}\ninstructions: {rollingRules: {global: 2}}"
	const flying = "record v1 web1..4\nagent web1..4\nkey host/web1 True -5m\nstarted web1 v2 -4m\n"
	const done = "record v2 web1\nrecord v1 web2..4\nagent web1..4\nkey host/web1 True -5m\n"
	check(t, []example{{
		name:  "a critical check fails a host in flight, which keeps its slot",
		fleet: flying + "check web1 service:web critical",
		spec:  two,
		want: "web1 Failed ChecksFailing: =required checks fail: service:web is critical\nweb2 Upgrading Starting\n" +
			"web3..4 Pending NoFreeSlot: failed: web1",
	}, {
		name:  "a warning does not",
		fleet: flying + "check web1 service:web warning",
		spec:  two,
		want:  "web1 Upgrading Granted\nweb2 Upgrading Starting\nweb3..4 Pending NoFreeSlot",
	}, {
		name:  "but of puppet and validation",
		fleet: flying + "check web1 puppet warning\ncheck web1 validation warning",
		spec:  two,
		want: "web1 Failed ChecksFailing: puppet is warning, validation is warning\nweb2 Upgrading Starting\n" +
			"web3..4 Pending NoFreeSlot",
	}, {
		name:  "other checks have no say",
		fleet: flying + "check web1 serfHealth critical\ncheck db1 puppet critical",
		spec:  two,
		want:  "web1 Upgrading Granted\nweb2 Upgrading Starting\nweb3..4 Pending NoFreeSlot",
	}, {
		name:  "its own report takes precedence",
		fleet: flying + "check web1 puppet critical\nreport web1 Failed v2 -1m it broke",
		spec:  two,
		want:  "web1 Failed ReportedFailure: it broke\nweb2 Upgrading Starting\nweb3..4 Pending NoFreeSlot",
	}, {
		name:  "an upgraded host does not count, and keeps its slot, until its checks pass",
		fleet: done + "check web1 puppet critical",
		spec:  two,
		want: "web1 Failed ChecksFailing: =has reached v2, but required checks fail: puppet is critical\n" +
			"web2 Upgrading Starting\nweb3..4 Pending NoFreeSlot",
	}, {
		name:  "a host that was unhealthy at its grant does not fail by its checks",
		fleet: "record v2 web1\nrecord v1 web2..4\nagent web1..4\nkey host/web1 True -5m unhealthy\ncheck web1 puppet critical",
		spec:  two,
		want:  "web1 Upgraded AtVersion\nweb2..3 Upgrading Starting\nweb4 Pending NoFreeSlot",
	}, {
		name:  "nor does it spend the budget",
		fleet: "record v1 web1..2\nagent web1..2\nkey host/web1 True -5m unhealthy\nstarted web1 v2 -4m\ncheck web1 puppet critical",
		spec:  "healthGate: {checks: [puppet]}\nfailurePolicy: {maxFailed: 0}",
		want:  "web1 Upgrading Granted\nweb2 Upgrading Starting",
	}, {
		name:  "one whose checks have failed since does",
		fleet: "record v1 web1..2\nagent web1..2\nkey host/web1 True -5m\nstarted web1 v2 -4m\ncheck web1 puppet critical",
		spec:  "healthGate: {checks: [puppet]}\nfailurePolicy: {maxFailed: 0}",
		want:  "web1 Failed ChecksFailing\nweb2 Pending FailureBudgetExceeded: 1 of 2 hosts have failed (web1)",
	}, {
		name: "until an operator lets the rollout go on: what failed before that is forgiven",
		fleet: "record v1 web1..2\nagent web1..2\nkey host/web1 True -5m\nstarted web1 v2 -4m\ncheck web1 puppet critical\n" +
			"failing web1 -3m\nresumed -2m",
		spec: "healthGate: {checks: [puppet]}\nfailurePolicy: {maxFailed: 0}",
		want: "web1 Failed ChecksFailing\nweb2 Upgrading Starting",
	}, {
		name:  "a soak begins again when checks pass again",
		fleet: "record v2 web1 at -50m\nagent web1\nkey host/web1 True -55m\nfailing web1 -20m -10m",
		spec:  "healthGate: {checks: [puppet]}\nminReadySeconds: 1800",
		want:  "web1 Upgraded Soaking: =has reached v2, and counts as upgraded at 2026-03-06T12:20:00Z after soaking for 1800 s\nnot complete",
	}})
}

// A host that was unhealthy when it was released is remembered so in the flags of its key, at no extra write.
func TestChecksThatFailAtTheGrantDoNotCount(t *testing.T) {
	w := newWorld(t, "record v1 web1..2\nagent web1..2\ncheck web1 puppet critical",
		"healthGate: {checks: [puppet]}\nfailurePolicy: {maxFailed: 0}")
	w.settle()
	f := w.observe()
	for i, unhealthy := range []bool{true, false} {
		if s := f.Hosts[i].Setting; s.Unhealthy != unhealthy || s.Granted != noon.Unix() {
			t.Errorf("%s: unhealthy %v, granted %d", f.Hosts[i].Name, s.Unhealthy, s.Granted)
		}
	}
	w.line("check web2 puppet critical")
	if d := w.settle(); d.Verdicts[0].State == "Failed" || d.Verdicts[1].Reason != "ChecksFailing" {
		t.Errorf("%s", verdictLines(d))
	}
}

// The controller's marker keeps that the checks of a host failed before the rollout touched it.
func TestChecksThatFailBeforeAMarkerDoNotCount(t *testing.T) {
	for _, tt := range []struct{ name, fleet, spec string }{
		{"the grant of an unhealthy host is revoked",
			"record v1 web1..2\nkey host/web1 True -5m unhealthy\ncheck web1 puppet critical\naborted", ""},
		{"a host is enabled by a missing key", "bare\ncurrent v2\nrecord v1 web1..2\ncheck web1 puppet critical", "paused: true"},
	} {
		w := newWorld(t, tt.fleet, tt.spec+"\nhealthGate: {checks: [puppet]}\nfailurePolicy: {maxFailed: 0}")
		w.settle()
		f, d := w.observe(), w.decide()
		if m := f.Hosts[0].Started; m == nil || !m.Unhealthy {
			t.Errorf("%s: the marker is %+v", tt.name, m)
		}
		if d.Verdicts[0].State == "Failed" {
			t.Errorf("%s: %s", tt.name, verdictLines(d))
		}
	}
}

// A key that is older than the switch says nothing of the checks at a grant. To stamp it does not make them count.
func TestChecksThatFailBeforeAKeyIsStampedDoNotCount(t *testing.T) {
	w := newWorld(t, "bare\nkey host/web1 True\ncurrent v2\nrecord v2 web1..2\nagent web1..2\ncheck web1 puppet critical\nsetaside web1",
		"healthGate: {checks: [puppet]}\nfailurePolicy: {maxFailed: 0}")
	w.settle()
	if d := w.decide(); d.Verdicts[0].State == "SetAside" || d.Halt != nil {
		t.Errorf("%s", verdictLines(d))
	}
}

// The ledger remembers when checks were first seen to fail and to pass again, writes each once, and forgets.
func TestCheckTimesInTheLedger(t *testing.T) {
	w := newWorld(t, "record v1 web1\nagent web1", "healthGate: {checks: [puppet]}\nminReadySeconds: 600")
	at := func(minutes int) string {
		w.now = noon.Add(time.Duration(minutes) * time.Minute)
		c, ok := w.settle().Ledger.Checks["web1"]
		if !ok {
			return "nothing"
		}
		text := fmt.Sprintf("failed %d", (c.Failed-noon.Unix())/60)
		if c.Passed != 0 {
			text += fmt.Sprintf(" passed %d", (c.Passed-noon.Unix())/60)
		}
		return text
	}
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	want(at(0), "nothing")
	w.line("check web1 puppet critical")
	want(at(1), "failed 1")
	want(at(2), "failed 1")
	remove(&w.raw.Records, w.layout.Record("v1", "web1"))
	w.line("record v2 web1")
	w.report("web1", fleet.Report{Phase: fleet.PhaseIdle, Version: "v2", Time: w.now})
	want(at(3), "failed 1")
	w.raw.Checks = nil
	want(at(5), "failed 1 passed 5")
	want(at(6), "failed 1 passed 5")
	w.line("check web1 puppet critical")
	want(at(7), "failed 7")
	w.raw.Checks = nil
	want(at(8), "failed 7 passed 8")
	want(at(17), "failed 7 passed 8")
	want(at(18), "nothing")
}

// The gate of the fleet's health.
func TestMaxUnhealthy(t *testing.T) {
	const lines = "record v1 web1..10\nagent web1..10\ncheck web3 serfHealth critical\ncheck web4 ntp warning\ncheck other puppet critical\n"
	check(t, []example{{
		name:  "as many as may be critical stop nothing; warnings and other nodes do not count",
		fleet: lines,
		spec:  "healthGate: {maxUnhealthy: 1}",
		want:  "web1..10 Upgrading Starting",
	}, {
		name:  "one more stops every start",
		fleet: lines + "check web9 disk critical",
		spec:  "healthGate: {maxUnhealthy: 10%}",
		want: "web1..10 Pending TooManyUnhealthy: =2 of 10 hosts are critical (web3, web9), more than healthGate.maxUnhealthy, " +
			"which is 1 (10% of 10)\ngate TooManyUnhealthy\nno change",
	}, {
		name:  "what was released goes on: it will pass",
		fleet: lines + "check web9 disk critical\nkey host/web1 True -1m",
		spec:  "healthGate: {maxUnhealthy: 1}",
		want:  "web1 Upgrading Granted\nweb2..10 Pending TooManyUnhealthy\nno change",
	}, {
		name:  "the version is not switched either",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v1 web1\nagent web1\ncheck web1 puppet critical",
		spec:  "healthGate: {maxUnhealthy: 0}",
		want:  "web1 Upgraded AtVersion\ngate TooManyUnhealthy",
	}, {
		name:  "hosts that are left out do not count",
		fleet: lines + "check web9 disk critical",
		spec:  "healthGate: {maxUnhealthy: 1}\nhosts: {exclude: [web3]}",
		want:  "web1..2 Upgrading Starting\nweb3 Exempt Excluded\nweb4..10 Upgrading Starting",
	}})
}

// Hosts that the catalog does not know any more.
func TestLostHosts(t *testing.T) {
	check(t, []example{{
		name:  "do not count, and are not released",
		fleet: "record v2 web1\nrecord v1 web2\nagent web1..2\nnodes web1",
		want:  "web1 Upgraded AtVersion\nweb2 Lost LostFromCatalog: it does not count\ncomplete",
	}, {
		name:  "upgraded or not",
		fleet: "record v2 web1..2\nagent web1..2\nnodes web2",
		want:  "web1 Lost LostFromCatalog\nweb2 Upgraded AtVersion\ncomplete",
	}, {
		name: "one that has begun keeps its slot and is waited for: a host that reboots leaves the catalog",
		fleet: "record v1 web1..2 db1\nagent web1..2 db1\nkey host/db1 True -5m\nstarted db1 v2 -4m\n" +
			"nodes web1..2",
		spec: "instructions: {rollingRules: {fleet: 2}, roleOrder: {web: db}}",
		want: "db1 Upgrading Granted: started\nweb1..2 Pending WaitingForRole: waits for db: 0 of 1\nnot complete",
	}, {
		name: "past its deadline no host waits for it; it keeps its slot",
		fleet: "record v1 web1..2 db1\nagent web1..2 db1\nkey host/db1 True -5h\nstarted db1 v2 -4h\n" +
			"nodes web1..2",
		spec: "instructions: {rollingRules: {fleet: 2}, roleOrder: {web: db}}",
		want: "db1 Lost LostFromCatalog: it keeps its slot until it does, or until `upgradectl forget` frees it\n" +
			"web1 Upgrading Starting\nweb2 Pending NoFreeSlot",
	}, {
		name:  "and spends the budget",
		fleet: "record v1 web1..2 db1\nagent web1..2 db1\nkey host/db1 True -5h\nstarted db1 v2 -4h\nnodes web1..2",
		spec:  "failurePolicy: {maxFailed: 0}",
		want:  "db1 Lost LostFromCatalog\nweb1..2 Pending FailureBudgetExceeded: 1 of 2 hosts have failed (db1)",
	}, {
		name:  "without a catalog no host is lost",
		fleet: "record v1 web1\nagent web1",
		want:  "web1 Upgrading Starting",
	}, {
		name:  "an empty one loses all",
		fleet: "record v1 web1\nagent web1\nnodes",
		want:  "web1 Lost LostFromCatalog",
	}})
}

// Any host may write any record, but only its own report.
func TestVerifiedReports(t *testing.T) {
	const verify = "hosts: {verifyReports: true}\ninstructions: {rollingRules: {global: 1}}"
	check(t, []example{{
		name:  "record and report agree",
		fleet: "record v2 web1\nagent web1",
		spec:  verify,
		want:  "web1 Upgraded AtVersion\ncomplete",
	}, {
		name:  "the report contradicts a record that another writer wrote",
		fleet: "record v1 web1\nagent web1\nrecord v2 web1\nrecord v1 web2\nagent web2\nkey host/web1 True -1m",
		spec:  verify,
		want: "web1 Upgrading Unverified: =its record says v2, but no report of its own does; spec.hosts.verifyReports requires one\n" +
			"web2 Pending NoFreeSlot\nnot complete",
	}, {
		name:  "no report at all: it has failed at its deadline, and a warning says why",
		fleet: "record v2 web1\nkey host/web1 True -2h",
		spec:  verify,
		want: "web1 Failed ProgressDeadlineExceeded\n" +
			"!spec.hosts.verifyReports: 1 hosts were never seen as agents (web1), so they cannot count as upgraded",
	}, {
		name:  "a failure reported for the version does not agree",
		fleet: "record v2 web1\nkey host/web1 True -2m\nreport web1 Failed v2 -1m broken",
		spec:  verify,
		want:  "web1 Failed ReportedFailure",
	}, {
		name:  "a record alone suffices otherwise",
		fleet: "record v2 web1",
		want:  "web1 Upgraded AtVersion",
	}})
}

// A plan that another one stands in the way of does nothing.
func TestConflictingPlansGrantNoHost(t *testing.T) {
	check(t, []example{{
		name:  "no host is granted, nothing is written",
		fleet: "record v1 web1\nagent web1\nconflict upgradeplan old is about the same fleet",
		want:  "web1 Pending Conflict: =upgradeplan old is about the same fleet\ngate Conflict\nno change",
	}})
}

// Too many failures, and a revision to go back to.
func TestRollback(t *testing.T) {
	const back = "failurePolicy: {maxFailed: 0, onExceeded: Rollback}"
	const failed = "record v1 web1..3\nagent web1..3\nkey host/web1 True -9m\nstarted web1 v2 -8m\n" +
		"report web1 Failed v2 -5m it broke\nkey host/web2 True -1m\n"
	check(t, []example{{
		name:  "the last complete revision is pinned; unused grants are revoked",
		fleet: failed + "fallback 4 v1",
		spec:  back,
		want: "web1 Failed ReportedFailure\nweb2 Upgrading Revoked\nweb3 Pending FailureBudgetExceeded: =1 of 3 hosts have " +
			"failed (web1), more than failurePolicy.maxFailed, which is 0\nback to 4\n-host/web2",
	}, {
		name:  "nothing was ever complete: it halts",
		fleet: failed,
		spec:  back,
		want: "web1 Failed ReportedFailure\nweb2 Upgrading Revoked\nweb3 Pending FailureBudgetExceeded: no earlier revision " +
			"was ever complete\ngate FailureBudgetExceeded",
	}, {
		name:  "what is pinned fails as well: it halts",
		fleet: failed + "fallback 4 v1\npinned 3",
		spec:  back,
		want:  "web1 Failed ReportedFailure\nweb2 Upgrading Revoked\nweb3 Pending FailureBudgetExceeded: a revision is already pinned",
	}, {
		name:  "what was complete last has the same version: it halts",
		fleet: failed + "fallback 4 v2",
		spec:  back,
		want:  "web1 Failed ReportedFailure\nweb2 Upgrading Revoked\nweb3 Pending FailureBudgetExceeded: no earlier revision",
	}, {
		name:  "an operator has given the spec up: that is not undone",
		fleet: failed + "fallback 4 v1\naborted",
		spec:  back,
		want:  "web1 Failed ReportedFailure\nweb2 Upgrading Revoked\nweb3 Pending Aborted",
	}, {
		name:  "as many as may fail",
		fleet: failed + "fallback 4 v1",
		spec:  "failurePolicy: {maxFailed: 1, onExceeded: Rollback}",
		want:  "web1 Failed ReportedFailure\nweb2 Upgrading Granted\nweb3 Upgrading Starting",
	}})
}
