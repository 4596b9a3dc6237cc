// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// MaxRevisionHistoryLimit is the maximum of spec.revisionHistoryLimit.
const MaxRevisionHistoryLimit = 100

// ValidateUpgradePlan returns all errors of a plan.
func ValidateUpgradePlan(plan *v1alpha1.UpgradePlan) field.ErrorList {
	errs := validateName(plan.Name, field.NewPath("metadata", "name"))
	return append(errs, validateSpec(&plan.Spec, field.NewPath("spec"))...)
}

// ValidateUpgradePlanUpdate returns all errors of a plan that replaces another.
func ValidateUpgradePlanUpdate(newPlan, oldPlan *v1alpha1.UpgradePlan) field.ErrorList {
	errs := ValidateUpgradePlan(newPlan)
	if was, is := oldPlan.Spec.Keys.Prefix, newPlan.Spec.Keys.Prefix; was != is {
		errs = append(errs, field.Invalid(field.NewPath("spec", "keys", "prefix"), is, fmt.Sprintf(
			"is immutable and was %q; create another plan for another fleet", was)))
	}
	return append(errs, validateActionUpdate(&newPlan.Spec, &oldPlan.Spec, field.NewPath("spec", "action"))...)
}

func validateName(name string, at *field.Path) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(at, names.SegmentRule)}
	case !names.Segment(name):
		return field.ErrorList{field.Invalid(at, name, names.SegmentRule)}
	case len(name) > names.MaxLength:
		return field.ErrorList{field.TooLong(at, name, names.MaxLength)}
	}
	return nil
}

func validateSpec(spec *v1alpha1.UpgradePlanSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch problem := names.Version(spec.Version); {
	case spec.Version == "":
		errs = append(errs, field.Required(at.Child("version"), names.SegmentRule))
	case problem != "":
		errs = append(errs, field.Invalid(at.Child("version"), spec.Version, problem))
	}
	errs = append(errs, validateAction(spec, at.Child("action"))...)
	errs = append(errs, validateInstructions(&spec.Instructions, at.Child("instructions"))...)
	if spec.Strategy != "" {
		errs = append(errs, oneOf(spec.Strategy, at.Child("strategy"), v1alpha1.Rolling, v1alpha1.Batch)...)
	}
	errs = append(errs, between(spec.ProgressDeadlineSeconds, 1, 0, at.Child("progressDeadlineSeconds"))...)
	errs = append(errs, between(spec.MinUpgradeSeconds, 0, 0, at.Child("minUpgradeSeconds"))...)
	errs = append(errs, between(&spec.MinReadySeconds, 0, 0, at.Child("minReadySeconds"))...)
	errs = append(errs, validateFailurePolicy(spec.FailurePolicy, at.Child("failurePolicy"))...)
	errs = append(errs, validateHealthGate(spec.HealthGate, at.Child("healthGate"))...)
	errs = append(errs, validateCanary(&spec.Canary, at.Child("canary"))...)
	errs = append(errs, validateWindows(spec.Windows, at.Child("windows"))...)
	errs = append(errs, validateHosts(&spec.Hosts, at.Child("hosts"))...)
	errs = append(errs, validateKeys(spec.Keys, at.Child("keys"))...)
	return append(errs, between(spec.RevisionHistoryLimit, 0, MaxRevisionHistoryLimit, at.Child("revisionHistoryLimit"))...)
}

// between allows nil, and values from low to high. A high of 0 means no maximum.
func between(n *int32, low, high int32, at *field.Path) field.ErrorList {
	switch {
	case n == nil:
	case *n < low:
		return field.ErrorList{field.Invalid(at, *n, fmt.Sprintf("must be %d or more", low))}
	case high > 0 && *n > high:
		return field.ErrorList{field.Invalid(at, *n, fmt.Sprintf("must be %d or less", high))}
	}
	return nil
}

func validateInstructions(in *v1alpha1.Instructions, at *field.Path) field.ErrorList {
	if errs := boundNames(in, at); len(errs) > 0 {
		return errs
	}
	errs := validateRules(&in.RollingRules, at.Child("rollingRules"))
	order := at.Child("roleOrder")
	for _, name := range sortedKeys(in.RoleOrder) {
		errs = append(errs, validateSegment(name, order.Key(name), "a role or group")...)
		for i, other := range in.RoleOrder[name] {
			errs = append(errs, validateSegment(other, order.Key(name).Index(i), "a role or group")...)
		}
	}
	groups, groupErrs := compileGroups(in.GroupMappings, at.Child("groupMappings"))
	errs = append(errs, groupErrs...)
	return append(errs, validateOrder(in, groups, order)...)
}

