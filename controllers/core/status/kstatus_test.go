// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// kstatus, the library that kubectl and Flux use, reads the conditions as intended.
func TestKstatusReadsConditions(t *testing.T) {
	for _, e := range []struct {
		name       string
		change     func(*rollout.Decision)
		generation int64 // of the spec; the status observed 2
		want       kstatus.Status
	}{
		{"complete", func(d *rollout.Decision) { d.Complete = true }, 2, kstatus.CurrentStatus},
		{"complete, then the spec changes", func(d *rollout.Decision) { d.Complete = true }, 3, kstatus.InProgressStatus},
		{"a host starts", func(d *rollout.Decision) { d.Verdicts[4].Reason = v1alpha1.ReasonStarting }, 2, kstatus.InProgressStatus},
		{"the switch is due", func(d *rollout.Decision) { d.Switch, d.Gate.Reason = true, v1alpha1.ReasonVersionSwitch }, 2, kstatus.InProgressStatus},
		{"paused", func(d *rollout.Decision) { d.Gate.Reason = v1alpha1.ReasonPlanPaused }, 2, kstatus.InProgressStatus},
		{"canaries await promotion", func(d *rollout.Decision) {
			d.Canary = &rollout.CanaryState{Total: 1, Complete: 1, Awaiting: true}
		}, 2, kstatus.InProgressStatus},
		{"stalled", func(*rollout.Decision) {}, 2, kstatus.FailedStatus},
		{"halted", func(d *rollout.Decision) { d.Gate.Reason = v1alpha1.ReasonFailureBudgetExceeded }, 2, kstatus.FailedStatus},
		{"conflict with another plan", func(d *rollout.Decision) { d.ReadOnly, d.Gate.Reason = true, v1alpha1.ReasonConflict }, 2, kstatus.FailedStatus},
	} {
		d := decision()
		e.change(d)
		plan := v1alpha1.UpgradePlan{Status: status.Of(d, v1alpha1.UpgradePlanStatus{}, 2, then)}
		plan.APIVersion, plan.Kind, plan.Name, plan.Generation = v1alpha1.APIVersion, v1alpha1.Kind, "fleet", e.generation
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&plan)
		if err != nil {
			t.Fatal(err)
		}
		switch result, err := kstatus.Compute(&unstructured.Unstructured{Object: object}); {
		case err != nil:
			t.Errorf("%s: %v", e.name, err)
		case result.Status != e.want:
			t.Errorf("%s: %s (%s), want %s", e.name, result.Status, result.Message, e.want)
		}
	}
}
