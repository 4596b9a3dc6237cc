// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

// classifier finds the facts of hosts by docs/design/protocol.md, section 3.
type classifier struct {
	plan       *Plan
	current    fleet.CurrentVersion
	watermarks fleet.Watermarks
	checks     map[string]fleet.CheckTimes
	control    *fleet.Control
	soaks      bool // whether the plan needs to know since when hosts are upgraded
	now        time.Time
}

// classify returns the facts of all hosts, and when time alone changes them next.
func classify(in Input) (facts []hostFacts, next time.Time) {
	plan := in.Plan.orEmpty()
	c := &classifier{plan: plan, current: in.Fleet.Current, watermarks: in.watermarks(),
		checks: in.Fleet.Ledger.Checks, control: &in.Control, soaks: plan.Soak() > 0, now: in.Now}
	facts = make([]hostFacts, len(in.Fleet.Hosts))
	part := func(from, to int) {
		for i := from; i < to; i++ {
			c.classify(&in.Fleet.Hosts[i], &facts[i])
		}
	}
	var parts sync.WaitGroup
	from := 0
	for ; from+hostsAtOnce < len(facts); from += hostsAtOnce {
		first := from
		parts.Go(func() { part(first, first+hostsAtOnce) })
	}
	part(from, len(facts))
	parts.Wait()
	for i := range facts {
		if at := facts[i].next; !at.IsZero() && at.After(c.now) {
			next = soonest(next, at)
		}
	}
	return facts, next
}

// hostsAtOnce is the number of hosts that one goroutine classifies: the facts of a host depend on no other host.
const hostsAtOnce = 8192

// classify fills in the facts of a host, which are zero.
func (c *classifier) classify(h *fleet.Host, f *hostFacts) {
	started := c.hasStarted(h)
	hasVersion := c.hasVersion(h)
	upgraded := !started && hasVersion
	// This pass deletes the grant of a host that is upgraded.
	f.enabled = c.enabled(h) && !(upgraded && c.byGrant(h))
	explicit := h.Setting.Scope != fleet.ScopeNone && h.Setting.Enables(c.current.Name)
	f.implicit = f.enabled && !explicit && !upgraded && !c.byGrant(h)
	f.retries = !hasVersion && c.retries(h, started)
	ordered := !hasVersion && c.orderedAside(h)
	f.setAside = !hasVersion && !f.retries && c.setAside(h, started)
	// Only the marker shows that a host without record and report is enabled.
	f.marked = !f.setAside && (started || h.Started != nil && f.enabled && knownByMarker(h))
	f.newcomer = c.newcomer(h, f.marked)
	f.requiredCheckFails = slices.ContainsFunc(h.Checks, func(check fleet.Check) bool {
		return check.Fails() && slices.Contains(c.plan.Spec.HealthGate.Checks, check.ID)
	})
	f.failingSinceGrant = f.requiredCheckFails && c.checksCount(h, f)
	switch {
	case started:
		f.progress = progressStarted
	case upgraded:
		c.classifySoak(h, f)
	case f.enabled:
		f.progress = progressGranted
	}
	if ordered {
		c.classifyOrderedAside(h, f)
	}
	if f.inFlight() {
		c.classifyFailure(h, f)
	}
	if upgraded && f.failingSinceGrant && c.orderedAside(h) {
		f.setAside = true
	}
	switch {
	case f.setAside || f.retries:
		c.classifyAttempts(h, f)
	case !upgraded && c.retriesUnreported(h):
		f.spent, f.orderedAt = true, c.control.Retry.Time
	}
	f.busy = f.inFlight() && !f.enabled && !c.rests(h, f)
	f.exclusion = c.exclusion(h, f)
	f.clockOffset = c.clockOffset(h)
	f.outage = c.outage(h, f)
	if h.Hold != nil {
		f.next = soonest(f.next, h.Hold.Expires)
	}
}

// hasStarted reports whether a started marker applies. The host's own marker applies until its report removes it. The
// controller's applies until the host has recorded a version since, or until its deadline has passed.
func (c *classifier) hasStarted(h *fleet.Host) bool {
	m := h.Started
	if m == nil || m.By != fleet.ByController {
		return m != nil
	}
	at, _ := c.ownTime(m.Time, m.Index)
	return !c.hasReached(h, m) && c.now.Before(at.Add(c.plan.deadline))
}

