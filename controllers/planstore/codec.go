// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// Layout returns the layout of the keys of a plan's fleet.
func Layout(plan *v1alpha1.UpgradePlan) keys.Layout {
	return keys.Layout{Prefix: plan.Spec.Keys.Prefix, Records: plan.Spec.Keys.RunningVersions}
}

// DecodePlan decodes a stored plan, with its defaults. It returns a *NotFoundError or an *InvalidPlanError.
func DecodePlan(name string, pair keys.Pair) (*v1alpha1.UpgradePlan, error) {
	if !pair.Exists() {
		return nil, &NotFoundError{name}
	}
	if later, ok := errors.AsType[*keys.SchemaError](keys.CheckSchema(pair, keys.Schema)); ok {
		return nil, &InvalidPlanError{name, later}
	}
	var stored struct {
		Schema int `json:"schema"`
		v1alpha1.UpgradePlan
	}
	d := json.NewDecoder(bytes.NewReader(pair.Value))
	d.DisallowUnknownFields()
	if err := d.Decode(&stored); err != nil {
		return nil, &InvalidPlanError{name, fmt.Errorf("%s: %w", pair.Key, err)}
	}
	plan := &stored.UpgradePlan
	plan.TypeMeta, plan.Name = metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.Kind}, name
	v1alpha1.SetDefaults(plan)
	if errs := validation.ValidateUpgradePlan(plan); len(errs) > 0 {
		return nil, &InvalidPlanError{name, fmt.Errorf("%s: %w", pair.Key, errs.ToAggregate())}
	}
	return plan, nil
}

// encodePlan leaves out the schema: controllers of the previous release refuse a spec with an unknown field.
func encodePlan(plan *v1alpha1.UpgradePlan) []byte {
	plan = plan.DeepCopy()
	plan.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.Kind}
	plan.Status = v1alpha1.UpgradePlanStatus{}
	data, err := json.Marshal(plan)
	if err != nil {
		panic(fmt.Sprintf("upgradeplan: a valid plan cannot be encoded: %v", err))
	}
	return data
}

// equal compares what Apply may change: the spec, labels and annotations.
func equal(a, b *v1alpha1.UpgradePlan) bool {
	strip := func(p *v1alpha1.UpgradePlan) []byte {
		return encodePlan(&v1alpha1.UpgradePlan{Spec: p.Spec,
			ObjectMeta: metav1.ObjectMeta{Labels: p.Labels, Annotations: p.Annotations}})
	}
	return bytes.Equal(strip(a), strip(b))
}

// DecodeStatus decodes a stored status. One that cannot be read is empty, because nothing is decided from it.
func DecodeStatus(pair keys.Pair) v1alpha1.UpgradePlanStatus {
	var s v1alpha1.UpgradePlanStatus
	if !pair.Exists() || json.Unmarshal(pair.Value, &s) != nil {
		return v1alpha1.UpgradePlanStatus{}
	}
	return s
}
