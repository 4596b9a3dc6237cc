// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API group upgrade.jiocloud.com/v1alpha1: the UpgradePlan, its defaults, and the
// constants of its conditions and reasons.
//
// +kubebuilder:object:generate=true
// +groupName=upgrade.jiocloud.com
package v1alpha1
