// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Compute decides by the rules of DESIGN.md, sections 2 to 4.
func Compute(in Input) Decision { return compute(in).out }

func compute(in Input) *planner {
	p := newPlanner(in)
	p.judge()
	p.chooseGate()
	p.release()
	p.enableRoles()
	p.conclude()
	return p
}

// planner is the state of one computation.
type planner struct {
	in     Input
	plan   *Plan // never nil
	spec   *v1alpha1.UpgradePlanSpec
	target string
	hosts  []hostState // parallel to in.Fleet.Hosts
	teams  *teams
	canary canary
	order  order
	words  words
	opens  time.Time // when a window does, if they are closed; zero: never
	out    Decision
}

func newPlanner(in Input) *planner {
	plan := in.Plan.orEmpty()
	p := &planner{in: in, plan: plan, spec: &plan.Spec, target: in.Fleet.Current.Name}
	p.words = newWords(p.target)
	p.hosts = make([]hostState, len(in.Fleet.Hosts))
	p.out = Decision{
		Version:  p.spec.Version,
		Current:  p.target,
		Verdicts: make([]Verdict, len(in.Fleet.Hosts)),
		Action:   plan.action,
	}
	return p
}

// judge finds the state of each host, and what its role and group amount to.
func (p *planner) judge() {
	j := newJudge(p.in)
	p.teams = newTeams(p.plan.groups)
	for i := range p.in.Fleet.Hosts {
		h := &p.in.Fleet.Hosts[i]
		s := j.judge(h)
		p.hosts[i] = s
		v := &p.out.Verdicts[i]
		*v = Verdict{Host: h.Name, Role: h.Role, Base: s.base, State: s.base, Counts: s.counts, InFlight: s.inFlight,
			Complete: s.upgraded && !s.soaking}
		p.next(s.next)
		if h.Role != "" && !s.vanishes {
			r := p.teams.add(i, h, s)
			v.Group = r.group.name
		}
	}
	p.teams.limit(p.plan.limits)
	p.findCanary()
	p.order = newOrder(p.spec.Instructions.RoleOrder, p.teams, p.in.Fleet.Ledger.Roles, p.awaited())
	p.out.ReadOnly = p.in.Plan == nil || p.in.Fleet.Incomplete != "" || p.in.Conflict != ""
}

// chooseGate finds what stops every new start. The first that applies is the one that is told.
func (p *planner) chooseGate() {
	closed, unhealthy := p.outsideWindow(), p.tooManyUnhealthy()
	field := p.inTheField()
	halt := p.halt() // also while something else stops the plan: it lasts longer
	switch pause := p.in.Control.Pause; {
	case p.in.Plan == nil:
		p.gate(v1alpha1.ReasonNoPlan, "no plan releases hosts")
	case p.in.Fleet.Incomplete != "":
		p.gate(v1alpha1.ReasonObservationIncomplete, "nobody is released: "+p.in.Fleet.Incomplete)
	case p.in.Conflict != "":
		p.gate(v1alpha1.ReasonConflict, p.in.Conflict)
	case p.in.Control.Abort != nil:
		p.gate(v1alpha1.ReasonAborted, p.words.abort(p.in.Control.Abort))
	case pause != nil:
		p.gate(v1alpha1.ReasonPlanPaused, p.words.pause(pause))
	case p.spec.Paused:
		p.gate(v1alpha1.ReasonPlanPaused, "the plan is paused by its spec (spec.paused)")
	case halt != nil:
		p.gate(v1alpha1.ReasonFailureBudgetExceeded, p.words.halt(halt))
	case p.out.Rollback != nil:
		p.gate(v1alpha1.ReasonFailureBudgetExceeded, p.out.Rollback.Reason)
	case closed != "":
		p.gate(v1alpha1.ReasonOutsideWindow, closed)
	case unhealthy != "":
		p.gate(v1alpha1.ReasonTooManyUnhealthy, unhealthy)
	case field != "":
		p.gate(v1alpha1.ReasonVersionKeysRefused, field)
	case p.mustSwitch():
		p.out.Switch = true
		p.gate(v1alpha1.ReasonVersionSwitch, p.words.change(p.target, p.spec.Version))
	}
	p.out.Pending = !p.out.Switch && p.mustSwitch()
	if taken := p.takeBack(); !taken && p.stopped() && p.target != p.spec.Version {
		p.out.ReadOnly = true // the tree is made anew when the version may be switched: until then it is left alone
	}
	if n := p.correcting(); p.out.Gate == "" && n > 0 {
		p.gate(v1alpha1.ReasonRevoking, fmt.Sprintf("%d hosts are enabled that should not be: these keys are mended before any host is released", n))
	}
}

// mustSwitch: the version is not the plan's, or does not say whether an action goes with it as it should.
func (p *planner) mustSwitch() bool {
	return p.target != p.spec.Version || p.in.Fleet.Current.HasAction != (p.out.Action != nil)
}