// hasReached reports whether a host has reached a version since the controller wrote the marker m for it. Of an agent its report
// must say that it has the version of the marker or the current one, since each agent can write the records of all hosts.
func (c *classifier) hasReached(h *fleet.Host, m *fleet.Started) bool {
	r := h.Report
	if r == nil {
		return h.Record.ModifyIndex > m.Index
	}
	return h.ReportIndex > m.Index && r.Idle() && (r.Version == m.Version || r.Version == c.current.Name)
}

// hasVersion reports whether a host has the current version: of an agent by its own report, of a legacy host by its record.
func (c *classifier) hasVersion(h *fleet.Host) bool {
	switch r := h.Report; {
	case c.current.Index == 0:
		return false
	case r != nil:
		return r.Version == c.current.Name && r.Idle()
	}
	return h.Record.Version == c.current.Name && !c.plan.Spec.Hosts.VerifyReports
}

// byGrant reports whether the host changes its version by grants alone.
func (c *classifier) byGrant(h *fleet.Host) bool { return c.current.Governed && h.KnowsGrants() }

// newcomer reports whether a host has no version yet, also while it changes to its first one. It does not serve yet, so by
// default no limit applies to it.
func (c *classifier) newcomer(h *fleet.Host, marked bool) bool {
	if c.plan.Spec.Hosts.Newcomers == v1alpha1.NewcomersByRules || !c.byGrant(h) || h.Record.Version != "" {
		return false
	}
	if m := h.Started; m != nil && m.By == "" {
		return m.From == ""
	}
	return !marked && h.Report.Version == ""
}

// enabled reports whether the host's grant or its keys permit the change, as the host reads them. A grant counts until it is
// revoked, also for a host on hold: the host can use it at any moment. An agent that has started in this rollout needs its key
// alone, which a revocation at the same moment may have deleted: this pass writes it again, and grants nothing.
func (c *classifier) enabled(h *fleet.Host) bool {
	local := h.Version()
	if h.Agent() {
		local = cmp.Or(local, h.Report.Version)
	}
	v := permission.View{Kind: permission.KindOf(h), Local: local, Current: c.current, Setting: h.Setting, Grant: h.Grant}
	if m := h.Started; m != nil && m.By == "" {
		v.Started, v.StartedRollout = m.Version, m.Rollout
	}
	return permission.Grant(v).Allowed || permission.Begun(v)
}

// checksCount reports whether failing checks of a host count as a failure of the rollout. They do not before the rollout
// touched the host, or when they failed already as it was granted.
func (c *classifier) checksCount(h *fleet.Host, f *hostFacts) bool {
	if c.byGrant(h) && h.Grant.For(c.current) {
		return !h.Grant.Unhealthy
	}
	if h.Setting.GrantedFor(c.current) {
		return !h.Setting.Unhealthy
	}
	return f.marked && h.Started.Version == c.current.Name && !h.Started.Unhealthy
}

// classifySoak classifies a host that has the version. Its soak begins when the controller first saw that, and not before its
// checks pass.
func (c *classifier) classifySoak(h *fleet.Host, f *hostFacts) {
	f.progress, f.reached = progressUpgraded, c.reachedIndex(h)
	if c.soaks {
		f.seenBy = f.reached
		f.since = later(c.firstSeen(f.seenBy), c.passingSince(h.Name))
	}
	switch end := f.since.Add(c.plan.minReady); {
	case f.failingSinceGrant:
		f.progress = progressSoaking
	case c.plan.minReady > 0 && end.After(c.now):
		f.progress, f.next = progressSoaking, end
	}
}

// reachedIndex returns the index of the key by which a host that has the version first said so. Zero means unknown. A legacy
// host writes its record again and again. An agent that writes its report again names the first one.
func (c *classifier) reachedIndex(h *fleet.Host) uint64 {
	r := h.Report
	switch {
	case r == nil:
		return h.Record.CreateIndex
	case r.Reached.Version == r.Version && r.Reached.Index != 0:
		return min(r.Reached.Index, h.ReportIndex)
	}
	return h.ReportIndex
}

