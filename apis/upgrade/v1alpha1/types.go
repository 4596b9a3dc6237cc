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
	// APIVersion is the value of apiVersion in a manifest.
	APIVersion = Group + "/v1alpha1"
	// Kind is the value of kind in a manifest.
	Kind = "UpgradePlan"
)

// UpgradePlan brings all hosts of one fleet to one version. Its rules limit how many hosts of a role may be in flight at the
// same time, and say which roles wait for which.
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

	// The desired state.
	Spec UpgradePlanSpec `json:"spec"`
	// The state that the controller observed last. It decides nothing.
	// +optional
	Status UpgradePlanStatus `json:"status,omitzero"`
}

// UpgradePlanSpec is the desired state of a fleet.
type UpgradePlanSpec struct {
	// The version that all hosts must reach: letters, digits and `. _ ~ + -`, starting with a letter or a digit. True,
	// False, 0 and 1 are not allowed, because hosts read them as booleans.
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._~+-]*$`
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version"`

	// What hosts do to reach the version. Without it, they upgrade. It can only change together with the version.
	// +optional
	Action Action `json:"action,omitzero"`

	// The limits and the order of grants. Without it, all hosts get their grants at once.
	// +optional
	Instructions Instructions `json:"instructions,omitzero"`

	// Rolling (default) fills a slot as soon as it is free. Batch grants to a set of hosts over the whole fleet, and waits
	// until each of them is upgraded or has failed before it grants to the next set.
	// +kubebuilder:validation:Enum=Rolling;Batch
	// +kubebuilder:default=Rolling
	// +optional
	Strategy Strategy `json:"strategy,omitempty"`

	// How many seconds a host may be silent after its grant or its start before it counts as failed. The default is 3600.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=3600
	// +optional
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`

	// How many seconds a host must have the version before it counts as upgraded and frees its slot. The default is 0.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`

	// How many seconds an upgrade takes at least. A host that reaches the version sooner after its grant halts the plan, with
	// the reason UnexplainedUpgrade. Absent means a tenth of the median of the hosts of its role, once five have finished in
	// this rollout. 0 means that any duration is possible.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinUpgradeSeconds *int32 `json:"minUpgradeSeconds,omitempty"`

	// How many failed hosts stop the rollout. Without it, they never do. Each failed host keeps its slot.
	// +optional
	FailurePolicy FailurePolicy `json:"failurePolicy,omitzero"`

	// How Consul's health checks affect the rollout. Without it and rollingRules.alsoCount, no checks are read.
	// +optional
	HealthGate HealthGate `json:"healthGate,omitzero"`

	// Which hosts are upgraded before all others, also before the roles that roleOrder puts first: a canary waits only for
	// the canaries of those roles. Without it, there are no canaries.
	// +optional
	Canary Canary `json:"canary,omitzero"`

	// When hosts may get grants and the version may be switched. Without windows, at any time.
	// +optional
	Windows Windows `json:"windows,omitzero"`

	// Which hosts belong to the plan, and how their roles are found.
	// +optional
	Hosts Hosts `json:"hosts,omitzero"`

	// Where the keys of the fleet are in Consul, and how they are written.
	// +optional
	Keys Keys `json:"keys,omitzero"`

	// While true, no host gets a grant. The default is false.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// How many earlier specs are kept for `rollout undo`. The default is 10.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=10
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
}

// Action replaces the upgrade by another action. The version then is the name of a run. All rules for upgrades apply. Legacy
// hosts, and hosts without a version, cannot run actions, so they never get grants for them.
type Action struct {
	// Command runs a command that the configuration of each agent defines. Empty means no action: hosts upgrade.
	// +kubebuilder:validation:Enum=Command
	// +optional
	Type ActionType `json:"type,omitempty"`

	// The name of the command. A host that does not define it reports a failure.
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._~+-]*$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Name string `json:"name,omitempty"`

	// The arguments, passed literally, without a shell. A host reports a failure if its configuration does not allow them.
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Args []string `json:"args,omitempty"`

	// How long the command may run, such as `90s` or `10m`; from 1s to 24h. Empty means the limit of the host, which always
	// applies.
	// +optional
	Timeout string `json:"timeout,omitempty"`
}

// Given reports whether there is an action.
func (a *Action) Given() bool { return a.Type != "" }

// ActionType is a kind of action.
type ActionType string

// CommandAction runs a command that the host defines.
const CommandAction ActionType = "Command"

// Strategy decides when a free slot is filled.
type Strategy string

// The strategies.
const (
	Rolling Strategy = "Rolling"
	Batch   Strategy = "Batch"
)

