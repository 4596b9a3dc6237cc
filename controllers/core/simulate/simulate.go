// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Host is a host of a simulated fleet.
type Host struct {
	Name    string
	Version string
	// Role is the role that the host reports. Empty means the role in its name.
	Role string
	// Agent is true if the host runs our agent. Otherwise it is a legacy host that calls jorc.
	Agent bool
	// AgentVersion is the version of the agent. Empty means the earliest that the plan allows.
	AgentVersion string
}

// DefaultDuration is the assumed time from a host's grant to its report.
const DefaultDuration = 5 * time.Minute

// Span is a random duration: Mean, varied in both directions by at most the fraction Spread of it (0 to 1).
type Span struct {
	Mean   time.Duration
	Spread float64
}

// Options are the inputs of a simulation. The same options give the same result.
type Options struct {
	Plan *rollout.Plan
	// Fallback is the revision that a rollback carries out. Nil means none.
	Fallback *rollout.Plan
	Control  fleet.Control
	// Snapshot is the content of the store at the start, below Layout. Nil means that the store holds the reports of Hosts,
	// at the keys of the plan.
	Snapshot *keys.Snapshot
	Layout   keys.Layout
	Hosts    []Host
	Start    time.Time
	// Gap is the minimum time between two passes. Zero means a pass after each change.
	Gap time.Duration
	// Duration is the time from a host's grant to its report. Roles overrides it by role.
	Duration Span
	Roles    map[string]Span
	// Failures is the fraction of upgrades that fail (0 to 1).
	Failures float64
	// Promote promotes the canaries as soon as they await it.
	Promote bool
	// MaxStarts ends Run after this many grants. Zero means no limit.
	MaxStarts int
	// Quiet suppresses Log.
	Quiet bool
	Rand  *rand.Rand
}

// Simulation is a fleet at a point of virtual time.
type Simulation struct {
	Options
	Now time.Time
	// Log has a line for each event.
	Log []string
	// Running holds the hosts that are changing their version, regardless of their keys.
	Running map[string]Run

	world    *world
	recorder recorder
	attempts map[string]int    // host → attempts that failed, of a host that tries again
	failed   map[string]string // host → version that it failed to reach
	silent   map[string]bool   // hosts that were silent for too long at the start: nothing says that they would come back
	// watermarks are those in the memory of the controller. Nil means those of the ledger.
	watermarks fleet.Watermarks
}

// Run is a host's upgrade in progress.
type Run struct {
	Version      string
	Started, End time.Time
}

// New returns a simulation of the fleet that the hosts report or that the snapshot holds.
func New(o Options) *Simulation {
	if o.Plan != nil && o.Snapshot == nil {
		o.Layout = keys.Layout{Prefix: o.Plan.Spec.Keys.Prefix, Records: o.Plan.Spec.Keys.RunningVersions}
	}
	s := &Simulation{Options: o, Now: o.Start, Running: map[string]Run{}, world: newWorld(o.Layout),
		attempts: map[string]int{}, failed: map[string]string{}, silent: map[string]bool{}}
	s.recorder = newRecorder(o.Start)
	for _, h := range o.Hosts {
		s.Join(h)
	}
	if o.Snapshot != nil {
		s.world.load(*o.Snapshot)
		s.adopt()
	}
	return s
}

// NewIdle returns a simulation of a fleet before the plan, without any grant. Its current version is the one that most hosts
// have.
func NewIdle(o Options) *Simulation {
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

// adopt continues the hosts of a snapshot: started hosts go on, and hosts that the planner counts as failed have failed.
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
			began := m.Time
			if began.After(s.Now) { // the host's clock is ahead
				began = s.Now
			}
			end := began.Add(s.duration(h.Role))
			if end.Before(s.Now) {
				end = s.Now
			}
			s.Running[h.Name] = Run{Version: m.Version, Started: began, End: end}
			s.recorder.started(h, began)
		}
	}
}

// Join adds a host, which reports its version.
func (s *Simulation) Join(h Host) {
	s.world.record(h.Name, h.Version, s.Now)
	if h.Agent {
		release := h.AgentVersion
		if release == "" && s.Plan != nil {
			release = s.Plan.Spec.Hosts.MinAgentVersion
		}
		s.report(h.Name, fleet.Report{Schema: fleet.ReportSchema, Role: h.Role, Version: h.Version, AgentVersion: release,
			Phase: fleet.PhaseIdle, Time: s.Now})
	}
}

// Leave removes everything that a host wrote.
func (s *Simulation) Leave(name string) {
	s.world.leave(name)
	delete(s.Running, name)
}

// SetVersion writes current_version as an operator would by hand.
func (s *Simulation) SetVersion(version string) {
	s.world.put(s.world.pair(s.Layout.CurrentVersion(), version))
}

// SetKey writes a key below config_state/ as an operator would by hand.
func (s *Simulation) SetKey(key, value string) { s.world.put(s.world.pair(key, value)) }

