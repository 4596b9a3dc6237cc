// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
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
	var ungranted, fast hostSample
	bounds := minimums{assessment: a}
	for i := range a.facts {
		h, f := &a.in.Fleet.Hosts[i], &a.facts[i]
		if !f.upgraded() || f.reached <= since {
			continue
		}
		switch at, granted := a.grantedAt(h, f.reached); {
		case !granted && a.needsGrant(h):
			ungranted.add(h.Name)
		case granted && !at.IsZero() && !a.triesAgain(h) && bounds.tooFast(h, a.in.Now.Sub(at)):
			fast.add(h.Name)
		}
	}
	return unexplainedMessage(a.target, ungranted, fast, bounds.largest)
}

// needsGrant reports whether a host that has the version must have had a grant. A host that joined in this rollout may have
// come with it.
func (a *assessment) needsGrant(h *fleet.Host) bool {
	current := a.in.Fleet.Current
	return current.Governed && h.KnowsGrants() && h.ReportCreated < current.Index
}

// triesAgain reports whether an operator let a host try again in this rollout. What its first attempt did is done, so that the next
// one may take no time.
func (a *assessment) triesAgain(h *fleet.Host) bool {
	order := a.in.Control.Retry
	if order == nil || order.Rollout != a.in.Fleet.Current.Rollout {
		return false
	}
	_, ok := order.Hosts[h.Name]
	return ok
}

// grantedAt reports whether a host was granted the change by which it reached the version at an index, and when: by the grant that
// its report names, or the key that the controller writes beside a grant. A zero time means unknown: a time in the future is of a
// clock that was wrong.
func (a *assessment) grantedAt(h *fleet.Host, reached uint64) (at time.Time, granted bool) {
	key := h.Setting
	if key.GrantedFor(a.in.Fleet.Current) && key.Index < reached {
		granted = true
		if key.Granted != 0 {
			at = a.notLater(time.Unix(key.Granted, 0))
		}
	}
	if r := h.Report; r != nil && r.Reached.Version == a.target && r.Reached.Grant != "" {
		return later(at, a.notLater(fleet.GrantTime(r.Reached.Grant))), true
	}
	return at, granted
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
	// largest is the largest one that a host fell below.
	largest time.Duration
}

// learned is the least duration of a role, from the reports of so many hosts.
type learned struct {
	least time.Duration
	hosts int
}

// tooFast reports whether a host took less time than an upgrade takes.
func (m *minimums) tooFast(h *fleet.Host, took time.Duration) bool {
	least := time.Duration(0)
	if set := m.plan.Spec.MinUpgradeSeconds; set != nil {
		least = time.Duration(*set) * time.Second
	} else if took < m.plan.deadline/learnedFraction { // a median is not longer than the deadline
		l := m.learn(h.Role)
		if m.tellsDuration(h) { // it is one of the hosts
			l.hosts--
		}
		if l.hosts >= learnedFrom {
			least = l.least
		}
	}
	if took >= least {
		return false
	}
	m.largest = max(m.largest, least)
	return true
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

// tellsDuration reports whether the report of a host says how long its upgrade took in this rollout.
func (m *minimums) tellsDuration(h *fleet.Host) bool {
	r := h.Report
	return r != nil && r.DurationSeconds > 0 && r.Rollout == m.in.Fleet.Current.Rollout
}

func unexplainedMessage(version string, ungranted, fast hostSample, least time.Duration) string {
	var parts []string
	if ungranted.total > 0 {
		parts = append(parts, fmt.Sprintf("%d without a grant (%s)", ungranted.total, nameList(ungranted.names, ungranted.total)))
	}
	if fast.total > 0 {
		parts = append(parts, fmt.Sprintf("%d less than %s after the grant (%s)", fast.total, least, nameList(fast.names, fast.total)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "hosts reached " + version + " unexplained: " + strings.Join(parts, ", ")
}
