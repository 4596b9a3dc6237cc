// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// The failure budget: who spends it, how it is counted, and what an exceeded one stops.
func TestFailureBudget(t *testing.T) {
	one := "failurePolicy: {maxFailed: 1}\n" + "instructions: {rollingRules: {global: 3}}"
	failed := func(hosts ...string) string {
		lines := "record v1 web1..9\nagent web1..9\n"
		for _, h := range hosts {
			lines += "key host/" + h + " True -9m\nstarted " + h + " v2 -8m\nreport " + h + " Failed v2 -5m it broke\n"
		}
		return lines
	}
	const exceeded = "Pending FailureBudgetExceeded: =halted since 2026-03-06T12:00:00Z, until `upgradectl rollout resume`: " +
		"2 of 9 hosts have failed (web1, web2), more than failurePolicy.maxFailed, which is 1"
	check(t, []example{{
		name:  "as many as may fail stop nothing",
		fleet: failed("web1"),
		spec:  one,
		want:  "web1 Failed ReportedFailure\nweb2..3 Upgrading Starting\nweb4..9 Pending NoFreeSlot",
	}, {
		name:  "one more stops every start",
		fleet: failed("web1", "web2"),
		spec:  one,
		want:  "web1..2 Failed ReportedFailure\nweb3..9 " + exceeded + "\ngate FailureBudgetExceeded\nno change",
	}, {
		name:  "0 allows none",
		fleet: failed("web1"),
		spec:  "failurePolicy: {maxFailed: 0}",
		want:  "web1 Failed ReportedFailure\nweb2..9 Pending FailureBudgetExceeded: 1 of 9 hosts have failed (web1), more than failurePolicy.maxFailed, which is 0",
	}, {
		name:  "a percentage of the hosts that count, rounded down: 0 of 9",
		fleet: failed("web1") + "record v1 CONTROLLER",
		spec:  "failurePolicy: {maxFailed: 10%}",
		want:  "CONTROLLER Unknown NoRole\nweb1 Failed ReportedFailure\nweb2..9 Pending FailureBudgetExceeded: which is 0 (10% of 9)",
	}, {
		name:  "a percentage, kept: 1 of 9",
		fleet: failed("web1"),
		spec:  "failurePolicy: {maxFailed: 12%}",
		want:  "web1 Failed ReportedFailure\nweb2..9 Upgrading Starting",
	}, {
		name:  "silence past the deadline is failure",
		fleet: "record v1 web1..3\nkey host/web1 True -2h\nkey host/web2 True -2h",
		spec:  one,
		want:  "web1..2 Failed ProgressDeadlineExceeded\nweb3 Pending FailureBudgetExceeded: 2 of 3 hosts have failed (web1, web2)",
	}, {
		name:  "unused grants of agents are revoked, hosts that started go on",
		fleet: failed("web1", "web2") + "key host/web3 True -1m\nkey host/web4 True -1m\nstarted web4 v2 -1m",
		spec:  one,
		want: `web1..2 Failed ReportedFailure
			web3 Upgrading Revoked
			web4 Upgrading Granted: started
			web5..9 Pending FailureBudgetExceeded
			-host/web3`,
	}, {
		name: "hosts that had failed before the plan touched them spend nothing and are released like others",
		fleet: "record v1 web1..3\nagent web1..3\nstarted web1 v1 -5h\nreport web1 Failed v1 -4h\nstarted web2 v1 -5h\n" +
			"report web2 Upgrading v1 -4h",
		spec: "failurePolicy: {maxFailed: 0}\ninstructions: {rollingRules: {global: 2}}",
		want: "web1..2 Upgrading Starting: it holds a slot of web already\nweb3 Pending NoFreeSlot",
	}, {
		name:  "a mark of ours from the version before spends nothing",
		fleet: "record v1 web1..2\nmarked web1 v1 -50m",
		spec:  "progressDeadlineSeconds: 60\nfailurePolicy: {maxFailed: 0}\ninstructions: {rollingRules: {global: 1}}",
		want:  "web1 Upgrading Starting\nweb2 Pending NoFreeSlot",
	}, {
		name:  "hosts that do not count spend nothing",
		fleet: failed("web1", "web2") + "hold host/web1 exempt",
		spec:  one,
		want:  "web1 Exempt ExemptByHold\nweb2 Failed ReportedFailure\nweb3 Upgrading Starting\nweb4..9 Pending NoFreeSlot",
	}, {
		name:  "before the switch no host has failed to reach the version",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v0 web1..2\nagent web1..2\nkey host/web1 True -2h\nstarted web1 v1 -2h",
		spec:  "failurePolicy: {maxFailed: 0}",
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2 Pending VersionSwitch\ngate VersionSwitch",
	}, {
		name:  "a halt lasts when all hosts recover",
		fleet: "record v2 web1..2\nrecord v1 web3\nhalted v2 2 of 3 hosts have failed",
		spec:  one,
		want: "web1..2 Upgraded AtVersion\nweb3 Pending FailureBudgetExceeded: =halted since 2026-03-06T12:00:00Z, until " +
			"`upgradectl rollout resume`: 2 of 3 hosts have failed",
	}, {
		name:  "also when the budget is taken out of the spec",
		fleet: "record v1 web1\nhalted v2 why",
		want:  "web1 Pending FailureBudgetExceeded",
	}, {
		name:  "a halt of another version does not hold",
		fleet: "record v1 web1\nhalted v1 why",
		spec:  one,
		want:  "web1 Upgrading Starting",
	}, {
		name:  "the version is not switched while a halt of the plan's version stands",
		fleet: "bare\ncurrent v9\nkey global False\nrecord v1 web1\nhalted v2 why",
		spec:  one,
		want:  "web1 Pending FailureBudgetExceeded\nno change",
	}, {
		name:  "an operator's pause is shown first",
		fleet: failed("web1", "web2") + "paused lunch",
		spec:  one,
		want:  "web1..2 Failed ReportedFailure\nweb3..9 Pending PlanPaused: lunch",
	}, {
		name:  "what had failed when an operator let it go on is forgiven",
		fleet: failed("web1", "web2") + "resumed -4m",
		spec:  one,
		want:  "web1..2 Failed ReportedFailure\nweb3 Upgrading Starting\nweb4..9 Pending NoFreeSlot",
	}, {
		name:  "what failed since is not",
		fleet: "resumed -6m\n" + failed("web1", "web2"),
		spec:  one,
		want:  "web1..2 Failed ReportedFailure\nweb3..9 Pending FailureBudgetExceeded",
	}, {
		name:  "a host that was granted since is not either",
		fleet: failed("web1") + "report web1 Failed v2 -5h\nresumed -6m\nkey host/web1 True -1m",
		spec:  "failurePolicy: {maxFailed: 0}",
		want:  "web1 Failed ReportedFailure\nweb2..9 Pending FailureBudgetExceeded",
	}, {
		name:  "the deadline passed since",
		fleet: "record v1 web1..2\nkey host/web1 True -65m\nresumed -6m",
		spec:  "failurePolicy: {maxFailed: 0}",
		want:  "web1 Failed ProgressDeadlineExceeded\nweb2 Pending FailureBudgetExceeded",
	}})
}

