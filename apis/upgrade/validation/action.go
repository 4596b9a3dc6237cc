// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// The limits of an action. All hosts read it in each pass.
const (
	maxActionArgs = 32
	maxActionArg  = 256
)

func validateAction(spec *v1alpha1.UpgradePlanSpec, at *field.Path) field.ErrorList {
	action := spec.Action
	if reflect.ValueOf(action).IsZero() {
		return nil
	}
	var errs field.ErrorList
	if action.Type == "" {
		errs = append(errs, field.Required(at.Child("type"), "must be "+string(v1alpha1.CommandAction)))
	} else {
		errs = append(errs, oneOf(action.Type, at.Child("type"), v1alpha1.CommandAction)...)
	}
	errs = append(errs, validateName(action.Name, at.Child("name"))...)
	if len(action.Args) > maxActionArgs {
		errs = append(errs, field.TooMany(at.Child("args"), len(action.Args), maxActionArgs))
	}
	for i, arg := range action.Args {
		switch {
		case len(arg) > maxActionArg:
			errs = append(errs, field.TooLong(at.Child("args").Index(i), arg, maxActionArg))
		case strings.ContainsRune(arg, 0):
			errs = append(errs, field.Invalid(at.Child("args").Index(i), arg, "must not contain a zero byte"))
		}
	}
	if action.Timeout != "" {
		if d, err := time.ParseDuration(action.Timeout); err != nil || d < time.Second || d > 24*time.Hour {
			errs = append(errs, field.Invalid(at.Child("timeout"), action.Timeout,
				"must be a duration from 1s to 24h, such as 90s or 10m"))
		}
	}
	if spec.FailurePolicy.OnExceeded == v1alpha1.RollbackOnFailure {
		errs = append(errs, field.Invalid(field.NewPath("spec", "failurePolicy", "onExceeded"), spec.FailurePolicy.OnExceeded,
			"must be Pause for an action, because a command cannot be undone"))
	}
	return errs
}

// validateActionUpdate rejects another action for the same version, because hosts may have run the old one.
func validateActionUpdate(is, was *v1alpha1.UpgradePlanSpec, at *field.Path) field.ErrorList {
	if is.Version != was.Version || reflect.DeepEqual(is.Action, was.Action) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, is.Action.Name, fmt.Sprintf(
		"is immutable while spec.version is %s; set another version for another action", is.Version))}
}
