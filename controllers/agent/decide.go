// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

// Permission is the answer to a question, with a message for operators. The message stays the same while the state does.
type Permission struct {
	permission.Permission
	Message string
}

// Verdict answers the two questions of a host.
type Verdict struct {
	// Puppet: may Puppet run at the version that the host has?
	Puppet Permission
	// Change: may the host change its version to current_version?
	Change Permission
}

// Decide applies the rules of package permission, and explains the results.
func Decide(o Observation) Verdict {
	puppet, change := permission.RunPuppet(o.View), permission.Change(o.View)
	return Verdict{
		Puppet: Permission{puppet, o.Message(puppet.Reason, o.View.Local)},
		Change: Permission{change, o.Message(change.Reason, o.View.Current.Name)},
	}
}

// Message explains a reason. The version is the one that the question is about; empty means that the host has none.
func (o Observation) Message(r permission.Reason, version string) string {
	current, value := o.View.Current.Name, o.View.Setting.Text
	key := "enable_puppet of " + o.scopeName(o.View.Setting.Scope)
	if o.View.Current.Governed {
		if text := o.grantMessage(r); text != "" {
			return text
		}
	}
	switch r {
	case permission.NoVersion:
		return "current_version is not set"
	case permission.InvalidVersion:
		return fmt.Sprintf("current_version is %q: it %s", current, names.Version(current))
	case permission.AtVersion:
		return fmt.Sprintf("%s is at %s", o.Host, current)
	case permission.ActionUnclear:
		return fmt.Sprintf("current_version and the action key disagree about %s: waiting for the controller to correct them", current)
	case permission.NoVersionYet:
		return fmt.Sprintf("%s has no version yet, and command %s does not install one", o.Host, o.Action.Name)
	case permission.Paused:
		return "an operator paused " + o.scopeName(o.View.PausedBy)
	case permission.OnHold:
		if o.HoldScope == fleet.ScopeGlobal {
			return "the fleet is on hold" + detail(o.Hold.Reason)
		}
		return o.scopeName(o.HoldScope) + " is on hold" + detail(o.Hold.Reason)
	case permission.OtherMachine:
		return fmt.Sprintf("the report of %s is by machine %s, and this is machine %s: it waits whether the other one answers",
			o.Host, fleet.ShortMachine(o.Own.Report.Machine), fleet.ShortMachine(o.Machine))
	case permission.Duplicate:
		return duplicateMessage(o.Host, *o.Own.Report)
	case permission.Resuming:
		return fmt.Sprintf("%s started to change to %s and may finish", o.Host, current)
	case permission.FirstBoot:
		return fmt.Sprintf("%s has no version yet, and no enable_puppet key disables it", o.Host)
	case permission.NoneSet:
		return fmt.Sprintf("no enable_puppet key is set for %s, so Puppet is enabled", o.Host)
	case permission.NotGranted:
		return fmt.Sprintf("no enable_puppet key is set for %s: a change to %s needs one", o.Host, current)
	case permission.OldGrant:
		return fmt.Sprintf("%s is older than current_version %s", key, current)
	case permission.OtherVersion:
		return fmt.Sprintf("%s enables %s, not %s", key, value, cmp.Or(version, "a host without a version"))
	case permission.InvalidValue:
		return fmt.Sprintf("%s is %q: it must be True, False or a version", key, value)
	default: // Enabled, Granted, Disabled
		return fmt.Sprintf("%s is %q", key, value)
	}
}

// grantMessage explains the reasons that are about grants and rollouts. Empty means another reason.
func (o Observation) grantMessage(r permission.Reason) string {
	current, grant := o.View.Current, o.View.Grant
	switch r {
	case permission.StoreWentBack:
		return fmt.Sprintf("%s has taken part in rollout %d, and current_version %s is of rollout %d: "+
			"Consul was restored from an older state; this host changes nothing before `upgradectl rollout resume --accept-restored`",
			o.Host, o.View.LastRollout, current.Name, current.Rollout)
	case permission.Granted:
		return fmt.Sprintf("%s has grant %s for %s in rollout %d", o.Host, grant.ID, current.Name, current.Rollout)
	case permission.UsedGrant:
		return fmt.Sprintf("%s has used its grant %s for %s already", o.Host, grant.ID, current.Name)
	case permission.Retrying:
		return fmt.Sprintf("%s failed to change to %s and may try again", o.Host, current.Name)
	case permission.NotGranted:
		return fmt.Sprintf("%s has no grant for %s in rollout %d", o.Host, current.Name, current.Rollout)
	case permission.OldGrant:
		return fmt.Sprintf("the grant of %s is for %s in rollout %d, not for %s in rollout %d", o.Host, grant.Version, grant.Rollout,
			current.Name, current.Rollout)
	}
	return ""
}

func (o Observation) scopeName(s fleet.Scope) string {
	switch s {
	case fleet.ScopeHost:
		return "host " + o.Host
	case fleet.ScopeRole:
		return "role " + o.Role
	default:
		return s.String()
	}
}

func detail(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