// SetChecks sets the failing checks of a host's node.
func (s *Simulation) SetChecks(host string, checks ...fleet.Check) {
	rest := slices.DeleteFunc(slices.Clone(s.world.rest.Checks), func(c fleet.Check) bool { return c.Node == host })
	for _, c := range checks {
		c.Node = host
		rest = append(rest, c)
	}
	slices.SortStableFunc(rest, func(a, b fleet.Check) int { return strings.Compare(a.Node, b.Node) })
	s.world.rest.Checks, s.world.stale = rest, true
}

// SetNodes sets the nodes in the catalog. Nil means that the catalog is not read.
func (s *Simulation) SetNodes(names []string) {
	s.world.rest.Nodes, s.world.stale = slices.Clone(names), true
	slices.Sort(s.world.rest.Nodes)
}

// DeleteKey deletes a key below config_state/ as an operator would by hand.
func (s *Simulation) DeleteKey(key string) { s.world.put(keys.Pair{Key: key}) }

// Snapshot returns the content of the store.
func (s *Simulation) Snapshot() keys.Snapshot { return s.world.snapshot() }

// Fleet returns the fleet as a controller decodes it. The next event invalidates it.
func (s *Simulation) Fleet() *fleet.Fleet {
	return s.world.fleet(s.Now, s.Plan.RolePattern())
}

// Decide returns the decision for the present fleet.
func (s *Simulation) Decide() rollout.Decision { return rollout.Compute(s.Input()) }

// Input returns what the decision for the present fleet depends on. The next event invalidates it.
func (s *Simulation) Input() rollout.Input {
	in := rollout.Input{Plan: s.Plan, Control: s.Control, Fleet: s.Fleet(), Now: s.Now, Watermarks: s.watermarks}
	if s.Fallback != nil {
		in.Fallback = &rollout.Fallback{Revision: s.Fallback.Generation, Version: s.Fallback.Spec.Version}
	}
	return in
}

// Pass runs one pass of the controller. It returns the last decision.
func (s *Simulation) Pass() rollout.Decision {
	var d rollout.Decision
	err := pass.Run(func() (*rollout.Decision, error) {
		d = s.Decide()
		s.watermarks = d.Ledger.Watermarks
		if !d.ReadOnly {
			s.commit(&d)
		}
		return &d, nil
	})
	if err != nil {
		panic(err) // the step returns none
	}
	return d
}

func (s *Simulation) commit(d *rollout.Decision) {
	s.world.apply(s.changes(d))
	s.world.rest.Ledger = d.Ledger
	s.world.rest.Ledger.Counter++
	s.Control = pass.Control(s.Control, d, "")
	if d.Halt != nil {
		s.log("%s", d.Gate.Message)
	}
	if d.Rollback != nil {
		s.recorder.rolledBack(d, s.Fallback.Spec.Version, s.Now)
		s.Plan = s.Fallback
		s.log("roll back to revision %d: %s", d.Rollback.Revision, d.Rollback.Reason)
	}
	if d.Switch {
		s.log("switch from %s to %s", d.Current, d.Version)
	}
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Reason == v1alpha1.ReasonStarting {
			s.log("%s is %s", v.Host, v.Message)
			s.recorder.granted(v, s.Now)
		}
	}
}

// Act makes the hosts act: finish the upgrades that are due, and start those that are allowed.
func (s *Simulation) Act() {
	s.finishHosts()
	s.startHosts()
}

// startHosts starts all hosts that may start and have not.
func (s *Simulation) startHosts() {
	f := s.Fleet()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		if !s.mayStart(f, h) {
			continue
		}
		if _, runs := s.Running[h.Name]; !runs {
			s.startHost(h, f.Current)
		}
	}
}

// mayStart is the host's own decision. Hosts that failed or that are silent do not try again.
func (s *Simulation) mayStart(f *fleet.Fleet, h *fleet.Host) bool {
	failed, hasFailed := s.failed[h.Name]
	if s.silent[h.Name] || hasFailed && failed == f.Current.Name {
		return false
	}
	v := permission.View{Kind: permission.KindOf(h), Local: h.Record.Version, Current: f.Current, HasAction: s.hasAction(f),
		Setting: h.Setting, Grant: h.Grant, PausedBy: h.PausedBy, OnHold: h.Hold != nil || f.Hold != nil}
	if h.Agent() {
		v.Local = cmp.Or(v.Local, h.Report.Version)
		v.LastRollout = h.Report.Rollout
		v.Started, v.Failed = failed, hasFailed
	}
	if h.Started != nil {
		v.StartedRollout = h.Started.Rollout
	}
	return permission.Change(v).Allowed
}

// hasAction reports whether there is an action for the current version.
func (s *Simulation) hasAction(f *fleet.Fleet) bool {
	a := keys.DecodeAction(s.world.rest.Action)
	return a != nil && a.Version == f.Current.Name
}

