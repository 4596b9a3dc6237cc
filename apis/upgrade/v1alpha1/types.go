// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// Group is the API group of all kinds in this package.
	Group = "upgrade.jiocloud.com"
	// APIVersion is what a manifest says in its field apiVersion.
	APIVersion = Group + "/v1alpha1"
	// Kind is what a manifest says in its field kind.
	Kind = "UpgradePlan"
)

// UpgradePlan brings every host of one fleet to one version, by rules that say how many of a role may be in
// flight at once, and which role waits for which.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=up
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Upgraded",type=integer,JSONPath=`.status.hosts.upgraded`
// +kubebuilder:printcolumn:name="Total",type=integer,JSONPath=`.status.hosts.total`
type UpgradePlan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What the operator wants.
	Spec UpgradePlanSpec `json:"spec"`
	// What the controller saw last. Nothing is decided from it.
	// +optional
	Status UpgradePlanStatus `json:"status,omitzero"`
}

// UpgradePlanSpec is the operator's part of a plan.
type UpgradePlanSpec struct {
	// The version that all hosts shall reach. One segment of a key: letters, digits and `. _ ~ + -`, beginning
	// with a letter or a digit; not True, False, 0 or 1, which hosts read as a yes or a no.
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._~+-]*$`
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version"`

	// What hosts do to reach the version. Without it, they upgrade themselves. It cannot change while the version stays.
	// +optional
	Action Action `json:"action,omitzero"`

	// The rules by which hosts are released. Without any, all hosts are released at once.
	// +optional
	Instructions Instructions `json:"instructions,omitzero"`

	// Rolling refills a slot as soon as it is free. Batch releases a set over the whole fleet and waits until
	// each host of it has completed or failed before it releases the next.
	// +kubebuilder:validation:Enum=Rolling;Batch
	// +kubebuilder:default=Rolling
	// +optional
	Strategy Strategy `json:"strategy,omitempty"`

	// How many seconds a host may be silent after its release or its start before it counts as failed.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=3600
	// +optional
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`

	// How many seconds a host must have been at the version before it counts as upgraded and frees its slot.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`

	// When failing hosts stop the rollout. Without it, they never do: each keeps its slot.
	// +optional
	FailurePolicy FailurePolicy `json:"failurePolicy,omitzero"`

	// What Consul's checks have a say in. Without it, none is read.
	// +optional
	HealthGate HealthGate `json:"healthGate,omitzero"`

	// Which hosts go before all others. Without it, none do.
	// +optional
	Canary Canary `json:"canary,omitzero"`

	// When hosts may be released, and the version be switched. Without any window: at any time.
	// +optional
	Windows Windows `json:"windows,omitzero"`

	// Which hosts the plan is about, and which role each has.
	// +optional
	Hosts Hosts `json:"hosts,omitzero"`

	// Where the keys of this fleet are.
	// +optional
	Keys Keys `json:"keys,omitzero"`

	// While true, no host is released.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// How many earlier specs are kept.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=10
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
}

// Action is what hosts do in the place of an upgrade to reach a version: the version is then the name of a run. All rules
// for upgrades hold. Hosts that were never seen as agents cannot do it, nor can those that have no version yet: they are
// never released for it.
type Action struct {
	// Command: run a command that each host defines for itself, in the configuration of its agent.
	// +kubebuilder:validation:Enum=Command
	// +optional
	Type ActionType `json:"type,omitempty"`

	// The name of the command. A host that does not define it refuses, and has failed.
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._~+-]*$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Name string `json:"name,omitempty"`

	// The arguments, each as it is: there is no shell. A host refuses those that do not fit what it allows.
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Args []string `json:"args,omitempty"`

	// How long it may run: `90s`, `10m`; at least a second, and at most 24h. The host's own bound holds as well.
	// +optional
	Timeout string `json:"timeout,omitempty"`
}

// Given says whether there is an action.
func (a *Action) Given() bool { return a.Type != "" }

// ActionType is a kind of action.
type ActionType string

