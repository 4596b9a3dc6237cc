// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/window"
)

func validateFailurePolicy(policy v1alpha1.FailurePolicy, at *field.Path) field.ErrorList {
	if policy == (v1alpha1.FailurePolicy{}) {
		return nil
	}
	errs := validateLimit(policy.MaxFailed, at.Child("maxFailed"))
	if policy.MaxFailed == nil {
		errs = append(errs, field.Required(at.Child("maxFailed"), "how many hosts may fail: a number (3) or a percentage (10%)"))
	}
	if policy.OnExceeded != "" && policy.OnExceeded != v1alpha1.PauseOnFailure {
		errs = append(errs, field.NotSupported(at.Child("onExceeded"), policy.OnExceeded,
			[]v1alpha1.FailureAction{v1alpha1.PauseOnFailure}))
	}
	return errs
}

// maxWindows bounds each list of windows: a decision looks at all of them.
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
	_, err := window.ParseSchedule(w.Schedule)
	part("schedule", w.Schedule, err)
	_, err = window.ParseDuration(w.Duration)
	part("duration", w.Duration, err)
	_, err = window.ParseZone(w.TimeZone)
	part("timeZone", w.TimeZone, err)
	return errs
}