// The halt is new once: what is recorded names the version, the generation and the time, and stands when what it was about
// is gone, until another version.
func TestHaltIsRecordedOnceAndLasts(t *testing.T) {
	w := newWorld(t, "record v1 web1..3\nagent web1..3\nkey host/web1 True -2h", "failurePolicy: {maxFailed: 0}")
	w.plan.Generation = 7
	d := w.settle()
	if h := w.control.Halt; h == nil || h.Version != "v2" || h.Generation != 7 || !h.Time.Equal(noon) ||
		h.Reason != "1 of 3 hosts have failed (web1), more than failurePolicy.maxFailed, which is 0" {
		t.Fatalf("%+v\n%s", h, verdictLines(d))
	}
	// The grant of web1 was revoked, so it has not failed any more. The halt stops it.
	w.now = w.now.Add(time.Hour)
	if d = w.settle(); d.Halt != nil || d.Starts() != 0 || d.Gate.Reason != "FailureBudgetExceeded" {
		t.Errorf("halt %+v, gate %s\n%s", d.Halt, d.Gate.Reason, verdictLines(d))
	}
	w.plan.Spec.Version = "v3"
	if d = w.settle(); d.Starts() != 3 {
		t.Errorf("another version is another rollout\n%s", verdictLines(d))
	}
}

