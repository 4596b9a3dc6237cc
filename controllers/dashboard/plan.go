// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	// maxRows bounds each table of hosts and of events.
	maxRows = 100
	// maxCells is how many hosts a fleet may have of which each is drawn; of a larger one, those that are neither
	// upgraded nor pending are.
	maxCells = 20_000
	// largeCells and mediumCells are how many hosts may be drawn so large.
	largeCells, mediumCells = 60, 1500
	// rolesPart is the part with all roles.
	rolesPart = "roles"
)

// states are all states of hosts, in the order of the legend, and of a bar.
func states() []rollout.State {
	return []rollout.State{rollout.Upgraded, rollout.Upgrading, rollout.Failed, rollout.OnHold, rollout.Pending, rollout.Exempt,
		rollout.Lost, rollout.Unknown}
}

// planData is what the templates of a plan's page are filled with.
type planData struct {
	Name      string
	Plan      *v1alpha1.UpgradePlan
	Status    v1alpha1.UpgradePlanStatus
	Line      string
	Current   string
	Gate      string
	Pinned    string
	Leader    *leaderelection.LockHeldError
	Now       time.Time
	Err       error
	Counts    []stateCount
	Warnings  []string
	Why       []describe.Reason
	Events    []fleet.Event
	Flight    []hostRow
	FlightAll int
	Failed    []hostRow
	FailedAll int
}

// hostTable is what the template of that name is filled with. To is the relative path to hosts' pages.
type hostTable struct {
	Label, To string
	Rows      []hostRow
	Now       time.Time
}

// FlightTable are the hosts in flight.
func (p planData) FlightTable() hostTable {
	return hostTable{"hosts in flight", p.Name + "/hosts/", p.Flight, p.Now}
}

// FailedTable are the hosts that have failed.
func (p planData) FailedTable() hostTable {
	return hostTable{"hosts that have failed", p.Name + "/hosts/", p.Failed, p.Now}
}

type stateCount struct {
	State rollout.State
	Count int
}

// hostRow is a host in a table.
type hostRow struct {
	rollout.Verdict
	Phase string
	// Since is since when it is in flight, or since when it is upgraded.
	Since time.Time
}

// roleRow is a role with its hosts.
type roleRow struct {
	v1alpha1.RoleStatus
	ID     string // of its part
	Bar    []barPart
	Drawn  int // hosts that are drawn
	Hidden int // hosts that are not
}

// barPart is a piece of a bar, in hundredths of its width.
type barPart struct {
	State rollout.State
	X, W  float64
}

// planPage is the page of a plan.
func (d *Dashboard) planPage(s *sight) *page {
	o := s.plan
	present := o.Present()
	data := planData{
		Name: o.Stored.Name, Plan: o.Plan, Status: describe.Status(o), Current: o.Fleet.Current.Name,
		Gate: o.Decision.Gate.Message, Pinned: o.PinMessage(), Leader: s.leader, Now: o.Now, Err: s.err,
		Counts: countStates(present.Verdicts), Warnings: o.Decision.Warnings, Why: describe.Why(o.Why().Plan()),
		Events: newestFirst(s.events, maxRows),
	}
	data.Line = status.Line(data.Status)
	since := sinces(o)
	for i := range present.Verdicts {
		v := &present.Verdicts[i]
		if v.State == rollout.Failed {
			data.Failed = append(data.Failed, rowOf(&o.Fleet.Hosts[i], v, since[i]))
		}
		if v.InFlight {
			data.Flight = append(data.Flight, rowOf(&o.Fleet.Hosts[i], v, since[i]))
		}
	}
	slices.SortStableFunc(data.Flight, func(a, b hostRow) int { return a.Since.Compare(b.Since) })
	data.FlightAll, data.FailedAll = len(data.Flight), len(data.Failed)
	data.Flight, data.Failed = data.Flight[:min(maxRows, data.FlightAll)], data.Failed[:min(maxRows, data.FailedAll)]
	p := &page{Title: o.Stored.Name}
	p.add("summary", d.render("summary", data))
	p.add("progress", d.render("progress", plotOf(o, s.events)))
	d.drawRoles(p, data.Name, &present)
	for _, name := range []string{"flight", "failures", "why", "events", "conditions"} {
		p.add(name, d.render(name, data))
	}
	return p
}

func countStates(verdicts []rollout.Verdict) []stateCount {
	counts := map[rollout.State]int{}
	for i := range verdicts {
		counts[verdicts[i].State]++
	}
	var out []stateCount
	for _, state := range states() {
		if n := counts[state]; n > 0 {
			out = append(out, stateCount{state, n})
		}
	}
	return out
}

// sinces are since when hosts are in flight, by their place among the verdicts.
func sinces(o *upgradeplan.Observation) map[int]time.Time {
	since := map[int]time.Time{}
	for _, f := range o.Flights() {
		since[f.Index] = f.Since
	}
	return since
}

