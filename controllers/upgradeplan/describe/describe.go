// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// Fact is one line of a description: a name and a text. A fact with an empty text is not shown.
type Fact struct{ Name, Text string }

// Status returns the present status of a plan, or of a fleet without a plan.
func Status(o *pass.Assessment) v1alpha1.UpgradePlanStatus {
	d := o.Present()
	if o.Plan == nil {
		return status.Of(&d, v1alpha1.UpgradePlanStatus{}, 0, o.Now)
	}
	return status.Of(&d, o.Plan.Status, o.Plan.Generation, o.Now)
}

// Plan describes a plan: its spec, its progress and what stops it. The assessment must be of a plan. Leader is the holder of the
// lock. Nil means that the lock is free. ManagedBy is the file in Git that the plan comes from. Empty means none.
func Plan(o *pass.Assessment, leader *leaderelection.LockHeldError, managedBy string) []Fact {
	spec, now := &o.Plan.Spec, Status(o)
	return []Fact{
		{"Name", o.Plan.Name},
		{"Generation", fmt.Sprint(o.Plan.Generation)},
		{"Labels", pairsText(o.Plan.Labels)},
		{"Annotations", pairsText(o.Plan.Annotations)},
		{"Managed by", managedBy},
		{"Version", spec.Version},
		{"Current version", cmp.Or(o.Fleet.Current.Name, "none")},
		{"Action", actionText(spec.Action)},
		{"Strategy", string(spec.Strategy)},
		{"Limits", limitsText(spec.Instructions.RollingRules)},
		{"Order", listsText(spec.Instructions.RoleOrder, " after ")},
		{"Groups", listsText(spec.Instructions.GroupMappings, " = ")},
		{"Soak", fmt.Sprintf("%d s", spec.MinReadySeconds)},
		{"Progress deadline", fmt.Sprintf("%d s", *spec.ProgressDeadlineSeconds)},
		{"Failure policy", failureText(spec.FailurePolicy, o.Plan.MaxFailed())},
		{"Rollback", rollbackText(spec.FailurePolicy.Rollback)},
		{"Health gate", healthText(spec.HealthGate, o.Plan.MaxUnhealthy())},
		{"Canaries", canaryText(o)},
		{"Windows", windowsText(spec.Windows)},
		{"Hosts", hostsText(spec.Hosts)},
		{"Role pattern", spec.Hosts.RolePattern},
		{"Left out", strings.Join(spec.Hosts.Exclude, ", ")},
		{"Keys", fmt.Sprintf("%s, records below %s", cmp.Or(spec.Keys.Prefix, "no prefix"), strings.Join(o.Layout.RecordTrees(), " and "))},
		{"Paused", pauseText(o)},
		{"Pinned", o.PinMessage()},
		{"Leader", leaderText(o, leader)},
		{"Phase", string(now.Phase)},
		{"Status", status.Line(now)},
		{"Stopped by", o.Decision.Gate.Message},
	}
}

// planName returns the plan of the fleet. Empty means none.
func planName(o *pass.Assessment) string {
	if o.Plan == nil {
		return ""
	}
	return "upgradeplan/" + o.Plan.Name
}

func leaderText(o *pass.Assessment, held *leaderelection.LockHeldError) string {
	if held == nil {
		return "none: start upgrade-controller, or run upgradectl reconcile " + o.Plan.Name
	}
	text := cmp.Or(held.Holder, "an unknown process")
	if since := Stamp(held.Since); since != "" {
		text += " since " + since
	}
	return text
}

func canaryText(o *pass.Assessment) string {
	spec := &o.Plan.Spec.Canary
	if !spec.Given() {
		return ""
	}
	who := slices.Clone(spec.Hosts)
	if spec.PerRole != nil {
		who = append(who, spec.PerRole.String()+" of each role")
	}
	text := fmt.Sprintf("%s, soak %d s, promoted: %s", strings.Join(who, ", "), spec.SoakSeconds, spec.Promote)
	switch c := o.Decision.Canary; {
	case c != nil && c.Awaiting:
		text += fmt.Sprintf("; %d of %d are complete: upgradectl rollout promote %s", c.Complete, c.Total, o.Plan.Name)
	case c != nil:
		text += fmt.Sprintf("; %d of %d are complete", c.Complete, c.Total)
	case o.Decision.Ledger.Promoted == o.Plan.Spec.Version:
		text += "; those of " + o.Plan.Spec.Version + " have been"
	}
	return text
}

func pauseText(o *pass.Assessment) string {
	p := o.Control.Pause
	switch {
	case p != nil:
		text := "by " + cmp.Or(p.By, "an unknown operator") + " since " + Stamp(p.Time)
		if p.Reason != "" {
			text += ": " + p.Reason
		}
		return text
	case o.Plan.Spec.Paused:
		return "by its spec (spec.paused)"
	}
	return "no"
}
