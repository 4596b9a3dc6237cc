// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

const (
	// learnedFrom is how many hosts of a role must have finished before their durations say how long an upgrade takes.
	learnedFrom = 5
	// learnedFraction is the part of the median duration that no upgrade falls below.
	learnedFraction = 10
)

// unexplained says which hosts have reached the version in this rollout without a grant, or in less time than an upgrade takes.
// Another program changed them, or reports in their place. What an operator has accepted by resuming does not count. Empty means none.
func (a *assessment) unexplained() string {
	if a.readOnly() || !a.switched() || a.mustSwitch() {
		return ""
	}
	since := a.in.Fleet.Current.Index
	if resumed := a.in.resumption(); resumed != nil {
		since = max(since, resumed.Index)
	}
	var ungranted hostSample
	fast := fastHosts{}
	bounds := minimums{assessment: a}
	for i := range a.facts {
		h, f := &a.in.Fleet.Hosts[i], &a.facts[i]
		if !f.upgraded() || f.reached <= since {
			continue
		}
		at, explained := a.explain(h, f.reached)
		switch {
		case !explained:
			ungranted.add(h.Name)
		case !at.IsZero():
			took := a.in.Now.Sub(at)
			if least := bounds.of(h, took); took < least {
				fast.add(least, h.Name)
			}
		}
	}
	return unexplainedMessage(a.target, ungranted, fast)
}

// explain reports whether a grant explains how a host came to the version that it reached at an index, and when it was granted. A
// zero time means that nothing follows from the time.
func (a *assessment) explain(h *fleet.Host, reached uint64) (at time.Time, explained bool) {
	at, byKey := a.grantedByKey(h, reached)
	if !a.tellsHow(h) {
		return at, true
	}
	r, current := h.Report.Reached, a.in.Fleet.Current
	rollout, granted, ok := fleet.ParseGrantID(r.Grant)
	switch {
	case r.Version != a.target || !ok || rollout > current.Rollout:
		return at, byKey || r.Unknown || !a.needsGrant(h)
	case r.Partial || rollout < current.Rollout:
		return time.Time{}, true
	}
	return later(at, a.notLater(granted)), true
}

// tellsHow reports whether a host says how it came to its version. Legacy hosts and agents of earlier releases do not.
func (a *assessment) tellsHow(h *fleet.Host) bool {
	return h.Report != nil && h.Report.Reached.Version != ""
}

// needsGrant reports whether a host that has the version must have had a grant. A host that joined in this rollout may have
// come with it.
func (a *assessment) needsGrant(h *fleet.Host) bool {
	current := a.in.Fleet.Current
	return current.Governed && h.KnowsGrants() && h.ReportCreated < current.Index
}

// grantedByKey reports whether the key that the controller writes beside a grant explains what a host reached at an index, and
// when it was granted. A zero time means unknown: a time in the future is of a clock that was wrong.
func (a *assessment) grantedByKey(h *fleet.Host, reached uint64) (at time.Time, granted bool) {
	key := h.Setting
	if !key.GrantedFor(a.in.Fleet.Current) || key.Index >= reached {
		return time.Time{}, false
	}
	if key.Granted != 0 {
		at = a.notLater(time.Unix(key.Granted, 0))
	}
	return at, true
}

// notLater returns a time, or zero for one in the future.
func (a *assessment) notLater(t time.Time) time.Time {
	if t.After(a.in.Now) {
		return time.Time{}
	}
	return t
}

// minimums are the least durations of an upgrade, by role.
type minimums struct {
	*assessment
	learned map[string]learned
}

// learned is the least duration of a role, from the reports of so many hosts.
type learned struct {
	least time.Duration
	hosts int
}

// of returns the least duration of a host's upgrade. Zero means that any duration is possible, or that it took long enough to be
// above any bound.
func (m *minimums) of(h *fleet.Host, took time.Duration) time.Duration {
	if set := m.plan.Spec.MinUpgradeSeconds; set != nil {
		return time.Duration(*set) * time.Second
	}
	// A median is not longer than the deadline. An agent of an earlier release does not say whether it had work to do.
	if took >= m.plan.deadline/learnedFraction || h.Agent() && !m.tellsHow(h) {
		return 0
	}
	l := m.learn(h.Role)
	if m.tellsDuration(h) { // it is one of the hosts
		l.hosts--
	}
	if l.hosts < learnedFrom {
		return 0
	}
	return l.least
}

// learn returns a fraction of the median duration that agents of a role have reported in this rollout.
func (m *minimums) learn(role string) learned {
	if l, ok := m.learned[role]; ok {
		return l
	}
	var seconds []int64
	for i := range m.facts {
		if h := &m.in.Fleet.Hosts[i]; h.Role == role && m.facts[i].upgraded() && m.tellsDuration(h) {
			seconds = append(seconds, h.Report.DurationSeconds)
		}
	}
	l := learned{hosts: len(seconds)}
	if l.hosts > 0 {
		slices.Sort(seconds)
		median := min(seconds[l.hosts/2], int64(m.plan.deadline/time.Second))
		l.least = time.Duration(median) * time.Second / learnedFraction
	}
	if m.learned == nil {
		m.learned = map[string]learned{}
	}
	m.learned[role] = l
	return l
}

// tellsDuration reports whether the report of a host says how long a whole upgrade took in this rollout.
func (m *minimums) tellsDuration(h *fleet.Host) bool {
	r := h.Report
	return r != nil && r.DurationSeconds > 0 && r.Rollout == m.in.Fleet.Current.Rollout && !r.Reached.Partial
}

// fastHosts are the hosts that reached the version sooner than an upgrade takes, by the least duration of their upgrade.
type fastHosts map[time.Duration]*hostSample

func (f fastHosts) add(least time.Duration, host string) {
	if f[least] == nil {
		f[least] = &hostSample{}
	}
	f[least].add(host)
}

func unexplainedMessage(version string, ungranted hostSample, fast fastHosts) string {
	var parts []string
	if ungranted.total > 0 {
		parts = append(parts, fmt.Sprintf("%d without a grant (%s)", ungranted.total, wording.Names(ungranted.names, ungranted.total)))
	}
	for i, least := range slices.Sorted(maps.Keys(fast)) {
		if i == maxNames {
			parts = append(parts, "and others")
			break
		}
		s := fast[least]
		parts = append(parts, fmt.Sprintf("%d less than %s after the grant (%s)", s.total, least, wording.Names(s.names, s.total)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "hosts reached " + version + " unexplained: " + strings.Join(parts, ", ")
}