// Instructions are the rules of a rollout, with the meaning that they have in python-jiocloud.
//
// A structural schema cannot express "a string or a list", so the CRD does not check the values of roleOrder and
// groupMappings. The controller does.
type Instructions struct {
	// How many hosts may be in flight at the same time.
	// +optional
	RollingRules RollingRules `json:"rollingRules,omitzero"`

	// Maps a role or group to the roles or groups that it waits for: all their hosts must be upgraded and have soaked before
	// any of its hosts gets a grant. Values are a string or a list. A canary waits only for the canaries of these roles.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	RoleOrder map[string]StringList `json:"roleOrder,omitempty"`

	// Maps a group to patterns of its roles, which share one limit. Patterns are RE2, anchored at the start only. Values are
	// a string or a list.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	GroupMappings map[string]StringList `json:"groupMappings,omitempty"`
}

// RollingRules limit how many hosts are in flight at the same time. Each limit is a number of hosts (`3` or `"3"`) or a
// percentage of the hosts that count (`"10%"`, rounded down, but at least 1 unless it is 0%). 0 blocks all grants.
type RollingRules struct {
	// The limit of each role or group without its own limit. Absent means no limit.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	Global *intstr.IntOrString `json:"global,omitempty"`

	// Maps a role or group to its limit.
	// +optional
	Roles map[string]intstr.IntOrString `json:"roles,omitempty"`

	// The limit of the whole fleet. Absent means no limit.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	Fleet *intstr.IntOrString `json:"fleet,omitempty"`

	// Which hosts take a slot of their role, group and fleet although they are not in flight, because they do not serve.
	// Maintenance: hosts whose node is in Consul's maintenance (`consul maint`). Critical: hosts on which serfHealth or a
	// check of healthGate.checks is critical; a node in maintenance has no critical checks. Only hosts that count take a
	// slot. The default is none.
	// +kubebuilder:validation:MaxItems=2
	// +optional
	AlsoCount []Outage `json:"alsoCount,omitempty"`
}

// LimitsAll reports whether there is a limit for all hosts.
func (r *RollingRules) LimitsAll() bool { return r.Global != nil || r.Fleet != nil }

// Outage is why a host that is not in flight does not serve.
// +kubebuilder:validation:Enum=Maintenance;Critical
type Outage string

// The outages.
const (
	OutageMaintenance Outage = "Maintenance"
	OutageCritical    Outage = "Critical"
)

// FailurePolicy limits how many hosts may fail before the controller stops the rollout.
//
// A host counts as failed if it failed after it got its grant for this version, or after it started. Hosts that were broken
// before do not count, nor do failures before the last `rollout resume`.
type FailurePolicy struct {
	// How many hosts may fail: a number (`3` or `"3"`) or a percentage of the hosts that count (`"2%"`, rounded down, so it
	// can be 0 in a small fleet). The policy applies when more hosts have failed. Required in a failure policy.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	MaxFailed *intstr.IntOrString `json:"maxFailed,omitempty"`

	// What happens when more hosts have failed. Pause (default): the controller halts the plan. No host gets a grant until
	// `rollout resume`, even if hosts recover, or until the spec has another version, which starts with no failures. Other
	// changes of the spec do not end the halt. Rollback: the last complete revision replaces the spec, as with
	// `rollout undo`, until the spec changes. If there is no such revision, or it fails as well, the plan is halted.
	// +kubebuilder:validation:Enum=Pause;Rollback
	// +kubebuilder:default=Pause
	// +optional
	OnExceeded FailureAction `json:"onExceeded,omitempty"`

	// Whether a host that fails again and again gives its slot to others. Never (default when absent): it keeps its slot until
	// it succeeds. Failed: after afterAttempts attempts it is set aside. A host that is set aside makes no further attempt,
	// counts as failed, and the plan does not complete, until `rollout retry`. Roles that wait for its role do not wait for it.
	// +kubebuilder:validation:Enum=Never;Failed
	// +optional
	SetAside SetAsidePolicy `json:"setAside,omitempty"`

	// After how many failed attempts a host is set aside, from 1 to 100. Absent means 3. Only with setAside: Failed.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	AfterAttempts int `json:"afterAttempts,omitempty"`

	// The rules by which an earlier revision is carried out after a rollback or `rollout undo`. Other rules are those of that
	// revision, but windows.allow does not apply and there are no canaries. Of maxFailed and the health gate both specs apply.
	// Packages that a host cannot downgrade fail on the way back.
	// +optional
	Rollback *RollbackPolicy `json:"rollback,omitempty"`
}

