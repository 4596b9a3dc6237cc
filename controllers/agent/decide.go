// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// Observation is what a host knows of itself, and what it read of the store in one transaction.
type Observation struct {
	Host string
	// Role is empty when the host has none.
	Role string
	// Local is the version that the host has; empty: none yet, this is its first boot.
	Local   string
	Current fleet.CurrentVersion
	// Action is what hosts do instead of an upgrade to reach the version that it names; nil: there is none.
	Action *fleet.Action
	// ActionIndex is the index of its key.
	ActionIndex uint64
	// Setting is the switch that decides for the host: the most specific one that is set.
	Setting fleet.Setting
	// PausedBy is the scope of the pause key that stops the host; ScopeNone: none does.
	PausedBy fleet.Scope
	// Hold is the hold on the host, else that on its role, and HoldScope says which. One that has expired by Now counts
	// as none.
	Hold      *fleet.Hold
	HoldScope fleet.Scope
	// HoldEpoch is the index of the key that moves with every change of a hold; 0: there is none.
	HoldEpoch uint64
	// Started and Report are the host's own; nil: there is none.
	Started *fleet.Started
	Report  *fleet.Report
	// ReportIndex is the index of the key of the report; 0: there is none.
	ReportIndex uint64
	// Recorded says whether the host is recorded under its local version, and RecordTime since when.
	Recorded   bool
	RecordTime time.Time
	Now        time.Time
}

// observe builds an Observation from what was read. A key that is not in read is taken as not set.
func observe(l keys.Layout, host, role, local string, read map[string]keys.Pair, now time.Time) Observation {
	record := read[l.Record(local, host)]
	o := Observation{
		Host: host, Role: role, Local: local, Now: now,
		Current:     keys.DecodeCurrent(read[l.CurrentVersion()]),
		Action:      keys.DecodeAction(read[l.Action()]),
		ActionIndex: read[l.Action()].ModifyIndex,
		Setting:     setting(read[l.EnableHost(host)], read[l.EnableRole(role)], read[l.EnableGlobal()]),
		PausedBy:    pausedBy(read[l.PauseHost(host)], read[l.PauseRole(role)], read[l.PauseGlobal()]),
		Started:     keys.DecodeStarted(read[l.Started(host)]),
		Report:      keys.DecodeReport(read[l.Report(host)]),
		ReportIndex: read[l.Report(host)].ModifyIndex,
		HoldEpoch:   read[l.HoldEpoch()].ModifyIndex,
		Recorded:    local != "" && record.Exists(),
		RecordTime:  keys.DecodeTime(record.Value),
	}
	o.Hold, o.HoldScope = hold(read[l.HoldHost(host)], read[l.HoldRole(role)], now)
	return o
}

// scopes are in the order in which keys are looked up.
func scopes() [3]fleet.Scope {
	return [...]fleet.Scope{fleet.ScopeHost, fleet.ScopeRole, fleet.ScopeGlobal}
}

func setting(byScope ...keys.Pair) fleet.Setting {
	for i, p := range byScope {
		if p.Exists() {
			return fleet.Setting{Scope: scopes()[i], EnableValue: keys.DecodeEnableValue(p)}
		}
	}
	return fleet.Setting{}
}

func pausedBy(byScope ...keys.Pair) fleet.Scope {
	for i, p := range byScope {
		if !p.Exists() || keys.OfHold(p) { // the hold itself says more
			continue
		}
		if keys.DecodePause(p) {
			return scopes()[i]
		}
		break
	}
	return fleet.ScopeNone
}

func hold(host, role keys.Pair, now time.Time) (*fleet.Hold, fleet.Scope) {
	for i, p := range []keys.Pair{host, role} {
		if h := keys.DecodeHold(p); h != nil && (h.Expires.IsZero() || now.Before(h.Expires)) {
			return h, scopes()[i]
		}
	}
	return nil, fleet.ScopeNone
}

// Reason is why the answer to a question is what it is.
type Reason string

// The reasons.
const (
	NoVersion      Reason = "NoVersion"      // there is no current_version
	InvalidVersion Reason = "InvalidVersion" // current_version is no name of a version
	AtVersion      Reason = "AtVersion"      // the host has the current version
	ActionUnclear  Reason = "ActionUnclear"  // current_version and the action do not fit together
	NoVersionYet   Reason = "NoVersionYet"   // the host has no version, and an action brings none
	Paused         Reason = "Paused"         // a pause key stops the host
	Held           Reason = "Held"           // a hold keeps the host where it is
	Disabled       Reason = "Disabled"       // the deciding key says no
	InvalidValue   Reason = "InvalidValue"   // the deciding key says nothing that is understood
	OtherVersion   Reason = "OtherVersion"   // the deciding key enables another version
	NotGranted     Reason = "NotGranted"     // no key is set
	OldGrant       Reason = "OldGrant"       // the deciding key was written before current_version
	NoneSet        Reason = "NoneSet"        // no key is set, which enables Puppet
	Enabled        Reason = "Enabled"        // the deciding key enables Puppet
	Granted        Reason = "Granted"        // the deciding key was written to enable this version
	FirstBoot      Reason = "FirstBoot"      // the host has no version yet, and the lookup enables it
	Resuming       Reason = "Resuming"       // the host has begun, was interrupted, and may finish
)

// Permission is a yes or a no with its reason and a sentence for people. The sentence is the same as long as the state is.
type Permission struct {
	Allowed bool
	Reason  Reason
	Message string
}

