// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// The defaults of a plan.
const (
	DefaultProgressDeadlineSeconds int32 = 3600
	DefaultRevisionHistoryLimit    int32 = 10
)

// SetDefaults fills in the defaults of absent fields.
func SetDefaults(p *UpgradePlan) {
	if p.Spec.Strategy == "" {
		p.Spec.Strategy = Rolling
	}
	if p.Spec.ProgressDeadlineSeconds == nil {
		p.Spec.ProgressDeadlineSeconds = new(DefaultProgressDeadlineSeconds)
	}
	if p.Spec.FailurePolicy.MaxFailed != nil && p.Spec.FailurePolicy.OnExceeded == "" {
		p.Spec.FailurePolicy.OnExceeded = HaltOnFailure
	}
	if p.Spec.Canary.Given() && p.Spec.Canary.Promote == "" {
		p.Spec.Canary.Promote = PromoteAuto
	}
	if p.Spec.RevisionHistoryLimit == nil {
		p.Spec.RevisionHistoryLimit = new(DefaultRevisionHistoryLimit)
	}
}
