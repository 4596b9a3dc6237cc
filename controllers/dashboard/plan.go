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
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	// maxRows limits each table of hosts and of events.
	maxRows = 100
	// maxCells is the largest fleet of which every host gets a cell. In a larger fleet, upgraded and pending hosts have none.
	maxCells = 20_000
	// largeCells and mediumCells are the largest fleets with cells of that size.
	largeCells, mediumCells = 60, 1500
	// rolesPart is the ID of the part with all roles.
	rolesPart = "roles"
)

// states returns all states of hosts in the order of the legend and the bars.
func states() []rollout.State {
	return []rollout.State{rollout.Upgraded, rollout.Upgrading, rollout.Failed, rollout.SetAside, rollout.OnHold, rollout.Pending,
		rollout.Exempt, rollout.Lost, rollout.Unknown, rollout.Duplicate}
}

// freshness says how old the data of a page is. Err is nil unless newer data could not be read.
type freshness struct {
	Now time.Time
	Err error
}

// summaryData is the data of the template "summary".
type summaryData struct {
	freshness
	Plan    *v1alpha1.UpgradePlan
	Status  v1alpha1.UpgradePlanStatus
	Line    string
	Current string
	Gate    string
	Pinned  string
	Leader  *leaderelection.LockHeldError
	Counts  []stateCount
}

// hostList is the data of the templates "flight" and "failures": the first hosts of Total.
type hostList struct {
	Plan  string
	Total int
	Table hostTable
}

func newHostList(plan, label string, rows []hostRow, now time.Time) hostList {
	return hostList{plan, len(rows), hostTable{label, plan + "/hosts/", rows[:min(maxRows, len(rows))], now}}
}

// hostTable is the data of the template "hostTable". BaseURL is the relative URL of the hosts' pages.
type hostTable struct {
	Label, BaseURL string
	Rows           []hostRow
	Now            time.Time
}

// whyData is the data of the template "why".
type whyData struct {
	Why      []describe.Reason
	Warnings []string
}

// eventsData is the data of the template "events", newest first.
type eventsData struct {
	Events []fleet.Event
	Now    time.Time
}

type stateCount struct {
	State rollout.State
	Count int
}

// hostRow is a host in a table.
type hostRow struct {
	rollout.Verdict
	Phase string
	// Since is the time when the host went in flight or, if it is not in flight, when it was upgraded.
	Since time.Time
}

// roleData is the data of the templates "role" and "head".
type roleData struct {
	v1alpha1.RoleStatus
	// ID is the suffix of the IDs of the role's parts.
	ID       string
	Bar      []barPart
	CellSize string
	Cells    template.HTML
	// Drawn and Hidden count the hosts with and without a cell.
	Drawn, Hidden int
}

// barPart is a section of a bar. X and W are percentages of the width.
type barPart struct {
	State rollout.State
	X, W  float64
}

func (d *Dashboard) planPage(s *snapshot) *page {
	o := s.plan
	name, present := o.Stored.Name, o.Present()
	summary := summaryData{
		freshness: freshness{o.Now, s.err}, Plan: o.Plan.UpgradePlan, Status: describe.Status(o), Current: o.Fleet.Current.Name,
		Gate: o.Decision.Gate.Message, Pinned: o.PinMessage(), Leader: s.leader,
		Counts: countStates(present.Verdicts, allIndexes(&present)),
	}
	summary.Line = status.Line(summary.Status)
	flight, failed := listHosts(o, &present)
	p := &page{Title: name}
	p.add("summary", d.render("summary", summary))
	p.add("progress", d.render("progress", newPlot(o, s.events)))
	d.addRoles(p, name, &present)
	p.add("flight", d.render("flight", newHostList(name, "hosts in flight", flight, o.Now)))
	p.add("failures", d.render("failures", newHostList(name, "failed hosts", failed, o.Now)))
	p.add("why", d.render("why", whyData{describe.Why(o.Why().Plan()), o.Decision.Warnings}))
	p.add("events", d.render("events", eventsData{newestFirst(s.events, maxRows), o.Now}))
	p.add("conditions", d.render("conditions", summary))
	return p
}

// listHosts returns the hosts in flight, oldest first, and the failed hosts.
func listHosts(o *pass.Assessment, present *rollout.Decision) (flight, failed []hostRow) {
	since := inFlightSince(o)
	for i := range present.Verdicts {
		v := &present.Verdicts[i]
		if v.State == rollout.Failed {
			failed = append(failed, newHostRow(&o.Fleet.Hosts[i], v, since[i]))
		}
		if v.InFlight {
			flight = append(flight, newHostRow(&o.Fleet.Hosts[i], v, since[i]))
		}
	}
	slices.SortStableFunc(flight, func(a, b hostRow) int { return a.Since.Compare(b.Since) })
	return flight, failed
}

