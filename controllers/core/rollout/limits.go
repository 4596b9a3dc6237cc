// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// limitScope is a set of hosts that can have a limit: a role, a group or the fleet.
type limitScope struct {
	kind     BlockerKind
	name     string
	size     int   // number of hosts
	hosts    []int // in natural order
	counted  int   // hosts that count
	complete int   // of those, hosts that are upgraded and have soaked
	aside    int   // of those, hosts that are set aside
	inFlight int
	enabled  int    // of those in flight, hosts that are enabled
	down     int    // hosts that are not in flight, and take a slot by alsoCount
	limit    *int   // nil means no limit
	origin   string // how the limit was computed from a percentage
	rule     string // the field of the plan that sets the limit

	// blocker and message are cached until a grant changes the scope.
	blocker *Blocker
	message string
}

func (s *limitScope) add(i int, f *hostFacts) {
	if s.hosts == nil {
		s.hosts = make([]int, 0, s.size)
	}
	s.hosts = append(s.hosts, i)
	if f.counts() {
		s.counted++
		switch {
		case f.complete():
			s.complete++
		case f.setAside:
			s.aside++
		}
	}
	switch {
	case f.takesSlot():
		s.inFlight++
		if f.enabled {
			s.enabled++
		}
	case f.outage != "":
		s.down++
	}
}

// taken returns how many slots are taken.
func (s *limitScope) taken() int { return s.inFlight + s.down }

// grant counts a grant. A host that is in flight or down has its slot already.
func (s *limitScope) grant(f *hostFacts) {
	s.enabled++
	if f.outage != "" {
		s.down--
	}
	if !f.inFlight() {
		s.inFlight++
	}
	s.blocker, s.message = nil, ""
}

// free reports whether one more host can be granted. A host in flight takes no further slot, but no more of them are
// granted than the slots that hosts which are down leave.
func (s *limitScope) free(inFlight bool) bool {
	switch {
	case s.limit == nil:
		return true
	case inFlight:
		return s.enabled+s.down < *s.limit
	}
	return s.taken() < *s.limit
}

func (s *limitScope) setLimit(limit hostLimit, rule string) {
	n := limit.slots(s.counted)
	s.limit, s.origin, s.rule = &n, limit.origin(s.counted), "rollingRules."+rule
}

// role is a role with all scopes whose limits apply to it.
type role struct {
	limitScope
	group *group
	// scopes are the role, its group and the fleet.
	scopes [3]*limitScope
	// awaits is the role or group that this role waits for. Nil means none.
	awaits *Blocker
}

// group is the roles that share a limit.
type group struct {
	limitScope
	implicit bool // of a role that no group matches
}

func (r *role) grant(f *hostFacts) {
	for _, s := range r.scopes {
		s.grant(f)
	}
}

// exhausted returns the first scope without a free slot, or nil.
func (r *role) exhausted(inFlight bool) *limitScope {
	for _, s := range r.scopes {
		if !s.free(inFlight) {
			return s
		}
	}
	return nil
}

// zeroLimit returns the first scope whose limit is 0, or nil.
func (r *role) zeroLimit() *limitScope {
	for _, s := range r.scopes {
		if s.limit != nil && *s.limit == 0 {
			return s
		}
	}
	return nil
}

// tightest returns the scope with the fewest free slots. It has no limit if none has one.
func (r *role) tightest() *limitScope {
	best := r.scopes[0]
	for _, s := range r.scopes[1:] {
		if s.limit != nil && (best.limit == nil || *s.limit-s.taken() < *best.limit-best.taken()) {
			best = s
		}
	}
	return best
}

// shownLimit returns the smaller of the role's limit and its group's.
func (r *role) shownLimit() *int {
	if r.group.limit == nil || r.limit != nil && *r.limit < *r.group.limit {
		return r.limit
	}
	return r.group.limit
}

