// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// series returns all series of a controller by name and labels. Our own series have no prefix here.
func (p *process) series(t *testing.T) map[string]float64 {
	t.Helper()
	text, ok := strings.CutPrefix(p.probe(t, "/metrics"), "200 ")
	if !ok {
		t.Fatalf("/metrics: %s", text)
	}
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "upgrade_controller_"), "} ")
		if value != "" {
			name += "}"
		} else {
			name, value, _ = strings.Cut(name, " ")
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[name] = number
	}
	return all
}

// is reports whether a controller has a series with this value.
func (p *process) is(t *testing.T, name string, value float64) func() bool {
	return func() bool {
		got, ok := p.series(t)[name]
		return ok && got == value
	}
}

// planSeries counts the series of plans.
func (p *process) planSeries(t *testing.T) int {
	t.Helper()
	n := 0
	for name := range p.series(t) {
		if strings.Contains(name, `plan="`) {
			n++
		}
	}
	return n
}

// failHost waits for the grant of a host, and then writes a start and a failure as its agent does.
func (b *bench) failHost(host, version string) {
	b.Helper()
	l := keys.Layout{}
	eventually(b.T, "the grant of "+host, func() bool {
		pairs, _, err := b.store.Get(b.Context(), l.EnableHost(host), l.CurrentVersion())
		return err == nil && string(pairs[0].Value) == keys.Enabled && string(pairs[1].Value) == version
	})
	b.write(store.Op{Verb: store.Set, Key: l.Started(host), Value: keys.EncodeStarted(fleet.Started{Version: version, Time: time.Now()})},
		store.Op{Verb: store.Set, Key: l.Report(host), Value: keys.EncodeReport(fleet.Report{Version: version,
			Phase: fleet.PhaseFailed, Time: time.Now()})})
}

func (b *bench) write(ops ...store.Op) {
	b.Helper()
	if _, err := b.store.Txn(b.Context(), ops); err != nil {
		b.Fatal(err)
	}
}