// CommandAction runs a command.
const CommandAction ActionType = "Command"

// Strategy says when a free slot is filled.
type Strategy string

// The strategies.
const (
	Rolling Strategy = "Rolling"
	Batch   Strategy = "Batch"
)

// Instructions are the rules of a rollout, as python-jiocloud knew them.
//
// A structural schema cannot say "a string or a list": the CRD leaves the values of RoleOrder and GroupMappings open.
type Instructions struct {
	// How many hosts may be in flight at once.
	// +optional
	RollingRules RollingRules `json:"rollingRules,omitzero"`

	// Role or group → the roles or groups that must be upgraded, soak included, before any host of it is
	// released. A string or a list.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	RoleOrder map[string]StringList `json:"roleOrder,omitempty"`

	// Group → patterns (RE2, anchored at the front only) of the roles that count as one. A string or a list.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	GroupMappings map[string]StringList `json:"groupMappings,omitempty"`
}

// RollingRules limit how many hosts are in flight at once. Each limit is a number of hosts (`3` or `"3"`) or a
// percentage of the hosts that count (`"10%"`, rounded down, but at least 1 when above 0%). 0 blocks.
type RollingRules struct {
	// The limit of every role or group that has none of its own.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	Global *intstr.IntOrString `json:"global,omitempty"`

	// Role or group → its limit.
	// +optional
	Roles map[string]intstr.IntOrString `json:"roles,omitempty"`

	// The limit of the whole fleet.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	Fleet *intstr.IntOrString `json:"fleet,omitempty"`
}

// FailurePolicy says how many hosts may fail before the rollout stops by itself.
//
// A host spends the budget when it counts and has failed to reach this version since it was released for it, or has
// begun: one that was failed before the plan touched it does not. What had failed before the last `rollout resume` does
// not either.
type FailurePolicy struct {
	// How many hosts may have failed: a number (`3` or `"3"`) or a percentage of the hosts that count (`"2%"`, rounded
	// down, so that a small fleet may have a budget of 0). More than that is too many. Required when a policy is given.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	MaxFailed *intstr.IntOrString `json:"maxFailed,omitempty"`

	// What happens then. Pause: no host is released until `rollout resume`, also when hosts recover, or until the spec
	// names another version, which begins with a budget of its own. Other changes of the spec do not end it.
	// Rollback: the revision that was complete last is pinned in the place of the spec, as by `rollout undo`, until the
	// spec changes. Where there is none, or it fails as well, the plan is paused.
	// +kubebuilder:validation:Enum=Pause;Rollback
	// +kubebuilder:default=Pause
	// +optional
	OnExceeded FailureAction `json:"onExceeded,omitempty"`
}

// FailureAction is what happens when too many hosts have failed.
type FailureAction string

// The failure actions.
const (
	// HaltOnFailure stops every new start until an operator lets the rollout go on.
	HaltOnFailure FailureAction = "Pause"
	// RollbackOnFailure carries out the revision that was complete last.
	RollbackOnFailure FailureAction = "Rollback"
)

// HealthGate says what Consul's checks have a say in. The checks of a host are those on the node that bears its name, of
// the node itself and of its services; a node or service in maintenance has none.
type HealthGate struct {
	// The ids of checks that must pass on each host that has them. A host in flight has failed while one is critical;
	// puppet and validation must not be warning either. An upgraded host counts, and frees its slot, when they have
	// passed for minReadySeconds. Hosts that were unhealthy when they were released are not judged by them.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Checks []string `json:"checks,omitempty"`

	// No host is released while more hosts than this have a critical check, whichever: a number (`3` or `"3"`) or a
	// percentage of the hosts that count (`"2%"`, rounded down). Absent: it is not looked at.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	MaxUnhealthy *intstr.IntOrString `json:"maxUnhealthy,omitempty"`
}