func TestWindowsStopGrants(t *testing.T) {
	const closed = "windows: {allow: [{schedule: '0 22 * * *', duration: 4h}]}\n"
	const open = "windows: {allow: [{schedule: '0 11 * * *', duration: 4h}]}\n"
	check(t, []example{{
		name:  "outside of the windows no host is granted, and the message says when one opens",
		fleet: "record v1 web1",
		spec:  closed,
		want: "web1 Pending OutsideWindow: =outside of the maintenance windows: no window of windows.allow is open; hosts are granted from " +
			"2026-03-06T22:00:00Z\ngate OutsideWindow\nno change",
	}, {
		name:  "inside they do",
		fleet: "record v1 web1",
		spec:  open,
		want:  "web1 Upgrading Starting",
	}, {
		name:  "deny wins",
		fleet: "record v1 web1",
		spec:  "windows: {allow: [{schedule: '0 11 * * *', duration: 4h}], deny: [{schedule: '0 12 * * *', duration: 1h}]}",
		want:  "web1 Pending OutsideWindow: windows.deny[0] denies it until 2026-03-06T13:00:00Z; hosts are granted from 2026-03-06T13:00:00Z",
	}, {
		name:  "none ever opens",
		fleet: "record v1 web1",
		spec:  "windows: {deny: [{schedule: '* * * * *', duration: 1h}]}",
		want:  "web1 Pending OutsideWindow: none opens in the coming years",
	}, {
		name:  "the version is not switched either, and nothing is touched",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v1 web1\nkey host/web1 True -1h",
		spec:  closed,
		want:  "web1 Upgraded AtVersion\ngate OutsideWindow\nno change",
	}, {
		name:  "agents that have not begun lose what they were allowed; what has begun, and legacy hosts, finish",
		fleet: "record v1 web1..4\nagent web1..3\nkey host/web1 True -5m\nkey host/web2 True -5m\nstarted web2 v2 -4m\nkey host/web4 True -5m",
		spec:  closed,
		want: `web1 Upgrading Revoked: no window of windows.allow is open
			web2 Upgrading Granted: started
			web3 Pending OutsideWindow
			web4 Upgrading Granted
			-host/web1`,
	}, {
		name:  "a host that has reached the version goes on",
		fleet: "record v2 web1\nrecord v1 web2",
		spec:  closed,
		want:  "web1 Upgraded AtVersion\nweb2 Pending OutsideWindow\n+host/web1 = True",
	}, {
		name:  "an operator opens them for this version",
		fleet: "record v1 web1\noverride v2",
		spec:  closed,
		want:  "web1 Upgrading Starting",
	}, {
		name:  "until a time",
		fleet: "record v1 web1\noverride v2 1m",
		spec:  closed,
		want:  "web1 Upgrading Starting",
	}, {
		name:  "and no longer",
		fleet: "record v1 web1\noverride v2 0m",
		spec:  closed,
		want:  "web1 Pending OutsideWindow",
	}, {
		name:  "not for another version",
		fleet: "record v1 web1\noverride v1",
		spec:  closed,
		want:  "web1 Pending OutsideWindow",
	}, {
		name:  "a halt is shown first",
		fleet: "record v1 web1\nhalted v2 why",
		spec:  closed,
		want:  "web1 Pending FailureBudgetExceeded",
	}})
}