// RollbackPolicy has the rules by which an earlier revision is carried out in place of the spec. If too many hosts fail on
// the way back, the controller always halts the plan. Pause, abort and holds apply as ever, and so does windows.deny of both
// specs.
type RollbackPolicy struct {
	// Replaces the rolling rules of the earlier revision. It must have global or fleet. Absent means the rules of that
	// revision.
	// +optional
	RollingRules RollingRules `json:"rollingRules,omitzero"`

	// Whether hosts may go back outside of windows.allow. The default is true. If false, windows.allow of both specs apply.
	// +optional
	IgnoreWindows *bool `json:"ignoreWindows,omitempty"`

	// Replaces minReadySeconds of the earlier revision. Absent means the value of that revision.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`

	// How many hosts may fail on the way back: a number (`3` or `"3"`) or a percentage of the hosts that count (`"2%"`,
	// rounded down). Absent means the smaller of both specs' failurePolicy.maxFailed.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	MaxFailed *intstr.IntOrString `json:"maxFailed,omitempty"`

	// Failed: hosts that failed go back before all others: those that reported a failure, were silent past their deadline, or
	// have a failing check of the health gate. Absent means the natural order.
	// +kubebuilder:validation:Enum=Failed
	// +optional
	First RollbackOrder `json:"first,omitempty"`
}

// IgnoresWindows reports whether hosts may go back outside of windows.allow. Nil means yes.
func (r *RollbackPolicy) IgnoresWindows() bool {
	return r == nil || r.IgnoreWindows == nil || *r.IgnoreWindows
}

// RollbackOrder decides which hosts go back first.
type RollbackOrder string

// FailedFirst lets hosts that failed go back first.
const FailedFirst RollbackOrder = "Failed"

// SetAsidePolicy decides which hosts are set aside.
type SetAsidePolicy string

// The policies.
const (
	// SetAsideNever keeps failed hosts in flight.
	SetAsideNever SetAsidePolicy = "Never"
	// SetAsideFailed sets hosts aside that fail again and again.
	SetAsideFailed SetAsidePolicy = "Failed"
)

// DefaultAfterAttempts is the value of FailurePolicy.AfterAttempts when it is absent.
const DefaultAfterAttempts = 3

// FailureAction decides what happens when too many hosts have failed.
type FailureAction string

// The failure actions.
const (
	// HaltOnFailure stops all grants until an operator resumes the rollout.
	HaltOnFailure FailureAction = "Pause"
	// RollbackOnFailure returns to the last complete revision.
	RollbackOnFailure FailureAction = "Rollback"
)

// HealthGate says how Consul's health checks affect the rollout. The checks of a host are those of the node with its name and
// of the services on that node. A node or service in maintenance has none.
type HealthGate struct {
	// The IDs of checks that must pass on each host that has them. A host in flight counts as failed while one of them is
	// critical; puppet and validation must not be warning either. A host counts as upgraded, and frees its slot, when they
	// have passed for minReadySeconds. They are ignored on hosts that were unhealthy when they got their grants.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Checks []string `json:"checks,omitempty"`

	// No host gets a grant while more hosts than this have any critical check: a number (`3` or `"3"`) or a percentage of
	// the hosts that count (`"2%"`, rounded down). Absent means no limit.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	MaxUnhealthy *intstr.IntOrString `json:"maxUnhealthy,omitempty"`

	// Whether hosts in maintenance count against maxUnhealthy as well. The default is false.
	// +optional
	CountMaintenance bool `json:"countMaintenance,omitempty"`
}

// Canary selects the hosts that are upgraded first. No other host gets a grant for a version until all canaries are upgraded,
// have soaked and are promoted. Limits apply to canaries as well, and roleOrder among canaries.
type Canary struct {
	// Host names or shell patterns (`*`, `?`, `[a-z]`). If they match no host, no host gets a grant.
	// +optional
	Hosts []string `json:"hosts,omitempty"`

	// How many hosts of each role, the first in natural order: a number (`1` or `"1"`) or a percentage of the role's hosts
	// (`"5%"`, rounded down, but at least 1 unless it is 0%). Absent means none.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^[0-9]+%?$`
	// +optional
	PerRole *intstr.IntOrString `json:"perRole,omitempty"`

	// How many seconds each canary must have the version, with passing checks, before other hosts get grants. The default
	// is 0.
	// +kubebuilder:validation:Minimum=0
	// +optional
	SoakSeconds int32 `json:"soakSeconds,omitempty"`

	// Auto (default): the canaries are promoted when they are complete. Manual: an operator promotes them with
	// `upgradectl rollout promote`.
	// +kubebuilder:validation:Enum=Auto;Manual
	// +kubebuilder:default=Auto
	// +optional
	Promote Promotion `json:"promote,omitempty"`
}

// Given reports whether canaries are configured.
func (c *Canary) Given() bool { return len(c.Hosts) > 0 || c.PerRole != nil }

// Promotion decides who promotes the canaries.
type Promotion string

// The promotions.
const (
	PromoteAuto   Promotion = "Auto"
	PromoteManual Promotion = "Manual"
)

