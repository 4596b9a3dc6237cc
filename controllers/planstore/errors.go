// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
)

// NotFoundError says that there is no plan of that name.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("upgradeplan %q not found", e.Name) }

// Is reports whether the target is reconcile.ErrGone.
func (e *NotFoundError) Is(target error) bool { return target == reconcile.ErrGone }

// InvalidPlanError says that a plan, stored or to be stored, is invalid.
type InvalidPlanError struct {
	Name string
	Err  error
}

func (e *InvalidPlanError) Error() string {
	return fmt.Sprintf("upgradeplan %q is invalid: %v", e.Name, e.Err)
}

func (e *InvalidPlanError) Unwrap() error { return e.Err }

// Is reports whether the target is reconcile.ErrStalled.
func (e *InvalidPlanError) Is(target error) bool { return target == reconcile.ErrStalled }

// OverlapError says that the keys of a plan belong to another plan.
type OverlapError struct{ Prefix, OtherPrefix, Other string }

func (e *OverlapError) Error() string {
	return fmt.Sprintf("spec.keys.prefix: %q overlaps with %q of upgradeplan %q: a fleet has one plan", e.Prefix, e.OtherPrefix, e.Other)
}

// OverlapsWith returns the name of the other plan.
func (e *OverlapError) OverlapsWith() string { return e.Other }
