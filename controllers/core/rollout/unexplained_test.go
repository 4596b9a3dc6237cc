// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// governed returns agents that know grants, at v1 before the switch to v2, and the first keys after it.
func governed(t fataler, hosts, spec string) *world {
	t.Helper()
	lines := "bare\ncurrent v1\n"
	for _, h := range expand(strings.Fields(hosts)) {
		lines += fmt.Sprintf("report %s Idle v1 -1h\nknows %s\n", h, h)
	}
	w := newWorld(t, lines, spec)
	w.settle()
	return w
}

// reaches lets a host report the version, after a duration, by the grant that it has, if it has one.
func (w *world) reaches(host string, took time.Duration) {
	w.Helper()
	f := w.observe()
	h, ok := f.Host(host)
	if !ok {
		w.Fatalf("there is no host %s", host)
	}
	r := fleet.Report{Schema: fleet.ReportSchema, Version: f.Current.Name, Phase: fleet.PhaseIdle, Rollout: f.Current.Rollout,
		Reached: fleet.Reached{Version: f.Current.Name}, DurationSeconds: int64(took.Seconds())}
	if h.Grant != nil {
		r.Reached.Grant = h.Grant.ID
		remove(&w.raw.Grants, w.layout.Grant(host))
	}
	put(&w.raw.Reports, w.pair(w.layout.Report(host), string(keys.EncodeReport(r)), 0))
	w.now = w.now.Add(took)
}

func TestUnexplainedUpgrade_WithoutAGrant(t *testing.T) {
	w := governed(t, "web1..4", oneAtATime)
	w.reaches("web1", time.Minute) // granted by the first pass
	if d := w.settle(); d.Gate.Reason != "" || d.Starts() != 1 {
		t.Fatalf("a granted host: %+v, %d starts", d.Gate, d.Starts())
	}
	w.reaches("web4", time.Minute)
	d := w.decide()
	const want = "hosts reached v2 unexplained: 1 without a grant (web4)"
	if d.Gate.Reason != "UnexplainedUpgrade" || d.Halt == nil || d.Halt.Reason != want || d.Starts() != 0 {
		t.Fatalf("%+v, halt %+v", d.Gate, d.Halt)
	}
	w.control.Halt = d.Halt
	if d = w.settle(); d.Gate.Reason != "UnexplainedUpgrade" || d.FleetHold == nil || len(w.raw.Grants) != 0 {
		t.Errorf("%+v, hold %+v, grants %v", d.Gate, d.FleetHold, w.raw.Grants)
	}
	// An operator accepts it.
	w.control.Halt, w.control.Resumed = nil, &fleet.Pause{Time: w.now}
	if d = w.settle(); d.Gate.Reason != "" || d.Starts() != 1 {
		t.Errorf("after the resume: %+v, %d starts", d.Gate, d.Starts())
	}
}

// The index of the switch, or of the key of a grant, tells which hosts need no grant.
func TestUnexplainedUpgrade_KnowsWhoNeedsNoGrant(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"a host that had the version before the switch": func(w *world) {
			w.line("bare")
		},
		"a host that joins with the version": func(w *world) {
			w.line("report web9 Idle v2 0s")
			w.knowsGrants("web9")
		},
		"a legacy host, which may not ask": func(w *world) { w.line("record v2 web9") },
		"an agent of an earlier release":   func(w *world) { w.line("report web9 Idle v2 0s") },
		"a report that is written again": func(w *world) {
			w.line("report web4 Idle v2 0s")
			r := w.reportOf("web4")
			r.Schema, r.Reached = fleet.ReportSchema, fleet.Reached{Version: "v2", Index: 1}
			put(&w.raw.Reports, w.pair(w.layout.Report("web4"), string(keys.EncodeReport(r)), 0))
		},
		"a host whose key shows that it was granted": func(w *world) {
			w.line("key host/web4 True -1m")
			w.reaches("web4", 0)
		},
		"a host whose key is gone": func(w *world) {
			w.line("grant web4 -1m")
			w.reaches("web4", 0)
		},
	} {
		w := governed(t, "web1..4", oneAtATime)
		change(w)
		if d := w.decide(); d.Gate.Reason == "UnexplainedUpgrade" {
			t.Errorf("%s: %+v", name, d.Gate)
		}
	}
}

func TestUnexplainedUpgrade_InLessTimeThanAnUpgradeTakes(t *testing.T) {
	for _, tt := range []struct {
		spec     string
		finished int // hosts that took 10 minutes
		took     time.Duration
		want     string
	}{
		{"", 5, 59 * time.Second, "hosts reached v2 unexplained: 1 less than 1m0s after the grant (web6)"},
		{"", 5, time.Minute, ""},
		{"", 4, time.Second, ""}, // too few to learn from
		{"minUpgradeSeconds: 0\n", 5, time.Second, ""},
		{"minUpgradeSeconds: 120\n", 0, 119 * time.Second, "hosts reached v2 unexplained: 1 less than 2m0s after the grant (web1)"},
		{"minUpgradeSeconds: 120\n", 0, 2 * time.Minute, ""},
	} {
		w := governed(t, "web1..9", tt.spec+oneAtATime)
		for i := range tt.finished {
			w.reaches(fmt.Sprintf("web%d", i+1), 10*time.Minute)
			if d := w.settle(); d.Gate.Reason != "" {
				t.Fatalf("%+v", d.Gate)
			}
		}
		w.reaches(fmt.Sprintf("web%d", tt.finished+1), tt.took)
		got := ""
		if d := w.decide(); d.Halt != nil {
			got = d.Halt.Reason
		}
		if got != tt.want {
			t.Errorf("%q, %d finished, took %s: %q, want %q", tt.spec, tt.finished, tt.took, got, tt.want)
		}
	}
}

// A second attempt finds most of its work done.
func TestUnexplainedUpgrade_ForgivesAFastRetry(t *testing.T) {
	for _, retried := range []bool{false, true} {
		w := governed(t, "web1..2", "minUpgradeSeconds: 120\n"+oneAtATime)
		if retried {
			w.line("retry web1 1")
		}
		w.reaches("web1", time.Second)
		if d := w.decide(); (d.Gate.Reason == "UnexplainedUpgrade") == retried {
			t.Errorf("retried %t: %+v", retried, d.Gate)
		}
	}
}

// A legacy host has no report: its record counts, and an operator may say how long an upgrade takes at least.
func TestUnexplainedUpgrade_OfALegacyHost(t *testing.T) {
	w := newWorld(t, "record v1 web1..2\nkey host/web1 True -1m\nrecord v2 web1", "minUpgradeSeconds: 120\n"+oneAtATime)
	remove(&w.raw.Records, w.layout.Record("v1", "web1"))
	if d := w.decide(); d.Gate.Reason != "UnexplainedUpgrade" {
		t.Errorf("%+v", d.Gate)
	}
}
