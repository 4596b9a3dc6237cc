// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Phase summarizes the state of a plan in one word.
type Phase string

// The phases.
const (
	PhasePending     Phase = "Pending"           // the version has not been switched yet
	PhaseProgressing Phase = "Progressing"       // hosts are in flight or may get grants
	PhasePaused      Phase = "Paused"            // paused by an operator
	PhaseAborted     Phase = "Aborted"           // aborted by an operator
	PhaseHalted      Phase = "Halted"            // halted by the controller: too many hosts have failed
	PhaseAwaiting    Phase = "AwaitingPromotion" // the canaries are complete and an operator has to promote them
	PhaseStalled     Phase = "Stalled"           // no host is in flight and no host may get a grant
	PhaseComplete    Phase = "Complete"          // every host that counts is upgraded
)

// UpgradePlanStatus is the state that the controller observed last.
type UpgradePlanStatus struct {
	// The generation of the spec that this status describes.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// The state of the plan in one word.
	Phase Phase `json:"phase,omitempty"`
	// The version that the key current_version has.
	CurrentVersion string `json:"currentVersion,omitempty"`
	// The revision that replaces the spec until the spec changes. Absent means none.
	// +optional
	PinnedRevision int64 `json:"pinnedRevision,omitempty"`
	// The number of hosts in each state.
	Hosts HostCounts `json:"hosts,omitzero"`
	// The number of hosts by role, for the first roles in natural order.
	// +optional
	Roles []RoleStatus `json:"roles,omitempty"`
	// How many roles the list leaves out.
	// +optional
	RolesOmitted int `json:"rolesOmitted,omitempty"`
	// The first failed hosts in natural order, with reasons.
	// +optional
	Failures []HostFailure `json:"failures,omitempty"`
	// The progress of the canaries. Absent means that there are none, or that they are promoted.
	// +optional
	Canary *CanaryStatus `json:"canary,omitempty"`
	// Accepted, Ready, Complete, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// HostCounts counts hosts by state. The total has the hosts that count: each is either upgraded, upgrading, pending, failed or
// held. Excluded, lost and unknown hosts are not in the total.
type HostCounts struct {
	Total     int `json:"total"`
	Upgraded  int `json:"upgraded"`
	Upgrading int `json:"upgrading"`
	Pending   int `json:"pending"`
	Failed    int `json:"failed"`
	Held      int `json:"held"`
	InFlight  int `json:"inFlight"`
	Excluded  int `json:"excluded,omitempty"`
	Lost      int `json:"lost,omitempty"`
	Unknown   int `json:"unknown,omitempty"`
	// Hosts that failed again and again, or that an operator set aside.
	SetAside int `json:"setAside,omitempty"`
}

// HostFailure describes a failed host.
type HostFailure struct {
	Host   string `json:"host"`
	Reason string `json:"reason"`
	// The message of the failure, shortened.
	Message string `json:"message,omitempty"`
}

// CanaryStatus is the progress of the canaries.
type CanaryStatus struct {
	// The number of canaries.
	Total int `json:"total"`
	// The number of canaries that are upgraded and have soaked.
	Complete int `json:"complete"`
}

// RoleStatus is the state of one role.
type RoleStatus struct {
	Name string `json:"name"`
	// The group of the role. Absent means that the role is in no group.
	Group      string `json:"group,omitempty"`
	HostCounts `json:",inline"`
	// How many hosts of the role, or of its group, may be in flight. Absent means no limit.
	Limit *int `json:"limit,omitempty"`
	// Why no further host of the role gets a grant. Absent means that none waits.
	BlockedBy string `json:"blockedBy,omitempty"`
}

// The conditions of a plan.
const (
	// ConditionAccepted is false if the plan is invalid, or if another plan has the same fleet.
	ConditionAccepted = "Accepted"
	// ConditionReady is true when the plan is complete.
	ConditionReady = "Ready"
	// ConditionComplete is true when every host that counts is upgraded.
	ConditionComplete = "Complete"
	// ConditionSettled is true when every host that counts is upgraded or set aside.
	ConditionSettled = "Settled"
	// ConditionReconciling is true while the rollout makes progress.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true when the rollout needs an operator to continue.
	ConditionStalled = "Stalled"
)
