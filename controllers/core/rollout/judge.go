// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

// hostState is what was found about one host.
type hostState struct {
	base     State
	upgraded bool
	soaking  bool
	tells    bool // its report says since when it soaks
	started  bool // it has begun, by its own mark or by ours
	marked   bool // its started marker stands after this pass
	vanishes bool // nothing but a started marker that this pass removes is known of it
	granted  bool // a key enables it, as the host itself reads it
	implied  bool // it is enabled by no proper key: by none, or by one that says something else to others
	inFlight bool
	failed   bool
	why      v1alpha1.Reason // of failed
	exempt   bool
	counts   bool
	takeBack bool
	starting bool
	canary   bool      // it goes before the others
	lost     bool      // the catalog does not know it, and nothing of it goes on
	ailing   bool      // a check that must pass does not
	failing  bool      // so, and it was not so when the host was released
	since    time.Time // of its grant or start, or of its soak
	failedAt time.Time
	next     time.Time // when time alone changes its state
}

// judge finds the state of hosts by DESIGN.md, section 3.
type judge struct {
	current  fleet.CurrentVersion
	deadline time.Duration
	minReady time.Duration
	exclude  []string
	marks    []fleet.Watermark
	required []string // checks
	checks   map[string]fleet.CheckTimes
	verify   bool
	ages     bool // it matters since when hosts are upgraded
	now      time.Time
}

func newJudge(in Input) *judge {
	plan := in.Plan.orEmpty()
	spec := &plan.Spec
	return &judge{
		current:  in.Fleet.Current,
		deadline: plan.deadline,
		minReady: plan.minReady,
		exclude:  spec.Hosts.Exclude,
		marks:    in.Fleet.Ledger.Watermarks,
		required: spec.HealthGate.Checks,
		checks:   in.Fleet.Ledger.Checks,
		verify:   spec.Hosts.VerifyReports,
		ages:     plan.Soak() > 0,
		now:      in.Now,
	}
}

func (j *judge) judge(h *fleet.Host) hostState {
	s := hostState{exempt: matches(j.exclude, h.Name) || h.Hold != nil && h.Hold.Exempt}
	s.started = j.hasStarted(h)
	s.upgraded = j.current.Index != 0 && h.Record.Version == j.current.Name && !s.started && !j.unfinished(h) && j.verified(h)
	j.findGrant(h, &s)
	unknown := h.Record.Version == "" && !h.Agent()
	s.marked = s.started || h.Started != nil && unknown && s.granted // only the marker shows that such a host is enabled
	s.vanishes = unknown && !s.marked
	j.findHealth(h, &s)
	j.findSoak(h, &s)
	s.inFlight = s.started || !s.upgraded && s.granted || s.upgraded && s.soaking
	j.findFailure(h, &s)
	s.lost = h.Lost && (!s.inFlight || s.failed)
	s.counts = h.Role != "" && !s.exempt && !s.lost && !s.vanishes
	s.base = j.base(h, s)
	if h.Hold != nil && !h.Hold.Expires.IsZero() && (s.next.IsZero() || h.Hold.Expires.Before(s.next)) {
		s.next = h.Hold.Expires
	}
	return s
}

// hasStarted: the host's own mark stands until its report removes it. Ours ends when the host has reported since, or
// when its deadline has passed.
func (j *judge) hasStarted(h *fleet.Host) bool {
	m := h.Started
	if m == nil || m.By != fleet.ByController {
		return m != nil
	}
	return h.Record.ModifyIndex <= m.Index && j.now.Before(j.past(m.Time).Add(j.deadline))
}

// unfinished: the last report is of another version, begun and not finished.
func (j *judge) unfinished(h *fleet.Host) bool {
	r := h.Report
	return r != nil && (r.Phase == fleet.PhaseUpgrading || r.Phase == fleet.PhaseFailed) && r.Version != j.current.Name
}

// verified: when the plan wants it, the host's own report must say what its record says.
func (j *judge) verified(h *fleet.Host) bool {
	return !j.verify || h.Report != nil && h.Report.Version == j.current.Name && h.Report.Phase == fleet.PhaseIdle
}