// countStates counts the hosts with these indexes by state. States without hosts are left out.
func countStates(verdicts []rollout.Verdict, indexes []int) []stateCount {
	counts := map[rollout.State]int{}
	for _, i := range indexes {
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

func allIndexes(d *rollout.Decision) []int {
	indexes := make([]int, len(d.Verdicts))
	for i := range indexes {
		indexes[i] = i
	}
	return indexes
}

// newBar returns the sections of a bar. Counts of 0 have none.
func newBar(total int, counts []stateCount) []barPart {
	var bar []barPart
	x := 0.0
	for _, c := range counts {
		if c.Count > 0 {
			w := 100 * float64(c.Count) / float64(max(total, c.Count))
			bar = append(bar, barPart{c.State, x, w})
			x += w
		}
	}
	return bar
}

// inFlightSince maps verdict indexes to the time when the host went in flight.
func inFlightSince(o *pass.Assessment) map[int]time.Time {
	since := map[int]time.Time{}
	for _, f := range o.Flights() {
		since[f.Index] = f.Since
	}
	return since
}

func newHostRow(h *fleet.Host, v *rollout.Verdict, since time.Time) hostRow {
	row := hostRow{Verdict: *v, Since: since}
	if h.Report != nil {
		row.Phase = string(h.Report.Phase)
	}
	if !v.InFlight && v.Base == rollout.Upgraded {
		row.Since = reachedAt(h)
	}
	return row
}

// reachedAt returns the time when a host reached the version of its record. The zero time means unknown.
func reachedAt(h *fleet.Host) time.Time {
	if h.Report != nil && h.Report.Version == h.Record.Version && h.Report.Phase != fleet.PhaseUpgrading && !h.Report.Time.IsZero() {
		return h.Report.Time
	}
	return h.Record.Time
}

// addRoles adds a part with all roles, and inside it two parts for each role: its head and its cells.
func (d *Dashboard) addRoles(p *page, plan string, present *rollout.Decision) {
	byRole := map[string][]int{}
	for i := range present.Verdicts {
		byRole[present.Verdicts[i].Role] = append(byRole[present.Verdicts[i].Role], i)
	}
	roles := status.Roles(present)
	if len(byRole[""]) > 0 && !slices.ContainsFunc(roles, func(r v1alpha1.RoleStatus) bool { return r.Name == "" }) {
		roles = append(roles, v1alpha1.RoleStatus{})
	}
	p.cells = make(map[string]cell, len(present.Verdicts))
	size := cellSize(len(present.Verdicts))
	var all []roleData
	key := size
	var parts []part
	for _, role := range roles {
		indexes := byRole[role.Name]
		data := roleData{RoleStatus: role, ID: cmp.Or(role.Name, "-"), CellSize: size,
			Bar: newBar(len(indexes), countStates(present.Verdicts, indexes))}
		cells := newCells(present.Verdicts, indexes)
		data.Drawn, data.Hidden, data.Cells = len(cells), len(indexes)-len(cells), renderCells(plan, cells)
		var hosts strings.Builder
		for _, c := range cells {
			p.cells["h-"+c.host] = c.cell
			hosts.WriteString(c.host + " ")
		}
		all = append(all, data)
		key += " " + data.ID
		parts = append(parts, part{id: "head-" + data.ID, html: d.render("head", data), parent: rolesPart},
			part{id: "cells-" + data.ID, html: data.Cells, key: hosts.String() + " ", parent: rolesPart})
	}
	p.parts = append(p.parts, part{id: rolesPart, html: d.render("roles", all), key: key})
	p.parts = append(p.parts, parts...)
}

func cellSize(hosts int) string {
	switch {
	case hosts <= largeCells:
		return "large"
	case hosts <= mediumCells:
		return "medium"
	}
	return "small"
}

// hostCell is the cell of a host.
type hostCell struct {
	cell
	host string
}

// renderCells is not a template, because html/template takes 5 times as long for 10,000 cells.
func renderCells(plan string, cells []hostCell) template.HTML {
	var b strings.Builder
	for _, c := range cells {
		fmt.Fprintf(&b, `<a id="h-%[1]s" href="%[4]s/hosts/%[5]s" class="%[2]s" aria-label="%[3]s"><span>%[1]s</span></a>`,
			template.HTMLEscapeString(c.host), c.Class, template.HTMLEscapeString(c.Label), plan, url.PathEscape(c.host))
	}
	return template.HTML(b.String())
}

// newCells returns the cells of the hosts with these indexes. See maxCells.
func newCells(verdicts []rollout.Verdict, indexes []int) []hostCell {
	var cells []hostCell
	drawAll := len(verdicts) <= maxCells
	for _, i := range indexes {
		v := &verdicts[i]
		if !drawAll && (v.State == rollout.Upgraded && !v.InFlight || v.State == rollout.Pending) {
			continue
		}
		cells = append(cells, hostCell{newCell(v), v.Host})
	}
	return cells
}

func newCell(v *rollout.Verdict) cell {
	c := cell{"s-" + strings.ToLower(string(v.State)), v.Host + ": " + string(v.State)}
	if v.Reason != "" && string(v.Reason) != string(v.State) {
		c.Label += ", " + string(v.Reason)
	}
	if v.InFlight && v.State == rollout.Upgraded {
		c.Class += " soaking"
	}
	return c
}
