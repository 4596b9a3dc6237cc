// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

var update = flag.Bool("update", false, "write the frames into testdata")

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

func role(name string, limit int, c v1alpha1.HostCounts, blocked string) v1alpha1.RoleStatus {
	c.Total = c.Upgraded + c.Upgrading + c.Failed + c.Held + c.Pending
	return v1alpha1.RoleStatus{Name: name, HostCounts: c, Limit: &limit, BlockedBy: blocked}
}

// rolling returns a rollout of a few roles, half done.
func rolling() top.Picture {
	p := top.Picture{Digest: top.Digest{Plan: "fleet", Version: "2026.11", At: ago(2 * time.Second)},
		Sidebar: top.Sidebar{Leader: "led by upgrade-controller on ctl1"}}
	p.Roles = []v1alpha1.RoleStatus{
		role("db", 1, v1alpha1.HostCounts{Upgraded: 3}, ""),
		role("web", 3, v1alpha1.HostCounts{Upgraded: 12, Upgrading: 2, Failed: 1, Held: 2, Pending: 23, InFlight: 3},
			"3 of 3 slots of web are taken by web13, web14, web15"),
		role("compute", 5, v1alpha1.HostCounts{Pending: 120}, "waits for web: 12 of 40 hosts are upgraded"),
	}
	p.Status = v1alpha1.UpgradePlanStatus{Phase: v1alpha1.PhaseProgressing,
		Hosts: v1alpha1.HostCounts{Total: 163, Upgraded: 15, Upgrading: 2, Failed: 1, Held: 2, Pending: 143, InFlight: 3}}
	p.Status.Failures = []v1alpha1.HostFailure{{Host: "web13", Reason: "ReportedFailure", Message: "it reported a failure: no space left on /var"}}
	p.Flights = []top.Flight{
		{Host: "web14", Phase: fleet.PhaseUpgrading, Since: ago(56 * time.Minute), Due: noon.Add(4 * time.Minute), Message: "started at 2026-03-06T11:04:00Z"},
		{Host: "web15", Since: ago(75 * time.Second), Due: noon.Add(59 * time.Minute), Message: "granted at 2026-03-06T11:58:45Z by its host key, not yet at 2026.11"},
	}
	p.Events = []fleet.Event{
		{Number: 1, Time: ago(56 * time.Minute), Type: fleet.EventNormal, Reason: "Granted", Object: "host/web14", Message: "released: web14"},
		{Number: 2, Time: ago(2 * time.Minute), Type: fleet.EventWarning, Reason: "ReportedFailure", Object: "host/web13", Message: "it reported a failure: no space left on /var"},
		{Number: 3, Time: ago(75 * time.Second), Type: fleet.EventNormal, Reason: "Granted", Object: "host/web15", Message: "released: web15"},
	}
	return p
}

// halted returns a rollout that many failures have halted.
func halted() top.Picture {
	p := rolling()
	p.Status.Phase, p.StopReason = v1alpha1.PhaseHalted, "FailureBudgetExceeded"
	p.Stop = "halted since 2026-03-06T11:20:00Z, until `upgradectl rollout resume`: 30 of 163 hosts have failed (web1, web2, web3, web4, web5 and 25 more), more than failurePolicy.maxFailed, which is 10; unused grants are revoked, and no host is granted until an operator resumes the rollout"
	p.StoppedAt = ago(40 * time.Minute)
	p.Status.Hosts.Failed, p.Status.Failures = 30, nil
	for i := range 20 {
		p.Status.Failures = append(p.Status.Failures, v1alpha1.HostFailure{Host: fmt.Sprintf("web%d", i+1), Message: "it reported a failure: exit status 1"})
	}
	return p
}

// wide returns a rollout of many roles.
func wide(roles int) top.Picture {
	p := rolling()
	p.Roles = nil
	for i := range roles {
		p.Roles = append(p.Roles, role(fmt.Sprintf("role%c%c", 'a'+i/26, 'a'+i%26), 2, v1alpha1.HostCounts{Upgraded: i, Upgrading: 2, Pending: 2 * i, InFlight: 2},
			fmt.Sprintf("2 of 2 slots of it are taken by host%d, host%d", i, i+1)))
	}
	return p
}

func TestFrame_FitsTheWindow(t *testing.T) {
	small, large := top.Window{Width: 80, Height: 24}, top.Window{Width: 120, Height: 40}
	colored := small
	colored.Color = true
	inline := small
	inline.Inline = true
	scrolled := small
	scrolled.First = 7
	tiny := top.Window{Width: 30, Height: 8}
	stopped := rolling()
	stopped.Stop, stopped.StopReason = "outside of the maintenance windows: no window is open", "OutsideWindow"
	stopped.Events = append(stopped.Events, fleet.Event{Time: ago(30 * time.Second), Reason: "OutsideWindow", Object: "plan", Message: "outside"})
	away := rolling()
	away.Outage = top.Outage{Text: `Get "http://127.0.0.1:8500/v1/kv": connection refused`, Since: ago(time.Second)}
	one := rolling()
	one.Roles, one.Events, one.Problem = one.Roles[1:2], nil, "permission denied"
	failed := rolling()
	failed.Status.Failures[0].Message = "reported at 2026-03-06T11:58:00Z that it failed to reach 2026.11: attempt 3 failed: exit status 1"
	nasty := rolling()
	nasty.Status.Failures[0].Message = "\x1b[2Jgone\nand \u009b31m日本語日本語日本語日本語日本語日本語日本語日本語"
	for _, e := range []struct {
		name string
		p    top.Picture
		w    top.Window
	}{
		{"80x24", rolling(), small}, {"80x24-color", rolling(), colored}, {"120x40", rolling(), large}, {"inline", rolling(), inline},
		{"halted", halted(), small}, {"halted-120x40", halted(), large}, {"one-role", one, small},
		{"40-roles", wide(40), small}, {"40-roles-scrolled", wide(40), scrolled}, {"40-roles-inline", wide(40), inline},
		{"40-roles-120x40", wide(40), large}, {"tiny", rolling(), tiny}, {"no-answer", away, small},
		{"never-answered", top.Picture{Digest: top.Digest{Plan: "fleet"}, Outage: away.Outage}, small},
		{"window", stopped, small}, {"control", nasty, small}, {"failure", failed, small},
	} {
		t.Run(e.name, func(t *testing.T) {
			got := top.Frame(e.p, noon, e.w)
			lines := strings.Split(got, "\n")
			if len(lines) > e.w.Height || !e.w.Inline && len(lines) != e.w.Height {
				t.Errorf("%d lines", len(lines))
			}
			for _, l := range lines {
				if ansi.StringWidth(l) > e.w.Width {
					t.Errorf("%d columns: %s", ansi.StringWidth(l), l)
				}
			}
			golden(t, e.name, got+"\n")
		})
	}
}

// golden compares a frame with its file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLines_AreNotWiderThanAsked(t *testing.T) {
	d := halted().Digest
	lines := d.Lines(80)
	for _, l := range lines {
		if ansi.StringWidth(l) > 80 {
			t.Errorf("%d columns: %s", ansi.StringWidth(l), l)
		}
	}
	golden(t, "lines", strings.Join(lines, "\n")+"\n")
}