func (s *Simulation) startHost(h *fleet.Host, current fleet.CurrentVersion) {
	version := current.Name
	s.Running[h.Name] = Run{Version: version, Started: s.Now, End: s.Now.Add(s.duration(h.Role))}
	if h.Agent() {
		started := fleet.Started{Version: version, From: h.Record.Version, Time: s.Now.UTC(), Rollout: current.Rollout}
		if h.Grant.For(current) {
			started.Grant, started.Unhealthy = h.Grant.ID, h.Grant.Unhealthy
			s.world.put(keys.Pair{Key: s.Layout.Grant(h.Name)})
		}
		s.world.put(s.world.pair(s.Layout.Started(h.Name), string(keys.EncodeStarted(started))))
		s.report(h.Name, fleet.Report{Version: version, Phase: fleet.PhaseUpgrading, Time: s.Now})
	}
	s.log("%s starts %s", h.Name, version)
	s.recorder.started(h, s.Now)
}

// duration returns a random duration for a host of the role.
func (s *Simulation) duration(role string) time.Duration {
	span, ok := s.Roles[role]
	if !ok {
		span = s.Duration
	}
	return time.Duration(float64(span.Mean) * (1 + span.Spread*(2*s.Rand.Float64()-1)))
}

// finishHosts finishes the upgrades that are due, each at its own time.
func (s *Simulation) finishHosts() {
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
		s.finishHost(name, s.Running[name])
	}
}

func (s *Simulation) finishHost(name string, run Run) {
	delete(s.Running, name)
	agent, failed := s.world.host(name).report.Exists(), s.attempts[name] > 0 || s.Rand.Float64() < s.Failures
	if failed && agent && s.triesAgain(name, run) {
		return
	}
	s.recorder.finished(name, run.End, failed)
	if failed {
		s.failed[name] = run.Version
		if agent {
			s.reportFailure(name, run, true)
		}
		delete(s.attempts, name)
		s.logAt(run.End, "%s fails to reach %s", name, run.Version)
		return
	}
	delete(s.failed, name)
	s.world.record(name, run.Version, run.End)
	if agent {
		r := fleet.Report{Version: run.Version, Phase: fleet.PhaseIdle, Time: run.End,
			DurationSeconds: int64(run.End.Sub(run.Started).Seconds())}
		if m := keys.DecodeStarted(s.world.host(name).started); m != nil && m.By == "" {
			r.Reached = m.Result()
		}
		s.report(name, r)
		s.world.put(keys.Pair{Key: s.Layout.Started(name)})
	}
	s.logAt(run.End, "%s reaches %s", name, run.Version)
}

// triesAgain lets a host that failed try again, as agents do, while its plan does not set it aside. It fails each time.
func (s *Simulation) triesAgain(name string, run Run) bool {
	attempt := s.attempts[name] + 1
	if attempt >= s.Input().Plan.Attempts() {
		return false
	}
	s.reportFailure(name, run, false)
	s.attempts[name] = attempt
	delay := min(time.Minute<<(attempt-1), time.Hour)
	role := cmp.Or(keys.DecodeReport(s.world.host(name).report).Role, fleet.RoleOf(name))
	again := run
	again.End = run.End.Add(delay + s.duration(role))
	s.Running[name] = again
	s.logAt(run.End, "%s fails to reach %s, attempt %d", name, run.Version, attempt)
	return true
}

// reportFailure writes the report of a failed attempt, and the marker of a host that waits, or whose next attempt has begun.
func (s *Simulation) reportFailure(name string, run Run, waits bool) {
	r := fleet.Report{Version: run.Version, Phase: fleet.PhaseFailed, Message: "simulated", Time: run.End, Attempt: s.attempts[name] + 1}
	if m := keys.DecodeStarted(s.world.host(name).started); m != nil && m.By == "" {
		r.AttemptRollout, m.Attempt, m.Waiting = m.Rollout, r.Attempt, waits
		if !waits {
			m.Attempt++
		}
		s.world.put(s.world.pair(s.Layout.Started(name), string(keys.EncodeStarted(*m))))
	}
	s.report(name, r)
}

// report replaces the report of a host, which keeps reporting its role.
func (s *Simulation) report(name string, r fleet.Report) {
	if before := keys.DecodeReport(s.world.host(name).report); before != nil {
		r.Role, r.Schema = cmp.Or(r.Role, before.Role), before.Schema
		r.AgentVersion = cmp.Or(r.AgentVersion, before.AgentVersion)
		r.Rollout = before.Rollout
		if started := keys.DecodeStarted(s.world.host(name).started); started != nil && r.Phase == fleet.PhaseIdle {
			r.Rollout = max(r.Rollout, started.Rollout)
		}
	}
	r.Time = r.Time.UTC()
	s.world.put(s.world.pair(s.Layout.Report(name), string(keys.EncodeReport(r))))
}

func (s *Simulation) log(format string, args ...any) { s.logAt(s.Now, format, args...) }

func (s *Simulation) logAt(at time.Time, format string, args ...any) {
	if !s.Quiet {
		s.Log = append(s.Log, fmt.Sprintf("%8s  ", at.Sub(s.Start))+fmt.Sprintf(format, args...))
	}
}
