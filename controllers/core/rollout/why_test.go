// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

func (w *world) why() rollout.Why {
	f := w.observe()
	return rollout.NewWhy(w.input(&f))
}

func chainText(chain []rollout.Link) string {
	var b strings.Builder
	for _, l := range chain {
		fmt.Fprintf(&b, "%s: %s → %s\n", l.Of, l.Reason, strings.Join(l.Change, " | "))
	}
	return b.String()
}

func TestWhyHostIsAChain(t *testing.T) {
	const fleetOfTwo = `
record v1 web1..2 db1..3
agent web1..2 db1..3
`
	for name, tc := range map[string]struct{ lines, spec, host, want string }{
		"a role waits for one whose slot a failed host keeps": {
			fleetOfTwo + "key host/db2 True -5m\nstarted db2 v2 -5m\nreport db2 Failed v2 -1m broken",
			"instructions: {rollingRules: {global: 1}, roleOrder: {web: db}}", "web1", `
web1: WaitingForRole → after: 3 more db
db2: ReportedFailure → it reports v2 | ` + "`upgradectl rollout set-aside host/db2`" + `, to free its slot
`},
		"a slot that is taken": {
			fleetOfTwo + "key host/db1 True -5m\nstarted db1 v2 -5m",
			"instructions: {rollingRules: {global: 1}}", "db3", `
db3: NoFreeSlot → after: 1 more of db
db1: Granted → it reports v2; without that it has failed at 2026-03-06T12:55:00Z
`},
		"of two that are in flight, the first": {
			fleetOfTwo + "key host/db1 True -5m\nkey host/db2 True -5m",
			"instructions: {rollingRules: {global: 2}}", "db3", `
db3: NoFreeSlot → after: 1 more of db
db1: Granted → it reports v2; without that it has failed at 2026-03-06T12:55:00Z
`},
		"the next pass": {fleetOfTwo, "instructions: {rollingRules: {global: 1}}", "db1", "\ndb1: Starting → the next pass\n"},
		"a hold of a role": {fleetOfTwo + "hold role/db until 3h disks", "", "db1", `
db1: OnHold → end the hold: ` + "`upgradectl unhold role/db`" + ` | it expires 2026-03-06T15:00:00Z
`},
		"a pause key": {fleetOfTwo + "pausekey role/db False", "", "db1",
			"\ndb1: PausedByKey → the key config_state/role/db/enable_puppet is deleted\n"},
		"a limit of nothing": {fleetOfTwo, "instructions: {rollingRules: {global: 0}}", "db1", "\ndb1: LimitZero → rollingRules.global above 0\n"},
		"canaries": {fleetOfTwo, "canary: {hosts: [db2]}", "db1", `
db1: WaitingForCanary → after: 1 more of the canaries
db2: Starting → the next pass
`},
		"a closed window": {fleetOfTwo, "windows: {allow: [{schedule: '0 2 * * 6', duration: 4h, timeZone: Europe/Berlin}]}", "db1", `
db1: OutsideWindow → window opens Sat 02:00 CET | ` + "`upgradectl rollout resume --override-window`" + `
`},
		"a window that is far": {fleetOfTwo, "windows: {allow: [{schedule: '0 2 1 * *', duration: 4h}]}", "db1", `
db1: OutsideWindow → window opens Wed 2026-04-01 02:00 UTC | ` + "`upgradectl rollout resume --override-window`" + `
`},
		"a batch": {fleetOfTwo + "key host/db1 True -5m\nstarted db1 v2 -5m", "strategy: Batch\ninstructions: {rollingRules: {global: 2}}", "web1", `
web1: BatchRunning → after: 1 more of this batch
db1: Granted → it reports v2; without that it has failed at 2026-03-06T12:55:00Z
`},
		"who is done waits for nothing": {"record v2 web1", "", "web1", "\nweb1: AtVersion → \n"},
		"a host that does not exist":    {"record v2 web1", "", "web7", "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, "\n"+chainText(newWorld(t, tc.lines, tc.spec).why().Host(tc.host))); d != "" {
				t.Error(d)
			}
		})
	}
}

// The first link is the verdict itself, so that the reason has one source.
func TestWhyStartsWithTheVerdict(t *testing.T) {
	w := newWorld(t, "record v1 web1..4 db1\nagent web1..3\nkey host/web2 True -5m\nhold host/web3", "instructions: {rollingRules: {global: 1}}")
	why := w.why()
	for _, v := range w.decide().Verdicts {
		if first := why.Host(v.Host)[0]; first.Message != v.Message || first.Reason != v.Reason {
			t.Errorf("%s: %+v, want %s", v.Host, first, v.Message)
		}
	}
}

func TestWhyPlanAndRole(t *testing.T) {
	w := newWorld(t, "record v1 web1..2 db1..2\nagent web1..2 db1..2\nkey host/db1 True -5m\nstarted db1 v2 -5m",
		"instructions: {rollingRules: {global: 1}, roleOrder: {web: db}}")
	if d := cmp.Diff("web1: WaitingForRole → after: 2 more db\n"+
		"db1: Granted → it reports v2; without that it has failed at 2026-03-06T12:55:00Z\n", chainText(w.why().Role("web"))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("role/db: NoFreeSlot → after: 1 more of db\nrole/web: WaitingForRole → after: 2 more db\n"+
		"db1: Granted → it reports v2; without that it has failed at 2026-03-06T12:55:00Z\n", chainText(w.why().Plan())); d != "" {
		t.Error(d)
	}
	w.line("paused for lunch")
	if d := cmp.Diff("plan: PlanPaused → `upgradectl rollout resume`\n", chainText(w.why().Plan())); d != "" {
		t.Error(d)
	}
	done := newWorld(t, "record v2 web1", "").why()
	if len(done.Plan()) != 0 || len(done.Role("web")) != 0 || len(done.Role("nosuch")) != 0 {
		t.Error("who is done waits for something")
	}
}

func TestHeldHostDoesNotExplainItsRole(t *testing.T) {
	w := newWorld(t, `
record v1 web1..4
agent web1..4
key host/web2 True -5m
hold host/web1`, "instructions: {rollingRules: {global: 1}}")
	if got, want := w.decide().Roles[0].BlockedBy, "1 of 1 slots of web are taken by web2"; got != want {
		t.Errorf("web is blocked by %q, want %q", got, want)
	}
	if got := chainText(w.why().Role("web")); !strings.HasPrefix(got, "web3: NoFreeSlot") {
		t.Errorf("why web waits: %s", got)
	}
	w = newWorld(t, "record v1 web1\nagent web1\nhold host/web1", "")
	if got := w.decide().Roles[0].BlockedBy; !strings.Contains(got, "hold") {
		t.Errorf("all of web is held: %q", got)
	}
}
