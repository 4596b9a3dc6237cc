// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package simulate steps a fleet in virtual time through the real Decode, Compute and Render. What happens is a function
// of the options alone: the same seed gives the same log.
package simulate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Host is a host of a simulated fleet.
type Host struct {
	Name    string
	Version string
	// Role is the one that it reports; empty: the one in its name.
	Role string
	// Agent says that it runs an agent of ours; else it is a host in the field that asks jorc.
	Agent bool
}

// DefaultDuration is what a host is taken to need, from its release to its report, when nobody says so.
const DefaultDuration = 5 * time.Minute

// Span is how long something takes: Mean, varied by up to Spread of it (0 to 1) to both sides.
type Span struct {
	Mean   time.Duration
	Spread float64
}

// Options are all that a simulation depends on.
type Options struct {
	Plan *v1alpha1.UpgradePlan
	// Fallback is carried out in the place of the plan when that is rolled back; nil: there is none.
	Fallback *v1alpha1.UpgradePlan
	Control  fleet.Control
	// Raw is what a store holds at the start, below Layout; nil: what Hosts have reported, where the plan says.
	Raw    *keys.Snapshot
	Layout keys.Layout
	Hosts  []Host
	Start  time.Time
	// Gap is the least time between two passes of the controller, which otherwise looks at each change.
	Gap time.Duration
	// Duration is how long a host takes from its release to its report, and Roles that of the hosts of some roles.
	Duration Span
	Roles    map[string]Span
	// Failures is the share of upgrades that fail (0 to 1).
	Failures float64
	// Promote promotes the canaries as soon as they only wait for that.
	Promote bool
	// MaxStarts ends Run when so many hosts have been released; 0: it does not.
	MaxStarts int
	// Quiet keeps no Log.
	Quiet bool
	Rand  *rand.Rand
}

// Simulation is a fleet at a moment.
type Simulation struct {
	Options
	Now time.Time
	// Log tells what happened, a line each.
	Log []string
	// Running are the hosts that are changing their version at this moment, whatever the keys say, since when they do.
	Running map[string]Run

	world  *world
	seen   recorder
	failed map[string]string // host → version that it failed to reach
	silent map[string]bool   // hosts that were silent for too long at the start: nothing says that they would come back
}

// Run is an upgrade of a host that goes on.
type Run struct {
	Version    string
	Began, End time.Time
}

// New makes the fleet as its hosts have reported it, or as the store has it.
func New(o Options) *Simulation {
	if o.Plan != nil && o.Raw == nil {
		o.Layout = keys.Layout{Prefix: o.Plan.Spec.Keys.Prefix, Records: o.Plan.Spec.Keys.RunningVersions}
	}
	s := &Simulation{Options: o, Now: o.Start, Running: map[string]Run{}, world: newWorld(o.Layout),
		failed: map[string]string{}, silent: map[string]bool{}}
	s.seen = newRecorder(o.Start)
	for _, h := range o.Hosts {
		s.Join(h)
	}
	if o.Raw != nil {
		s.world.load(*o.Raw)
		s.adopt()
	}
	return s
}

// Established is New for a fleet whose hosts are all where they shall be, before the plan: at the version that most have.
func Established(o Options) *Simulation {
	s := New(o)
	versions := map[string]int{}
	for _, h := range o.Hosts {
		versions[h.Version]++
	}
	most := ""
	for _, version := range fleet.NaturalKeys(versions) {
		if most == "" || versions[version] > versions[most] {
			most = version
		}
	}
	if most != "" {
		s.SetVersion(most)
	}
	s.SetKey(s.Layout.EnableGlobal(), keys.Disabled)
	return s
}

// adopt takes hosts of a store as they are: what has begun goes on, what has failed in the eyes of the planner has.
func (s *Simulation) adopt() {
	d := s.Decide()
	f := s.Fleet()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		reason := d.Verdicts[i].Reason
		switch m := h.Started; {
		case reason == v1alpha1.ReasonReportedFailure:
			s.failed[h.Name] = f.Current.Name
		case reason == v1alpha1.ReasonDeadlineExceeded:
			s.silent[h.Name] = true
		case m != nil && m.By == "":
			end := m.Time.Add(s.takes(h.Role))
			if end.Before(s.Now) {
				end = s.Now
			}
			s.Running[h.Name] = Run{Version: m.Version, Began: m.Time, End: end}
			s.seen.begun(h, m.Time)
		}
	}
}