// limits are the roles and groups of a fleet, with the counts of their hosts.
type limits struct {
	patterns  []groupPattern
	byRole    map[string]*role
	byGroup   map[string]*group
	of        []*role // by host; nil means that the host is in no role
	fleet     limitScope
	running   int      // hosts in flight that have not failed
	latest    *role    // looked up last: consecutive hosts mostly have the same role
	ambiguous []string // a message for each role that matches several groups
}

// tally counts the hosts of each role and group, and computes the limits from the counts.
func tally(plan *Plan, hosts []fleet.Host, facts []hostFacts) *limits {
	l := &limits{patterns: plan.groups, byRole: map[string]*role{}, byGroup: map[string]*group{}, of: make([]*role, len(hosts)),
		fleet: limitScope{kind: BlockedByFleetLimit, name: "the fleet"}}
	for i := range hosts {
		if hosts[i].Role == "" || facts[i].vanishes() {
			continue
		}
		l.of[i] = l.role(hosts[i].Role)
		for _, s := range l.of[i].scopes {
			s.size++
		}
	}
	for i, r := range l.of {
		if r == nil {
			continue
		}
		f := &facts[i]
		for _, s := range r.scopes {
			s.add(i, f)
		}
		if f.takesSlot() && !f.failed() {
			l.running++
		}
	}
	l.compute(plan.limits)
	return l
}

// compute sets the limits, once all hosts are counted.
func (l *limits) compute(rules planLimits) {
	if rules.fleet != nil {
		l.fleet.setLimit(*rules.fleet, "fleet")
	}
	for _, g := range l.byGroup {
		if limit, ok := rules.roles[g.name]; ok {
			g.setLimit(limit, "roles."+g.name)
		} else if rules.global != nil {
			g.setLimit(*rules.global, "global")
		}
	}
	for _, r := range l.byRole {
		if limit, ok := rules.roles[r.name]; ok && !r.group.implicit {
			r.setLimit(limit, "roles."+r.name)
		}
	}
}

// role returns the role of a name, and creates a new one.
func (l *limits) role(name string) *role {
	if l.latest == nil || l.latest.name != name {
		l.latest = l.find(name)
	}
	return l.latest
}

func (l *limits) find(name string) *role {
	if r, ok := l.byRole[name]; ok {
		return r
	}
	groupName, implicit := l.groupOf(name)
	g, ok := l.byGroup[groupName]
	if !ok {
		g = &group{limitScope: limitScope{kind: BlockedByGroupLimit, name: groupName}, implicit: implicit}
		l.byGroup[groupName] = g
	}
	g.implicit = g.implicit && implicit
	r := &role{limitScope: limitScope{kind: BlockedByRoleLimit, name: name}, group: g}
	r.scopes = [...]*limitScope{&r.limitScope, &g.limitScope, &l.fleet}
	l.byRole[name] = r
	return r
}

// groupOf returns the first group by name that matches a role. A role that none matches is a group of its own.
func (l *limits) groupOf(role string) (name string, implicit bool) {
	for _, p := range l.patterns {
		switch {
		case p.group == name || !p.pattern.MatchString(role):
		case name == "":
			name = p.group
		default:
			l.ambiguous = append(l.ambiguous, fmt.Sprintf("role %s matches the groups %s and %s; it belongs to %s",
				role, name, p.group, name))
		}
	}
	if name == "" {
		return role, true
	}
	return name, false
}

// groups returns all groups in natural order.
func (l *limits) groups() []*group {
	groups := make([]*group, 0, len(l.byGroup))
	for _, name := range fleet.NaturalKeys(l.byGroup) {
		groups = append(groups, l.byGroup[name])
	}
	return groups
}

// roles returns all roles that have hosts, in natural order.
func (l *limits) roles() []*role {
	roles := make([]*role, 0, len(l.byRole))
	for _, name := range fleet.NaturalKeys(l.byRole) {
		if r := l.byRole[name]; len(r.hosts) > 0 {
			roles = append(roles, r)
		}
	}
	return roles
}

// seen returns the roles that were ever seen, sorted.
func (l *limits) seen(before []string) []string {
	all := slices.Clone(before)
	for _, r := range l.roles() {
		all = append(all, r.name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
