// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package simulate steps a fleet in virtual time through the real Decode, Compute and Render. What happens is a function
// of the options alone: the same seed gives the same log.
package simulate

import (
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
	// Agent says that it runs an agent of ours; else it is a host in the field that asks jorc.
	Agent bool
}

// Options are all that a simulation depends on.
type Options struct {
	Plan *v1alpha1.UpgradePlan
	// Fallback is carried out in the place of the plan when that is rolled back; nil: there is none.
	Fallback *v1alpha1.UpgradePlan
	Hosts    []Host
	Start    time.Time
	// Poll is how often hosts look, and the controller too. Duration is how long an upgrade takes.
	Poll, Duration time.Duration
	// Jitter varies each duration by up to so much of it, to both sides (0 to 1).
	Jitter float64
	// Failures is the share of upgrades that fail (0 to 1).
	Failures float64
	Rand     *rand.Rand
}

// Simulation is a fleet at a moment.
type Simulation struct {
	Options
	Now     time.Time
	Control fleet.Control
	Layout  keys.Layout
	// Raw is what the store holds.
	Raw keys.Raw
	// Log tells what happened, a line each.
	Log []string
	// Running are the hosts that are changing their version at this moment, whatever the keys say, since when they do.
	Running map[string]Run

	agents map[string]bool
	failed map[string]string // host → version that it failed to reach
	index  uint64
}

// Run is an upgrade of a host that goes on.
type Run struct {
	Version    string
	Began, End time.Time
}

// New makes the fleet as its hosts have reported it.
func New(o Options) *Simulation {
	s := &Simulation{Options: o, Now: o.Start, Running: map[string]Run{}, agents: map[string]bool{}, failed: map[string]string{}}
	if o.Plan != nil {
		s.Layout = keys.Layout{Prefix: o.Plan.Spec.Keys.Prefix, Records: o.Plan.Spec.Keys.RunningVersions}
	}
	for _, h := range o.Hosts {
		s.Join(h)
	}
	return s
}

// Join adds a host that reports its version.
func (s *Simulation) Join(h Host) {
	s.agents[h.Name] = h.Agent
	s.record(h.Name, h.Version)
	if h.Agent {
		s.report(h.Name, fleet.Report{Version: h.Version, Phase: fleet.PhaseIdle})
	}
}

// Leave removes all that a host wrote.
func (s *Simulation) Leave(name string) {
	s.forget(name)
	s.Raw.Reports = without(s.Raw.Reports, s.Layout.Report(name))
	s.Raw.Started = without(s.Raw.Started, s.Layout.Started(name))
	delete(s.Running, name)
	delete(s.agents, name)
}

// SetVersion writes current_version as somebody would by hand.
func (s *Simulation) SetVersion(version string) {
	s.Raw.Current = s.pair(s.Layout.CurrentVersion(), version)
}

// SetKey writes a key below config_state/ as somebody would by hand.
func (s *Simulation) SetKey(key, value string) {
	s.Raw.Config = with(s.Raw.Config, s.pair(key, value))
}

// SetChecks sets the checks of a host's node that do not pass.
func (s *Simulation) SetChecks(host string, checks ...fleet.Check) {
	s.Raw.Checks = slices.DeleteFunc(slices.Clone(s.Raw.Checks), func(c fleet.Check) bool { return c.Node == host })
	for _, c := range checks {
		c.Node = host
		s.Raw.Checks = append(s.Raw.Checks, c)
	}
	slices.SortStableFunc(s.Raw.Checks, func(a, b fleet.Check) int { return strings.Compare(a.Node, b.Node) })
}

// SetNodes sets the nodes that the catalog knows.
func (s *Simulation) SetNodes(names ...string) {
	s.Raw.Nodes = append([]string{}, names...)
	slices.Sort(s.Raw.Nodes)
}

// DeleteKey removes a key below config_state/ as somebody would by hand.
func (s *Simulation) DeleteKey(key string) { s.Raw.Config = without(s.Raw.Config, key) }

// Fleet is what a controller sees now.
func (s *Simulation) Fleet() fleet.Fleet {
	return keys.Decode(s.Raw, s.Layout, keys.Options{Now: s.Now})
}

// Decide is the decision on what is seen now.
func (s *Simulation) Decide() rollout.Decision {
	f := s.Fleet()
	in := rollout.Input{Plan: s.Plan, Control: s.Control, Fleet: &f, Now: s.Now}
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
		if !d.Frozen {
			s.commit(&d)
		}
		if !d.Unfinished() || round == maxRounds {
			return d
		}
	}
}

func (s *Simulation) commit(d *rollout.Decision) {
	changes := s.Layout.Changes(keys.Actual(s.Raw, s.Layout), d.Desired(s.Now))
	s.index++
	s.Raw = keys.Apply(s.Raw, s.Layout, changes, s.index)
	s.Raw.Ledger = d.Ledger
	if d.Halt != nil {
		s.Control.Halt = d.Halt
		s.log("%s", d.GateMessage)
	}
	if d.Rollback != nil {
		s.Control.Pin, s.Plan = d.Rollback, s.Fallback
		s.log("back to revision %d: %s", d.Rollback.Revision, d.Rollback.Reason)
	}
	if d.Switch {
		s.log("switch from %s to %s", d.Current, d.Version)
	}
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Reason == rollout.Starting {
			s.log("%s is %s", v.Host, v.Message)
		}
	}
}

