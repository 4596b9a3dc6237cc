// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// anyWorld is a fleet in any state at all: keys from other times and other people, marks, reports, holds, pauses.
func anyWorld(t *rapid.T) (*world, *rules) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	now := pick("current", "v1", "v2", "v2", "v2", "")
	value := func(label string) string {
		return pick(label, "True", "True", "True", "False", "false", "1", "v2", "v9", "bad!", `""`)
	}
	when := func(label string) string { return pick(label, "", "-1m", "-59m", "-2h", "5h") }
	mark := func(label string) string { return pick(label, "-1m", "-59m", "-2h", "5h") }

	line("bare")
	if now != "" && rapid.Bool().Draw(t, "current first") {
		line("current %s", now)
	}
	if rapid.IntRange(0, 4).Draw(t, "global is set") > 0 {
		line("key global %s %s", pick("global", "False", "False", "False", "True", "no!"), when("global since"))
	}
	var hosts []string
	for _, role := range []string{"web", "db", "stmon", "stmonleader"} {
		for i := range rapid.IntRange(0, 4).Draw(t, role) {
			hosts = append(hosts, fmt.Sprintf("%s%d", role, i+1))
		}
	}
	if rapid.Bool().Draw(t, "a host without role") {
		hosts = append(hosts, "NOROLE")
	}
	yes := func(label string, one int) bool { return rapid.IntRange(1, one).Draw(t, label) == 1 }
	for _, h := range hosts {
		if yes("marked", 8) {
			line("marked %s %s %s", h, pick("mark", "v0", "v1", "v2"), mark("marked at"))
		}
		if !yes("no record", 10) {
			line("record %s %s", pick("record", "v1", "v1", "v2"), h)
		}
		if yes("two records", 10) {
			line("record %s %s", pick("record", "v0", "v1", "v2"), h)
		}
		if yes("agent", 2) {
			line("agent %s", h)
			if yes("knows grants", 2) {
				line("knows %s", h)
			}
			line("release %s %s", h, pick("release", "v0.1.0", "v0.2.0", "v0.2.0"))
			if yes("duplicate", 6) {
				line("duplicate %s", h)
			}
		} else if yes("reports", 4) {
			line("report %s %s %s %s", h, pick("phase", "Idle", "Upgrading", "Failed"), pick("reported", "v1", "v2"), mark("reported at"))
		}
		if yes("started", 6) {
			line("started %s %s %s", h, pick("start", "v1", "v2"), mark("started at"))
		}
		if yes("has key", 2) {
			line("key host/%s %s %s", h, value("key"), when("key since"))
		}
		if yes("held", 10) {
			line("hold host/%s %s", h, pick("hold", "", "exempt"))
		}
		if yes("paused", 10) {
			line("pausekey host/%s %s", h, pick("pause", "True", "False"))
		}
	}
	for _, h := range hosts {
		if yes("fails a check", 5) {
			line("check %s %s", h, pick("check", "serfHealth critical", "puppet critical", "disk critical", "_node_maintenance maintenance"))
		}
	}
	if yes("role key", 5) {
		line("key role/web %s %s", value("role's"), when("role's since"))
	}
	if yes("key of an unknown host", 6) {
		line("key host/api1 %s %s", value("unknown host's"), when("unknown host's since"))
	}
	if yes("role hold", 10) {
		line("hold role/stmon")
	}
	if yes("role seen", 5) {
		line("seen db web")
	}
	if yes("pause", 10) {
		line("paused")
	}
	if now != "" && !strings.Contains(b.String(), "current") {
		line("current %s", now)
	}
	for _, h := range hosts {
		if now != "" && yes("is set aside before it starts", 12) {
			line("setaside %s", h)
			line("saw %s", h)
		}
	}
	for _, h := range hosts {
		if now != "" && yes("has grant", 4) {
			line("grant %s %s", h, mark("granted at"))
		}
	}

	for _, h := range hosts {
		if !strings.Contains(b.String(), "agent "+h+"\n") || !strings.Contains(b.String(), "current ") || !yes("has failed", 4) {
			continue
		}
		line("attempt %s %d %s %s", h, rapid.IntRange(1, 4).Draw(t, "attempts"), pick("and", "waits", "waits", "runs", "is_over"), mark("failed at"))
		if yes("is retried", 3) {
			line("retry %s %d", h, rapid.IntRange(1, 4).Draw(t, "retries after"))
		}
	}
	for _, h := range hosts {
		if yes("is set aside", 12) && !strings.Contains(b.String(), "setaside "+h+"\n") && strings.Contains(b.String(), "current ") {
			line("setaside %s", h)
		}
	}

	r := &rules{limit: map[string]int{}, after: map[string]string{}}
	var s strings.Builder
	if yes("an action stands", 8) {
		line("action %s reboot", pick("action", "v1", "v2"))
	}
	if now != "" && yes("current_version acts", 8) {
		line("acts")
	}
	if now != "" && yes("ungoverned", 8) {
		line("ungoverned")
	}
	if yes("by an action", 5) {
		s.WriteString("action: {type: Command, name: reboot, args: [now]}\n")
	}
	if yes("gated by health", 4) {
		s.WriteString("healthGate: {checks: [puppet]}\n")
	}
	if yes("sets aside", 2) {
		fmt.Fprintf(&s, "failurePolicy: {maxFailed: %s, setAside: Failed, afterAttempts: %d}\n", pick("budget", "0", "1", "100%"),
			rapid.IntRange(1, 3).Draw(t, "attempts until it is set aside"))
	}
	fmt.Fprintf(&s, "keys: {format: %s}\n", pick("format", "Boolean", "Version"))
	fmt.Fprintf(&s, "strategy: %s\nminReadySeconds: %d\n", pick("strategy", "Rolling", "Batch"), rapid.SampledFrom([]int{0, 600}).Draw(t, "soak"))
	exclude := "[]"
	if yes("excluding", 6) {
		exclude = "['*2']"
	}
	fmt.Fprintf(&s, "hosts: {exclude: %s, newcomers: %s, minAgentVersion: %s}\n", exclude, pick("newcomers", "Immediately", "ByRules"),
		pick("least agent", `""`, `""`, "v0.2.0"))
	s.WriteString("instructions:\n  groupMappings: {mons: stmon}\n  rollingRules:\n    roles: {")
	for _, g := range []string{"web", "db", "mons", "stmon"} {
		if n := rapid.IntRange(0, 4).Draw(t, "limit of "+g); n > 0 {
			r.limit[g] = n - 1
			fmt.Fprintf(&s, "%s: %d, ", g, n-1)
		}
	}
	s.WriteString("}\n")
	if n := rapid.IntRange(0, 6).Draw(t, "limit of the fleet"); n > 0 {
		r.limit["fleet"] = n
		fmt.Fprintf(&s, "    fleet: %d\n", n)
	}
	fmt.Fprintf(&s, "    alsoCount: [%s]\n", pick("also counted", "", "", "Maintenance", "Critical", "Maintenance, Critical"))
	if rapid.Bool().Draw(t, "ordered") {
		r.after["web"] = "mons"
		s.WriteString("  roleOrder: {web: mons}\n")
	}
	return newWorld(t, b.String(), s.String()), r
}