// Canary says which hosts go first. No other host is released for a version before all of them are upgraded and have
// soaked, and have been promoted; after that, the version has no canaries any more. Among themselves they keep to the
// limits and to the order of roles.
type Canary struct {
	// Names of hosts or shell patterns (`*`, `?`, `[a-z]`). If they match no host, nobody is released.
	// +optional
	Hosts []string `json:"hosts,omitempty"`

	// How many hosts of each role, the first in natural order: a number (`1` or `"1"`) or a percentage of the role's hosts
	// (`"5%"`, rounded down, but at least 1 when above 0%).
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	PerRole *intstr.IntOrString `json:"perRole,omitempty"`

	// How many seconds each canary must have been at the version, its checks passing, before the others follow.
	// +kubebuilder:validation:Minimum=0
	// +optional
	SoakSeconds int32 `json:"soakSeconds,omitempty"`

	// Auto: the others follow by themselves. Manual: they follow after `upgradectl rollout promote`.
	// +kubebuilder:validation:Enum=Auto;Manual
	// +kubebuilder:default=Auto
	// +optional
	Promote Promotion `json:"promote,omitempty"`
}

// Given says whether there are to be canaries.
func (c *Canary) Given() bool { return len(c.Hosts) > 0 || c.PerRole != nil }

// Promotion is what lets the other hosts follow the canaries.
type Promotion string

// The promotions.
const (
	PromoteAuto   Promotion = "Auto"
	PromoteManual Promotion = "Manual"
)

// Windows say when hosts may be released. Every single start is judged, and so is the switch of the version; hosts that
// have started finish. A window that closes takes back what agents were allowed and have not begun.
type Windows struct {
	// Hosts are released only while one of these is open. None: at any time that is not denied.
	// +optional
	Allow []Window `json:"allow,omitempty"`

	// No host is released while one of these is open, whatever is allowed.
	// +optional
	Deny []Window `json:"deny,omitempty"`
}

// Window opens at each time of a schedule and stays open for a duration. One that opens again while it is open stays open
// for longer.
//
// Where clocks change, the schedule goes by the clock on the wall and the duration by the time that passes: a time that
// comes twice opens the window twice, and one that is skipped opens it at the moment of the change.
type Window struct {
	// When it opens, as cron has it: minute, hour, day of month, month, day of week. If both days are given, either will
	// do.
	Schedule string `json:"schedule"`

	// For how long it is open: `4h`, `90m`, `36h`. At least a minute, and at most 8784h, a year.
	Duration string `json:"duration"`

	// The time zone of the schedule, by its IANA name: `Europe/Berlin`. Empty: UTC.
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
}

// Hosts says which hosts a plan is about.
type Hosts struct {
	// Records, which is also meant by nothing: hosts are those that have recorded a version or reported. Catalog: the same,
	// but one that Consul's catalog does not know any more is lost: it is listed and does not count, unless it is in flight
	// and has not failed.
	// +kubebuilder:validation:Enum=Records;Catalog
	// +optional
	Source HostSource `json:"source,omitempty"`

	// A host counts as upgraded only if its own report says so as well as its record: any host may write any record, but
	// only its own report. Hosts that were never seen as agents do not report, and so fail at their deadline.
	// +optional
	VerifyReports bool `json:"verifyReports,omitempty"`

	// A pattern (RE2) whose first group is the role of a host; the first match anywhere in its name counts.
	// Empty: `([a-z]+)(\d+)(-.*)?`. A host that says its own role is not asked.
	// +optional
	RolePattern string `json:"rolePattern,omitempty"`

	// Hosts that are never released and do not count: names or shell patterns (`*`, `?`, `[a-z]`).
	// +optional
	Exclude []string `json:"exclude,omitempty"`
}

// HostSource is what hosts are known by.
type HostSource string

// The sources of hosts.
const (
	HostsFromRecords HostSource = "Records"
	HostsFromCatalog HostSource = "Catalog"
)

