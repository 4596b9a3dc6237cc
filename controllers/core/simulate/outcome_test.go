// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

// run simulates a plan over agents at version 1 that take ten minutes each.
func run(t testing.TB, spec string, failures float64, names ...string) simulate.Outcome {
	t.Helper()
	s := simulate.New(simulate.Options{Plan: plan(t, spec), Hosts: hosts(true, "v1", names...), Start: start, Gap: time.Second,
		Duration: simulate.Span{Mean: 10 * time.Minute}, Failures: failures, Rand: rand.New(rand.NewPCG(1, 1))})
	s.SetVersion("v1")
	return s.Run(30 * 24 * time.Hour)
}

const ordered = "version: v2\ninstructions: {rollingRules: {global: 2}, roleOrder: {web: db}}"

func TestRun_RecordsWavesAndPeaks(t *testing.T) {
	o := run(t, ordered, 0, append(numbered("web", 3), numbered("db", 2)...)...)
	if !o.Complete || o.Upgraded != 5 || o.Total != 5 || o.Duration() != 30*time.Minute || len(o.BlockedBy) != 0 {
		t.Errorf("%+v", o)
	}
	var waves []string
	for _, w := range o.Waves {
		waves = append(waves, fmt.Sprintf("%d: %s to %s %v", w.Number, w.Start.Sub(start), w.End.Sub(start), w.Hosts))
	}
	want := []string{"1: 0s to 10m0s map[db:2]", "2: 10m0s to 20m0s map[web:2]", "3: 20m0s to 30m0s map[web:1]"}
	if d := cmp.Diff(want, waves); d != "" {
		t.Error(d)
	}
	for _, r := range o.Roles {
		if r.Peak != 2 || *r.Limit != 2 || r.Upgraded != r.Total {
			t.Errorf("%+v", r)
		}
	}
}

// Before the first switch a pass writes nothing, and so no watermarks: the controller remembers them.
func TestRun_WaitsForAWindowWithASoak(t *testing.T) {
	o := run(t, "version: v2\nminReadySeconds: 300\nwindows: {allow: [{schedule: '0 4 * * *', duration: 8h}]}", 0, "web1", "web2")
	if !o.Complete {
		t.Errorf("blocked by %q", o.BlockedBy)
	}
}

func TestRun_RecordsExceededFailureBudget(t *testing.T) {
	o := run(t, "version: v2\nfailurePolicy: {maxFailed: 1}\ninstructions: {rollingRules: {global: 2}}", 1, numbered("web", 4)...)
	if o.Complete || o.FailureBudgetExceededAt.Sub(start) != 10*time.Minute || !strings.Contains(o.FailureBudgetMessage, "2 of 4 hosts have failed") {
		t.Errorf("%+v", o)
	}
	if len(o.BlockedBy) != 1 || !strings.HasPrefix(o.BlockedBy[0], "halted since") {
		t.Errorf("%q", o.BlockedBy)
	}
}

// A plan that takes upgrades of ten minutes to be impossible halts in a simulation too.
func TestRun_HaltsForUpgradesThatAreTooFast(t *testing.T) {
	for seconds, want := range map[int]string{600: "", 601: "hosts reached v2 unexplained: 1 less than 10m1s after the grant (web1)"} {
		o := run(t, fmt.Sprintf("version: v2\nminUpgradeSeconds: %d\ninstructions: {rollingRules: {global: 1}}", seconds), 0, "web1", "web2")
		if got := strings.Join(o.BlockedBy, "; "); o.Complete != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%d: complete %t, blocked by %q", seconds, o.Complete, got)
		}
	}
}

// A host in maintenance takes its slot in a simulation too, and the outcome names it.
func TestRun_NamesHostsInMaintenance(t *testing.T) {
	s := simulate.New(simulate.Options{Plan: plan(t, "version: v2\ninstructions: {rollingRules: {global: 2, alsoCount: [Maintenance]}}"),
		Hosts: hosts(true, "v1", numbered("db", 3)...), Start: start, Gap: time.Second, Duration: simulate.Span{Mean: 10 * time.Minute},
		Rand: rand.New(rand.NewPCG(1, 1))})
	s.SetVersion("v1")
	s.SetChecks("db2", fleet.Check{ID: fleet.NodeMaintenance, Status: fleet.Maintenance})
	s.SetChecks("db3", fleet.Check{ID: fleet.NodeMaintenance, Status: fleet.Maintenance})
	o := s.Run(time.Hour)
	if want := []string{"db: 2 of 2 slots of db are taken: db2, db3 are in maintenance"}; o.Upgraded != 0 || !slices.Equal(o.BlockedBy, want) {
		t.Errorf("%d upgraded, blocked by %q, want %q", o.Upgraded, o.BlockedBy, want)
	}
	s.SetChecks("db3")
	if o = s.Run(2 * time.Hour); !o.Complete || o.Roles[0].Peak > 2 {
		t.Errorf("%+v", o)
	}
}

