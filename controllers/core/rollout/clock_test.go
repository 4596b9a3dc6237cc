// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// skews are offsets of the clocks of hosts.
var skews = []time.Duration{-3 * 365 * 24 * time.Hour, -time.Hour, 0, time.Hour, 3 * 365 * 24 * time.Hour}

// The clock of a host decides nothing: the controller counts from when it first saw what the host wrote.
func TestHostClocks(t *testing.T) {
	for _, skew := range skews {
		clocks := "clocks " + skew.String() + "\n"
		check(t, []example{{
			name:  "a soak lasts as long as by the controller's clock: " + clocks,
			fleet: clocks + "record v2 web1 at -1m\nagent web1\nkey host/web1 True -9m\nrecord v1 web2",
			spec:  "minReadySeconds: 600\n" + oneAtATime,
			want:  "web1 Upgraded Soaking: at 2026-03-06T12:09:00Z after soaking for 600 s\nweb2 Pending NoFreeSlot: taken by web1\nnot complete",
		}, {
			name:  "a soak ends: " + clocks,
			fleet: clocks + "record v2 web1 at -10m\nagent web1\nkey host/web1 True -19m\nrecord v1 web2",
			spec:  "minReadySeconds: 600\n" + oneAtATime,
			want:  "web1 Upgraded AtVersion\nweb2 Upgrading Starting",
		}, {
			name:  "a host has until its deadline: " + clocks,
			fleet: clocks + "record v1 web1\nagent web1\nkey host/web1 True -61m\nstarted web1 v2 -59m",
			spec:  oneAtATime,
			want:  "web1 Upgrading Granted: started at 2026-03-06T11:01:00Z",
		}, {
			name:  "a silent host fails: " + clocks,
			fleet: clocks + "record v1 web1\nagent web1\nkey host/web1 True -61m\nstarted web1 v2 -60m",
			spec:  oneAtATime,
			want:  "web1 Failed ProgressDeadlineExceeded",
		}, {
			name: "a failure before a resume is forgiven: " + clocks,
			fleet: clocks + "record v1 web1..2\nagent web1..2\nkey host/web1 True -20m\nstarted web1 v2 -19m\n" +
				"report web1 Failed v2 -10m\nresumed -6m",
			spec: "failurePolicy: {maxFailed: 0}",
			want: "web1 Failed ReportedFailure\nweb2 Upgrading Starting",
		}, {
			name: "a failure after a resume counts: " + clocks,
			fleet: clocks + "record v1 web1..2\nagent web1..2\nkey host/web1 True -20m\nstarted web1 v2 -19m\nresumed -6m\n" +
				"report web1 Failed v2 -5m",
			spec: "failurePolicy: {maxFailed: 0}",
			want: "web1 Failed ReportedFailure\nweb2 Pending FailureBudgetExceeded",
		}})
	}
}

// A clock that is more than a minute off causes a warning.
func TestHostClocks_CauseAWarning(t *testing.T) {
	const key = "record v1 web1\nagent web1\nknows web1\nkey host/web1 True -20m\n"
	check(t, []example{{
		name:  "ahead, by a started marker",
		fleet: key + "clocks 1h\nstarted web1 v2 -19m",
		want:  "web1 Upgrading Granted\n!the clocks of 1 of 1 hosts are more than a minute off (web1 ahead)",
	}, {
		name:  "years ahead, by a report",
		fleet: "clocks 26281h\nrecord v2 web1 at -10m\nagent web1",
		spec:  "minReadySeconds: 60",
		want:  "web1 Upgraded AtVersion\n!the clocks of 1 of 1 hosts are more than a minute off (web1 ahead)",
	}, {
		name:  "behind, by a started marker: a host does not start before its grant",
		fleet: key + "clocks -1h\nstarted web1 v2 -19m in 1",
		want:  "web1 Upgrading Granted\n!the clocks of 1 of 1 hosts are more than a minute off (web1 behind)",
	}, {
		name:  "behind, by the report of a rollout: a host does not finish before its grant",
		fleet: key + "clocks -1h\nrecord v2 web1 at -10m\nagent web1\nfinished web1 1",
		want:  "web1 Upgraded AtVersion\n!the clocks of 1 of 1 hosts are more than a minute off (web1 behind)",
	}, {
		name:  "a report of before the rollout",
		fleet: "record v2 web1 at -9h\nagent web1\nkey host/web1 True -20m",
		want:  "web1 Upgraded AtVersion\n!no warning",
	}, {
		name:  "a report of an earlier rollout",
		fleet: "bare\ncurrent v2 2\nkey global False\nkey host/web1 True -20m\nrecord v2 web1 at -9h\nagent web1\nfinished web1 1",
		want:  "web1 Upgraded AtVersion\n!no warning",
	}, {
		name:  "less than a minute behind",
		fleet: key + "clocks -90s\nstarted web1 v2 -19m in 1",
		want:  "web1 Upgrading Granted\n!no warning",
	}, {
		name:  "less than a minute ahead",
		fleet: key + "clocks 59s\nstarted web1 v2 -19m in 1",
		want:  "web1 Upgrading Granted\n!no warning",
	}})
}

