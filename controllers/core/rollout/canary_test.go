// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"strings"
	"testing"
	"time"
)

// Who goes first, and when the others follow.
func TestCanaries(t *testing.T) {
	const fleet = "record v1 web1..4 db1..3\nagent web1..4 db1..3\n"
	done := func(hosts, at string) string { // upgraded, reported at that time
		lines := ""
		for h := range strings.FieldsSeq(hosts) {
			lines += "record v2 " + h + " at " + at + "\nkey host/" + h + " True -3h\nagent " + h + "\n"
		}
		return lines
	}
	check(t, []example{{
		name:  "those that are named, by a pattern too",
		fleet: fleet,
		spec:  "canary: {hosts: [web2, 'db[13]']}",
		want: `db1 Upgrading Starting
			db2 Pending WaitingForCanary: =waits for the canaries: 0 of 3 are upgraded
			db3 Upgrading Starting
			web1 Pending WaitingForCanary
			web2 Upgrading Starting
			web3..4 Pending WaitingForCanary
			canaries 0 of 3`,
	}, {
		name:  "the first of each role",
		fleet: fleet,
		spec:  "canary: {perRole: 1}",
		want:  "db1 Upgrading Starting\ndb2..3 Pending WaitingForCanary\nweb1 Upgrading Starting\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "a percentage of each role, at least one, beside those that are named",
		fleet: fleet,
		spec:  "canary: {perRole: 50%, hosts: [web4]}",
		want: "db1 Upgrading Starting\ndb2..3 Pending WaitingForCanary\nweb1..2 Upgrading Starting\n" +
			"web3 Pending WaitingForCanary\nweb4 Upgrading Starting",
	}, {
		name:  "none of each role is none",
		fleet: fleet,
		spec:  "canary: {perRole: 0}",
		want:  "db1..3 Upgrading Starting\nweb1..4 Upgrading Starting\ncanaries none",
	}, {
		name:  "none of each role, which an operator promotes",
		fleet: fleet,
		spec:  "canary: {perRole: 0, promote: Manual}",
		want: "db1..3 Pending AwaitingPromotion: =no host is a canary; the other hosts follow after `upgradectl rollout promote`\n" +
			"web1..4 Pending AwaitingPromotion\ncanaries 0 of 0",
	}, {
		name:  "of a role whose limit is 0",
		fleet: fleet,
		spec:  "canary: {perRole: 1}\ninstructions: {rollingRules: {global: 0}}",
		want: "db1 Pending LimitZero: =the limit of db is 0 by rollingRules.global\ndb2..3 Pending WaitingForCanary\n" +
			"web1 Pending LimitZero: =the limit of web is 0 by rollingRules.global\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "hosts that do not count are none",
		fleet: fleet + "hold host/db1 exempt",
		spec:  "canary: {perRole: 1}\nhosts: {exclude: [web1]}",
		want: "db1 Exempt ExemptByHold\ndb2 Upgrading Starting\ndb3 Pending WaitingForCanary\nweb1 Exempt Excluded\n" +
			"web2 Upgrading Starting\nweb3..4 Pending WaitingForCanary",
	}, {
		name:  "names that match no host grant no host, with a warning",
		fleet: fleet,
		spec:  "canary: {hosts: [wbe1]}",
		want: "db1..3 Pending WaitingForCanary: canary.hosts (wbe1) match no host that counts, so no host is granted; change them, or run `upgradectl rollout promote --force`\n" +
			"web1..4 Pending WaitingForCanary\n!canary.hosts (wbe1) match no host",
	}, {
		name:  "they keep to the limits",
		fleet: fleet,
		spec:  "canary: {perRole: 2}\ninstructions: {rollingRules: {global: 1}}",
		want: "db1 Upgrading Starting\ndb2 Pending NoFreeSlot\ndb3 Pending WaitingForCanary\nweb1 Upgrading Starting\n" +
			"web2 Pending NoFreeSlot\nweb3..4 Pending WaitingForCanary",
	}, {
		name:  "and to the order of roles, among themselves",
		fleet: fleet,
		spec:  "canary: {perRole: 1}\ninstructions: {roleOrder: {web: db}}",
		want: "db1 Upgrading Starting\ndb2..3 Pending WaitingForCanary\nweb1 Pending WaitingForRole: waits for db: 0 of 1 hosts\n" +
			"web2..4 Pending WaitingForCanary",
	}, {
		name:  "and start before the roles that the order puts first",
		fleet: fleet,
		spec:  "canary: {hosts: [web1]}\ninstructions: {roleOrder: {web: db}}",
		want:  "db1..3 Pending WaitingForCanary\nweb1 Upgrading Starting\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "a canary does not wait for the hosts that wait for it",
		fleet: fleet + done("db1", "-1h"),
		spec:  "canary: {perRole: 1}\ninstructions: {roleOrder: {web: db}}",
		want:  "db1 Upgraded AtVersion\ndb2..3 Pending WaitingForCanary\nweb1 Upgrading Starting\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "the others follow when all are upgraded",
		fleet: fleet + done("db1 web1", "-1m"),
		spec:  "canary: {perRole: 1}\ninstructions: {roleOrder: {web: db}}",
		want:  "db1 Upgraded AtVersion\ndb2..3 Upgrading Starting\nweb1 Upgraded AtVersion\nweb2..4 Pending WaitingForRole\ncanaries none",
	}, {
		name:  "and have soaked",
		fleet: fleet + done("db1", "-70m") + done("web1", "-50m"),
		spec:  "canary: {perRole: 1, soakSeconds: 3600}",
		want: `db1 Upgraded AtVersion
			db2..3 Pending WaitingForCanary: =waits for the canaries: 1 of 2 are upgraded, the next one completes its soak at 2026-03-06T12:10:00Z
			web1 Upgraded AtVersion
			web2..4 Pending WaitingForCanary
			canaries 1 of 2`,
	}, {
		name:  "checks that failed meanwhile begin the soak again",
		fleet: fleet + done("db1 web1", "-70m") + "failing db1 -60m -10m",
		spec:  "canary: {perRole: 1, soakSeconds: 3600}\nhealthGate: {checks: [puppet]}",
		want: "db1 Upgraded AtVersion\ndb2..3 Pending WaitingForCanary: 1 of 2 are upgraded, the next one completes its soak at 2026-03-06T12:50:00Z\n" +
			"web1 Upgraded AtVersion\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "a canary that fails keeps all others back",
		fleet: fleet + done("db1", "-70m") + "key host/web1 True -9m\nstarted web1 v2 -8m\nreport web1 Failed v2 -1m broken",
		spec:  "canary: {perRole: 1}",
		want:  "db1 Upgraded AtVersion\ndb2..3 Pending WaitingForCanary\nweb1 Failed ReportedFailure\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "an operator promotes them",
		fleet: fleet + done("db1 web1", "-70m"),
		spec:  "canary: {perRole: 1, promote: Manual}",
		want: "db1 Upgraded AtVersion\ndb2..3 Pending AwaitingPromotion: =the canaries are upgraded (2 of 2); the other hosts follow " +
			"after `upgradectl rollout promote`\nweb1 Upgraded AtVersion\nweb2..4 Pending AwaitingPromotion",
	}, {
		name:  "has promoted them",
		fleet: fleet + done("db1 web1", "-70m") + "promotion v2",
		spec:  "canary: {perRole: 1, promote: Manual}",
		want:  "db1 Upgraded AtVersion\ndb2..3 Upgrading Starting\nweb1 Upgraded AtVersion\nweb2..4 Upgrading Starting",
	}, {
		name:  "has promoted them by a clock that was ahead",
		fleet: fleet + done("db1", "-70m") + done("web1", "-50m") + "promotion v2 when_complete",
		spec:  "canary: {perRole: 1, soakSeconds: 3600, promote: Manual}",
		want: "db1 Upgraded AtVersion\ndb2..3 Pending WaitingForCanary: =waits for the canaries: 1 of 2 are upgraded, the next one " +
			"completes its soak at 2026-03-06T12:10:00Z; they are promoted then, by order of ops\nweb1 Upgraded AtVersion\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "which promotes them once they are complete",
		fleet: fleet + done("db1 web1", "-70m") + "promotion v2 when_complete",
		spec:  "canary: {perRole: 1, soakSeconds: 3600, promote: Manual}",
		want:  "db1 Upgraded AtVersion\ndb2..3 Upgrading Starting\nweb1 Upgraded AtVersion\nweb2..4 Upgrading Starting",
	}, {
		name:  "has promoted those of another version",
		fleet: fleet + "promotion v1",
		spec:  "canary: {perRole: 1}",
		want:  "db1 Upgrading Starting\ndb2..3 Pending WaitingForCanary\nweb1 Upgrading Starting\nweb2..4 Pending WaitingForCanary",
	}, {
		name:  "after the promotion a host that joins makes no other host wait",
		fleet: fleet + "record v1 db0\nagent db0\npromoted v2",
		spec:  "canary: {perRole: 1}",
		want:  "db0..3 Upgrading Starting\nweb1..4 Upgrading Starting\ncanaries none",
	}})
}

// That canaries are promoted outlives their fate, and ends with the version.
func TestPromotionIsStoredInTheLedger(t *testing.T) {
	w := newWorld(t, "record v1 web1..2\nagent web1..2", "canary: {hosts: [web1], soakSeconds: 600}\ninstructions: {rollingRules: {global: 1}}")
	want := func(promoted, second string) {
		t.Helper()
		d := w.settle()
		if d.Ledger.Promoted != promoted || string(d.Verdicts[1].Reason) != second {
			t.Errorf("promoted %q, want %q; web2 %s, want %s", d.Ledger.Promoted, promoted, d.Verdicts[1].Reason, second)
		}
	}
	want("", "WaitingForCanary")
	remove(&w.raw.Records, w.layout.Record("v1", "web1"))
	w.line("record v2 web1")
	w.line("agent web1")
	want("", "WaitingForCanary")
	if next := w.decide().Next; !next.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("it looks again at %s", next)
	}
	w.now = noon.Add(10 * time.Minute)
	want("v2", "Starting")
	w.respec("canary: {hosts: [web1], soakSeconds: 600}\nversion: v3")
	if d := w.settle(); d.Ledger.Promoted != "" {
		t.Errorf("promoted %q", d.Ledger.Promoted)
	}
}