// Keys says where the keys of a fleet are in Consul.
type Keys struct {
	// Stands before all keys of this fleet's hosts, without slashes at its ends. Immutable.
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// The tree below which hosts record the version that they reached. Empty: running/versions, or
	// running_version when only that one holds records.
	// +optional
	RunningVersions string `json:"runningVersions,omitempty"`

	// What is written to a key that enables. Boolean, which is also meant by nothing: True, which every host understands.
	// Version: the name of the version, so that a key enables nothing else. No host is released with it while hosts count
	// that were never seen as agents: they read any value but False as a yes.
	// +kubebuilder:validation:Enum=Boolean;Version
	// +optional
	Format KeyFormat `json:"format,omitempty"`
}

// KeyFormat is how keys that enable are written.
type KeyFormat string

// The formats.
const (
	BooleanKeys KeyFormat = "Boolean"
	VersionKeys KeyFormat = "Version"
)

// Phase is one word for where a plan stands.
type Phase string

// The phases.
const (
	PhasePending     Phase = "Pending"           // the version is not switched yet
	PhaseProgressing Phase = "Progressing"       // hosts are in flight, or may be released
	PhasePaused      Phase = "Paused"            // stopped by an operator
	PhaseAborted     Phase = "Aborted"           // given up by an operator
	PhaseHalted      Phase = "Halted"            // stopped by itself: too many hosts have failed
	PhaseAwaiting    Phase = "AwaitingPromotion" // the canaries are upgraded; an operator promotes them
	PhaseStalled     Phase = "Stalled"           // nothing is in flight and nothing may be released
	PhaseComplete    Phase = "Complete"          // every host that counts is upgraded
)

// UpgradePlanStatus is what the controller saw last.
type UpgradePlanStatus struct {
	// The generation of the spec that this status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// One word for where the plan stands.
	Phase Phase `json:"phase,omitempty"`
	// The version in current_version.
	CurrentVersion string `json:"currentVersion,omitempty"`
	// The revision that is carried out in the place of the spec, until the spec changes.
	// +optional
	PinnedRevision int64 `json:"pinnedRevision,omitempty"`
	// The hosts of the fleet, by state.
	Hosts HostCounts `json:"hosts,omitzero"`
	// The same by role, in natural order, of the first roles.
	// +optional
	Roles []RoleStatus `json:"roles,omitempty"`
	// How many more roles there are.
	// +optional
	RolesOmitted int `json:"rolesOmitted,omitempty"`
	// The first hosts that have failed, in natural order, and why.
	// +optional
	Failures []HostFailure `json:"failures,omitempty"`
	// Where the canaries stand; absent: there are none, or not any more.
	// +optional
	Canary *CanaryStatus `json:"canary,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// HostCounts counts hosts by state. Total are those that count; a host is one of upgraded, upgrading, pending,
// failed or held. Excluded, lost and unknown hosts are in none of them.
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
}

// HostFailure is a host that has failed.
type HostFailure struct {
	Host   string `json:"host"`
	Reason string `json:"reason"`
	// Bounded in length.
	Message string `json:"message,omitempty"`
}

// CanaryStatus is where the canaries stand.
type CanaryStatus struct {
	// How many hosts go first, and how many of them are upgraded and have soaked.
	Total    int `json:"total"`
	Complete int `json:"complete"`
}

// RoleStatus is where one role stands.
type RoleStatus struct {
	Name string `json:"name"`
	// The group that the role belongs to, when it is not one of its own.
	Group      string `json:"group,omitempty"`
	HostCounts `json:",inline"`
	// The computed number of hosts of the role, or of its group, that may be in flight; absent: no limit.
	Limit *int `json:"limit,omitempty"`
	// Why no further host of the role is released now.
	BlockedBy string `json:"blockedBy,omitempty"`
}

// The conditions of a plan.
const (
	// ConditionAccepted is false when the plan cannot be carried out as it is: it cannot be read, or another plan is about
	// the same fleet.
	ConditionAccepted = "Accepted"
	// ConditionReady is true when the plan is complete.
	ConditionReady = "Ready"
	// ConditionComplete is true when every host that counts is upgraded.
	ConditionComplete = "Complete"
	// ConditionReconciling is true while the rollout makes progress.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true when the rollout cannot go on without an operator.
	ConditionStalled = "Stalled"
)
