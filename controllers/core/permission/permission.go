// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package permission

import (
	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// View is what the rules depend on: the keys as the host reads them, and what the host knows of itself.
type View struct {
	// Kind is the kind of the host: which keys it understands.
	Kind Kind
	// Local is the version that the host has. Empty means none: this is its first boot.
	Local string
	// Started is the version that the host started to change to and did not reach, and StartedRollout the rollout of that
	// start. Empty means none. Zero means an agent that knew no grants.
	Started        string
	StartedRollout uint64
	// Failed says that the host reported a failure to reach Started.
	Failed  bool
	Current fleet.CurrentVersion
	// HasAction says that an action is stored for the current version.
	HasAction bool
	// Setting is the enable_puppet key that decides for the host: the most specific one that is set.
	Setting fleet.Setting
	// Grant is the host's grant. Nil means none.
	Grant *fleet.Grant
	// LastRollout is the number of the last rollout that the host has begun or finished, and LastGrant the id of the last grant
	// that it used.
	LastRollout uint64
	LastGrant   string
	// PausedBy is the scope of the pause key that stops the host. ScopeNone means none does.
	PausedBy fleet.Scope
	// OnHold says that a hold on the host, its role or the fleet applies.
	OnHold bool
	// Foreign says that the report of the host is by another machine. Duplicate says that two machines report as the host.
	Foreign, Duplicate bool
}

// Kind says which keys a host understands.
type Kind uint8

// The kinds of hosts.
const (
	// Agent changes its version by its grant in a governed fleet, and by enable_puppet keys elsewhere.
	Agent Kind = iota
	// KeyAgent is an agent of an earlier release, which goes by enable_puppet keys alone.
	KeyAgent
	// Legacy is a host without an agent. It knows enable_puppet keys and pause keys only.
	Legacy
)

// KindOf returns the kind of a host as the controller knows it.
func KindOf(h *fleet.Host) Kind {
	switch {
	case !h.Agent():
		return Legacy
	case !h.KnowsGrants():
		return KeyAgent
	}
	return Agent
}

// Reason says why a permission is given or refused.
type Reason string

// The reasons.
const (
	NoVersion      Reason = "NoVersion"      // there is no current_version
	InvalidVersion Reason = "InvalidVersion" // current_version is not a valid version
	StoreWentBack  Reason = "StoreWentBack"  // the host has begun or finished a later rollout than the current one
	AtVersion      Reason = "AtVersion"      // the host has the current version
	ActionUnclear  Reason = "ActionUnclear"  // current_version and the stored action contradict each other
	NoVersionYet   Reason = "NoVersionYet"   // the host has no version, and an action does not install one
	Paused         Reason = "Paused"         // a pause key stops the host
	OnHold         Reason = "Held"           // a hold stops the host
	Disabled       Reason = "Disabled"       // the deciding key is False
	InvalidValue   Reason = "InvalidValue"   // the deciding key is neither True, False nor a version
	OtherVersion   Reason = "OtherVersion"   // the deciding key enables another version
	NotGranted     Reason = "NotGranted"     // no grant, and no key that permits the change
	OldGrant       Reason = "OldGrant"       // the grant is for another rollout, or the deciding key is older than current_version
	UsedGrant      Reason = "UsedGrant"      // the host has used this grant before
	NoneSet        Reason = "NoneSet"        // no key is set, which enables Puppet and legacy hosts
	Enabled        Reason = "Enabled"        // the deciding key enables Puppet
	Granted        Reason = "Granted"        // the grant, or a deciding key that is newer than current_version, permits the change
	FirstBoot      Reason = "FirstBoot"      // the host has no version yet, and the deciding key enables it
	Resuming       Reason = "Resuming"       // the host started, was interrupted, and may finish
	OtherMachine   Reason = "OtherMachine"   // the report of the host is by another machine, which may still answer
	Duplicate      Reason = "Duplicate"      // two machines report as the host
	Retrying       Reason = "Retrying"       // the host started, failed, and may try again by the same grant
)

// Permission is the answer to a question.
type Permission struct {
	Allowed bool
	Reason  Reason
}

func allow(r Reason) Permission { return Permission{Allowed: true, Reason: r} }

func deny(r Reason) Permission { return Permission{Reason: r} }

// Change answers whether the host may change its version to the current one.
func Change(v View) Permission {
	switch {
	case v.Current.Index == 0:
		return deny(NoVersion)
	case names.Version(v.Current.Name) != "":
		return deny(InvalidVersion)
	case v.governed() && v.Current.Rollout < v.LastRollout:
		return deny(StoreWentBack)
	case v.Local == v.Current.Name && v.Started == "":
		return deny(AtVersion)
	case v.PausedBy != fleet.ScopeNone:
		return deny(Paused)
	case v.Kind == Legacy:
		return Grant(v)
	case v.Foreign && !v.Duplicate:
		return deny(OtherMachine)
	case v.Foreign:
		return deny(Duplicate)
	case v.Current.HasAction != v.HasAction:
		return deny(ActionUnclear)
	case v.HasAction && v.Local == "":
		return deny(NoVersionYet)
	case v.startedCurrent() && !v.Failed && v.lookup():
		return allow(Resuming)
	case v.Duplicate:
		return deny(Duplicate)
	case v.OnHold:
		return deny(OnHold)
	}
	return Grant(v)
}

// Grant answers whether the host's grant, or its keys, permit a start. It ignores pauses, holds and actions, which can end
// at any moment: a host that is permitted to start is in flight.
//
// In a governed fleet an agent needs a grant for the current rollout that it has not used. A start that failed may be tried
// again while the keys enable the version. In another fleet, an agent needs a key that enables the version and is newer than
// current_version, and on its first boot the lookup is enough. A legacy host starts unless the key is exactly False.
func Grant(v View) Permission {
	switch {
	case v.Current.Index == 0:
		return deny(NoVersion)
	case v.Kind == Legacy:
		return v.legacy(Granted)
	case v.governed():
		return v.byGrant()
	}
	return v.byKey()
}

// Begun reports whether an agent of a governed fleet has started to change to the current version in the current rollout. It needs
// no further grant: it may go on, and try again, while its keys enable the version.
func Begun(v View) bool { return v.governed() && v.startedCurrent() }

// byGrant is the rule of agents in a governed fleet.
func (v *View) byGrant() Permission {
	switch {
	case v.Grant.For(v.Current) && v.Grant.ID != v.LastGrant:
		return allow(Granted)
	case v.startedCurrent() && v.lookup():
		return allow(Retrying)
	case v.Grant == nil:
		return deny(NotGranted)
	case v.Grant.For(v.Current):
		return deny(UsedGrant)
	}
	return deny(OldGrant)
}

// byKey is the rule of agents in a fleet that is not governed, and of agents of earlier releases.
func (v *View) byKey() Permission {
	switch {
	case v.Local == "" && v.lookup():
		return allow(FirstBoot)
	case v.Setting.Scope == fleet.ScopeNone:
		return deny(NotGranted)
	case !v.Setting.Enables(v.Current.Name):
		return v.disabled()
	case v.Setting.Index <= v.Current.Index:
		return deny(OldGrant)
	}
	return allow(Granted)
}

// governed reports whether the host changes its version by grants alone.
func (v *View) governed() bool { return v.Kind == Agent && v.Current.Governed }

// startedCurrent reports whether the host started to change to the current version in the current rollout.
func (v *View) startedCurrent() bool {
	same := !v.governed() || v.StartedRollout == 0 || v.StartedRollout == v.Current.Rollout
	return v.Started == v.Current.Name && same
}

// RunPuppet answers whether Puppet may run at the version that the host has.
func RunPuppet(v View) Permission {
	switch {
	case v.PausedBy != fleet.ScopeNone:
		return deny(Paused)
	case v.Kind == Legacy:
		return v.legacy(Enabled)
	case v.Setting.Scope == fleet.ScopeNone:
		return allow(NoneSet)
	case !v.Setting.Enables(v.Local):
		return v.disabled()
	}
	return allow(Enabled)
}

// lookup reports whether the deciding key enables the current version, or no key is set.
func (v *View) lookup() bool {
	return v.Setting.Scope == fleet.ScopeNone || v.Setting.Enables(v.Current.Name)
}

// legacy reads the key as jorc does. The reason is that of a key that is set and enables.
func (v *View) legacy(enabled Reason) Permission {
	switch {
	case v.Setting.Scope == fleet.ScopeNone:
		return allow(NoneSet)
	case !v.Setting.EnablesLegacy():
		return deny(Disabled)
	}
	return allow(enabled)
}

// disabled says why the key does not enable a version.
func (v *View) disabled() Permission {
	switch v.Setting.Value {
	case fleet.Invalid:
		return deny(InvalidValue)
	case fleet.Version:
		return deny(OtherVersion)
	}
	return deny(Disabled)
}
