// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleets

import (
	"errors"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// findings adds the checks of a fleet.
type findings struct{ diagnose.Findings }

// Controllers are those that run, and who holds the lock. Nil means that it is free.
type Controllers struct {
	Running []leaderelection.Controller
	Lock    *leaderelection.LockHeldError
	Err     error
	// Plans is the number of stored plans.
	Plans int
}

// Fleet is what was read of a fleet.
type Fleet struct {
	// Plan is the name of its plan. Empty means that it has none.
	Plan       string
	Assessment *pass.Assessment
	Err        error
}

// CheckControllers returns the findings about controllers.
func CheckControllers(c *Controllers) []diagnose.Finding {
	var f findings
	if c.Err != nil {
		f.Add(diagnose.Unknown, "controllers", "", "the controllers cannot be read: %v", c.Err)
	}
	var versions, standbys []string
	leader := ""
	for _, r := range c.Running {
		if r.Leading {
			leader = name(r)
		} else {
			standbys = append(standbys, name(r))
		}
		if r.Version != "" && !slices.Contains(versions, r.Version) {
			versions = append(versions, r.Version)
		}
	}
	switch {
	case leader != "":
		f.Add(diagnose.OK, "controllers", "", "%s leads; %s", leader, standbysText(standbys))
	case c.Lock != nil && c.Lock.Kind == leaderelection.KindCLI:
		f.Add(diagnose.Warning, "controllers", "wait for it, or start upgrade-controller", "a command leads: %s", c.Lock.Holder)
	case c.Lock != nil:
		f.Add(diagnose.Warning, "controllers", "look at the lock "+keys.Leader, "an unknown process leads")
	case len(standbys) > 0:
		f.Add(diagnose.Warning, "controllers", "look at the log of upgrade-controller", "no controller leads; %s", standbysText(standbys))
	case c.Plans > 0:
		f.Add(diagnose.Problem, "controllers", "start upgrade-controller, or carry the plan out with upgradectl reconcile",
			"no controller is running: nothing carries out %s", wording.Count(c.Plans, "plan"))
	default:
		f.Add(diagnose.Warning, "controllers", "start upgrade-controller", "no controller is running")
	}
	if len(versions) > 1 {
		slices.SortFunc(versions, fleet.CompareNatural)
		f.Add(diagnose.Warning, "controllers", "finish the upgrade of upgrade-controller", "controllers have several versions: %s",
			strings.Join(versions, ", "))
	}
	return f.Findings
}

func name(c leaderelection.Controller) string {
	return strings.TrimPrefix(c.Name, leaderelection.ControllerName+" on ")
}

func standbysText(names []string) string {
	switch len(names) {
	case 0:
		return "none stands by"
	case 1:
		return diagnose.List(names) + " stands by"
	}
	return diagnose.List(names) + " stand by"
}

// CheckFleet returns the findings about the hosts and keys of a fleet.
func CheckFleet(of *Fleet, controllers []leaderelection.Controller) []diagnose.Finding {
	var f findings
	if of.Err != nil {
		f.Add(diagnose.Problem, "keys", action(of.Err), "the fleet cannot be read: %v", of.Err)
		return of.named(f.Findings)
	}
	a := of.Assessment
	if why := a.Fleet.Incomplete; why != "" {
		f.Add(diagnose.Problem, "keys", "no host is granted until that is fixed", "what was read is incomplete: %s", why)
	}
	f.clocks(a)
	f.agents(a, controllers)
	var without []string
	for _, v := range a.Decision.Verdicts {
		if v.Reason == v1alpha1.ReasonNoRole {
			without = append(without, v.Host)
		}
	}
	switch {
	case len(a.Fleet.Hosts) == 0:
		f.Add(diagnose.Warning, "hosts", "start upgrade-agent on the hosts", "no host has reported or recorded a version")
	case len(without) > 0:
		f.Add(diagnose.Warning, "hosts", "set role in the agents' configuration, or spec.hosts.rolePattern",
			"%s without a role, never granted: %s", wording.Count(len(without), "host"), diagnose.List(without))
	default:
		f.Add(diagnose.OK, "hosts", "", "%s, each with a role", wording.Count(len(a.Fleet.Hosts), "host"))
	}
	f.keys(a)
	return of.named(f.Findings)
}

// named adds the name of the plan to the messages.
func (of *Fleet) named(f diagnose.Findings) []diagnose.Finding {
	if of.Plan != "" {
		for i := range f {
			f[i].Message = "plan " + of.Plan + ": " + f[i].Message
		}
	}
	return f
}

// action is what to do about a failure to read.
func action(err error) string {
	if forbidden, ok := errors.AsType[*store.ForbiddenError](err); ok && forbidden.UnknownToken == "" {
		return "give the token " + forbidden.Policy
	}
	return ""
}

func (f *findings) clocks(a *pass.Assessment) {
	var off []string
	for _, v := range a.Decision.Verdicts {
		if v.ClockOffset != 0 {
			off = append(off, v.Host+" "+rollout.ClockOffsetText(v.ClockOffset))
		}
	}
	if len(off) > 0 {
		f.Add(diagnose.Warning, "clocks", "synchronize their clocks, as with chrony", "the clocks of %s are more than a minute off: %s",
			wording.Count(len(off), "host"), diagnose.List(off))
	}
}

// agents checks the versions of agents: against the plan's minimum, and against the controllers', from which they may be one minor
// version away.
func (f *findings) agents(a *pass.Assessment, controllers []leaderelection.Controller) {
	var tooOld, apart []string
	agents, silent := 0, 0
	for i := range a.Fleet.Hosts {
		h := &a.Fleet.Hosts[i]
		if !h.Agent() {
			continue
		}
		agents++
		if h.AgentVersion() == "" {
			silent++
		}
		if slices.ContainsFunc(controllers, func(c leaderelection.Controller) bool { return farApart(h.AgentVersion(), c.Version) }) {
			apart = append(apart, h.Name+" "+h.AgentVersion())
		}
	}
	for _, v := range a.Decision.Verdicts {
		if v.Reason == v1alpha1.ReasonAgentTooOld {
			tooOld = append(tooOld, v.Host)
		}
	}
	before := len(f.Findings)
	if len(tooOld) > 0 {
		f.Add(diagnose.Warning, "agents", "upgrade upgrade-agent there",
			"%s with an agent older than spec.hosts.minAgentVersion, never granted: %s",
			wording.Count(len(tooOld), "host"), diagnose.List(tooOld))
	}
	if len(apart) > 0 {
		f.Add(diagnose.Warning, "agents", "upgrade the older side first to the release between",
			"%s with an agent more than one minor version away from a controller: %s",
			wording.Count(len(apart), "host"), diagnose.List(apart))
	}
	if silent > 0 {
		f.Add(diagnose.Warning, "agents", "upgrade upgrade-agent there", "%s of a release that reports no version",
			wording.Count(silent, "agent"))
	}
	if len(f.Findings) == before {
		f.Add(diagnose.OK, "agents", "", "%s, %s", wording.Count(agents, "agent"),
			wording.Count(len(a.Fleet.Hosts)-agents, "legacy host"))
	}
}

// farApart reports whether two versions are more than one minor version apart. Versions of other forms are not.
func farApart(one, other string) bool {
	a, errA := semver.NewVersion(one)
	b, errB := semver.NewVersion(other)
	if errA != nil || errB != nil {
		return false
	}
	return a.Major() != b.Major() || max(a.Minor(), b.Minor())-min(a.Minor(), b.Minor()) > 1
}

// keys finds values that no reader understands.
func (f *findings) keys(a *pass.Assessment) {
	before := len(f.Findings)
	for _, note := range a.Fleet.Notes {
		f.Add(diagnose.Warning, "keys", "", "%s", note)
	}
	k := &a.Keys
	f.undecodable("report", "upgrade the reader, or remove the key: the agent writes it again", k.Reports, keys.ReportProblem)
	f.undecodable("grant", "the host does not start by it; the controller replaces it", k.Grants, objectProblem[fleet.Grant])
	f.undecodable("started marker", "the host keeps its slot; see upgradectl describe host", k.Started, objectProblem[fleet.Started])
	f.undecodable("hold", "it never ends: set it again, or end it with upgradectl unhold", k.Holds, func(p keys.Pair) error {
		if p.Key == a.Layout.HoldEpoch() {
			return nil
		}
		return objectProblem[fleet.Hold](p)
	})
	if len(f.Findings) == before {
		f.Add(diagnose.OK, "keys", "", "every key can be read")
	}
}

// undecodable adds one finding for all objects of a kind that cannot be decoded.
func (f *findings) undecodable(kind, action string, pairs []keys.Pair, problem func(keys.Pair) error) {
	var bad []string
	for _, p := range pairs {
		if problem(p) != nil {
			bad = append(bad, keys.Text(p.Key, maxKey))
		}
	}
	if len(bad) > 0 {
		f.Add(diagnose.Warning, "keys", action, "%s that cannot be read: %s", wording.Count(len(bad), kind), diagnose.List(bad))
	}
}

// maxKey is how much of a key a message shows.
const maxKey = 256

func objectProblem[T any](p keys.Pair) error {
	if len(p.Value) > keys.MaxValue {
		return errors.New("too long")
	}
	_, err := keys.DecodeObject[T](p)
	return err
}
