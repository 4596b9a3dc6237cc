// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "time"

// Halt stops every new start, because too many hosts have failed: until an operator lets the rollout go on, also when hosts
// recover, or until the plan names another version, which is another rollout and has a failure budget of its own.
type Halt struct {
	Time time.Time `json:"time"`
	// Reason is the sentence that says how many have failed, and how many may.
	Reason string `json:"reason"`
	// Version is the one that they failed to reach, and Generation that of the spec by which it was seen.
	Version    string `json:"version"`
	Generation int64  `json:"generation,omitempty"`
}

// Holds says whether it stops a rollout to the version.
func (h *Halt) Holds(version string) bool { return h != nil && h.Version == version }

// Promotion is an operator's word that the canaries of a version have shown enough.
type Promotion struct {
	Pause
	// Version is the only one that it is for.
	Version string `json:"version"`
}

// Holds says whether it is for the version.
func (p *Promotion) Holds(version string) bool { return p != nil && p.Version == version }

// Override opens the windows of a plan, for the rollout to one version.
type Override struct {
	By     string    `json:"by,omitempty"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason,omitempty"`
	// Version is the only one that it is for: the next rollout keeps to its windows again.
	Version string `json:"version"`
	// Until is when it ends; zero: with the rollout.
	Until time.Time `json:"until,omitzero"`
}

// Opens says whether it stands for a rollout to the version at a time.
func (o *Override) Opens(version string, now time.Time) bool {
	return o != nil && o.Version == version && (o.Until.IsZero() || now.Before(o.Until))
}