func validateRules(rules *v1alpha1.RollingRules, at *field.Path) field.ErrorList {
	errs := validateLimit(rules.Global, at.Child("global"))
	for _, name := range sortedKeys(rules.Roles) {
		limit := rules.Roles[name]
		errs = append(errs, validateSegment(name, at.Child("roles").Key(name), "a role or group")...)
		errs = append(errs, validateLimit(&limit, at.Child("roles").Key(name))...)
	}
	errs = append(errs, validateLimit(rules.Fleet, at.Child("fleet"))...)
	for i, outage := range rules.AlsoCount {
		at := at.Child("alsoCount").Index(i)
		errs = append(errs, oneOf(outage, at, v1alpha1.OutageMaintenance, v1alpha1.OutageCritical)...)
		if slices.Contains(rules.AlsoCount[:i], outage) {
			errs = append(errs, field.Duplicate(at, outage))
		}
	}
	return errs
}

func validateLimit(limit *intstr.IntOrString, at *field.Path) field.ErrorList {
	if limit == nil {
		return nil
	}
	if _, _, err := v1alpha1.ParseLimit(*limit); err != nil {
		return field.ErrorList{field.Invalid(at, limit.String(), err.Error())}
	}
	return nil
}

func validateSegment(name string, at *field.Path, what string) field.ErrorList {
	if names.Segment(name) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, name, "the name of "+what+" "+names.SegmentRule)}
}

func validateHosts(hosts *v1alpha1.Hosts, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if hosts.RolePattern != "" {
		switch pattern, _, patternErrs := compilePattern(hosts.RolePattern, at.Child("rolePattern")); {
		case len(patternErrs) > 0:
			errs = append(errs, patternErrs...)
		case pattern.NumSubexp() == 0:
			errs = append(errs, field.Invalid(at.Child("rolePattern"), hosts.RolePattern,
				`must have a capture group for the role, such as ([a-z]+)\d+`))
		}
	}
	if hosts.Source != "" {
		errs = append(errs, oneOf(hosts.Source, at.Child("source"), v1alpha1.HostsFromRecords, v1alpha1.HostsFromCatalog)...)
	}
	if hosts.Newcomers != "" {
		errs = append(errs, oneOf(hosts.Newcomers, at.Child("newcomers"), v1alpha1.NewcomersImmediately, v1alpha1.NewcomersByRules)...)
	}
	if hosts.Legacy != nil {
		if _, _, err := v1alpha1.ParseLegacy(*hosts.Legacy); err != nil {
			errs = append(errs, field.Invalid(at.Child("legacy"), hosts.Legacy.String(), err.Error()))
		}
	}
	if text := hosts.MinAgentVersion; text != "" {
		if _, err := version.ParseSemantic(text); err != nil || !strings.HasPrefix(text, "v") || len(text) > maxAgentVersion {
			errs = append(errs, field.Invalid(at.Child("minAgentVersion"), text, "must be a version of upgrade-agent, such as v0.2.0"))
		}
	}
	return append(errs, validateHostPatterns(hosts.Exclude, at.Child("exclude"))...)
}

// maxAgentVersion is how long a version of an agent may be, as in reports.
const maxAgentVersion = 128

func validateHostPatterns(patterns []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, pattern := range patterns {
		switch _, err := path.Match(pattern, ""); {
		case pattern == "":
			errs = append(errs, field.Required(at.Index(i), "must be a host name or a shell pattern"))
		case err != nil:
			errs = append(errs, field.Invalid(at.Index(i), pattern,
				`is not a shell pattern; use *, ? and [a-z], and \ to escape them`))
		}
	}
	return errs
}

// oneOf allows only the given values.
func oneOf[T ~string](value T, at *field.Path, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, allowed)}
}

func invalidPattern(at *field.Path, pattern string, err error) *field.Error {
	return field.Invalid(at, pattern, "is not an RE2 pattern: "+
		strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}