const rollingBack = "\nfailurePolicy: {maxFailed: 1, onExceeded: Rollback}\ninstructions: {rollingRules: {global: 3}}"

// rolledBack simulates six agents. Of their upgrades, also of those of the rollback to revision 4, 40% fail.
func rolledBack(t testing.TB, seed uint64) *simulate.Simulation {
	t.Helper()
	back := plan(t, "version: v1"+rollingBack)
	back.Generation = 4
	s := simulate.New(simulate.Options{Plan: plan(t, "version: v2"+rollingBack), Fallback: back, Hosts: hosts(true, "v1", numbered("web", 6)...),
		Start: start, Gap: time.Second, Duration: simulate.Span{Mean: 10 * time.Minute, Spread: 0.5}, Failures: 0.4,
		Rand: rand.New(rand.NewPCG(seed, 1))})
	s.SetVersion("v1")
	return s
}

// A plan that was rolled back is never complete, even if the rollback is.
func TestRun_RecordsRollback(t *testing.T) {
	complete, blocked := 0, 0
	for seed := range uint64(40) {
		s := rolledBack(t, seed)
		o := s.Run(30 * 24 * time.Hour)
		r := o.Rollback
		if r == nil {
			continue
		}
		if o.Complete || o.Version != "v2" || o.FailureBudgetExceededAt != r.Time || !strings.HasPrefix(o.FailureBudgetMessage, "2 of 6 hosts have failed") ||
			o.BlockedBy[0] != "rolls back to revision 4 (version v1): "+o.FailureBudgetMessage {
			t.Errorf("seed %d: %+v", seed, o)
		}
		if r.Complete != (r.Upgraded == 6) || r.Complete != (len(o.BlockedBy) == 1) || o.Upgraded+r.Upgraded > 6 {
			t.Errorf("seed %d: %+v: %d upgraded, %d back, %q", seed, r, o.Upgraded, r.Upgraded, o.BlockedBy)
		}
		for _, run := range o.Runs {
			if run.Started.Before(run.Granted) || run.Ended.Before(run.Started) {
				t.Errorf("seed %d: %+v", seed, run)
			}
		}
		if r.Complete {
			complete++
		} else {
			blocked++
		}
	}
	if complete == 0 || blocked == 0 {
		t.Errorf("%d rollbacks complete, %d blocked: the seeds cover only one case", complete, blocked)
	}
}

