// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Reason is a CamelCase word that says why something is as it is. Verdicts of hosts, events and conditions of a plan share
// these words: the gate that stops a rollout is also the reason of its condition and of the event that reports it. A
// condition or an event can also bear the name of a phase.
type Reason string

// The reasons of a host's verdict, in the order of the planner's rules.
const (
	// ReasonLostFromCatalog: the host has a record, and Consul's catalog does not list its node.
	ReasonLostFromCatalog Reason = "LostFromCatalog"
	// ReasonChecksFailing: a required check fails.
	ReasonChecksFailing Reason = "ChecksFailing"
	// ReasonDuplicate: two machines report as the host.
	ReasonDuplicate Reason = "Duplicate"
	// ReasonSoaking: the host has the version, and not yet for minReadySeconds.
	ReasonSoaking Reason = "Soaking"
	// ReasonAtVersion: the host has the version.
	ReasonAtVersion Reason = "AtVersion"
	// ReasonNoRole: the name of the host contains no role.
	ReasonNoRole Reason = "NoRole"
	// ReasonNotAdmitted: the host is a legacy host that spec.hosts.legacy does not admit.
	ReasonNotAdmitted Reason = "NotAdmitted"
	// ReasonExcluded: spec.hosts.exclude matches the host.
	ReasonExcluded Reason = "Excluded"
	// ReasonExemptByHold: a hold exempts the host from the counts.
	ReasonExemptByHold Reason = "ExemptByHold"
	// ReasonSetAside: the host failed again and again, or an operator set it aside. It makes no attempt until `rollout retry`.
	ReasonSetAside Reason = "SetAside"
	// ReasonReportedFailure: the agent reported that the upgrade failed.
	ReasonReportedFailure Reason = "ReportedFailure"
	// ReasonDeadlineExceeded: the host was silent for longer than progressDeadlineSeconds.
	ReasonDeadlineExceeded Reason = "ProgressDeadlineExceeded"
	// ReasonPausedByKey: a pause key of jorc stops the host.
	ReasonPausedByKey Reason = "PausedByKey"
	// ReasonOnHold: an operator holds the host or its role.
	ReasonOnHold Reason = "OnHold"
	// ReasonRevoked: this pass revokes the grant of the host. Also the reason of the event.
	ReasonRevoked Reason = "Revoked"
	// ReasonUnverified: the record of the host says the version, and its report does not.
	ReasonUnverified Reason = "Unverified"
	// ReasonGranted: the host has its grant, or has started. Also the reason of the event when hosts get grants.
	ReasonGranted Reason = "Granted"
	// ReasonAgentTooOld: the agent is older than spec.hosts.minAgentVersion, or reports no version.
	ReasonAgentTooOld Reason = "AgentTooOld"
	// ReasonCannotAct: the plan runs a command, and the host cannot.
	ReasonCannotAct Reason = "CannotAct"
	// ReasonWaitingForCanary: the canaries are not complete.
	ReasonWaitingForCanary Reason = "WaitingForCanary"
	// ReasonAwaitingPromotion: the canaries are complete, and no operator has promoted them.
	ReasonAwaitingPromotion Reason = "AwaitingPromotion"
	// ReasonWaitingForRole: roleOrder makes the role wait for another role or group.
	ReasonWaitingForRole Reason = "WaitingForRole"
	// ReasonLimitZero: a limit of the host's role, group or fleet is 0.
	ReasonLimitZero Reason = "LimitZero"
	// ReasonNoFreeSlot: all slots of the host's role, group or fleet are taken.
	ReasonNoFreeSlot Reason = "NoFreeSlot"
	// ReasonBatchRunning: strategy Batch, and hosts of this batch are in flight.
	ReasonBatchRunning Reason = "BatchRunning"
	// ReasonStarting: this pass grants the host.
	ReasonStarting Reason = "Starting"
)

// The reasons of a gate, which stops every new start of a plan.
const (
	// ReasonNoPlan: the fleet has no plan.
	ReasonNoPlan Reason = "NoPlan"
	// ReasonObservationIncomplete: some keys could not be read.
	ReasonObservationIncomplete Reason = "ObservationIncomplete"
	// ReasonConflict: another plan is about the same fleet. Also a reason of ConditionAccepted.
	ReasonConflict Reason = "Conflict"
	// ReasonStoreWentBack: Consul was restored from a backup, and no operator has accepted that.
	ReasonStoreWentBack Reason = "StoreWentBack"
	// ReasonFleetShrank: fewer than half of the hosts of the last pass are left, and no operator has accepted that.
	ReasonFleetShrank Reason = "FleetShrank"
	// ReasonAborted: an operator aborted the plan.
	ReasonAborted Reason = "Aborted"
	// ReasonPlanPaused: an operator or the spec pauses the plan.
	ReasonPlanPaused Reason = "PlanPaused"
	// ReasonFailureBudgetExceeded: more hosts have failed than failurePolicy.maxFailed, and the controller halted the plan.
	ReasonFailureBudgetExceeded Reason = "FailureBudgetExceeded"
	// ReasonUnexplainedUpgrade: a host reached the version without a grant, or in less time than an upgrade takes, and the
	// controller halted the plan.
	ReasonUnexplainedUpgrade Reason = "UnexplainedUpgrade"
	// ReasonOutsideWindow: the maintenance windows are closed.
	ReasonOutsideWindow Reason = "OutsideWindow"
	// ReasonTooManyUnhealthy: more hosts have critical checks than healthGate.maxUnhealthy.
	ReasonTooManyUnhealthy Reason = "TooManyUnhealthy"
	// ReasonVersionKeysRefused: spec.keys.format is Version, and legacy hosts would misread such keys.
	ReasonVersionKeysRefused Reason = "VersionKeysRefused"
	// ReasonNoHosts: no host counts, so that the plan cannot be complete.
	ReasonNoHosts Reason = "NoHosts"
	// ReasonVersionSwitch: this pass switches the version.
	ReasonVersionSwitch Reason = "VersionSwitch"
	// ReasonRevoking: this pass corrects keys that enable hosts without a grant.
	ReasonRevoking Reason = "Revoking"
)

// The reasons that only events have.
const (
	// ReasonVersionSwitched: current_version was switched.
	ReasonVersionSwitched Reason = "VersionSwitched"
	// ReasonRolledBack: the controller pinned the revision that was complete last.
	ReasonRolledBack Reason = "RolledBack"
	// ReasonCanariesPromoted: the other hosts follow the canaries.
	ReasonCanariesPromoted Reason = "CanariesPromoted"
	// ReasonHostsFailed: further hosts have failed that have no event of their own.
	ReasonHostsFailed Reason = "HostsFailed"
	// ReasonDrift: a key of the controller was changed by something else.
	ReasonDrift Reason = "Drift"
)

// ReasonHostsSetAside is the reason of ConditionComplete when all hosts but those that are set aside are upgraded.
const ReasonHostsSetAside Reason = "HostsSetAside"

// The reasons of ConditionAccepted, besides ReasonConflict.
const (
	ReasonAccepted Reason = "Accepted"
	ReasonInvalid  Reason = "Invalid"
)
