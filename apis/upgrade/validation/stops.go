// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

func validateFailurePolicy(policy v1alpha1.FailurePolicy, at *field.Path) field.ErrorList {
	if policy == (v1alpha1.FailurePolicy{}) {
		return nil
	}
	errs := validateLimit(policy.MaxFailed, at.Child("maxFailed"))
	if policy.MaxFailed == nil {
		errs = append(errs, field.Required(at.Child("maxFailed"), "must be the number (3) or percentage (10%) of hosts that may fail"))
	}
	if policy.OnExceeded != "" {
		errs = append(errs, oneOf(policy.OnExceeded, at.Child("onExceeded"), v1alpha1.HaltOnFailure,
			v1alpha1.RollbackOnFailure)...)
	}
	errs = append(errs, validateSetAside(policy, at)...)
	return append(errs, validateRollback(policy.Rollback, at.Child("rollback"))...)
}

func validateRollback(policy *v1alpha1.RollbackPolicy, at *field.Path) field.ErrorList {
	if policy == nil {
		return nil
	}
	rules := at.Child("rollingRules")
	errs := validateRules(&policy.RollingRules, rules)
	if !reflect.ValueOf(policy.RollingRules).IsZero() && !policy.RollingRules.LimitsAll() {
		errs = append(errs, field.Required(rules, "must have global or fleet, because no host goes back without a limit"))
	}
	errs = append(errs, between(policy.MinReadySeconds, 0, 0, at.Child("minReadySeconds"))...)
	errs = append(errs, validateLimit(policy.MaxFailed, at.Child("maxFailed"))...)
	if policy.First != "" {
		errs = append(errs, oneOf(policy.First, at.Child("first"), v1alpha1.FailedFirst)...)
	}
	return errs
}

// maxAfterAttempts limits the attempts of a host. They are up to an hour apart.
const maxAfterAttempts = 100

func validateSetAside(policy v1alpha1.FailurePolicy, at *field.Path) (errs field.ErrorList) {
	if policy.SetAside != "" {
		errs = oneOf(policy.SetAside, at.Child("setAside"), v1alpha1.SetAsideNever, v1alpha1.SetAsideFailed)
	}
	attempts := at.Child("afterAttempts")
	switch n := policy.AfterAttempts; {
	case n == 0:
	case policy.SetAside != v1alpha1.SetAsideFailed:
		errs = append(errs, field.Invalid(attempts, n, "must be absent unless setAside is Failed"))
	case n < 1 || n > maxAfterAttempts:
		errs = append(errs, field.Invalid(attempts, n, fmt.Sprintf("must be from 1 to %d", maxAfterAttempts)))
	}
	return errs
}

// maxChecks limits the checks of a health gate, because each failing check of each host is compared with them.
const maxChecks = 64

func validateHealthGate(gate v1alpha1.HealthGate, at *field.Path) field.ErrorList {
	errs := validateLimit(gate.MaxUnhealthy, at.Child("maxUnhealthy"))
	if gate.CountMaintenance && gate.MaxUnhealthy == nil {
		errs = append(errs, field.Required(at.Child("maxUnhealthy"), "must be the number (3) or percentage (10%) of hosts that may be "+
			"critical or in maintenance, because countMaintenance is true"))
	}
	checks := at.Child("checks")
	if len(gate.Checks) > maxChecks {
		errs = append(errs, field.TooMany(checks, len(gate.Checks), maxChecks))
	}
	for i, id := range gate.Checks {
		switch {
		case strings.TrimSpace(id) == "":
			errs = append(errs, field.Required(checks.Index(i), "must be the ID of a check in Consul, such as puppet or service:web"))
		case slices.Contains(gate.Checks[:i], id):
			errs = append(errs, field.Duplicate(checks.Index(i), id))
		}
	}
	return errs
}

func validateCanary(canary *v1alpha1.Canary, at *field.Path) field.ErrorList {
	errs := validateHostPatterns(canary.Hosts, at.Child("hosts"))
	errs = append(errs, validateLimit(canary.PerRole, at.Child("perRole"))...)
	errs = append(errs, between(&canary.SoakSeconds, 0, 0, at.Child("soakSeconds"))...)
	if canary.Promote != "" {
		errs = append(errs, oneOf(canary.Promote, at.Child("promote"), v1alpha1.PromoteAuto, v1alpha1.PromoteManual)...)
	}
	if !canary.Given() && (canary.SoakSeconds != 0 || canary.Promote != "") {
		errs = append(errs, field.Required(at, "must have hosts or perRole"))
	}
	return errs
}

// maxWindows limits each list of windows, because each pass evaluates all of them.
const maxWindows = 64

func validateWindows(windows v1alpha1.Windows, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, list := range []struct {
		at      *field.Path
		windows []v1alpha1.Window
	}{{at.Child("allow"), windows.Allow}, {at.Child("deny"), windows.Deny}} {
		if len(list.windows) > maxWindows {
			errs = append(errs, field.TooMany(list.at, len(list.windows), maxWindows))
		}
		for i, w := range list.windows {
			errs = append(errs, validateWindow(w, list.at.Index(i))...)
		}
	}
	return errs
}

func validateWindow(w v1alpha1.Window, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	part := func(name, text string, err error) {
		switch {
		case err != nil && text == "":
			errs = append(errs, field.Required(at.Child(name), err.Error()))
		case err != nil:
			errs = append(errs, field.Invalid(at.Child(name), text, err.Error()))
		}
	}
	_, err := schedule.ParseSchedule(w.Schedule)
	part("schedule", w.Schedule, err)
	_, err = schedule.ParseDuration(w.Duration)
	part("duration", w.Duration, err)
	_, err = schedule.LoadZone(w.TimeZone)
	part("timeZone", w.TimeZone, err)
	return errs
}