// The budget is exceeded two minutes before the window closes. The hosts go back at once, by the limits of the rollback policy,
// outside of the windows and without soaking canaries: 33% of 12 are 3 at a time, and each takes 20 minutes and soaks for one.
func TestRun_RollsBackByThePolicyOutsideOfWindows(t *testing.T) {
	const rules = `
instructions: {rollingRules: {global: 25%}}
canary: {hosts: [web1], soakSeconds: 3600}
windows: {allow: [{schedule: "0 22 * * *", duration: 7h}]}
minReadySeconds: 300
`
	replaced := plan(t, "version: v2"+rules+`failurePolicy: {maxFailed: 2, onExceeded: Rollback,
  rollback: {rollingRules: {global: 33%, fleet: 33%}, ignoreWindows: true, minReadySeconds: 60, maxFailed: 10%, first: Failed}}`)
	revision := plan(t, "version: v1"+rules).DeepCopy()
	revision.Generation = 4
	back, err := rollout.CompileRollback(revision, replaced.UpgradePlan, schedule.LoadZone)
	if err != nil {
		t.Fatal(err)
	}
	exceeded := time.Date(2026, 3, 7, 4, 58, 0, 0, time.UTC)
	s := simulate.New(simulate.Options{Plan: replaced, Fallback: back, Hosts: hosts(true, "v1", numbered("web", 12)...),
		Start: exceeded.Add(-45 * time.Minute), Duration: simulate.Span{Mean: 20 * time.Minute},
		Control: fleet.Control{Promotion: &fleet.Promotion{Version: "v2"}}, Rand: rand.New(rand.NewPCG(1, 1))})
	s.SetVersion("v1")
	s.Run(40 * time.Minute)
	s.Failures = 1
	if o := s.Run(25 * time.Minute); o.Rollback == nil || !o.Rollback.Time.Equal(exceeded) {
		t.Fatalf("%+v", o)
	}
	s.Failures = 0
	o := s.Run(24 * time.Hour)
	if r := o.Rollback; !r.Complete || r.Upgraded != 12 || o.End.Sub(exceeded) != 2*21*time.Minute || len(o.ClosedWindows) != 0 {
		t.Errorf("back after %s: %+v, windows closed %v", o.End.Sub(exceeded), r, o.ClosedWindows)
	}
	var again []string
	for _, run := range o.Runs[6:] {
		again = append(again, run.Host)
	}
	if want := []string{"web4", "web5", "web6", "web1", "web2", "web3"}; !slices.Equal(again, want) {
		t.Errorf("back in the order %q, want %q: those that failed first", again, want)
	}
	if peak := o.Roles[0].Peak; peak > 3 {
		t.Errorf("%d hosts in flight at once", peak)
	}
}

// A host past its deadline at the start never reports, not even after a rollback.
func TestRun_SilentHostsStaySilent(t *testing.T) {
	s := rolledBack(t, 1)
	s.Failures = 0
	s.Pass()
	s.Act()
	s.Pass() // sees that they started
	raw := s.Snapshot()
	o := s.Options
	o.Hosts, o.Snapshot, o.Start = nil, &raw, start.Add(24*time.Hour)
	got := simulate.New(o).Run(24 * time.Hour)
	if got.Rollback == nil || got.Rollback.Complete || got.Rollback.Upgraded != 3 {
		t.Errorf("%+v: %q", got.Rollback, got.BlockedBy)
	}
	o.Plan = plan(t, "version: v2\ninstructions: {rollingRules: {global: 4}}")
	if got := simulate.New(o).Run(24 * time.Hour); got.Rollback != nil || got.Upgraded != 3 {
		t.Errorf("%d upgraded: %q", got.Upgraded, got.BlockedBy)
	}
}

func TestRun_RecordsBlockers(t *testing.T) {
	o := run(t, "version: v2\ninstructions: {rollingRules: {global: 1}}\nwindows: {allow: [{schedule: '0 15 * * *', duration: 1h}]}", 1,
		numbered("web", 2)...)
	want := []string{"web: 1 of 1 slots of web are taken by web1; failed: web1"}
	if o.Complete || cmp.Diff(want, o.BlockedBy) != "" || o.End.Sub(start) != 70*time.Minute {
		t.Errorf("after %s: %q", o.Duration(), o.BlockedBy)
	}
	if r := o.Roles[0]; r.Peak != 1 || r.PeakAt.Sub(start) != time.Hour {
		t.Errorf("%+v", r)
	}
}

func TestOutcome_InWindow(t *testing.T) {
	const windowed = ordered + "\nwindows: {allow: [{schedule: '0 15 * * *', duration: %s}]}"
	names := append(numbered("web", 3), numbered("db", 2)...)
	if o := run(t, fmt.Sprintf(windowed, "40m"), 0, names...); !o.InWindow() || o.Duration() != 90*time.Minute {
		t.Errorf("%+v", o)
	}
	o := run(t, fmt.Sprintf(windowed, "15m"), 0, names...)
	if o.InWindow() || !o.Complete || len(o.ClosedWindows) != 2 {
		t.Errorf("%+v", o)
	}
}