func TestMetrics_OfARollout(t *testing.T) {
	b := newBench(t)
	binary := build(t)
	started := float64(time.Now().Unix())
	leader := b.process(binary)
	eventually(t, "the lock", leader.has("leading"))
	standby := b.process(binary)
	eventually(t, "the standby", standby.has("standing by"))
	b.agents("db1", "db2", "web1", "web2", "web3")
	b.apply("v2")
	eventually(t, "v2", leader.is(t, `plan_phase{phase="Complete",plan="fleet"}`, 1))
	checkCompleteRollout(t, leader.series(t), started)
	if got := standby.series(t); got["leader"] != 0 || got[`consul_requests_total{code="200",kind="wait"}`] == 0 {
		t.Errorf("standby: leader %g, series %v", got["leader"], got)
	}
	if n := standby.planSeries(t); n > 0 {
		t.Errorf("the standby has %d series of plans", n)
	}

	l := keys.Layout{}
	b.write(store.Op{Verb: store.Set, Key: l.Record("v2", "cache1"), Value: keys.EncodeTime(time.Now())},
		store.Op{Verb: store.Set, Key: l.Report("cache1"), Value: keys.EncodeReport(fleet.Report{Version: "v2",
			Phase: fleet.PhaseIdle, Time: time.Now()})})
	b.apply("v3")
	b.failHost("cache1", "v3")
	eventually(t, "the failure", leader.is(t, `hosts{plan="fleet",role="cache",state="Failed"}`, 1))
	if got := leader.series(t); got[`failures_total{plan="fleet"}`] != 1 || got[`hosts_in_flight{plan="fleet",role="cache"}`] != 1 {
		t.Errorf("after the failure: %v", got)
	}
	b.write(store.Op{Verb: store.Set, Key: keys.Plan("fleet").Spec(), Value: []byte("invalid")})
	eventually(t, "a failed pass", func() bool { return leader.series(t)[`reconcile_errors_total{plan="fleet"}`] > 0 })
	if err := (planstore.Plans{Store: b.store}).Delete(t.Context(), "fleet", false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no series of the plan", func() bool { return leader.planSeries(t) == 0 })
	leader.signal(t, syscall.SIGTERM)
	eventually(t, "the standby to lead", standby.is(t, "leader", 1))
}

// checkCompleteRollout checks the series of a leader that has upgraded five hosts from v1 to v2.
func checkCompleteRollout(t *testing.T, seen map[string]float64, started float64) {
	t.Helper()
	for name, want := range map[string]float64{
		"leader": 1,
		`hosts{plan="fleet",role="db",state="Upgraded"}`:            2,
		`hosts{plan="fleet",role="web",state="Upgraded"}`:           3,
		`hosts{plan="fleet",role="web",state="Pending"}`:            0,
		`hosts{plan="fleet",role="",state="Unknown"}`:               0,
		`hosts_in_flight{plan="fleet",role="web"}`:                  0,
		`plan_phase{phase="Progressing",plan="fleet"}`:              0,
		`plan_info{current_version="v2",plan="fleet",version="v2"}`: 1,
		`agents{plan="fleet",version="v0.2.0"}`:                     5,
		`grants_total{plan="fleet"}`:                                5,
		`failures_total{plan="fleet"}`:                              0,
		`reconcile_errors_total{plan="fleet"}`:                      0,
		`resync_seconds`:                                            24 * 3600,
		`reconcile_duration_seconds_bucket{plan="fleet",le="+Inf"}`: seen[`reconcile_duration_seconds_count{plan="fleet"}`],
		`consul_requests_total{code="ended",kind="txn"}`:            0,
		`consul_requests_total{code="none",kind="wait"}`:            0,
	} {
		if seen[name] != want {
			t.Errorf("%s is %g, want %g", name, seen[name], want)
		}
	}
	for name, minimum := range map[string]float64{
		`commits_total{plan="fleet"}`:                      6, // the switch, and one for each host
		`last_success_timestamp_seconds{plan="fleet"}`:     started,
		`reconcile_duration_seconds_count{plan="fleet"}`:   6,
		`consul_requests_total{code="200",kind="txn"}`:     6,
		`consul_requests_total{code="200",kind="wait"}`:    1,
		`consul_requests_total{code="200",kind="session"}`: 1,
		`consul_received_bytes_total{kind="keys"}`:         100,
		`consul_received_bytes_total{kind="list"}`:         100,
		`process_resident_memory_bytes`:                    1 << 20,
		`go_goroutines`:                                    2,
	} {
		if seen[name] < minimum {
			t.Errorf("%s is %g, want at least %g", name, seen[name], minimum)
		}
	}
}

func TestMetrics_AtAnAddressOfTheirOwn(t *testing.T) {
	b := newBench(t)
	own := freeAddress(t)
	_, _ = b.controller("--metrics-bind-address", own)
	metrics := &process{health: own}
	if got := metrics.series(t); got["leader"] != 1 {
		t.Errorf("leader: %g", got["leader"])
	}
	if got := metrics.probe(t, "/healthz"); !strings.HasPrefix(got, fmt.Sprint(404)) {
		t.Errorf("/healthz at the address of the metrics: %s", got)
	}
}

func TestDashboard_IsServed(t *testing.T) {
	b := newBench(t)
	b.agents("db1")
	b.apply("v2")
	address := freeAddress(t)
	_, _ = b.controller("--dashboard-bind-address", address)
	pages := &process{health: address}
	for path, want := range map[string]string{"/": `<a href="plans/fleet">`, "/plans/fleet": "1 of 1 hosts upgraded",
		"/plans/fleet/hosts/db1": "has reached v2", "/assets/live.js": "EventSource"} {
		eventually(t, path, func() bool { return strings.Contains(pages.probe(t, path), want) })
	}
}
