// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Compile prepares a plan for the planner. A nil plan compiles to nil.
func Compile(plan *v1alpha1.UpgradePlan) (*rollout.Plan, error) {
	compiled, err := rollout.CompilePlan(plan, schedule.LoadZone)
	if err != nil {
		return nil, &InvalidPlanError{plan.Name, err}
	}
	return compiled, nil
}

// WithPlan returns a compiled plan for a plan of the same spec.
func WithPlan(compiled *rollout.Plan, plan *v1alpha1.UpgradePlan) *rollout.Plan {
	out := *compiled
	out.UpgradePlan = plan
	return &out
}

// compiler holds compiled plans by the digest of their spec.
type compiler struct{ plans map[string]*rollout.Plan }

// maxCompiled bounds a compiler: the spec of a plan, its fallback, and a few of their predecessors.
const maxCompiled = 8

func (c *compiler) compile(plan *v1alpha1.UpgradePlan, digest string) (*rollout.Plan, error) {
	if compiled := c.plans[digest]; compiled != nil {
		return WithPlan(compiled, plan), nil
	}
	compiled, err := Compile(plan)
	return c.add(digest, compiled, err)
}

// compileRollback compiles a revision that a rollback carries out in place of a spec. The digests are those of the two specs.
func (c *compiler) compileRollback(revision *v1alpha1.UpgradePlan, digest string, replaced *v1alpha1.UpgradePlan, replacedDigest string) (
	*rollout.Plan, error) {
	both := digest + " for " + replacedDigest
	if compiled := c.plans[both]; compiled != nil {
		return WithPlan(compiled, rollout.RollbackPlan(revision, replaced)), nil
	}
	compiled, err := rollout.CompileRollback(revision, replaced, schedule.LoadZone)
	if err != nil {
		err = &InvalidPlanError{revision.Name, err}
	}
	return c.add(both, compiled, err)
}

func (c *compiler) add(digest string, compiled *rollout.Plan, err error) (*rollout.Plan, error) {
	if err != nil {
		return nil, err
	}
	if c.plans == nil || len(c.plans) >= maxCompiled {
		c.plans = map[string]*rollout.Plan{}
	}
	c.plans[digest] = compiled
	return compiled, nil
}