// Join adds a host that reports its version.
func (s *Simulation) Join(h Host) {
	s.world.record(h.Name, h.Version, s.Now)
	if h.Agent {
		s.report(h.Name, fleet.Report{Role: h.Role, Version: h.Version, Phase: fleet.PhaseIdle, Time: s.Now})
	}
}

// Leave removes all that a host wrote.
func (s *Simulation) Leave(name string) {
	s.world.leave(name)
	delete(s.Running, name)
}

// SetVersion writes current_version as somebody would by hand.
func (s *Simulation) SetVersion(version string) {
	s.world.put(s.world.pair(s.Layout.CurrentVersion(), version))
}

// SetKey writes a key below config_state/ as somebody would by hand.
func (s *Simulation) SetKey(key, value string) { s.world.put(s.world.pair(key, value)) }

// SetChecks sets the checks of a host's node that do not pass.
func (s *Simulation) SetChecks(host string, checks ...fleet.Check) {
	rest := slices.DeleteFunc(slices.Clone(s.world.rest.Checks), func(c fleet.Check) bool { return c.Node == host })
	for _, c := range checks {
		c.Node = host
		rest = append(rest, c)
	}
	slices.SortStableFunc(rest, func(a, b fleet.Check) int { return strings.Compare(a.Node, b.Node) })
	s.world.rest.Checks, s.world.stale = rest, true
}

// SetNodes sets the nodes that the catalog knows; nil: it is not read.
func (s *Simulation) SetNodes(names []string) {
	s.world.rest.Nodes, s.world.stale = slices.Clone(names), true
	slices.Sort(s.world.rest.Nodes)
}

// DeleteKey removes a key below config_state/ as somebody would by hand.
func (s *Simulation) DeleteKey(key string) { s.world.put(keys.Pair{Key: key}) }

// Raw is what the store holds.
func (s *Simulation) Raw() keys.Snapshot { return s.world.raw() }

// Fleet is what a controller sees now. It is good until something happens.
func (s *Simulation) Fleet() *fleet.Fleet {
	pattern := ""
	if s.Plan != nil {
		pattern = s.Plan.Spec.Hosts.RolePattern
	}
	return s.world.fleet(s.Now, pattern)
}

// Decide is the decision on what is seen now.
func (s *Simulation) Decide() rollout.Decision {
	in := rollout.Input{Plan: s.Plan, Control: s.Control, Fleet: s.Fleet(), Now: s.Now}
	if s.Fallback != nil {
		in.Fallback = &rollout.Fallback{Revision: s.Fallback.Generation, Version: s.Fallback.Spec.Version}
	}
	return rollout.Compute(in)
}

// maxRounds bounds the decisions of one pass.
const maxRounds = 8

// Pass is one pass of the controller: it decides and writes until nothing is left to do. It returns the last decision.
func (s *Simulation) Pass() rollout.Decision {
	for round := 1; ; round++ {
		d := s.Decide()
		if !d.ReadOnly {
			s.commit(&d)
		}
		if !d.NeedsAnotherPass() || round == maxRounds {
			return d
		}
	}
}

func (s *Simulation) commit(d *rollout.Decision) {
	s.world.apply(s.changes(d))
	s.world.rest.Ledger = d.Ledger
	if d.Halt != nil {
		s.Control.Halt = d.Halt
		s.log("%s", d.GateMessage)
	}
	if d.Rollback != nil {
		s.seen.rolledBack(d, s.Fallback.Spec.Version, s.Now)
		s.Control.Pin, s.Plan = d.Rollback, s.Fallback
		s.log("back to revision %d: %s", d.Rollback.Revision, d.Rollback.Reason)
	}
	if d.Switch {
		s.log("switch from %s to %s", d.Current, d.Version)
	}
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Reason == v1alpha1.ReasonStarting {
			s.log("%s is %s", v.Host, v.Message)
			s.seen.released(v, s.Now)
		}
	}
}

// Act lets each host act: end what it has begun and is due, and begin what it may.
func (s *Simulation) Act() {
	s.end()
	s.begin()
}

// begin lets all hosts begin that may and have not.
func (s *Simulation) begin() {
	f := s.Fleet()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		if !s.may(f, h) {
			continue
		}
		if _, runs := s.Running[h.Name]; !runs {
			s.beginOne(h, f.Current.Name)
		}
	}
}