// Verdict answers the two questions of a host.
type Verdict struct {
	// Puppet: may Puppet run at the version that the host has?
	Puppet Permission
	// Change: may the host change its version, to current_version?
	Change Permission
}

// Decide says what the host may do.
func Decide(o Observation) Verdict { return Verdict{Puppet: o.puppet(), Change: o.change()} }

func no(r Reason, format string, args ...any) Permission {
	return Permission{Reason: r, Message: fmt.Sprintf(format, args...)}
}

func yes(r Reason, format string, args ...any) Permission {
	return Permission{Allowed: true, Reason: r, Message: fmt.Sprintf(format, args...)}
}

func (o Observation) puppet() Permission {
	if o.PausedBy != fleet.ScopeNone {
		return o.paused()
	}
	if o.Setting.Scope == fleet.ScopeNone {
		return yes(NoneSet, "no enable_puppet key is set for %s, which enables it", o.Host)
	}
	if !o.Setting.Enables(o.Local) {
		return o.disabled(o.Local)
	}
	return yes(Enabled, "enable_puppet of %s is %q", o.name(o.Setting.Scope), o.Setting.Text)
}

func (o Observation) change() Permission {
	begun, failed := o.begun()
	version := o.Current.Name
	switch wrong := keys.ValidVersion(version); {
	case o.Current.Index == 0:
		return no(NoVersion, "there is no current_version")
	case wrong != "":
		return no(InvalidVersion, "current_version is %q: it %s", version, wrong)
	case o.Local == version && begun == "":
		return no(AtVersion, "%s has %s", o.Host, version)
	}
	action := o.action()
	switch {
	case o.PausedBy != fleet.ScopeNone:
		return o.paused()
	case o.Current.HasAction != (action != nil):
		return no(ActionUnclear, "current_version and the key of the action do not say the same of %s: the controller mends that", version)
	case action != nil && o.Local == "":
		return no(NoVersionYet, "%s has no version yet, and command %s brings none", o.Host, action.Name)
	case begun == version && !failed && o.enabled(version):
		return yes(Resuming, "%s has begun to change to %s and may finish", o.Host, version)
	case o.Hold != nil:
		return no(Held, "a hold on %s keeps it where it is%s", o.name(o.HoldScope), because(o.Hold.Reason))
	}
	return o.granted(version)
}

// action is what takes the place of the upgrade to current_version; nil: nothing does.
func (o Observation) action() *fleet.Action {
	if o.Action == nil || o.Action.Version != o.Current.Name {
		return nil
	}
	return o.Action
}

// granted is the rule for a start: an explicit yes that is newer than current_version. On first boot the lookup
// suffices.
func (o Observation) granted(version string) Permission {
	switch first := o.Local == ""; {
	case first && o.enabled(version):
		return yes(FirstBoot, "%s has no version yet, and the lookup enables it", o.Host)
	case o.Setting.Scope == fleet.ScopeNone:
		return no(NotGranted, "no enable_puppet key is set for %s: %s starts by an explicit one only", o.Host, version)
	case !o.Setting.Enables(version):
		return o.disabled(version)
	case o.Setting.Index <= o.Current.Index:
		return no(OldGrant, "enable_puppet of %s was written before current_version became %s",
			o.name(o.Setting.Scope), version)
	}
	return yes(Granted, "enable_puppet of %s is %q", o.name(o.Setting.Scope), o.Setting.Text)
}

// enabled is the lookup: the most specific key that is set decides; none set enables.
func (o Observation) enabled(version string) bool {
	return o.Setting.Scope == fleet.ScopeNone || o.Setting.Enables(version)
}

func (o Observation) paused() Permission {
	return no(Paused, "an operator paused %s", o.name(o.PausedBy))
}

// disabled says why the deciding key does not enable the version.
func (o Observation) disabled(version string) Permission {
	scope, text := o.name(o.Setting.Scope), o.Setting.Text
	switch o.Setting.Value {
	case fleet.Invalid:
		return no(InvalidValue, "enable_puppet of %s is %q, which is none of True, False and a version", scope, text)
	case fleet.Version:
		return no(OtherVersion, "enable_puppet of %s enables %s, not %s", scope, text, orNone(version))
	default:
		return no(Disabled, "enable_puppet of %s is %q", scope, text)
	}
}

// begun is the version that the host began to change to and did not reach, and whether it has said that it failed.
// The mark tells; the report does when the mark is lost. A mark by the controller is not the host's own.
func (o Observation) begun() (version string, failed bool) {
	if o.arrived() {
		return "", false
	}
	if o.Started != nil && o.Started.By == "" {
		version = o.Started.Version
	}
	if o.Report == nil || o.Report.Phase != fleet.PhaseUpgrading && o.Report.Phase != fleet.PhaseFailed {
		return version, false
	}
	if version == "" {
		version = o.Report.Version
	}
	return version, o.Report.Phase == fleet.PhaseFailed && o.Report.Version == version
}

// arrived says whether the host has the version of its mark, by a change that its mark tells of: it was interrupted
// between the version file and the report. A host that is brought to the version which its file named already cannot
// tell, and goes through the step again.
func (o Observation) arrived() bool {
	return o.Started != nil && o.Local != "" && o.Started.Version == o.Local && o.Started.From != o.Local
}

// name is a scope as people say it.
func (o Observation) name(s fleet.Scope) string {
	switch s {
	case fleet.ScopeHost:
		return "host " + o.Host
	case fleet.ScopeRole:
		return "role " + o.Role
	default:
		return s.String()
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func orNone(version string) string {
	if version == "" {
		return "a host without a version"
	}
	return version
}