func TestClockOffsetText(t *testing.T) {
	for offset, want := range map[time.Duration]string{3 * 365 * 24 * time.Hour: "3y ahead", -59 * time.Minute: "59m behind"} {
		if got := rollout.ClockOffsetText(offset); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The decision for any fleet does not depend on the times that its hosts write, but for the times that it shows.
func TestHostClocks_ChangeNoDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := anyWorld(t)
		if rapid.Bool().Draw(t, "maxFailed") {
			w.plan.Spec.FailurePolicy.MaxFailed = new(intstr.FromInt32(0))
		}
		want := w.decide()
		wrong := func(at time.Time) time.Time {
			return at.Add(time.Duration(rapid.Int64Range(-1e5, 1e5).Draw(t, "minutes")) * time.Minute)
		}
		for i, p := range w.raw.Records {
			w.raw.Records[i].Value = keys.EncodeTime(wrong(keys.DecodeTime(p.Value)))
		}
		for i, p := range w.raw.Reports {
			r := keys.DecodeReport(p)
			r.Time = wrong(r.Time)
			w.raw.Reports[i].Value = keys.EncodeReport(*r)
		}
		for i, p := range w.raw.Started {
			if m := keys.DecodeStarted(p); m.By == "" {
				m.Time = wrong(m.Time)
				w.raw.Started[i].Value = keys.EncodeStarted(*m)
			}
		}
		got := w.decide()
		for _, d := range []*rollout.Decision{&want, &got} {
			d.Warnings = nil
			for i, r := range d.Roles {
				if strings.HasPrefix(r.BlockedBy, "reported at ") {
					d.Roles[i].BlockedBy = ""
				}
			}
			for i := range d.Verdicts {
				d.Verdicts[i].ClockOffset = 0
				if d.Verdicts[i].Reason == v1alpha1.ReasonReportedFailure {
					d.Verdicts[i].Message = ""
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

// A restart of the controller prolongs a soak by a sixteenth at most, since it stores when it first saw the host. It does not
// write in each pass.
func TestWatermarks_AreStoredInTime(t *testing.T) {
	w := newWorld(t, "record v2 web1\nagent web1\nunseen", "minReadySeconds: 1600")
	var known fleet.Watermarks // in memory
	stored := 0
	for second := 0; second <= 1700; second += 10 {
		w.now = noon.Add(time.Duration(second) * time.Second)
		if second%50 == 0 && second < 1000 { // other hosts go on meanwhile
			w.line(fmt.Sprintf("record v2 db%d", second/50+1))
			w.raw.Ledger.Watermarks = slices.DeleteFunc(w.raw.Ledger.Watermarks, func(m fleet.Watermark) bool { return m.Index == w.index })
		}
		f := w.observe()
		in := w.input(&f)
		in.Watermarks = known
		d := rollout.Compute(in)
		known = d.Ledger.Watermarks
		web1 := d.Verdicts[slices.IndexFunc(d.Verdicts, func(v rollout.Verdict) bool { return v.Host == "web1" })]
		if done := second >= 1600; web1.Complete != done {
			t.Fatalf("after %d s: complete %t\n%s", second, web1.Complete, verdictLines(d))
		}
		if due := d.WatermarksDue; !due.IsZero() && !due.After(w.now) {
			w.raw.Ledger.Watermarks, stored = known, stored+1
		}
		for i := range f.Hosts { // what a restart would find
			first, ok := known.Seen(f.Hosts[i].Record.CreateIndex)
			again, found := w.raw.Ledger.Watermarks.Seen(f.Hosts[i].Record.CreateIndex)
			if !found {
				again = w.now
			}
			if late := again.Sub(first); !ok || late < 0 || late > 110*time.Second {
				t.Fatalf("after %d s: %s appears %s later", second, f.Hosts[i].Name, late)
			}
		}
	}
	if stored < 5 || stored > 17 {
		t.Errorf("stored %d times", stored)
	}
}
