// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// Manifest is what an operator says of a plan, defaults included, as YAML.
func Manifest(plan *v1alpha1.UpgradePlan) (string, error) {
	data, err := manifest.Encode(&v1alpha1.UpgradePlan{
		ObjectMeta: metav1.ObjectMeta{Name: plan.Name, Labels: plan.Labels, Annotations: plan.Annotations},
		Spec:       plan.Spec,
	})
	return string(data), err
}