// When to look again: at the opening while it is closed, and before anything else at the closing while it is open.
func TestNextIncludesWindows(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 3, 6, hour, 0, 0, 0, time.UTC) }
	for _, e := range []struct {
		name, fleet, spec  string
		next, closes, wake time.Time
	}{
		{"closed", "record v1 web1", "windows: {allow: [{schedule: '0 22 * * *', duration: 4h}]}", at(22), time.Time{}, at(22)},
		{"open", "record v1 web1", "windows: {allow: [{schedule: '0 11 * * *', duration: 4h}]}", time.Time{}, at(15), at(15)},
		{"a deadline after it closes", "record v1 web1\nkey host/web1 True -0m",
			"progressDeadlineSeconds: 18000\nwindows: {allow: [{schedule: '0 11 * * *', duration: 4h}]}", at(17), at(15), at(15)},
		{"a deadline before it closes", "record v1 web1\nkey host/web1 True -0m",
			"windows: {allow: [{schedule: '0 11 * * *', duration: 4h}]}", at(13), at(15), at(13)},
		{"overridden", "record v1 web1\noverride v2 6h", "windows: {allow: [{schedule: '0 22 * * *', duration: 4h}]}", time.Time{}, at(18), at(18)},
		{"no window", "record v1 web1", "", time.Time{}, time.Time{}, time.Time{}},
	} {
		d := newWorld(t, e.fleet, e.spec).decide()
		if !d.Next.Equal(e.next) || !d.WindowClosesAt.Equal(e.closes) || !d.RequeueAt().Equal(e.wake) {
			t.Errorf("%s: next %s, closes %s, wake %s", e.name, d.Next, d.WindowClosesAt, d.RequeueAt())
		}
	}
}

// In a fleet in any state, no stop grants a host, and no stop revokes anything from a host that may have started.
func TestStopsStartNoHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := anyWorld(t)
		switch stop := rapid.SampledFrom([]string{"halt", "window", "deny"}).Draw(t, "stop"); stop {
		case "halt":
			w.control.Halt = &fleet.Halt{Time: w.now, Version: "v2", Reason: "why"}
		default:
			w.respec(map[string]string{"window": "windows: {allow: [{schedule: '0 22 * * *', duration: 4h}]}",
				"deny": "windows: {deny: [{schedule: '0 11 * * *', duration: 4h}]}"}[stop])
		}
		before, others, current := w.busy(), w.newGrants(), w.raw.Current
		d := w.settle()
		if started := starts(before, w.busy()); len(started) > 0 || d.Starts() > 0 {
			t.Fatalf("%s start\n%s", strings.Join(started, ", "), verdictLines(d))
		}
		if granted := starts(others, w.newGrants()); len(granted) > 0 {
			t.Fatalf("keys that start unknown hosts: %s\n%s", strings.Join(granted, ", "), verdictLines(d))
		}
		if !bytes.Equal(w.raw.Current.Value, current.Value) {
			t.Fatalf("the version was switched\n%s", verdictLines(d))
		}
	})
}

// newGrants returns the keys that start agents of which nothing is known yet: those of roles and of unknown hosts that
// enable and are newer than current_version.
func (w *world) newGrants() map[string]bool {
	f, out := w.observe(), map[string]bool{}
	for _, p := range w.raw.Config {
		name, ok := strings.CutPrefix(p.Key, w.layout.EnableTree())
		host, ofHost := strings.CutPrefix(name, "host/")
		if s := keys.DecodeEnableValue(p); !ok || name == "global" || !s.Enables(f.Current.Name) || s.Index <= f.Current.Index {
			continue
		}
		out[name] = !ofHost || !known(&f, host)
	}
	maps.DeleteFunc(out, func(_ string, unknown bool) bool { return !unknown })
	return out
}