// findHealth finds whether checks fail that must pass. What failed before the rollout touched the host, or when it was
// released, is not the rollout's doing.
func (j *judge) findHealth(h *fleet.Host, s *hostState) {
	s.ailing = slices.ContainsFunc(h.Checks, func(c fleet.Check) bool { return c.Fails() && slices.Contains(j.required, c.ID) })
	released := h.Setting.Scope == fleet.ScopeHost && h.Setting.Enables(j.current.Name) && h.Setting.Index > j.current.Index
	begun := s.marked && h.Started.Version == j.current.Name
	s.failing = s.ailing && (released && !h.Setting.Unhealthy || begun && !released)
}

// findGrant judges as the host itself does: an agent changes its version only by an explicit yes that is younger than
// current_version, on first boot and a host in the field always by the lookup alone. A grant stands until it is taken
// back, held or not: the host may act on it at this very moment. Without a current_version there is nothing to change to.
func (j *judge) findGrant(h *fleet.Host, s *hostState) {
	view := permission.View{Legacy: !h.Agent(), Local: h.Record.Version, Current: j.current, Setting: h.Setting}
	if h.Agent() && view.Local == "" {
		view.Local = h.Report.Version
	}
	explicit := h.Setting.Scope != fleet.ScopeNone && h.Setting.Enables(j.current.Name)
	s.granted = permission.Grant(view).Allowed
	s.implied = s.granted && !explicit && !s.upgraded
}

// findSoak: from the time of the host's report; for a host without reports from when its record was first seen; in any
// case not before its checks pass.
func (j *judge) findSoak(h *fleet.Host, s *hostState) {
	if !s.upgraded {
		return
	}
	if j.ages {
		s.since = j.firstSeen(h.Record.CreateIndex)
		if s.tells = j.tells(h); s.tells {
			s.since = j.past(h.Report.Time)
		}
		s.since = later(s.since, j.passing(h.Name))
	}
	switch end := s.since.Add(j.minReady); {
	case s.failing:
		s.soaking = true
	case j.minReady > 0 && end.After(j.now):
		s.soaking, s.next = true, end
	}
}

// passing is since when the checks of a host pass that had failed; the zero time when they have not.
func (j *judge) passing(host string) time.Time {
	switch c, failed := j.checks[host]; {
	case !failed:
		return time.Time{}
	case c.Passed == 0:
		return j.now
	default:
		return j.past(time.Unix(c.Passed, 0))
	}
}

// tells says whether the host's report says since when it has the version.
func (j *judge) tells(h *fleet.Host) bool {
	return h.Agent() && h.Report.Version == j.current.Name && !h.Report.Time.IsZero()
}

func (j *judge) firstSeen(index uint64) time.Time {
	for _, m := range j.marks {
		if index != 0 && m.Index >= index { // 0 was not read: nothing is known of it
			return j.past(time.Unix(m.Time, 0))
		}
	}
	return j.now
}

// findFailure: a host in flight that said so, whose checks fail, or that has been silent past its deadline: silence is
// failure.
func (j *judge) findFailure(h *fleet.Host, s *hostState) {
	if !s.inFlight {
		return
	}
	if s.failing {
		s.failed, s.why, s.failedAt = true, v1alpha1.ReasonChecksFailing, j.now
		if c := j.checks[h.Name]; c.Failed != 0 && c.Passed == 0 {
			s.failedAt = j.past(time.Unix(c.Failed, 0))
		}
	}
	if s.upgraded {
		return
	}
	if s.granted && h.Setting.Granted != 0 {
		s.since = j.past(time.Unix(h.Setting.Granted, 0))
	}
	if s.started {
		if t := j.past(h.Started.Time); t.After(s.since) {
			s.since = t
		}
	}
	end := j.due(s)
	switch r := h.Report; {
	case r != nil && r.Phase == fleet.PhaseFailed && r.Version == j.current.Name:
		s.failed, s.why, s.failedAt = true, v1alpha1.ReasonReportedFailure, later(j.past(r.Time), s.since)
	case s.failed:
	case s.since.IsZero(): // the time of its grant is unknown: it is stamped by the next commit
	case !end.After(j.now):
		s.failed, s.why, s.failedAt = true, v1alpha1.ReasonDeadlineExceeded, end
	default:
		s.next = end
	}
}

