// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// limitScope is a set of hosts that can have a limit: a role, a group or the fleet.
type limitScope struct {
	kind     BlockerKind
	name     string
	size     int   // number of hosts
	hosts    []int // in natural order
	counted  int   // hosts that count
	joined   int   // of those, hosts that may have joined after the switch
	complete int   // of those, hosts that are upgraded and have soaked
	aside    int   // of those, hosts that are set aside
	leftOut  int   // hosts that do not count and that others wait for
	inFlight int
	enabled  int    // of those in flight, hosts that are enabled
	busy     int    // of those in flight, hosts that are not enabled, and may change their version or soak
	down     int    // hosts that are not in flight, and take a slot by alsoCount
	limit    *int   // nil means no limit
	origin   string // how the limit was computed from a percentage
	rule     string // the field of the plan that sets the limit

	// blocker and message are cached until a grant changes the scope.
	blocker *Blocker
	message string
}

func (s *limitScope) add(i int, f *hostFacts, joined bool) {
	if s.hosts == nil {
		s.hosts = make([]int, 0, s.size)
	}
	s.hosts = append(s.hosts, i)
	if f.counts() {
		s.counted++
		if joined {
			s.joined++
		}
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
		switch {
		case f.enabled:
			s.enabled++
		case f.busy:
			s.busy++
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
	if f.busy {
		s.busy--
	}
	if !f.inFlight() {
		s.inFlight++
	}
	s.blocker, s.message = nil, ""
}

// free reports whether one more host can be granted. A host in flight takes no further slot. After the limit was lowered more hosts are
// in flight than it allows. Then one that may land before it uses its grant is not granted, and one that has failed only while the
// limit is above the number of hosts that are enabled, change, soak or are down.
func (s *limitScope) free(f *hostFacts) bool {
	switch {
	case s.limit == nil:
		return true
	case !f.inFlight():
		return s.taken() < *s.limit
	case f.busy:
		return s.taken() <= *s.limit
	}
	return s.enabled+s.busy+s.down < *s.limit
}

func (l *limits) setLimit(s *limitScope, limit hostLimit, rule string) {
	base := s.base(l.excess)
	n := limit.slots(base)
	s.limit, s.origin, s.rule = &n, limit.originWithout(base, s.counted-base), "rollingRules."+rule
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
func (r *role) exhausted(f *hostFacts) *limitScope {
	for _, s := range r.scopes {
		if !s.free(f) {
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
	excess    int      // by how many hosts the fleet grew since the switch
	latest    *role    // looked up last: consecutive hosts mostly have the same role
	ambiguous []string // a message for each role that matches several groups
}

// tally counts the hosts of each role and group, and computes the limits from the counts.
func (a *assessment) tally() *limits {
	hosts, facts := a.in.Fleet.Hosts, a.facts
	l := &limits{patterns: a.plan.groups, byRole: map[string]*role{}, byGroup: map[string]*group{}, of: make([]*role, len(hosts)),
		excess: a.growth.excess,
		fleet:  limitScope{kind: BlockedByFleetLimit, name: "the fleet"}}
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
		joined := l.excess > 0 && a.joined(&hosts[i])
		leftOut := a.growth.leavesOut(f)
		for _, s := range r.scopes {
			s.add(i, f, joined)
			if leftOut {
				s.leftOut++
			}
		}
		if f.takesSlot() && !f.failed() {
			l.running++
		}
	}
	l.compute(a.plan.limits)
	return l
}

// compute sets the limits, once all hosts are counted.
func (l *limits) compute(rules planLimits) {
	if rules.fleet != nil {
		l.setLimit(&l.fleet, *rules.fleet, "fleet")
	}
	for _, g := range l.byGroup {
		if limit, ok := rules.roles[g.name]; ok {
			l.setLimit(&g.limitScope, limit, "roles."+g.name)
		} else if rules.global != nil {
			l.setLimit(&g.limitScope, *rules.global, "global")
		}
	}
	for _, r := range l.byRole {
		if limit, ok := rules.roles[r.name]; ok && !r.group.implicit {
			l.setLimit(&r.limitScope, limit, "roles."+r.name)
		}
	}
}

// base is the number of hosts of the fleet that percentages are of.
func (l *limits) base() int { return l.fleet.base(l.excess) }

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

// maxAmbiguous bounds the messages about roles that match several groups: hosts can report any number of roles.
const maxAmbiguous = 20

// groupOf returns the first group by name that matches a role. A role that none matches is a group of its own.
func (l *limits) groupOf(role string) (name string, implicit bool) {
	for _, p := range l.patterns {
		switch {
		case p.group == name || !p.pattern.MatchString(role):
		case name == "":
			name = p.group
		case len(l.ambiguous) < maxAmbiguous:
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