// rules states the limits and the order independently of the planner: of roles, of the group mons, and of the fleet.
type rules struct {
	limit map[string]int
	after map[string]string
}

func scopes(host string) []string {
	out := []string{fleet.RoleOf(host), "fleet"}
	if strings.HasPrefix(host, "stmon") {
		out = append(out, "mons")
	}
	return out
}

// mayBegin is the host's own decision, by docs/design/protocol.md, section 2, but for holds and pauses, which may go at any
// time.
func mayBegin(f *fleet.Fleet, h *fleet.Host) bool {
	text, set := h.Setting.Text, h.Setting.Scope != fleet.ScopeNone
	yes := strings.EqualFold(text, "true") || text == "1" || text == f.Current.Name
	switch {
	case f.Current.Index == 0 || hasVersion(h, f.Current.Name):
		return false
	case h.Report == nil:
		return !set || text != "False"
	case f.Current.Governed && h.Report.Schema >= 2:
		return h.Grant != nil && h.Grant.Rollout == f.Current.Rollout && h.Grant.Version == f.Current.Name
	case h.Report.Version == "":
		return !set || yes
	}
	return set && yes && h.Setting.Index > f.Current.Index
}

// hasVersion is what a host itself says: an agent by its report, a legacy host by its record.
func hasVersion(h *fleet.Host, version string) bool {
	if h.Report != nil {
		return h.Report.Version == version && h.Report.Phase == fleet.PhaseIdle
	}
	return h.Record.Version == version
}

