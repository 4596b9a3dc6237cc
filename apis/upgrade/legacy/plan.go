// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// DefaultPlan is the name of the plan that NewPlan makes.
const DefaultPlan = "fleet"

// NewPlan returns a plan with the version and the instructions, named DefaultPlan.
func NewPlan(version string, in v1alpha1.Instructions) *v1alpha1.UpgradePlan {
	return &v1alpha1.UpgradePlan{ObjectMeta: metav1.ObjectMeta{Name: DefaultPlan},
		Spec: v1alpha1.UpgradePlanSpec{Version: version, Instructions: in}}
}

// Upgrade sets the version and the instructions of a plan. What the instructions leave out stays as it is. Another version
// ends the action of the plan, which belongs to the version before.
func Upgrade(plan *v1alpha1.UpgradePlan, version string, in v1alpha1.Instructions) {
	if plan.Spec.Version != version {
		plan.Spec.Action = v1alpha1.Action{}
	}
	plan.Spec.Version = version
	Merge(&in, plan.Spec.Instructions)
	plan.Spec.Instructions = in
}

// Merge fills in, key by key, what in leaves out. An empty value counts as left out, as in python-jiocloud.
func Merge(in *v1alpha1.Instructions, from v1alpha1.Instructions) {
	if in.RollingRules.Global == nil && len(in.RollingRules.Roles) == 0 {
		in.RollingRules.Global, in.RollingRules.Roles = from.RollingRules.Global, from.RollingRules.Roles
	}
	if in.RollingRules.Fleet == nil {
		in.RollingRules.Fleet = from.RollingRules.Fleet
	}
	if len(in.RoleOrder) == 0 {
		in.RoleOrder = from.RoleOrder
	}
	if len(in.GroupMappings) == 0 {
		in.GroupMappings = from.GroupMappings
	}
}
