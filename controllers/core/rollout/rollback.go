// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// RollbackPlan returns the plan by which a revision is carried out in place of the spec of another plan. It has the rollback
// policy of the replaced spec, and no canaries. Where both specs have a maxFailed, a maxUnhealthy or windows.allow, RollbackPlan has
// that of the revision; CompileRollback has both, because which is stricter depends on the fleet and the time.
func RollbackPlan(revision, replaced *v1alpha1.UpgradePlan) *v1alpha1.UpgradePlan {
	plan, from := revision.DeepCopy(), replaced.Spec.DeepCopy()
	to := &plan.Spec
	to.Canary = v1alpha1.Canary{}
	to.FailurePolicy = rollbackFailurePolicy(to.FailurePolicy, from.FailurePolicy)
	for _, id := range from.HealthGate.Checks {
		if !slices.Contains(to.HealthGate.Checks, id) {
			to.HealthGate.Checks = append(to.HealthGate.Checks, id)
		}
	}
	if to.HealthGate.MaxUnhealthy == nil {
		to.HealthGate.MaxUnhealthy, to.HealthGate.CountMaintenance = from.HealthGate.MaxUnhealthy, from.HealthGate.CountMaintenance
	}
	policy := from.FailurePolicy.Rollback
	if policy.IgnoresWindows() {
		to.Windows.Allow = nil
	} else if len(to.Windows.Allow) == 0 {
		to.Windows.Allow = from.Windows.Allow
	}
	for _, w := range from.Windows.Deny {
		if !slices.Contains(to.Windows.Deny, w) {
			to.Windows.Deny = append(to.Windows.Deny, w)
		}
	}
	if policy == nil {
		return plan
	}
	if policy.RollingRules.LimitsAll() {
		to.Instructions.RollingRules = policy.RollingRules
	}
	if policy.MinReadySeconds != nil {
		to.MinReadySeconds = *policy.MinReadySeconds
	}
	return plan
}

// rollbackFailurePolicy returns the stricter of two policies. It always halts. A host is set aside only if both policies do that,
// because it gives up its slot.
func rollbackFailurePolicy(to, from v1alpha1.FailurePolicy) v1alpha1.FailurePolicy {
	out := v1alpha1.FailurePolicy{MaxFailed: cmp.Or(to.MaxFailed, from.MaxFailed), Rollback: from.Rollback}
	if from.Rollback != nil {
		out.MaxFailed = cmp.Or(from.Rollback.MaxFailed, out.MaxFailed)
	}
	if out.MaxFailed != nil {
		out.OnExceeded = v1alpha1.HaltOnFailure
	}
	if to.SetAside == v1alpha1.SetAsideFailed && from.SetAside == v1alpha1.SetAsideFailed {
		out.SetAside = v1alpha1.SetAsideFailed
		out.AfterAttempts = max(cmp.Or(to.AfterAttempts, v1alpha1.DefaultAfterAttempts),
			cmp.Or(from.AfterAttempts, v1alpha1.DefaultAfterAttempts))
	}
	return out
}

// CompileRollback compiles the plan by which a revision is carried out in place of the spec of another plan: see RollbackPlan.
func CompileRollback(revision, replaced *v1alpha1.UpgradePlan, zones func(string) (*time.Location, error)) (*Plan, error) {
	p, err := CompilePlan(RollbackPlan(revision, replaced), zones)
	if err != nil {
		return nil, err
	}
	to, err := compileLimits(&revision.Spec)
	if err != nil {
		return nil, err
	}
	from, err := compileLimits(&replaced.Spec)
	if err != nil {
		return nil, err
	}
	p.limits.maxUnhealthy = slices.Concat(to.maxUnhealthy, from.maxUnhealthy)
	policy := replaced.Spec.FailurePolicy.Rollback
	if policy != nil && policy.MaxFailed != nil {
		p.limits.maxFailed[0].field = "failurePolicy.rollback.maxFailed"
	} else {
		p.limits.maxFailed = slices.Concat(to.maxFailed, from.maxFailed)
	}
	p.failedFirst = policy != nil && policy.First == v1alpha1.FailedFirst
	if policy.IgnoresWindows() {
		return p, nil
	}
	allow, err := compileWindows(v1alpha1.Windows{Allow: replaced.Spec.Windows.Allow}, zones)
	p.windows = p.windows.And(allow)
	return p, err
}

// failedBefore reports whether a host failed in the rollout before, or has failed in this one.
func (a *assessment) failedBefore(i int) bool {
	f, r := &a.facts[i], a.in.Fleet.Hosts[i].Report
	return f.failed() || f.requiredCheckFails || r != nil && r.Phase == fleet.PhaseFailed
}
