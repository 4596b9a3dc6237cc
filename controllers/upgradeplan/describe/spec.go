// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

func actionText(a v1alpha1.Action) string {
	if !a.Given() {
		return ""
	}
	text := "command " + strings.Join(append([]string{a.Name}, a.Args...), " ")
	if a.Timeout != "" {
		text += ", for " + a.Timeout + " at most"
	}
	return text
}

func limitsText(r v1alpha1.RollingRules) string {
	var parts []string
	if r.Global != nil {
		parts = append(parts, "global "+r.Global.String())
	}
	for _, role := range fleet.NaturalKeys(r.Roles) {
		limit := r.Roles[role]
		parts = append(parts, role+" "+limit.String())
	}
	if r.Fleet != nil {
		parts = append(parts, "fleet "+r.Fleet.String())
	}
	text := cmp.Or(strings.Join(parts, ", "), "none")
	if len(r.AlsoCount) > 0 {
		text += "; hosts that also take slots: " + outagesText(r.AlsoCount)
	}
	return text
}

func outagesText(outages []v1alpha1.Outage) string {
	names := make([]string, 0, len(outages))
	for _, o := range outages {
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

func listsText(m map[string]v1alpha1.StringList, between string) string {
	var parts []string
	for _, name := range fleet.NaturalKeys(m) {
		parts = append(parts, name+between+strings.Join(m[name], ", "))
	}
	return strings.Join(parts, "; ")
}

// failureText describes a failure policy. A rollback can have several budgets.
func failureText(p v1alpha1.FailurePolicy, maxFailed []string) string {
	if len(maxFailed) == 0 {
		return ""
	}
	text := fmt.Sprintf("more than %s failed: %s", strings.Join(maxFailed, " or "), p.OnExceeded)
	if p.SetAside == v1alpha1.SetAsideFailed {
		text += fmt.Sprintf("; set aside after failed attempt %d", cmp.Or(p.AfterAttempts, v1alpha1.DefaultAfterAttempts))
	}
	return text
}

// rollbackText describes by which rules a rollback is carried out.
func rollbackText(p *v1alpha1.RollbackPolicy) string {
	if p == nil {
		return ""
	}
	text := "limits of the earlier revision"
	if p.RollingRules.LimitsAll() {
		text = "limits " + limitsText(p.RollingRules)
	}
	if p.MinReadySeconds != nil {
		text += fmt.Sprintf("; soak %d s", *p.MinReadySeconds)
	}
	if p.MaxFailed != nil {
		text += fmt.Sprintf("; more than %s failed: Pause", p.MaxFailed)
	}
	if p.First == v1alpha1.FailedFirst {
		text += "; failed hosts first"
	}
	if p.IgnoresWindows() {
		return text + "; outside of windows.allow too"
	}
	return text + "; in windows.allow of both specs"
}

// healthText describes a health gate. A rollback can have several budgets.
func healthText(g v1alpha1.HealthGate, maxUnhealthy []string) string {
	var parts []string
	if len(g.Checks) > 0 {
		parts = append(parts, strings.Join(g.Checks, ", ")+" must pass")
	}
	if len(maxUnhealthy) > 0 {
		text := "at most " + strings.Join(maxUnhealthy, " and ") + " hosts critical"
		if g.CountMaintenance {
			text += " or in maintenance"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func windowsText(w v1alpha1.Windows) string {
	var parts []string
	for _, list := range []struct {
		word    string
		windows []v1alpha1.Window
	}{{"allow", w.Allow}, {"deny", w.Deny}} {
		for _, one := range list.windows {
			parts = append(parts, fmt.Sprintf("%s %q for %s (%s)", list.word, one.Schedule, one.Duration, cmp.Or(one.TimeZone, "UTC")))
		}
	}
	return strings.Join(parts, "; ")
}

func hostsText(h v1alpha1.Hosts) string {
	var parts []string
	if h.Source == v1alpha1.HostsFromCatalog {
		parts = append(parts, "lost when the catalog does not know them")
	}
	if h.VerifyReports {
		parts = append(parts, "upgraded when their own reports say so too")
	}
	if h.Newcomers == v1alpha1.NewcomersByRules {
		parts = append(parts, "hosts without a version wait for the rules")
	}
	if h.MinAgentVersion != "" {
		parts = append(parts, "granted if their agents have "+h.MinAgentVersion+" or later")
	}
	return strings.Join(parts, "; ")
}

func pairsText(m map[string]string) string {
	var parts []string
	for _, k := range fleet.NaturalKeys(m) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, ", ")
}