// Act lets each host act: end what it has begun and is due, and begin what it may.
func (s *Simulation) Act() {
	f := s.Fleet()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		if run, ok := s.Running[h.Name]; ok {
			if !run.End.After(s.Now) {
				s.end(h, run)
			}
			continue
		}
		if s.may(&f, h) {
			s.begin(&f, h)
		}
	}
}

// may is the host's own decision: DESIGN.md, section 2.
func (s *Simulation) may(f *fleet.Fleet, h *fleet.Host) bool {
	if f.Current.Index == 0 || h.Record.Version == f.Current.Name || s.failed[h.Name] == f.Current.Name || h.PausedBy != fleet.ScopeNone {
		return false
	}
	if !s.agents[h.Name] {
		return h.Setting.EnablesLegacy()
	}
	return h.Hold == nil && s.acts(f) == f.Current.Acts && h.Setting.Enables(f.Current.Name) && h.Setting.Index > f.Current.Index
}

// acts says whether an action stands that is for the current version.
func (s *Simulation) acts(f *fleet.Fleet) bool {
	a := keys.DecodeAction(s.Raw.Action)
	return a != nil && a.Version == f.Current.Name
}

func (s *Simulation) begin(f *fleet.Fleet, h *fleet.Host) {
	spread := 1 + s.Jitter*(2*s.Rand.Float64()-1)
	s.Running[h.Name] = Run{Version: f.Current.Name, Began: s.Now, End: s.Now.Add(time.Duration(float64(s.Duration) * spread))}
	if s.agents[h.Name] {
		started := fleet.Started{Version: f.Current.Name, Time: s.Now.UTC()}
		s.Raw.Started = with(s.Raw.Started, s.pair(s.Layout.Started(h.Name), string(keys.EncodeStarted(started))))
		s.report(h.Name, fleet.Report{Version: f.Current.Name, Phase: fleet.PhaseUpgrading})
	}
	s.log("%s begins %s", h.Name, f.Current.Name)
}

func (s *Simulation) end(h *fleet.Host, run Run) {
	delete(s.Running, h.Name)
	if s.Rand.Float64() < s.Failures {
		s.failed[h.Name] = run.Version
		if s.agents[h.Name] {
			s.report(h.Name, fleet.Report{Version: run.Version, Phase: fleet.PhaseFailed, Message: "simulated"})
		}
		s.log("%s fails to reach %s", h.Name, run.Version)
		return
	}
	s.record(h.Name, run.Version)
	if s.agents[h.Name] {
		s.Raw.Started = without(s.Raw.Started, s.Layout.Started(h.Name))
		s.report(h.Name, fleet.Report{Version: run.Version, Phase: fleet.PhaseIdle})
	}
	s.log("%s has reached %s", h.Name, run.Version)
}

// Run passes and acts, poll by poll, until the plan is complete or the time is over. It says whether it is complete.
func (s *Simulation) Run(most time.Duration) bool {
	for end := s.Now.Add(most); !s.Now.After(end); s.Now = s.Now.Add(s.Poll) {
		if d := s.Pass(); d.Complete {
			s.log("complete")
			return true
		}
		s.Act()
	}
	return false
}

func (s *Simulation) log(format string, args ...any) {
	s.Log = append(s.Log, fmt.Sprintf("%8s  ", s.Now.Sub(s.Start))+fmt.Sprintf(format, args...))
}

// record replaces the records of a host by one.
func (s *Simulation) record(name, version string) {
	s.forget(name)
	p := s.pair(s.Layout.Record(version, name), string(keys.EncodeTime(s.Now)))
	s.Raw.Records = with(s.Raw.Records, p)
	s.list()
}

func (s *Simulation) forget(name string) {
	s.Raw.Records = slices.DeleteFunc(slices.Clone(s.Raw.Records), func(p keys.Pair) bool {
		return len(p.Key) > len(name) && p.Key[len(p.Key)-len(name)-1:] == "/"+name
	})
	s.list()
}

func (s *Simulation) list() {
	s.Raw.RecordKeys = make([]string, len(s.Raw.Records))
	for i, p := range s.Raw.Records {
		s.Raw.RecordKeys[i] = p.Key
	}
	s.Raw.RecordIndex = s.index
}

func (s *Simulation) report(name string, r fleet.Report) {
	r.Time = s.Now.UTC()
	s.Raw.Reports = with(s.Raw.Reports, s.pair(s.Layout.Report(name), string(keys.EncodeReport(r))))
}

// pair is a key as it is after it was written now.
func (s *Simulation) pair(key, value string) keys.Pair {
	s.index++
	return keys.Pair{Key: key, Value: []byte(value), CreateIndex: s.index, ModifyIndex: s.index}
}

// with is the list with the pair put in its place, by key.
func with(list []keys.Pair, p keys.Pair) []keys.Pair {
	i, found := slices.BinarySearchFunc(list, p.Key, func(p keys.Pair, key string) int { return strings.Compare(p.Key, key) })
	if found {
		p.CreateIndex = list[i].CreateIndex
		list = slices.Clone(list)
		list[i] = p
		return list
	}
	return slices.Insert(slices.Clone(list), i, p)
}

func without(list []keys.Pair, key string) []keys.Pair {
	return slices.DeleteFunc(slices.Clone(list), func(p keys.Pair) bool { return p.Key == key })
}