func rowOf(h *fleet.Host, v *rollout.Verdict, since time.Time) hostRow {
	row := hostRow{Verdict: *v, Since: since}
	if h.Report != nil {
		row.Phase = string(h.Report.Phase)
	}
	if !v.InFlight && v.Base == rollout.Upgraded {
		row.Since = reachedAt(h)
	}
	return row
}

// reachedAt is when a host has reached the version of its record; zero: that is not known.
func reachedAt(h *fleet.Host) time.Time {
	if h.Report != nil && h.Report.Version == h.Record.Version && h.Report.Phase != fleet.PhaseUpgrading && !h.Report.Time.IsZero() {
		return h.Report.Time
	}
	return h.Record.Time
}

// drawRoles adds the part of the roles, and in it of each role one for its head and one for its hosts.
func (d *Dashboard) drawRoles(p *page, plan string, present *rollout.Decision) {
	byRole := map[string][]int{}
	for i := range present.Verdicts {
		byRole[present.Verdicts[i].Role] = append(byRole[present.Verdicts[i].Role], i)
	}
	size := sizeOf(len(present.Verdicts))
	roles := status.Roles(present)
	if len(byRole[""]) > 0 && !slices.ContainsFunc(roles, func(r v1alpha1.RoleStatus) bool { return r.Name == "" }) {
		roles = append(roles, v1alpha1.RoleStatus{})
	}
	p.cells = make(map[string]cell, len(present.Verdicts))
	var all strings.Builder
	var names []string
	parts := []part{}
	for i := range roles {
		row := roleRow{RoleStatus: roles[i], ID: template.HTMLEscapeString(cmp.Or(roles[i].Name, "-")),
			Bar: barOf(present.Verdicts, byRole[roles[i].Name])}
		cells, hosts := drawCells(p.cells, plan, present.Verdicts, byRole[row.Name])
		row.Drawn, row.Hidden = len(hosts), len(byRole[row.Name])-len(hosts)
		head := d.render("head", row)
		parts = append(parts, part{id: "head-" + row.ID, html: head, in: rolesPart},
			part{id: "cells-" + row.ID, html: cells, key: strings.Join(hosts, " ") + " ", in: rolesPart})
		names = append(names, row.ID)
		fmt.Fprintf(&all, `<article class="role" aria-labelledby="name-%[1]s"><div id="head-%[1]s">%[2]s</div>`+
			`<div id="cells-%[1]s" class="cells %[3]s" role="group" aria-label="hosts of %[1]s">%[4]s</div></article>`,
			row.ID, head, size, cells)
	}
	p.parts = append(p.parts, part{id: rolesPart, html: template.HTML(all.String()), key: size + " " + strings.Join(names, " ")})
	p.parts = append(p.parts, parts...)
}

func sizeOf(hosts int) string {
	switch {
	case hosts <= largeCells:
		return "large"
	case hosts <= mediumCells:
		return "medium"
	}
	return "small"
}

// drawCells draws hosts as links, whose ids are h- and their name. It is no template: there may be many.
func drawCells(cells map[string]cell, plan string, verdicts []rollout.Verdict, of []int) (html template.HTML, drawn []string) {
	var b strings.Builder
	few := len(verdicts) <= maxCells
	for _, i := range of {
		v := &verdicts[i]
		if !few && (v.State == rollout.Upgraded && !v.InFlight || v.State == rollout.Pending) {
			continue
		}
		c := cellOf(v)
		cells["h-"+v.Host] = c
		drawn = append(drawn, v.Host)
		fmt.Fprintf(&b, `<a id="h-%[1]s" href="%[4]s/hosts/%[5]s" class="%[2]s" aria-label="%[3]s"><span>%[1]s</span></a>`,
			template.HTMLEscapeString(v.Host), c.Class, template.HTMLEscapeString(c.Label), plan, url.PathEscape(v.Host))
	}
	return template.HTML(b.String()), drawn
}

func cellOf(v *rollout.Verdict) cell {
	c := cell{"s-" + strings.ToLower(string(v.State)), v.Host + ": " + string(v.State)}
	if v.Reason != "" && string(v.Reason) != string(v.State) {
		c.Label += ", " + string(v.Reason)
	}
	if v.InFlight && v.State == rollout.Upgraded {
		c.Class += " soaking"
	}
	return c
}

func barOf(verdicts []rollout.Verdict, of []int) []barPart {
	counts := map[rollout.State]int{}
	for _, i := range of {
		counts[verdicts[i].State]++
	}
	var bar []barPart
	x := 0.0
	for _, state := range states() {
		if n := counts[state]; n > 0 {
			w := 100 * float64(n) / float64(len(of))
			bar = append(bar, barPart{state, x, w})
			x += w
		}
	}
	return bar
}