// busy are the hosts that may be changing their version.
func (w *world) busy() map[string]bool {
	f := w.observe()
	out := map[string]bool{}
	for i := range f.Hosts {
		h := &f.Hosts[i]
		begun := h.Started != nil && h.Started.By == ""
		if m := h.Started; m != nil && m.By != "" {
			reached := h.Record.ModifyIndex > m.Index
			if h.Report != nil {
				reached = h.ReportIndex > m.Index && (hasVersion(h, m.Version) || hasVersion(h, f.Current.Name))
			}
			begun = !reached && w.now.Sub(w.writtenAt(m)) < time.Hour
		}
		if h.Role != "" && (begun || mayBegin(&f, h)) {
			out[h.Name] = true
		}
	}
	return out
}

// writtenAt is when the controller wrote a marker. One of a clock that was ahead is as old as its watermark.
func (w *world) writtenAt(m *fleet.Started) time.Time {
	if !m.Time.After(w.now) {
		return m.Time
	}
	for _, mark := range w.raw.Ledger.Watermarks {
		if mark.Index >= m.Index {
			return time.Unix(min(mark.Time, w.now.Unix()), 0)
		}
	}
	return w.now
}

// starts are the hosts that may begin after, and could not before.
func starts(before, after map[string]bool) (out []string) {
	for h := range after {
		if !before[h] {
			out = append(out, h)
		}
	}
	return out
}

// No prefix of a pass's changes makes a start above a limit or out of order, or takes a slot from a host that may have
// started. The changes are written one by one (the switch at once), and each state between them keeps the rules. A start is
// what the host itself reads as a permission.
func TestNoPrefixOfChangesExceedsALimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, r := anyWorld(t)
		for range 4 {
			d := w.decide()
			changes := w.changes(d)
			before, first := w.busy(), w.busy()
			began := false
			for _, step := range prefixes(changes) {
				w.index++
				w.raw = keys.Apply(w.raw, w.layout, step, w.index)
				after := w.busy()
				started := slices.DeleteFunc(starts(before, after), func(h string) bool { return vanishes(&d, h) })
				began = began || len(started) > 0
				r.check(t, w, started, after, shortly(step))
				before = after
			}
			w.raw.Ledger = d.Ledger
			for h := range first {
				if f := w.observe(); before[h] || began || w.ordered(h) {
					continue
				} else if host, _ := f.Host(h); host.Report == nil && first[h] && !before[h] && !expired(w, host) {
					t.Fatalf("%s was in flight and is not, without having reported\n%s%s", h, shortly(changes), verdictLines(d))
				}
			}
			if began && len(starts(before, first)) > 0 {
				for _, h := range starts(before, first) {
					if f := w.observe(); !known(&f, h) {
						continue
					}
					t.Fatalf("%s is revoked by changes that also grant others\n%s%s", h, shortly(changes), verdictLines(d))
				}
			}
			if !d.NeedsAnotherPass() {
				break
			}
		}
	})
}