// due is when a host has failed that is not upgraded by then.
func (j *judge) due(s *hostState) time.Time { return s.since.Add(j.deadline) }

func (j *judge) base(h *fleet.Host, s hostState) State {
	lookup := h.Setting.EnablesLegacy()
	if h.Agent() {
		lookup = s.granted && !h.Held()
	}
	switch {
	case s.upgraded:
		return Upgraded
	case lookup:
		return Upgrading
	}
	return Pending
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// past: the future counts as now.
func (j *judge) past(t time.Time) time.Time {
	if t.After(j.now) {
		return j.now
	}
	return t
}

// matches says whether one of the shell patterns matches the name.
func matches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}

// watermarkSteps is how finely first-seen times are kept: a soak may be prolonged by one step of this many.
const watermarkSteps = 16

// watermarks remembers until when which records had been seen, coarsely, as far back as a soak reaches.
func (p *planner) watermarks() []fleet.Watermark {
	soak := p.plan.Soak()
	if soak == 0 || p.in.Fleet.Index == 0 {
		return nil
	}
	marks, now := p.in.Fleet.Ledger.Watermarks, p.in.Now.Unix()
	if len(marks) > 0 && marks[len(marks)-1].Index > p.in.Fleet.Index {
		marks = nil // indexes went back, as after a restore: what had been seen is not known any more
	}
	expired := 0
	for expired < len(marks)-1 && marks[expired+1].Time <= now-int64(soak.Seconds()) {
		expired++
	}
	marks = marks[expired:]
	last := fleet.Watermark{}
	if len(marks) > 0 {
		last = marks[len(marks)-1]
	}
	if p.newestRecord() <= last.Index || now < last.Time+int64(soak.Seconds())/watermarkSteps {
		return marks
	}
	return append(marks[:len(marks):len(marks)], fleet.Watermark{Index: p.in.Fleet.Index, Time: now})
}

// newestRecord is the youngest record, of the current version, of a host whose report does not tell since when.
func (p *planner) newestRecord() uint64 {
	var newest uint64
	for i := range p.hosts {
		if h := &p.in.Fleet.Hosts[i]; p.hosts[i].upgraded && !p.hosts[i].tells {
			newest = max(newest, h.Record.CreateIndex)
		}
	}
	return newest
}

// words makes the sentences of verdicts, each once.
type words struct {
	target string
	cache  map[wordKey]string
}

type wordKey struct {
	reason v1alpha1.Reason
	name   string
	time   int64
}

func newWords(target string) words { return words{target: target, cache: map[wordKey]string{}} }

func (w words) once(k wordKey, text func() string) string {
	s, ok := w.cache[k]
	if !ok {
		s = text()
		w.cache[k] = s
	}
	return s
}

func (w words) pause(p *fleet.Pause) string { return "the plan is paused" + ordered(*p) }

func (w words) abort(a *fleet.Abort) string {
	return "aborted" + ordered(a.Pause) + "; it is not tried again before its spec changes or `upgradectl rollout resume`"
}

func (w words) pin(p *fleet.Pin, version string) string {
	return fmt.Sprintf("revision %d (version %s) is pinned in the place of the spec", p.Revision, version) +
		ordered(fleet.Pause{By: p.By, Time: p.Time, Reason: p.Reason})
}

// ordered says who gave an order, since when it stands, and why.
func ordered(p fleet.Pause) string {
	var b strings.Builder
	if p.By != "" {
		b.WriteString(" by " + p.By)
	}
	if !p.Time.IsZero() {
		b.WriteString(" since " + clock(p.Time))
	}
	if p.Reason != "" {
		b.WriteString(": " + p.Reason)
	}
	return b.String()
}

func (w words) change(from, to string) string {
	if from == to {
		return "the version " + to + " is written anew first: it does not say whether an action goes with it as it should"
	}
	if from == "" {
		return "the version is set to " + to + " first"
	}
	return "the version is switched from " + from + " to " + to + " first"
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