// Windows are the maintenance windows, in which hosts may get grants and the version may be switched. Hosts that have started
// finish outside of them. When a window closes, the controller revokes grants of agents that have not started.
type Windows struct {
	// Hosts get grants only while one of these windows is open. Empty means at any time that is not denied.
	// +optional
	Allow []Window `json:"allow,omitempty"`

	// No host gets a grant while one of these windows is open. Takes precedence over allow.
	// +optional
	Deny []Window `json:"deny,omitempty"`
}

// Window opens at each time of a schedule and stays open for a duration. If it opens again while it is open, it stays open
// for longer.
//
// When daylight saving time starts or ends, the schedule follows the local clock and the duration the elapsed time. A local
// time that occurs twice opens the window twice. A local time that is skipped opens it at the moment of the change.
type Window struct {
	// When the window opens, in cron format: minute, hour, day of month, month, day of week. If both days are restricted,
	// either one has to match.
	Schedule string `json:"schedule"`

	// How long the window stays open, such as `90m` or `36h`; from 1m to 8784h (366 days).
	Duration string `json:"duration"`

	// The IANA name of the time zone of the schedule, such as `Europe/Berlin`. Empty means UTC.
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
}

// Hosts says which hosts belong to a plan.
type Hosts struct {
	// Records (default): hosts are those that have recorded a version or reported. Catalog: the same, but a host that
	// Consul's catalog does not list is lost. A lost host is listed but does not count, unless it is in flight and has not
	// failed.
	// +kubebuilder:validation:Enum=Records;Catalog
	// +optional
	Source HostSource `json:"source,omitempty"`

	// When hosts without a version get their grants. Immediately (default): at once and beside all limits, because they do not
	// serve yet; stops, windows and the health gate apply. ByRules: as all other hosts.
	// +kubebuilder:validation:Enum=Immediately;ByRules
	// +optional
	Newcomers NewcomerPolicy `json:"newcomers,omitempty"`

	// How many legacy hosts count and get grants: Allow (all), Deny (none) or a number (`20`). Any agent can write the record of
	// a host that does not exist, and only a record shows that a legacy host does. Absent means all while the fleet has no
	// agents, and then as many as there were at the last switch. With source: Catalog, those with a node are always admitted.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^(Allow|Deny|[0-9]+)$`
	// +optional
	Legacy *intstr.IntOrString `json:"legacy,omitempty"`

	// The earliest version of agents that get grants, such as v0.2.0. Older agents, and those that report no version, wait
	// (AgentTooOld), and the rollout waits for them. Grants that they have stay. Legacy hosts have no agent; see legacy. Empty means
	// any version.
	// +kubebuilder:validation:Pattern=`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	MinAgentVersion string `json:"minAgentVersion,omitempty"`

	// If true, only the own report of a host says that it is upgraded. Any host can write any record, but only its own report.
	// Of agents that always holds. Legacy hosts do not report, so they fail at their deadline. The default is false.
	// +optional
	VerifyReports bool `json:"verifyReports,omitempty"`

	// An RE2 pattern that is searched in the name of a host. Its first capture group is the role. A role in the host's own
	// report takes precedence. Empty means `([a-z]+)(\d+)(-.*)?`.
	// +optional
	RolePattern string `json:"rolePattern,omitempty"`

	// Hosts that never get grants and do not count: names or shell patterns (`*`, `?`, `[a-z]`).
	// +optional
	Exclude []string `json:"exclude,omitempty"`
}

// HostSource decides which hosts exist.
type HostSource string

// The sources of hosts.
const (
	HostsFromRecords HostSource = "Records"
	HostsFromCatalog HostSource = "Catalog"
)

// NewcomerPolicy says when hosts without a version get their grants.
type NewcomerPolicy string

// The policies for newcomers.
const (
	NewcomersImmediately NewcomerPolicy = "Immediately"
	NewcomersByRules     NewcomerPolicy = "ByRules"
)

// Keys says where the keys of a fleet are in Consul, and how they are written.
type Keys struct {
	// The prefix of all keys of the fleet, without a leading or trailing slash. Immutable. Empty means no prefix.
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// The tree with the hosts' records of their versions. Empty means running/versions and running_version together: the
	// newest record of a host counts.
	// +optional
	RunningVersions string `json:"runningVersions,omitempty"`

	// The value of a key that enables hosts. Boolean (default): True, which all hosts understand. Version: the name of the
	// version, so that the key enables only that version. With Version, no host gets a grant while legacy hosts count,
	// because they read any value but False as True.
	// +kubebuilder:validation:Enum=Boolean;Version
	// +optional
	Format KeyFormat `json:"format,omitempty"`
}

// KeyFormat is the format of keys that enable hosts.
type KeyFormat string

// The formats.
const (
	BooleanKeys KeyFormat = "Boolean"
	VersionKeys KeyFormat = "Version"
)
