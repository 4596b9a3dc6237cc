// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API group upgrade.jiocloud.com/v1alpha1: the UpgradePlan, its defaults, and the constants of its
// phases, conditions and reasons.
//
// The comments of the types become the descriptions of the CRD and the output of "upgradectl explain": hack/generate.sh
// generates them. The package must not import other packages of ours, and fields and values must not change their meaning.
// Package validation checks plans. Start reading at UpgradePlanSpec.
//
// +kubebuilder:object:generate=true
// +groupName=upgrade.jiocloud.com
package v1alpha1
