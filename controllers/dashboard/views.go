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
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	// maxFound limits the hosts that a search shows.
	maxFound = 500
	// maxKeys limits the pending changes that are shown.
	maxKeys = 500
)

// plansData is the data of the template "plans".
type plansData struct {
	freshness
	Plans  []planRow
	Leader *leaderelection.LockHeldError
}

type planRow struct {
	*v1alpha1.UpgradePlan
	Bar []barPart
}

func (d *Dashboard) plansView(*http.Request) view {
	return view{name: "plans", root: "./", render: func(s *snapshot) *page {
		data := plansData{freshness: freshness{s.at, s.err}, Leader: s.leader}
		for _, plan := range s.plans {
			data.Plans = append(data.Plans, planRow{plan, newBar(plan.Status.Hosts.Total, statusCounts(plan.Status.Hosts))})
		}
		p := &page{Title: "Upgrade plans"}
		p.add("summary", d.render("plans", data))
		return p
	}}
}

func statusCounts(h v1alpha1.HostCounts) []stateCount {
	return []stateCount{{rollout.Upgraded, h.Upgraded}, {rollout.Upgrading, h.Upgrading}, {rollout.Failed, h.Failed},
		{rollout.SetAside, h.SetAside}, {rollout.OnHold, h.Held}, {rollout.Pending, h.Pending}}
}

func (d *Dashboard) planView(r *http.Request) view {
	return view{plan: r.PathValue("plan"), name: "plan", root: "../", render: d.planPage}
}

// changesData is the data of the templates "changesHead", "diff" and "yaml".
type changesData struct {
	freshness
	Name string
	// Total counts all pending changes, More those that are not shown.
	Total, More int
	Lines       []diffLine
	// Gate says why no host would get a grant. Empty means that hosts may get grants.
	Gate string
	YAML string
}

// changesView shows the stored plan, and the keys that a pass would change.
func (d *Dashboard) changesView(r *http.Request) view {
	return view{plan: r.PathValue("plan"), name: "changes", root: "../../", render: func(s *snapshot) *page {
		o := s.plan
		preview := o.Preview()
		changes := preview.Changes
		text, err := describe.Manifest(o.Stored)
		if err != nil {
			text = err.Error()
		}
		data := changesData{freshness: freshness{o.Now, s.err}, Name: o.Stored.Name, Total: len(changes.List),
			More: max(0, len(changes.List)-maxKeys), Gate: preview.Last.Decision.Gate.Message, YAML: text}
		changes.List = changes.List[:min(len(changes.List), maxKeys)]
		data.Lines = diffLines(changes)
		p := &page{Title: o.Stored.Name + ": changes"}
		p.add("summary", d.render("changesHead", data))
		p.add("diff", d.render("diff", data))
		p.add("yaml", d.render("yaml", data))
		return p
	}}
}

// diffLine is a line of a diff. Its class is added, removed or context.
type diffLine struct{ Class, Text string }

func diffLines(changes diff.Changes) []diffLine {
	var lines []diffLine
	for text := range strings.Lines(changes.String()) {
		class := "context"
		switch {
		case strings.HasPrefix(text, "+"):
			class = "added"
		case strings.HasPrefix(text, "-"):
			class = "removed"
		}
		lines = append(lines, diffLine{class, strings.TrimRight(text, "\n")})
	}
	return lines
}

// hostData is the data of the template "host".
type hostData struct {
	freshness
	Host  *describe.Host
	Facts []describe.Fact
	Why   []describe.Reason
}

func (d *Dashboard) hostView(r *http.Request) view {
	name := r.PathValue("host")
	return view{plan: r.PathValue("plan"), name: "host/" + name, open: true, root: "../../../", render: func(s *snapshot) *page {
		p := &page{Title: name}
		hosts := describe.Hosts(s.plan, nil)
		at := slices.IndexFunc(hosts, func(h describe.Host) bool { return h.Name == name })
		if at < 0 {
			p.missing = true
			p.add("summary", d.render("error", fmt.Sprintf("host %q not found", name)))
			return p
		}
		h := &hosts[at]
		p.add("summary", d.render("host", hostData{freshness{s.plan.Now, s.err}, h, h.Facts(s.plan, nil),
			describe.Why(s.plan.Why().Host(name))}))
		return p
	}}
}

// hostsData is the data of the templates "hostsHead", "hostsForm" and "hosts".
type hostsData struct {
	freshness
	Query  hostQuery
	States []rollout.State
	Roles  []string
	// Found counts all hosts that match, also those that the table leaves out.
	Found int
	Table hostTable
}

// hostsView searches hosts by state, role and part of the name.
func (d *Dashboard) hostsView(r *http.Request) view {
	query := hostQuery{State: r.URL.Query().Get("state"), Role: r.URL.Query().Get("role"), Name: r.URL.Query().Get("name")}
	return view{plan: r.PathValue("plan"), name: "hosts?" + query.key(), open: true, root: "../../", render: func(s *snapshot) *page {
		present, since := s.plan.Present(), inFlightSince(s.plan)
		data := hostsData{freshness: freshness{s.plan.Now, s.err}, Query: query, States: states(),
			Table: hostTable{Label: "hosts found", BaseURL: "hosts/", Now: s.plan.Now}}
		for i := range present.Verdicts {
			v := &present.Verdicts[i]
			if !query.matches(v) {
				continue
			}
			if data.Found++; data.Found <= maxFound {
				data.Table.Rows = append(data.Table.Rows, newHostRow(&s.plan.Fleet.Hosts[i], v, since[i]))
			}
		}
		for _, role := range status.Roles(&present) {
			data.Roles = append(data.Roles, role.Name)
		}
		p := &page{Title: "Hosts of " + s.plan.Stored.Name}
		p.add("summary", d.render("hostsHead", data))
		p.add("form", d.render("hostsForm", data))
		p.add("found", d.render("hosts", data))
		return p
	}}
}

// hostQuery filters hosts. Empty fields match all.
type hostQuery struct{ State, Role, Name string }

func (q hostQuery) key() string {
	return url.Values{"state": {q.State}, "role": {q.Role}, "name": {q.Name}}.Encode()
}

func (q hostQuery) matches(v *rollout.Verdict) bool {
	return q.matchesState(v) && (q.Role == "" || q.Role == v.Role || q.Role == v.Group) && strings.Contains(v.Host, q.Name)
}

func (q hostQuery) matchesState(v *rollout.Verdict) bool {
	return q.State == "" || strings.EqualFold(q.State, string(v.State)) || strings.EqualFold(q.State, "InFlight") && v.InFlight
}
