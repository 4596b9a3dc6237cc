// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// maxFound is how many hosts a search shows, and maxKeys how many pending changes.
const (
	maxFound = 500
	maxKeys  = 500
)

func (d *Dashboard) plansView(*http.Request) view {
	return view{name: "plans", root: "./", render: func(s *sight) *page {
		type row struct {
			*v1alpha1.UpgradePlan
			Line string
			Bar  []barPart
		}
		var rows []row
		for _, plan := range s.plans {
			rows = append(rows, row{plan, status.Line(plan.Status), countsBar(plan.Status.Hosts)})
		}
		p := &page{Title: "Upgrade plans"}
		p.add("summary", d.render("plans", map[string]any{"Plans": rows, "Leader": s.leader, "Err": s.err, "Now": s.at}))
		return p
	}}
}

// countsBar is a bar of what a status counts.
func countsBar(h v1alpha1.HostCounts) []barPart {
	var bar []barPart
	x := 0.0
	for _, c := range []stateCount{{rollout.Upgraded, h.Upgraded}, {rollout.Upgrading, h.Upgrading}, {rollout.Failed, h.Failed},
		{rollout.OnHold, h.Held}, {rollout.Pending, h.Pending}} {
		if c.Count > 0 {
			w := 100 * float64(c.Count) / float64(max(h.Total, c.Count))
			bar = append(bar, barPart{c.State, x, w})
			x += w
		}
	}
	return bar
}

func (d *Dashboard) planView(r *http.Request) view {
	return view{plan: r.PathValue("plan"), name: "plan", root: "../", render: d.planPage}
}

// changesView is the plan as it is stored, and the keys that a pass would change now.
func (d *Dashboard) changesView(r *http.Request) view {
	return view{plan: r.PathValue("plan"), name: "changes", root: "../../", render: func(s *sight) *page {
		o := s.plan
		after, changes := o.Preview()
		text, err := describe.Manifest(o.Stored)
		if err != nil {
			text = err.Error()
		}
		data := map[string]any{"Name": o.Stored.Name, "Err": s.err, "Now": o.Now, "Total": len(changes.List),
			"Gate": after.Decision.Gate.Message, "More": max(0, len(changes.List)-maxKeys), "YAML": text}
		changes.List = changes.List[:min(len(changes.List), maxKeys)]
		data["Lines"] = diffLines(changes)
		p := &page{Title: o.Stored.Name + ": changes"}
		p.add("summary", d.render("changesHead", data))
		p.add("diff", d.render("diff", data))
		p.add("yaml", d.render("yaml", data))
		return p
	}}
}

// diffLine is a line of a diff; its class says whether something comes, goes, or is only told.
type diffLine struct{ Class, Text string }

func diffLines(changes diff.Changes) []diffLine {
	var lines []diffLine
	for text := range strings.Lines(changes.String()) {
		class := "told"
		switch {
		case strings.HasPrefix(text, "+"):
			class = "comes"
		case strings.HasPrefix(text, "-"):
			class = "goes"
		}
		lines = append(lines, diffLine{class, strings.TrimRight(text, "\n")})
	}
	return lines
}

func (d *Dashboard) hostView(r *http.Request) view {
	name := r.PathValue("host")
	return view{plan: r.PathValue("plan"), name: "host/" + name, root: "../../../", render: func(s *sight) *page {
		p := &page{Title: name}
		hosts := describe.Hosts(s.plan, nil)
		at := slices.IndexFunc(hosts, func(h describe.Host) bool { return h.Name == name })
		if at < 0 {
			p.missing = true
			p.add("summary", d.render("refused", fmt.Sprintf("no host of that name is known: %q", name)))
			return p
		}
		h := &hosts[at]
		p.add("summary", d.render("host", map[string]any{"Host": h, "Facts": h.Facts(s.plan, nil),
			"Why": describe.Why(s.plan.Why().Host(name)), "Now": s.plan.Now, "Err": s.err}))
		return p
	}}
}

// hostsView is a search for hosts by state, role and a piece of their name.
func (d *Dashboard) hostsView(r *http.Request) view {
	wanted := hostQuery{State: r.URL.Query().Get("state"), Role: r.URL.Query().Get("role"), Name: r.URL.Query().Get("name")}
	return view{plan: r.PathValue("plan"), name: "hosts?" + wanted.key(), root: "../../", render: func(s *sight) *page {
		present, since := s.plan.Present(), sinces(s.plan)
		var rows []hostRow
		found := 0
		for i := range present.Verdicts {
			v := &present.Verdicts[i]
			if !wanted.matches(v) {
				continue
			}
			if found++; found <= maxFound {
				rows = append(rows, rowOf(&s.plan.Fleet.Hosts[i], v, since[i]))
			}
		}
		var names []string
		for _, role := range status.Roles(&present) {
			names = append(names, role.Name)
		}
		p := &page{Title: "Hosts of " + s.plan.Stored.Name}
		data := map[string]any{"Name": s.plan.Stored.Name, "Query": wanted, "States": states(), "Roles": names, "Rows": rows,
			"Table": hostTable{"hosts that were found", "hosts/", rows, s.plan.Now}, "Found": found, "Now": s.plan.Now, "Err": s.err}
		p.add("summary", d.render("hostsHead", data))
		p.add("form", d.render("hostsForm", data))
		p.add("found", d.render("hosts", data))
		return p
	}}
}

type hostQuery struct{ State, Role, Name string }

func (q hostQuery) key() string {
	return url.Values{"state": {q.State}, "role": {q.Role}, "name": {q.Name}}.Encode()
}

func (q hostQuery) matches(v *rollout.Verdict) bool {
	return (q.State == "" || strings.EqualFold(q.State, string(v.State)) || strings.EqualFold(q.State, "InFlight") && v.InFlight) &&
		(q.Role == "" || q.Role == v.Role || q.Role == v.Group) &&
		(q.Name == "" || strings.Contains(v.Host, q.Name))
}
