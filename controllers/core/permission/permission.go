// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package permission

import (
	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// View is what the rules depend on: the keys as the host reads them, and what the host knows of itself.
type View struct {
	// Legacy is true for a host without an agent. Such a host knows the switch and the pause keys only.
	Legacy bool
	// Local is the version that the host has. Empty means none: this is its first boot.
	Local string
	// Started is the version that the host started to change to and did not reach. Empty means none.
	Started string
	// Failed says that the host reported a failure to reach Started.
	Failed  bool
	Current fleet.CurrentVersion
	// HasAction says that an action is stored for the current version.
	HasAction bool
	// Setting is the switch that decides for the host: the most specific enable_puppet key that is set.
	Setting fleet.Setting
	// PausedBy is the scope of the pause key that stops the host. ScopeNone means none does.
	PausedBy fleet.Scope
	// OnHold says that a hold on the host or its role applies.
	OnHold bool
}

// Reason says why a permission is given or refused.
type Reason string

// The reasons.
const (
	NoVersion      Reason = "NoVersion"      // there is no current_version
	InvalidVersion Reason = "InvalidVersion" // current_version is not a valid version
	AtVersion      Reason = "AtVersion"      // the host has the current version
	ActionUnclear  Reason = "ActionUnclear"  // current_version and the stored action contradict each other
	NoVersionYet   Reason = "NoVersionYet"   // the host has no version, and an action does not install one
	Paused         Reason = "Paused"         // a pause key stops the host
	OnHold         Reason = "Held"           // a hold stops the host
	Disabled       Reason = "Disabled"       // the deciding key is False
	InvalidValue   Reason = "InvalidValue"   // the deciding key is neither True, False nor a version
	OtherVersion   Reason = "OtherVersion"   // the deciding key enables another version
	NotGranted     Reason = "NotGranted"     // no key is set
	OldGrant       Reason = "OldGrant"       // the deciding key was written before current_version
	NoneSet        Reason = "NoneSet"        // no key is set, which enables Puppet and legacy hosts
	Enabled        Reason = "Enabled"        // the deciding key enables Puppet
	Granted        Reason = "Granted"        // the deciding key enables this version and is newer than current_version
	FirstBoot      Reason = "FirstBoot"      // the host has no version yet, and the switch enables it
	Resuming       Reason = "Resuming"       // the host started, was interrupted, and may finish
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
	case v.Local == v.Current.Name && v.Started == "":
		return deny(AtVersion)
	case v.PausedBy != fleet.ScopeNone:
		return deny(Paused)
	case v.Legacy:
		return Grant(v)
	case v.Current.HasAction != v.HasAction:
		return deny(ActionUnclear)
	case v.HasAction && v.Local == "":
		return deny(NoVersionYet)
	case v.Started == v.Current.Name && !v.Failed && v.lookup():
		return allow(Resuming)
	case v.OnHold:
		return deny(OnHold)
	}
	return Grant(v)
}

// Grant answers whether the switch alone permits a start. It ignores pauses, holds and actions, which can end at any
// moment: a host with a grant is in flight.
//
// An agent needs a switch that enables the version and is newer than current_version. On its first boot the lookup is
// enough. A legacy host starts unless the switch is exactly False.
func Grant(v View) Permission {
	switch version := v.Current.Name; {
	case v.Current.Index == 0:
		return deny(NoVersion)
	case v.Legacy:
		return v.legacy(Granted)
	case v.Local == "" && v.lookup():
		return allow(FirstBoot)
	case v.Setting.Scope == fleet.ScopeNone:
		return deny(NotGranted)
	case !v.Setting.Enables(version):
		return v.disabled()
	case v.Setting.Index <= v.Current.Index:
		return deny(OldGrant)
	}
	return allow(Granted)
}

// RunPuppet answers whether Puppet may run at the version that the host has.
func RunPuppet(v View) Permission {
	switch {
	case v.PausedBy != fleet.ScopeNone:
		return deny(Paused)
	case v.Legacy:
		return v.legacy(Enabled)
	case v.Setting.Scope == fleet.ScopeNone:
		return allow(NoneSet)
	case !v.Setting.Enables(v.Local):
		return v.disabled()
	}
	return allow(Enabled)
}

// lookup reports whether the switch enables the current version, or no switch is set.
func (v *View) lookup() bool {
	return v.Setting.Scope == fleet.ScopeNone || v.Setting.Enables(v.Current.Name)
}

// legacy reads the switch as jorc does. The reason is that of a switch that is set and enables.
func (v *View) legacy(enabled Reason) Permission {
	switch {
	case v.Setting.Scope == fleet.ScopeNone:
		return allow(NoneSet)
	case !v.Setting.EnablesLegacy():
		return deny(Disabled)
	}
	return allow(enabled)
}

// disabled says why the switch does not enable a version.
func (v *View) disabled() Permission {
	switch v.Setting.Value {
	case fleet.Invalid:
		return deny(InvalidValue)
	case fleet.Version:
		return deny(OtherVersion)
	}
	return deny(Disabled)
}
