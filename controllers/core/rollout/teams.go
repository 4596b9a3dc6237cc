// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// team is a set of hosts that a limit is about: a role, a group, or the fleet.
type team struct {
	name     string
	hosts    []int // in natural order
	counted  int   // hosts that count
	complete int   // of those: upgraded, soak included
	inFlight int
	granted  int // of those in flight: enabled
	limit    *int
	limited  string // how the limit was computed, when it is a percentage
	text     string // full's sentence, until a start changes it
}

// maxNames is how many hosts a sentence names.
const maxNames = 5

func (t *team) add(i int, s hostState) {
	t.hosts = append(t.hosts, i)
	if s.counts {
		t.counted++
		if s.upgraded && !s.soaking {
			t.complete++
		}
	}
	if !s.inFlight {
		return
	}
	t.inFlight++
	if s.granted {
		t.granted++
	}
}

func (t *team) start(inFlight bool) {
	t.granted++
	t.text = ""
	if !inFlight {
		t.inFlight++
	}
}

// free says whether one more may be released. A host that is in flight already takes no further slot; of those, too, no
// more are released than the limit.
func (t *team) free(inFlight bool) bool {
	switch {
	case t.limit == nil:
		return true
	case inFlight:
		return t.granted < *t.limit
	}
	return t.inFlight < *t.limit
}

// full is the sentence of a host that finds no slot.
func (p *planner) full(t *team) string {
	switch {
	case t.text != "":
	case *t.limit == 0:
		t.text = "the limit of " + t.name + " is 0" + t.limited
	default:
		t.text = p.taken(t)
	}
	return t.text
}

// taken names the first few hosts, in natural order, that take the slots, and those of them that have failed.
func (p *planner) taken(t *team) string {
	var takers, failed []string
	for _, i := range t.hosts {
		s, name := &p.hosts[i], p.in.Fleet.Hosts[i].Name
		if s.inFlight && len(takers) < maxNames {
			takers = append(takers, name)
		}
		if s.failed && len(failed) < maxNames {
			failed = append(failed, name)
		}
	}
	text := fmt.Sprintf("%d of %d slots of %s are taken by %s%s", t.inFlight, *t.limit, t.name,
		names(takers, t.inFlight), t.limited)
	if len(failed) > 0 {
		text += "; failed: " + strings.Join(failed, ", ")
	}
	return text
}

func names(some []string, total int) string {
	text := strings.Join(some, ", ")
	if more := total - len(some); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (t *team) setLimit(limit hostLimit) {
	n := limit.slots(t.counted)
	t.limit, t.limited = &n, limit.origin(t.counted)
}

// role is a role, the group it belongs to, and the fleet.
type role struct {
	team
	group *group
	fleet *team
	all   []*team
}

// group is the roles that count as one.
type group struct {
	team
	own bool // of a role that no group matches
}

// levels are the teams whose limits hold for the role, the widest last.
func (r *role) levels() []*team { return r.all }

func (r *role) start(inFlight bool) {
	for _, t := range r.levels() {
		t.start(inFlight)
	}
}

func (r *role) unlimited() bool {
	return r.limit == nil && r.group.limit == nil && r.fleet.limit == nil
}

// tightest is the level with the fewest free slots; one without a limit when none has one.
func (r *role) tightest() *team {
	best := &r.team
	for _, t := range r.levels()[1:] {
		if t.limit != nil && (best.limit == nil || *t.limit-t.inFlight < *best.limit-best.inFlight) {
			best = t
		}
	}
	return best
}

// shownLimit is the smaller of the role's limit and its group's.
func (r *role) shownLimit() *int {
	if r.group.limit == nil || r.limit != nil && *r.limit < *r.group.limit {
		return r.limit
	}
	return r.group.limit
}

// teams are all roles and groups of a fleet.
type teams struct {
	patterns []groupPattern
	byRole   map[string]*role
	byGroup  map[string]*group
	fleet    team
	running  int   // in flight and not failed
	last     *role // that was asked for
	double   []string
}

func newTeams(patterns []groupPattern) *teams {
	return &teams{patterns: patterns, byRole: map[string]*role{}, byGroup: map[string]*group{}, fleet: team{name: "the fleet"}}
}

// add counts a host in its role, group and fleet.
func (t *teams) add(i int, h *fleet.Host, s hostState) *role {
	r := t.role(h.Role)
	for _, team := range r.levels() {
		team.add(i, s)
	}
	if s.inFlight && !s.failed {
		t.running++
	}
	return r
}

// role is the role of that name, made when it is new. Hosts that are asked for one after another mostly have the same.
func (t *teams) role(name string) *role {
	if t.last == nil || t.last.name != name {
		t.last = t.find(name)
	}
	return t.last
}

func (t *teams) find(name string) *role {
	if r, ok := t.byRole[name]; ok {
		return r
	}
	groupName, own := t.groupOf(name)
	g, ok := t.byGroup[groupName]
	if !ok {
		g = &group{team: team{name: groupName}, own: own}
		t.byGroup[groupName] = g
	}
	g.own = g.own && own
	r := &role{team: team{name: name}, group: g, fleet: &t.fleet}
	r.all = []*team{&r.team, &g.team, &t.fleet}
	t.byRole[name] = r
	return r
}

// groupOf is the first group by name that matches the role, else one of its own.
func (t *teams) groupOf(role string) (name string, own bool) {
	for _, p := range t.patterns {
		switch {
		case !p.pattern.MatchString(role) || p.group == name:
		case name == "":
			name = p.group
		default:
			t.double = append(t.double, fmt.Sprintf("role %s matches the groups %s and %s: it belongs to %s",
				role, name, p.group, name))
		}
	}
	if name == "" {
		return role, true
	}
	return name, false
}

// limit computes the limits, when all hosts have been added.
func (t *teams) limit(limits planLimits) {
	if limits.fleet != nil {
		t.fleet.setLimit(*limits.fleet)
	}
	for _, g := range t.byGroup {
		if limit, ok := limits.roles[g.name]; ok {
			g.setLimit(limit)
		} else if limits.global != nil {
			g.setLimit(*limits.global)
		}
	}
	for _, r := range t.byRole {
		if limit, ok := limits.roles[r.name]; ok && !r.group.own {
			r.setLimit(limit)
		}
	}
}

func (t *teams) sorted() []*group {
	groups := make([]*group, 0, len(t.byGroup))
	for _, name := range fleet.NaturalKeys(t.byGroup) {
		groups = append(groups, t.byGroup[name])
	}
	return groups
}

func (t *teams) roles() []*role {
	roles := make([]*role, 0, len(t.byRole))
	for _, name := range fleet.NaturalKeys(t.byRole) {
		if r := t.byRole[name]; len(r.hosts) > 0 {
			roles = append(roles, r)
		}
	}
	return roles
}

// seen are the roles that were ever seen, now included.
func (t *teams) seen(before []string) []string {
	all := slices.Clone(before)
	for _, r := range t.roles() {
		all = append(all, r.name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (t *teams) warnings() []string { return t.double }
