// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "time"

// Halt stops every new start after too many failures, or after an upgrade that nothing explains. It lasts until an operator
// resumes the rollout, or the plan names another version, which has a failure budget of its own. It does not end when hosts
// recover.
type Halt struct {
	Time time.Time `json:"time"`
	// Cause is UnexplainedUpgrade. Empty means that the failure budget is exceeded.
	Cause string `json:"cause,omitempty"`
	// Reason is the sentence that says how many have failed, and how many may.
	Reason string `json:"reason"`
	// Version is the one that they failed to reach, and Generation that of the spec at the halt.
	Version    string `json:"version"`
	Generation int64  `json:"generation,omitempty"`
}

// Holds reports whether the halt stops a rollout to the version.
func (h *Halt) Holds(version string) bool { return h != nil && h.Version == version }

// Promotion is an operator's order that the other hosts follow the canaries of a version.
type Promotion struct {
	Pause
	// Version is the only one that it applies to.
	Version string `json:"version"`
	// WhenComplete says that the operator saw that all canaries were upgraded and had soaked. By the controller's clock they may
	// not have: the order applies once they have. False means at once: it was forced, or an earlier release wrote the order.
	WhenComplete bool `json:"whenComplete,omitempty"`
}

// Holds reports whether the promotion is for the version.
func (p *Promotion) Holds(version string) bool { return p != nil && p.Version == version }

// Resumption is when the controller first saw an order to resume, by its own clock.
type Resumption struct {
	// Ordered is the time in the order, which tells it from others.
	Ordered time.Time `json:"ordered"`
	// Index is not below that of the order. What hosts reported up to it was reported before.
	Index uint64    `json:"index"`
	Time  time.Time `json:"time"`
}

// Override opens the maintenance windows of a plan for the rollout of one version.
type Override struct {
	By string `json:"by,omitempty"`
	// Accessor is that of the order.
	Accessor string    `json:"accessor,omitempty"`
	Time     time.Time `json:"time"`
	Reason   string    `json:"reason,omitempty"`
	// Version is the only one that it applies to.
	Version string `json:"version"`
	// Until is when it ends. Zero means with the rollout.
	Until time.Time `json:"until,omitzero"`
}

// Opens reports whether the override applies to a rollout of the version at a time.
func (o *Override) Opens(version string, now time.Time) bool {
	return o != nil && o.Version == version && (o.Until.IsZero() || now.Before(o.Until))
}

// SetAside takes a failed host out of the rollout, so that it frees its slot.
type SetAside struct {
	Pause
	// Rollout is the only one that it applies to.
	Rollout uint64 `json:"rollout"`
	// Seen is the highest ModifyIndex of the host's keys that the operator saw. Zero means unknown: an earlier release wrote the order.
	Seen uint64 `json:"seen,omitempty"`
}

// Misses reports whether the host started an attempt that the operator did not see. Such a host keeps its slot while it works.
func (s SetAside) Misses(m *Started) bool {
	return s.Seen != 0 && m != nil && m.By == "" && !m.Waiting && m.Index > s.Seen
}

// Retry grants hosts again that have failed.
type Retry struct {
	Pause
	// Rollout is the only one that it applies to.
	Rollout uint64 `json:"rollout"`
	// Hosts are by name: the number of failed attempts after which each may try again once.
	Hosts map[string]int `json:"hosts"`
}

// Restored is an operator's order to go on with a store that was restored from a backup.
type Restored struct {
	Pause
	// Rollout is the highest number of a rollout that any host had reported. The next rollout gets a higher one.
	Rollout uint64 `json:"rollout"`
}

// Accepts reports whether the order is for a store that holds this current version. It ends when the version is written again.
func (r *Restored) Accepts(c CurrentVersion) bool { return r != nil && r.Rollout >= c.Rollout }

// Shrunk is an operator's order to go on with a fleet from which many hosts have gone at once.
type Shrunk struct {
	Pause
	// From is the size before. Hosts is the number of hosts that the operator accepts.
	From  Size `json:"from"`
	Hosts int  `json:"hosts"`
}

// Accepts reports whether the order is for a fleet that had that size. It ends when a pass records another one.
func (s *Shrunk) Accepts(size Size) bool { return s != nil && s.From == size }

// Grown is an operator's order to let the hosts count that joined since the last switch.
type Grown struct {
	Pause
	// From is the base before.
	From Base `json:"from"`
}

// Accepts reports whether the order is for a fleet of that base. It ends when a pass records another one.
func (g *Grown) Accepts(base Base) bool { return g != nil && g.From == base }