// A simulation of a snapshot continues it: started hosts finish, failed hosts do not start again.
func TestNew_ContinuesSnapshot(t *testing.T) {
	p := plan(t, "version: v2\ninstructions: {rollingRules: {global: 2}}")
	o := simulate.Options{Plan: p, Hosts: hosts(true, "v1", numbered("web", 5)...), Start: start, Gap: time.Second,
		Duration: simulate.Span{Mean: 10 * time.Minute}, Rand: rand.New(rand.NewPCG(1, 1))}
	before := simulate.New(o)
	before.SetVersion("v1")
	before.Pass()
	before.Act()
	raw := before.Snapshot()
	report := fleet.Report{Version: "v2", Phase: fleet.PhaseFailed, Time: start}
	for i, pair := range raw.Reports {
		if strings.HasSuffix(pair.Key, "/web2") {
			raw.Reports[i].Value = keys.EncodeReport(report)
		}
	}
	o.Hosts, o.Snapshot, o.Start = nil, &raw, start.Add(4*time.Minute)
	after := simulate.New(o)
	got := after.Run(24 * time.Hour)
	if got.Complete || got.Upgraded != 4 || got.Duration() != 36*time.Minute {
		t.Errorf("%d after %s: %q\n%s", got.Upgraded, got.Duration(), got.BlockedBy, strings.Join(after.Log, "\n"))
	}
	if got.Runs[0].Host != "web1" || got.Runs[0].Wave != 0 || got.Runs[1].Host != "web3" || got.Runs[1].Wave != 1 {
		t.Errorf("%+v", got.Runs)
	}
}

// A started host whose clock is years ahead finishes as soon as one that starts now.
func TestNew_IgnoresClocksThatAreAhead(t *testing.T) {
	o := simulate.Options{Plan: plan(t, "version: v2"), Hosts: hosts(true, "v1", "web1"), Start: start, Gap: time.Second,
		Duration: simulate.Span{Mean: 10 * time.Minute}, Rand: rand.New(rand.NewPCG(1, 1))}
	before := simulate.New(o)
	before.SetVersion("v1")
	before.Pass()
	before.Act()
	raw := before.Snapshot()
	marker := keys.DecodeStarted(raw.Started[0])
	marker.Time = marker.Time.AddDate(3, 0, 0)
	raw.Started[0].Value = keys.EncodeStarted(*marker)
	o.Hosts, o.Snapshot = nil, &raw
	if got := simulate.New(o).Run(24 * time.Hour); !got.Complete || got.Duration() != 10*time.Minute {
		t.Errorf("complete %t after %s", got.Complete, got.Duration())
	}
}

func TestPercentile(t *testing.T) {
	durations := []time.Duration{5, 1, 4, 2, 3}
	for p, want := range map[int]time.Duration{1: 1, 50: 3, 80: 4, 95: 5, 100: 5} {
		if got := simulate.Percentile(durations, p); got != want {
			t.Errorf("p%d is %d, not %d", p, got, want)
		}
	}
	if durations[0] != 5 || simulate.Percentile(nil, 50) != 0 {
		t.Error("the input was sorted, or an empty list has a percentile")
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 30 * time.Minute: "30m", 65 * time.Minute: "1h5m", 2 * time.Hour: "2h",
		90*time.Second + 400*time.Millisecond: "1m30s", 2*time.Hour + 10*time.Second: "2h"} {
		if got := simulate.FormatDuration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// Hosts that fail each attempt keep their slots, so that the role stalls; set aside, they free them, and all others are upgraded.
func TestRun_SetsFailedHostsAside(t *testing.T) {
	const limits = "\ninstructions: {rollingRules: {global: 2}}"
	stuck := run(t, "version: v2\nfailurePolicy: {maxFailed: 50%}"+limits, 0.3, numbered("web", 20)...)
	aside := run(t, "version: v2\nfailurePolicy: {maxFailed: 50%, setAside: Failed}"+limits, 0.3, numbered("web", 20)...)
	if stuck.Upgraded == 20 || aside.Complete || aside.Upgraded <= stuck.Upgraded || aside.Roles[0].Peak > 2 {
		t.Errorf("%d upgraded, and %d with failed hosts set aside", stuck.Upgraded, aside.Upgraded)
	}
	failed := 0
	for _, r := range aside.Runs {
		if r.Failed {
			failed++
		}
	}
	if failed == 0 || aside.Upgraded+failed != 20 {
		t.Errorf("%d upgraded and %d failed of 20 hosts, so some never began", aside.Upgraded, failed)
	}
	if len(aside.BlockedBy) != 1 || !strings.Contains(aside.BlockedBy[0], "set aside after failed attempt 3 of 3") {
		t.Errorf("blocked by %q", aside.BlockedBy)
	}
}
