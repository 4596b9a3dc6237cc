// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/metrics"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// bench is the metrics and the registry that exports them.
type bench struct {
	*testing.T
	*metrics.Metrics
	registry *prometheus.Registry
}

func newBench(t *testing.T) *bench {
	registry := prometheus.NewPedanticRegistry()
	return &bench{t, metrics.New(registry, "v0.3.1", 5*time.Minute), registry}
}

// series are all metrics of the controller as text, without their common prefix.
func (b *bench) series() []string {
	b.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			b.Fatal(err)
		}
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		if line, ours := strings.CutPrefix(line, "upgrade_controller_"); ours {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// want compares the series of some names.
func (b *bench) want(what, series string, names ...string) {
	b.Helper()
	var got []string
	for _, line := range b.series() {
		if slices.Contains(names, line[:strings.IndexAny(line, "{ ")]) {
			got = append(got, line)
		}
	}
	if d := cmp.Diff(strings.Split(strings.TrimSpace(series), "\n"), got); d != "" {
		b.Errorf("%s: -want +got:\n%s", what, d)
	}
}

// plans is the number of series of plans.
func (b *bench) plans() int {
	b.Helper()
	n := 0
	for _, line := range b.series() {
		if strings.Contains(line, "plan=") {
			n++
		}
	}
	return n
}

var begun = time.Unix(1_800_000_000, 0)

// pass is one over the plan fleet, with one host of the role web for each state.
func pass() upgradeplan.Pass {
	counts := v1alpha1.HostCounts{Total: 5, Upgraded: 1, Upgrading: 1, Pending: 1, Failed: 1, Held: 1, InFlight: 2, Excluded: 1}
	p := upgradeplan.Pass{Plan: "fleet", Version: "v2", Failed: []string{"web4"}, Begun: begun, Took: 1500 * time.Millisecond}
	p.Status = v1alpha1.UpgradePlanStatus{Phase: v1alpha1.PhaseProgressing, CurrentVersion: "v1", Hosts: counts,
		Roles: []v1alpha1.RoleStatus{{Name: "web", HostCounts: counts}}}
	p.Status.Hosts.Unknown, p.Status.Hosts.InFlight = 3, 4
	p.Roles = p.Status.Roles
	return p
}

// A host can report any role. The first 200 have series, and all others together one more.
func TestMetrics_SumsUpRolesBeyondABound(t *testing.T) {
	b := newBench(t)
	b.Leads(true)
	p := pass()
	one := v1alpha1.HostCounts{Total: 1, Pending: 1, InFlight: 1}
	for i := range 1000 {
		p.Roles = append(p.Roles, v1alpha1.RoleStatus{Name: fmt.Sprintf("xrole%d", i), HostCounts: one})
		p.Status.Hosts.Total, p.Status.Hosts.Pending, p.Status.Hosts.InFlight = 1005, 1001, 1004
		if i == 198 { // with web, 200
			b.Reconciled(p)
			if got := strings.Join(b.series(), "\n"); strings.Contains(got, "(other)") {
				t.Error("199 roles and web have another series")
			}
		}
	}
	b.Reconciled(p)
	got := b.series()
	for _, want := range []string{`hosts{plan="fleet",role="(other)",state="Pending"} 801`, `hosts{plan="fleet",role="(other)",state="Failed"} 0`,
		`hosts{plan="fleet",role="xrole198",state="Pending"} 1`, `hosts_in_flight{plan="fleet",role="xrole198"} 1`,
		`hosts_in_flight{plan="fleet",role="(other)"} 803`, `hosts_in_flight{plan="fleet",role=""} 0`} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	of := slices.DeleteFunc(got, func(s string) bool { return !strings.HasPrefix(s, "hosts_in_flight{") })
	if len(of) != 202 { // without a role, 200 roles, and all others
		t.Errorf("%d series of hosts in flight", len(of))
	}
}

// An agent can report any version.
func TestMetrics_CountsAgentsOfABoundedNumberOfVersions(t *testing.T) {
	b := newBench(t)
	b.Leads(true)
	p := pass()
	p.Agents = map[string]int{"v0.2.0": 7, "": 2, "v0.1.0": 3}
	b.Reconciled(p)
	b.want("versions", `
agents{plan="fleet",version=""} 2
agents{plan="fleet",version="v0.1.0"} 3
agents{plan="fleet",version="v0.2.0"} 7`, "agents")
	for i := range 1000 {
		p.Agents[fmt.Sprintf("v9.%d.0", i)] = 1
	}
	b.Reconciled(p)
	got := slices.DeleteFunc(b.series(), func(s string) bool { return !strings.HasPrefix(s, "agents{") })
	if len(got) != 21 || !slices.Contains(got, `agents{plan="fleet",version="(other)"} 983`) ||
		!slices.Contains(got, `agents{plan="fleet",version="v0.2.0"} 7`) {
		t.Errorf("%d series:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestMetrics_ShowsThePlanOfAPass(t *testing.T) {
	b := newBench(t)
	b.Leads(true)
	b.Reconciled(pass())
	b.want("hosts", `
build_info{version="v0.3.1"} 1
hosts{plan="fleet",role="",state="Unknown"} 3
hosts{plan="fleet",role="web",state="Excluded"} 1
hosts{plan="fleet",role="web",state="Failed"} 1
hosts{plan="fleet",role="web",state="Held"} 1
hosts{plan="fleet",role="web",state="Lost"} 0
hosts{plan="fleet",role="web",state="Pending"} 1
hosts{plan="fleet",role="web",state="SetAside"} 0
hosts{plan="fleet",role="web",state="Upgraded"} 1
hosts{plan="fleet",role="web",state="Upgrading"} 1
hosts_in_flight{plan="fleet",role=""} 2
hosts_in_flight{plan="fleet",role="web"} 2
last_success_timestamp_seconds{plan="fleet"} 1.8000000015e+09
leader 1
plan_info{current_version="v1",plan="fleet",version="v2"} 1
plan_phase{phase="Aborted",plan="fleet"} 0
plan_phase{phase="AwaitingPromotion",plan="fleet"} 0
plan_phase{phase="Complete",plan="fleet"} 0
plan_phase{phase="Halted",plan="fleet"} 0
plan_phase{phase="Paused",plan="fleet"} 0
plan_phase{phase="Pending",plan="fleet"} 0
plan_phase{phase="Progressing",plan="fleet"} 1
plan_phase{phase="Stalled",plan="fleet"} 0
resync_seconds 300`, "hosts", "hosts_in_flight", "last_success_timestamp_seconds", "leader", "plan_info",
		"plan_phase", "build_info", "resync_seconds")
	gone := pass()
	gone.Roles[0].Name, gone.Version, gone.Status.CurrentVersion = "db", "v3", "v2\xff"
	b.Reconciled(gone)
	b.want("another role and version", `
hosts_in_flight{plan="fleet",role=""} 2
hosts_in_flight{plan="fleet",role="db"} 2
plan_info{current_version="v2`+"\uFFFD"+`",plan="fleet",version="v3"} 1`, "hosts_in_flight", "plan_info")
}

func TestMetrics_CountsGrants(t *testing.T) {
	b := newBench(t)
	for _, failed := range [][]string{{"web1"}, {"web1", "web2", "web3"}, {"web2"}, {"web1", "web2"}} {
		p := pass()
		p.Failed, p.Starts, p.Transactions, p.Conflicts = failed, 10, 2, 1
		b.Reconciled(p)
	}
	wrong := pass()
	wrong.Err, wrong.Transactions, wrong.Failed = errors.New("no answer"), 1, nil
	b.Reconciled(wrong)
	b.want("counters", `
commits_total{plan="fleet"} 9
conflicts_total{plan="fleet"} 4
failures_total{plan="fleet"} 3
grants_total{plan="fleet"} 40
reconcile_errors_total{plan="fleet"} 1`, "commits_total", "conflicts_total", "failures_total", "grants_total",
		"reconcile_errors_total")
	b.Request("keys", "200", 700)
	b.Request("keys", "200", 300)
	b.Request("wait", "none", 0)
	b.want("Consul", `
consul_received_bytes_total{kind="keys"} 1000
consul_received_bytes_total{kind="wait"} 0
consul_requests_total{code="200",kind="keys"} 2
consul_requests_total{code="none",kind="wait"} 1`, "consul_requests_total", "consul_received_bytes_total")
}

func TestMetrics_FailedPassKeepsGauges(t *testing.T) {
	b := newBench(t)
	wrong := pass()
	wrong.Plan, wrong.Err = "other", errors.New("no answer")
	b.Reconciled(wrong)
	b.Reconciled(pass())
	wrong.Plan, wrong.Status.Phase = "fleet", v1alpha1.PhaseStalled
	wrong.Roles = nil
	b.Reconciled(wrong)
	b.want("the gauges of the last successful pass", `
hosts_in_flight{plan="fleet",role=""} 2
hosts_in_flight{plan="fleet",role="web"} 2
last_success_timestamp_seconds{plan="fleet"} 1.8000000015e+09
last_success_timestamp_seconds{plan="other"} 0
reconcile_errors_total{plan="fleet"} 1
reconcile_errors_total{plan="other"} 1`, "hosts_in_flight", "last_success_timestamp_seconds",
		"reconcile_errors_total")
}

func TestMetrics_ForgetsPlansAndTerms(t *testing.T) {
	b := newBench(t)
	b.Leads(true)
	b.Reconciled(pass())
	other := pass()
	other.Plan = "\xffother"
	b.Reconciled(other)
	both := b.plans()
	other.Err = fmt.Errorf("looked: %w", &planstore.NotFoundError{})
	b.Reconciled(other)
	if got := b.plans(); 2*got != both || got == 0 {
		t.Errorf("%d series of one plan, %d of two", got, both)
	}
	b.Leads(false)
	if got := b.plans(); got != 0 {
		t.Errorf("a standby has %d series of plans", got)
	}
	b.want("the lock", "leader 0", "leader")
	p := pass()
	p.Starts = 1
	b.Reconciled(p)
	b.want("the next term", `failures_total{plan="fleet"} 0
grants_total{plan="fleet"} 1`, "failures_total", "grants_total")
}

func TestMetrics_NamesPassPromlint(t *testing.T) {
	b := newBench(t)
	b.Reconciled(pass())
	b.Request("keys", "200", 1)
	problems, err := testutil.GatherAndLint(b.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func TestMetrics_ShowsSourcesWhileLeading(t *testing.T) {
	b := newBench(t)
	b.Leads(true)
	sync := gitsync.Sync{Source: "default", Revision: "main@sha1:1", Started: begun, Duration: 1500 * time.Millisecond}
	b.Synced(sync)
	sync.Revision = "main@sha1:2"
	b.Synced(sync)
	names := []string{"source_ready", "source_info", "source_sync_errors_total", "source_last_success_timestamp_seconds",
		"source_sync_duration_seconds_count"}
	b.want("two syncs", `
source_info{revision="main@sha1:2",source="default"} 1
source_last_success_timestamp_seconds{source="default"} 1.8000000015e+09
source_ready{source="default"} 1
source_sync_duration_seconds_count{source="default"} 2
source_sync_errors_total{source="default"} 0
`, names...)
	sync.Err, sync.Started = errors.New("x"), begun.Add(time.Hour)
	b.Synced(sync)
	b.want("one that failed", `
source_info{revision="main@sha1:2",source="default"} 1
source_last_success_timestamp_seconds{source="default"} 1.8000000015e+09
source_ready{source="default"} 0
source_sync_duration_seconds_count{source="default"} 3
source_sync_errors_total{source="default"} 1
`, names...)
	b.Leads(false)
	if series := b.series(); strings.Contains(strings.Join(series, "\n"), "source=") {
		t.Errorf("a standby exports %v", series)
	}
}