// may is the host's own decision: DESIGN.md, section 2.
func (s *Simulation) may(f *fleet.Fleet, h *fleet.Host) bool {
	if f.Current.Index == 0 || s.silent[h.Name] || s.arrived(h, f.Current.Name) || h.PausedBy != fleet.ScopeNone {
		return false
	}
	may := h.Setting.EnablesLegacy()
	if h.Agent() {
		may = h.Hold == nil && s.acts(f) == f.Current.HasAction && h.Setting.Enables(f.Current.Name) &&
			h.Setting.Index > f.Current.Index
	}
	return may && s.failed[h.Name] != f.Current.Name
}

// arrived says whether a host has the version. An agent that failed to reach another one has to begin again.
func (s *Simulation) arrived(h *fleet.Host, version string) bool {
	failed, ok := s.failed[h.Name]
	return h.Record.Version == version && !(ok && failed != version && h.Agent())
}

// acts says whether an action stands that is for the current version.
func (s *Simulation) acts(f *fleet.Fleet) bool {
	a := keys.DecodeAction(s.world.rest.Action)
	return a != nil && a.Version == f.Current.Name
}

func (s *Simulation) beginOne(h *fleet.Host, version string) {
	s.Running[h.Name] = Run{Version: version, Began: s.Now, End: s.Now.Add(s.takes(h.Role))}
	if h.Agent() {
		started := fleet.Started{Version: version, Time: s.Now.UTC()}
		s.world.put(s.world.pair(s.Layout.Started(h.Name), string(keys.EncodeStarted(started))))
		s.report(h.Name, fleet.Report{Version: version, Phase: fleet.PhaseUpgrading, Time: s.Now})
	}
	s.log("%s begins %s", h.Name, version)
	s.seen.begun(h, s.Now)
}

// takes is how long a host of the role takes this time.
func (s *Simulation) takes(role string) time.Duration {
	span, ok := s.Roles[role]
	if !ok {
		span = s.Duration
	}
	return time.Duration(float64(span.Mean) * (1 + span.Spread*(2*s.Rand.Float64()-1)))
}

// end ends what is due, each at its own time.
func (s *Simulation) end() {
	var due []string
	for name, run := range s.Running {
		if !run.End.After(s.Now) {
			due = append(due, name)
		}
	}
	slices.SortFunc(due, func(a, b string) int {
		return cmp.Or(s.Running[a].End.Compare(s.Running[b].End), fleet.CompareNatural(a, b))
	})
	for _, name := range due {
		s.endOne(name, s.Running[name])
	}
}

func (s *Simulation) endOne(name string, run Run) {
	delete(s.Running, name)
	agent, failed := s.world.host(name).report.Exists(), s.Rand.Float64() < s.Failures
	s.seen.ended(name, run.End, failed)
	if failed {
		s.failed[name] = run.Version
		if agent {
			s.report(name, fleet.Report{Version: run.Version, Phase: fleet.PhaseFailed, Message: "simulated", Time: run.End})
		}
		s.logAt(run.End, "%s fails to reach %s", name, run.Version)
		return
	}
	delete(s.failed, name)
	s.world.record(name, run.Version, run.End)
	if agent {
		s.world.put(keys.Pair{Key: s.Layout.Started(name)})
		s.report(name, fleet.Report{Version: run.Version, Phase: fleet.PhaseIdle, Time: run.End})
	}
	s.logAt(run.End, "%s has reached %s", name, run.Version)
}

// report replaces the report of a host, which goes on to say the role that it said before.
func (s *Simulation) report(name string, r fleet.Report) {
	if before := keys.DecodeReport(s.world.host(name).report); before != nil {
		r.Role = cmp.Or(r.Role, before.Role)
	}
	r.Time = r.Time.UTC()
	s.world.put(s.world.pair(s.Layout.Report(name), string(keys.EncodeReport(r))))
}

// deadline is for how long a host may be silent.
func (s *Simulation) deadline() time.Duration {
	if s.Plan == nil || s.Plan.Spec.ProgressDeadlineSeconds == nil {
		return time.Duration(v1alpha1.DefaultProgressDeadlineSeconds) * time.Second
	}
	return time.Duration(*s.Plan.Spec.ProgressDeadlineSeconds) * time.Second
}

func (s *Simulation) log(format string, args ...any) { s.logAt(s.Now, format, args...) }

func (s *Simulation) logAt(at time.Time, format string, args ...any) {
	if !s.Quiet {
		s.Log = append(s.Log, fmt.Sprintf("%8s  ", at.Sub(s.Start))+fmt.Sprintf(format, args...))
	}
}