// classifyFailure finds whether a host in flight has failed: its checks fail, it reported a failure, or it was silent past
// its deadline.
func (c *classifier) classifyFailure(h *fleet.Host, f *hostFacts) {
	if f.failingSinceGrant {
		f.failure, f.failedAt = v1alpha1.ReasonChecksFailing, c.now
		if check := c.checks[h.Name]; check.Failed != 0 && check.Passed == 0 {
			f.failedAt = c.past(time.Unix(check.Failed, 0))
		}
	}
	if f.upgraded() {
		return
	}
	var granted uint64
	if c.byGrant(h) && h.Grant.For(c.current) {
		granted = h.Grant.Index
		f.since, f.seenBy = c.ownTime(h.Grant.Time, granted)
	} else if f.enabled && !f.implicit && h.Setting.Enables(c.current.Name) && h.Setting.Granted != 0 { // this pass corrects other keys
		granted = h.Setting.Index
		f.since, f.seenBy = c.ownTime(time.Unix(h.Setting.Granted, 0), granted)
	}
	if f.progress == progressStarted {
		if at, index := c.startedAt(h.Started); !at.Before(f.since) {
			f.since, f.seenBy = at, index
		}
	}
	end := f.since.Add(c.plan.deadline)
	switch r := h.Report; {
	case c.byGrant(h) && h.Grant.For(c.current) && f.retries && end.After(c.now): // it is granted again, and has not begun
		f.next = end
	case r != nil && r.Phase == fleet.PhaseFailed && r.Version == c.current.Name && !c.ofEarlierRollout(r) &&
		(c.startedCurrent(h) || h.ReportIndex > granted): // the grant is for another attempt than the one that failed
		f.failure, f.failedIndex = v1alpha1.ReasonReportedFailure, max(h.ReportIndex, granted)
	case f.failed():
	case f.since.IsZero(): // the next commit stamps the grant with a time
	case !end.After(c.now):
		f.failure, f.failedAt = v1alpha1.ReasonDeadlineExceeded, end
	default:
		f.next = end
	}
}

// ofEarlierRollout reports whether a failure is of an earlier rollout, perhaps of the same version. An agent that knows no grants
// does not say of which.
func (c *classifier) ofEarlierRollout(r *fleet.Report) bool {
	return c.current.Governed && r.AttemptRollout != 0 && r.AttemptRollout != c.current.Rollout
}

// startedCurrent reports whether the host's own marker is of the current version.
func (c *classifier) startedCurrent(h *fleet.Host) bool {
	return h.Started != nil && h.Started.By == "" && h.Started.Version == c.current.Name
}

// rests reports whether no change of a host in flight runs: it has reported a failure, in an earlier rollout too, or its deadline has
// passed. While checks fail alone, the change may run.
func (c *classifier) rests(h *fleet.Host, f *hostFacts) bool {
	r, m := h.Report, h.Started
	silent := !f.since.IsZero() && !f.since.Add(c.plan.deadline).After(c.now)
	return silent || f.failure == v1alpha1.ReasonReportedFailure ||
		m != nil && (m.Waiting || r != nil && r.Phase == fleet.PhaseFailed && r.Version == m.Version)
}

func (c *classifier) exclusion(h *fleet.Host, f *hostFacts) (e exclusion) {
	if h.Role == "" {
		e |= withoutRole
	}
	if matches(c.plan.Spec.Hosts.Exclude, h.Name) {
		e |= excludedByPlan
	}
	if h.Hold != nil && h.Hold.Exempt {
		e |= exemptByHold
	}
	if h.Lost && (!f.inFlight() || f.failed()) {
		e |= lostFromCatalog
	}
	if knownByMarker(h) && !f.marked {
		e |= expiredMarker
	}
	return e
}

// outage returns why a host that is not in flight takes a slot by rollingRules.alsoCount. A newcomer takes none, since it does not
// serve yet.
func (c *classifier) outage(h *fleet.Host, f *hostFacts) v1alpha1.Outage {
	counted := c.plan.Spec.Instructions.RollingRules.AlsoCount
	if len(counted) == 0 || len(h.Checks) == 0 || f.inFlight() || f.newcomer || !f.counts() {
		return ""
	}
	outage := v1alpha1.Outage("")
	if h.InMaintenance() {
		outage = v1alpha1.OutageMaintenance
	} else if slices.ContainsFunc(h.Checks, c.takesOutOfService) {
		outage = v1alpha1.OutageCritical
	}
	if !slices.Contains(counted, outage) {
		return ""
	}
	return outage
}

// takesOutOfService reports whether a check says that its host does not serve.
func (c *classifier) takesOutOfService(check fleet.Check) bool {
	return check.Status == fleet.Critical && (check.ID == fleet.SerfHealth || slices.Contains(c.plan.Spec.HealthGate.Checks, check.ID))
}

// knownByMarker reports whether a host has neither a record nor a report.
func knownByMarker(h *fleet.Host) bool { return h.Record.Version == "" && !h.Agent() }

// matches reports whether one of the shell patterns matches the name.
func matches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}