// ordered reports whether an operator set the host aside, and it has begun no attempt since.
func (w *world) ordered(host string) bool {
	order, ok := w.control.SetAside[host]
	if !ok || order.Seen == 0 {
		return ok
	}
	f := w.observe()
	h, known := f.Host(host)
	return !known || h.Started == nil || h.Started.By != "" || h.Started.Waiting || h.Started.Index <= order.Seen
}

// aside reports whether nothing waits for a host: it is set aside, or was.
func (w *world) aside(h *fleet.Host) bool {
	failed := h.Report != nil && h.Report.Schema >= 2 && h.Report.Phase == fleet.PhaseFailed && h.Report.Attempt > 0
	return w.ordered(h.Name) || failed && (h.Started == nil || h.Started.Waiting)
}

// vanishes reports whether nothing is known of a host but a marker that this pass deletes.
func vanishes(d *rollout.Decision, host string) bool {
	return slices.ContainsFunc(d.Verdicts, func(v rollout.Verdict) bool {
		return v.Host == host && v.Reason == v1alpha1.ReasonLostFromCatalog && strings.Contains(v.Message, "marker")
	})
}

func known(f *fleet.Fleet, host string) bool { _, ok := f.Host(host); return ok }

func expired(w *world, h *fleet.Host) bool {
	return h.Started != nil && h.Started.By != "" && w.now.Sub(h.Started.Time) >= time.Hour
}

// prefixes cuts changes as they are written: one by one; of a switch, marks one by one and then all else at once.
func prefixes(c diff.Changes) (out []diff.Changes) {
	var atomic []diff.Change
	for _, change := range c.List {
		if len(c.Trees) > 0 && !strings.Contains(change.Key(), "/started/") {
			atomic = append(atomic, change)
			continue
		}
		out = append(out, diff.Changes{List: []diff.Change{change}})
	}
	if len(c.Trees) > 0 {
		out = append(out, diff.Changes{List: atomic, Trees: c.Trees, Atomic: c.Atomic})
	}
	return out
}

// limitless reports whether no limit and no order applies to a host, because it has no version yet.
func (w *world) limitless(host string) bool {
	f := w.observe()
	h, ok := f.Host(host)
	if !ok || w.plan.Spec.Hosts.Newcomers == "ByRules" || !f.Current.Governed || h.Report == nil || h.Report.Schema < 2 || h.Record.Version != "" {
		return false
	}
	if h.Started != nil && h.Started.By == "" {
		return h.Started.From == ""
	}
	return (h.Started == nil || expired(w, h)) && h.Report.Version == ""
}

func (r *rules) check(t *rapid.T, w *world, started []string, busy map[string]bool, step string) {
	r.checkAgents(t, w, started, step)
	started = slices.DeleteFunc(slices.Clone(started), w.limitless)
	count := map[string]int{}
	for h := range w.outOfService(busy) {
		for _, s := range scopes(h) {
			count[s]++
		}
	}
	for h := range busy {
		if w.limitless(h) {
			continue
		}
		for _, s := range scopes(h) {
			count[s]++
		}
	}
	f := w.observe()
	for _, h := range started {
		if host, _ := f.Host(h); host.Duplicate() {
			t.Fatalf("%s starts %s, which two machines report as\n%s", step, h, verdictLines(w.decide()))
		}
		for _, s := range scopes(h) {
			if limit, ok := r.limit[s]; ok && count[s] > limit {
				t.Fatalf("%s makes %s the %dth in flight of %s, the limit is %d\n%s", step, h, count[s], s, limit, verdictLines(w.decide()))
			}
			if first, ok := r.after[s]; ok {
				r.checkOrder(t, w, h, first, step)
			}
		}
	}
}

func (r *rules) checkAgents(t *rapid.T, w *world, started []string, step string) {
	f := w.observe()
	for _, name := range started {
		h, _ := f.Host(name)
		if w.plan.Spec.Hosts.MinAgentVersion != "" && h.Agent() && h.AgentVersion() != "v0.2.0" {
			t.Fatalf("%s starts %s, whose agent is too old\n%s", step, name, verdictLines(w.decide()))
		}
	}
}

