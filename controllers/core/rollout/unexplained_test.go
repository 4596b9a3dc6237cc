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
		"a host that does not know how it came to the version": func(w *world) {
			w.reachedBy("web4", fleet.Reached{Version: "v2", Unknown: true})
		},
		"a host that finished by a grant of an earlier rollout": func(w *world) {
			w.reachedBy("web4", fleet.Reached{Version: "v2", Grant: fleet.GrantID(w.current().Rollout-1, 1, w.now)})
		},
		"an agent of a release that knows grants and names none": func(w *world) { w.reachedBy("web4", fleet.Reached{}) },
	} {
		w := governed(t, "web1..4", "minUpgradeSeconds: 1\n"+oneAtATime)
		change(w)
		if d := w.decide(); d.Gate.Reason == "UnexplainedUpgrade" {
			t.Errorf("%s: %+v", name, d.Gate)
		}
	}
}

// reachedBy lets an agent that knows grants report the version, and how it came to it.
func (w *world) reachedBy(host string, how fleet.Reached) {
	r := w.reportOf(host)
	r.Schema, r.Version, r.Phase, r.Reached = fleet.ReportSchema, "v2", fleet.PhaseIdle, how
	r.Rollout = w.current().Rollout
	put(&w.raw.Reports, w.pair(w.layout.Report(host), string(keys.EncodeReport(r)), 0))
}

func (w *world) current() fleet.CurrentVersion { return keys.DecodeCurrent(w.raw.Current) }

// A text that is not the id of a grant of this rollout or an earlier one explains nothing.
func TestUnexplainedUpgrade_ByAGrantThatCannotExist(t *testing.T) {
	for _, id := range []string{"x", "1", "..", "1.2", "1.2.x", "1.2.0", "1.2.3.4", "-1.2.3", "99.1.1750000000"} {
		for _, partial := range []bool{false, true} {
			w := governed(t, "web1..4", oneAtATime)
			w.reachedBy("web4", fleet.Reached{Version: "v2", Grant: id, Partial: partial})
			if d := w.decide(); d.Gate.Reason != "UnexplainedUpgrade" {
				t.Errorf("%s, partial %t: %+v", id, partial, d.Gate)
			}
		}
	}
}

// A message names the least duration of each role.
func TestUnexplainedUpgrade_NamesTheBoundOfEachRole(t *testing.T) {
	w := governed(t, "db1..6 web1..6", "")
	for i := range 5 {
		w.reaches(fmt.Sprintf("db%d", i+1), 20*time.Minute)
		w.settle()
		w.reaches(fmt.Sprintf("web%d", i+1), 10*time.Minute)
		w.settle()
	}
	w.reachedBy("db6", fleet.Reached{Version: "v2", Grant: fleet.GrantID(w.current().Rollout, 1, w.now)})
	w.reachedBy("web6", fleet.Reached{Version: "v2", Grant: fleet.GrantID(w.current().Rollout, 2, w.now)})
	w.now = w.now.Add(30 * time.Second)
	const want = "hosts reached v2 unexplained: 1 less than 1m0s after the grant (web6), 1 less than 2m0s after the grant (db6)"
	if d := w.decide(); d.Halt == nil || d.Halt.Reason != want {
		t.Errorf("%+v", d.Halt)
	}
}

// A host that failed has its version still, when the plan goes back to it: the change that its grant permits changes nothing.
func TestUnexplainedUpgrade_NotOfARollback(t *testing.T) {
	for _, name := range []string{"an agent", "an agent of an earlier release"} {
		w := governed(t, "web1..9", "")
		for i := range 6 {
			w.reaches(fmt.Sprintf("web%d", i+1), 10*time.Minute)
			w.settle()
		}
		w.plan.Spec.Version = "v3"
		w.settle()
		w.line("report web9 Failed v3 0s")
		w.knowsGrants("web9")
		w.plan.Spec.Version = "v2"
		w.settle()
		for i := range 6 { // so that there is a bound to fall below
			w.line(fmt.Sprintf("report web%d Idle v3 -1m", i+1))
			w.knowsGrants(fmt.Sprintf("web%d", i+1))
			w.settle()
			w.reaches(fmt.Sprintf("web%d", i+1), 10*time.Minute)
			w.settle()
		}
		how := fleet.Reached{Version: "v2", Grant: fleet.GrantID(w.current().Rollout, 1, w.now), Partial: true}
		if name != "an agent" {
			how = fleet.Reached{}
			w.line("key host/web9 True 0s")
		}
		w.reachedBy("web9", how)
		if d := w.settle(); d.Gate.Reason != "" {
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
	for _, partial := range []bool{false, true} {
		w := governed(t, "web1..2", "minUpgradeSeconds: 120\n"+oneAtATime)
		w.reachedBy("web1", fleet.Reached{Version: "v2", Grant: fleet.GrantID(w.current().Rollout, 1, w.now), Partial: partial})
		w.now = w.now.Add(time.Second)
		if d := w.decide(); (d.Gate.Reason == "UnexplainedUpgrade") == partial {
			t.Errorf("partial %t: %+v", partial, d.Gate)
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