func (p *planner) gate(r v1alpha1.Reason, message string) { p.out.Gate, p.out.GateMessage = r, message }

// takeBack finds the grants that must go, if there are any: those of agents that have not started and are stopped. What
// has started is not taken back, nor what a host in the field was once allowed, but by an abort.
func (p *planner) takeBack() (taken bool) {
	if p.out.ReadOnly || p.out.Switch {
		return false
	}
	for i := range p.hosts {
		s, h := &p.hosts[i], &p.in.Fleet.Hosts[i]
		stopped := p.stopped() || h.Held() || s.exempt
		waits := h.Agent() && !s.started && stopped
		s.takeBack = s.granted && !s.upgraded && (waits || !h.Agent() && p.out.Gate == v1alpha1.ReasonAborted)
		taken = taken || s.takeBack
	}
	return taken
}

// correcting counts what must be mended before anybody may start: no change both grants and takes back.
func (p *planner) correcting() int {
	n := 0
	for i := range p.hosts {
		if p.hosts[i].takeBack || p.hosts[i].implied {
			n++
		}
	}
	return n
}

// release fills the free slots and gives each host its verdict.
func (p *planner) release() {
	for _, i := range p.inReleaseOrder() {
		p.decide(i)
	}
}

// inReleaseOrder is groups in natural order, and the hosts of each in natural order. Hosts that hold a slot already
// come first: releasing them takes no other.
func (p *planner) inReleaseOrder() []int {
	first, rest := make([]int, 0, len(p.hosts)), make([]int, 0, len(p.hosts))
	put := func(i int) {
		if s := &p.hosts[i]; s.inFlight || s.upgraded {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	for i := range p.in.Fleet.Hosts {
		if p.in.Fleet.Hosts[i].Role == "" || p.hosts[i].vanishes {
			put(i)
		}
	}
	for _, g := range p.teams.sorted() {
		for _, i := range g.hosts {
			put(i)
		}
	}
	return append(first, rest...)
}

func (p *planner) decide(i int) {
	h, s, v := &p.in.Fleet.Hosts[i], &p.hosts[i], &p.out.Verdicts[i]
	for _, rule := range rules {
		if message, ok := rule.applies(p, h, s); ok {
			v.Reason, v.Message = rule.reason, message
			switch {
			case rule.state != "":
				v.State = rule.state
			case s.failed:
				v.State = Failed
			}
			break
		}
	}
	if v.Reason == v1alpha1.ReasonStarting {
		p.start(i)
	}
	p.keep(i)
}

// start gives the host a slot of its role, of its group and of the fleet.
func (p *planner) start(i int) {
	h, s, v := &p.in.Fleet.Hosts[i], &p.hosts[i], &p.out.Verdicts[i]
	p.teams.role(h.Role).start(s.inFlight)
	s.inFlight, s.starting = true, true
	v.State, v.Base, v.InFlight = Upgrading, Upgrading, true
	v.Enable, v.GrantedAt, v.Renew, v.Unhealthy = true, p.in.Now.Unix(), true, s.ailing
	if v.GrantedAt == h.Setting.Granted {
		v.GrantedAt++ // writing the same value with the same flags would move no index, and grant nothing
	}
}

// keep says which hosts keep the key that they have, or get one because their Puppet must go on.
func (p *planner) keep(i int) {
	h, s, v := &p.in.Fleet.Hosts[i], &p.hosts[i], &p.out.Verdicts[i]
	if s.starting || s.takeBack || s.implied {
		return
	}
	explicit := h.Setting.Scope != fleet.ScopeNone && h.Setting.Enables(p.target)
	// While the plan is paused no host gets a key that has none: global-disable-puppet stops Puppet on all of them.
	if v.Enable = s.granted || s.upgraded && (explicit || p.out.Gate != v1alpha1.ReasonPlanPaused && p.out.Gate != v1alpha1.ReasonAborted); !v.Enable {
		return
	}
	// The time of the grant stays what it was; a key without one, and a host without a key, gets it now, once.
	if v.GrantedAt = p.in.Now.Unix(); h.Setting.Granted != 0 && explicit {
		v.GrantedAt = h.Setting.Granted
	}
	if v.Unhealthy = s.ailing; h.Setting.Scope == fleet.ScopeHost && explicit {
		v.Unhealthy = h.Setting.Unhealthy
	}
}

// enableRoles writes a role's key when nothing of the role may be kept back any more: the role has no limit, or all of
// it is upgraded, and no host that looks that role up is left out, held, not released, or of another role by the plan.
func (p *planner) enableRoles() {
	withheld := map[string]bool{}
	for i := range p.in.Fleet.Hosts {
		h, v := &p.in.Fleet.Hosts[i], &p.out.Verdicts[i]
		if h.LookupRole != "" && !p.hosts[i].vanishes && (h.Role != h.LookupRole || !v.Counts || h.Held() || !v.Enable) {
			withheld[h.LookupRole] = true
		}
	}
	for _, r := range p.teams.roles() {
		open := r.unlimited() || r.counted == r.complete
		// Who joins a finished role may begin at once, but cannot run a command.
		enable := open && r.counted > 0 && !withheld[r.name] && p.out.Action == nil
		if p.out.Gate != "" { // a stop releases nobody, and a role key would release those who join
			enable = enable && p.in.Fleet.Roles[r.name].Enables(p.target)
		}
		key := p.in.Fleet.Roles[r.name]
		old := enable && key.Index != 0 && key.Index <= p.in.Fleet.Current.Index
		p.out.Roles = append(p.out.Roles, Role{Name: r.name, Group: r.group.name, Limit: r.shownLimit(), Enable: enable,
			Renew: old && p.out.Gate == "", Keep: old && p.out.Gate != "", Blocked: p.blocked(r)})
	}
}

// blocked is the sentence of the first host of the role that waits.
func (p *planner) blocked(r *role) string {
	if i := p.firstWaiting(r); i >= 0 {
		return p.out.Verdicts[i].Message
	}
	return ""
}

// firstWaiting is the first host of a role that counts and waits, one that is held only if all are: that tells nothing of the
// others. Negative: none waits.
func (p *planner) firstWaiting(r *role) int {
	held := -1
	for _, i := range r.hosts {
		switch v := &p.out.Verdicts[i]; {
		case !v.Counts || v.Base != Pending || v.Reason == v1alpha1.ReasonStarting:
		case v.Reason != v1alpha1.ReasonOnHold && v.Reason != v1alpha1.ReasonPausedByKey:
			return i
		case held < 0:
			held = i
		}
	}
	return held
}

// conclude sums up.
func (p *planner) conclude() {
	p.out.Complete = p.in.Plan != nil && !p.out.ReadOnly && p.target == p.spec.Version
	for i := range p.out.Verdicts {
		if v := &p.out.Verdicts[i]; v.Counts && !v.Complete {
			p.out.Complete = false
			break
		}
	}
	p.out.StartedMarkers = p.marks()
	if pin := p.in.Control.Pin; pin != nil {
		p.out.Pinned, p.out.PinMessage = pin.Revision, p.words.pin(pin, p.spec.Version)
	}
	p.out.UnknownHostGrants, p.out.Holds = p.in.Fleet.UnknownHostGrants, p.in.Fleet.Holds
	p.out.Ledger = p.ledger()
	p.out.Warnings = p.warnings()
}

// marks are those that stand and have not expired, and new ones for hosts in the field whose permission this pass takes
// away: they may have begun, so they keep their slot until they report or their deadline passes.
func (p *planner) marks() []fleet.StartedMarker {
	if p.out.ReadOnly {
		return nil
	}
	var marks []fleet.StartedMarker
	for i := range p.hosts {
		s, h := &p.hosts[i], &p.in.Fleet.Hosts[i]
		byUs := h.Started != nil && h.Started.By == fleet.ByController
		switch {
		case (h.Started == nil || byUs) && !h.Agent() && !s.upgraded && s.granted &&
			(s.implied || p.out.Switch || s.takeBack && !s.started):
			marks = append(marks, fleet.StartedMarker{Host: h.Name, Started: fleet.Started{
				Version: p.target, Time: time.Unix(p.in.Now.Unix(), 0).UTC(), By: fleet.ByController}})
		case byUs && s.marked:
			marks = append(marks, fleet.StartedMarker{Host: h.Name, Started: *h.Started})
		}
	}
	return marks
}

func (p *planner) ledger() fleet.Ledger {
	l := p.in.Fleet.Ledger
	l.Version = p.target
	l.Roles = p.teams.seen(l.Roles)
	l.Watermarks = p.watermarks()
	l.Checks = p.checkTimes()
	l.Promoted = ""
	if p.canary.promoted {
		l.Promoted = p.target
	}
	if p.out.Complete && p.out.Action == nil { // nobody goes back to a command
		l.Completed = p.revision()
	}
	return l
}

// revision is the one that is carried out.
func (p *planner) revision() int64 {
	if pin := p.in.Control.Pin; pin != nil {
		return pin.Revision
	}
	return p.in.Plan.Generation
}

func (p *planner) warnings() []string {
	var w []string
	if p.in.Plan != nil {
		w = append(w, p.order.warnings...)
		w = append(w, p.teams.warnings()...)
		w = append(w, p.canary.warnings...)
		w = append(w, p.unseen()...)
	}
	w = append(w, p.in.Fleet.Notes...)
	slices.Sort(w)
	return slices.Compact(w)
}

// next remembers the earliest time at which time alone changes something.
func (p *planner) next(t time.Time) {
	if !t.IsZero() && t.After(p.in.Now) && (p.out.Next.IsZero() || t.Before(p.out.Next)) {
		p.out.Next = t
	}
}