func (r *rules) checkOrder(t *rapid.T, w *world, started, first, step string) {
	f := w.observe()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		exempt := h.Hold != nil && h.Hold.Exempt || len(w.plan.Spec.Hosts.Exclude) > 0 && strings.HasSuffix(h.Name, "2")
		if scopes(h.Name)[len(scopes(h.Name))-1] == first && !hasVersion(h, f.Current.Name) && !exempt && !w.aside(h) {
			t.Fatalf("%s starts %s before %s\n%s", step, started, h.Name, verdictLines(w.decide()))
		}
	}
}

// A whole pass over a fleet in any state ends, and a second changes nothing; decide and settle insist on it.
func TestSecondPassChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := anyWorld(t)
		w.settle()
	})
}

// What is counted in flight is what may be changing its version by the hosts' own rules, and those that soak.
func TestInFlightMatchesTheHostsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := anyWorld(t)
		w.plan.Spec.MinReadySeconds = 0
		w.plan.Spec.Paused = true // so that the decision itself grants no host
		d, busy, f, aside := w.decide(), w.busy(), w.observe(), map[string]bool{}
		for i := range f.Hosts {
			aside[f.Hosts[i].Name] = w.aside(&f.Hosts[i])
		}
		for _, v := range d.Verdicts {
			if v.Role != "" && v.InFlight != busy[v.Host] && v.Base != "Upgraded" && !aside[v.Host] {
				t.Fatalf("%s: in flight %v, but by its own rules %v\n%s", v.Host, v.InFlight, busy[v.Host], verdictLines(d))
			}
		}
	})
}

// Reading back what was written gives what was desired.
func TestDecodeOfRenderIsDesired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := anyWorld(t)
		d := w.decide()
		if d.ReadOnly {
			return
		}
		want := w.desired(d)
		yes := cmp.Or(want.Enabling, "True")
		w.write(w.changes(d), d.Ledger)
		f := w.observe()
		enabled, roles, kept := map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, g := range want.Hosts {
			enabled[g.Name] = !want.Switch
		}
		for _, g := range want.Roles {
			roles[g.Name], kept[g.Name] = !want.Switch, g.Keep
		}
		for i := range f.Hosts {
			h := &f.Hosts[i]
			own := h.Setting.Scope == fleet.ScopeHost && h.Setting.Text == yes
			if own != enabled[h.Name] {
				t.Fatalf("%s: desired %v, read %+v", h.Name, enabled[h.Name], h.Setting)
			}
			if proper := h.Setting.Text == yes || h.Setting.Text == "False"; own && h.Setting.Granted == 0 || !proper {
				t.Fatalf("%s is not spelled properly: %+v", h.Name, h.Setting)
			}
		}
		for name, s := range f.Roles {
			if kept[name] {
				if !s.Enables(f.Current.Name) || s.Index > f.Current.Index {
					t.Fatalf("role %s is to stay as it is, an old key that enables: %+v", name, s)
				}
				continue
			}
			if (s.Text == yes) != roles[name] || s.Text != yes && s.Text != "False" {
				t.Fatalf("role %s: desired %v, read %+v", name, roles[name], s)
			}
		}
		if f.Global.Text != "False" || f.Current.Name != want.Version {
			t.Fatalf("global is %+v, the version %+v", f.Global, f.Current)
		}
		if a := keys.DecodeAction(w.raw.Action); !want.Pending && (!reflect.DeepEqual(a, want.Action) ||
			keys.DecodeCurrent(w.raw.Current).HasAction != (a != nil)) {
			t.Fatalf("the action is %+v, desired %+v; current_version has the flags %x", a, want.Action, w.raw.Current.Flags)
		}
		marks := 0
		for i := range f.Hosts {
			if s := f.Hosts[i].Started; s != nil && s.By == fleet.ByController {
				marks++
			}
		}
		if marks != len(want.StartedMarkers) {
			t.Fatalf("%d marks, desired %d", marks, len(want.StartedMarkers))
		}
	})
}
