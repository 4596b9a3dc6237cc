// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package validation validates plans. It accepts plans before and after defaulting: an absent field is an error only if it
// is required.
//
// It owns all rules for the values of a plan, and the rule that plans must not share keys. It must not read anything but the
// plan: whether hosts or roles exist is not known here. Start reading at ValidateUpgradePlan.
package validation
