// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
)

// withAction sets the action of a plan.
func withAction(a v1alpha1.Action) func(*v1alpha1.UpgradePlan) {
	return func(p *v1alpha1.UpgradePlan) { p.Spec.Action = a }
}

func TestValidateAction(t *testing.T) {
	const command = v1alpha1.CommandAction
	many := make([]string, 33)
	for name, tc := range map[string]struct {
		action v1alpha1.Action
		more   func(*v1alpha1.UpgradePlan)
		want   []string // substrings of the errors, in order
	}{
		"no action":    {},
		"all fields":   {action: v1alpha1.Action{Type: command, Name: "reboot", Args: []string{"-r", "", "a b; $(c)"}, Timeout: "10m"}},
		"without type": {action: v1alpha1.Action{Name: "reboot"}, want: []string{"spec.action.type: Required value: must be Command"}},
		"another type": {action: v1alpha1.Action{Type: "Script", Name: "x"}, want: []string{`spec.action.type: Unsupported value: "Script"`}},
		"no name":      {action: v1alpha1.Action{Type: command}, want: []string{"spec.action.name: Required"}},
		"path":         {action: v1alpha1.Action{Type: command, Name: "/sbin/reboot"}, want: []string{"spec.action.name: Invalid value"}},
		"arguments": {action: v1alpha1.Action{Type: command, Name: "x", Args: []string{strings.Repeat("a", 257), "a\x00b"}},
			want: []string{"spec.action.args[0]: Too long", "spec.action.args[1]: Invalid value"}},
		"many arguments":  {action: v1alpha1.Action{Type: command, Name: "x", Args: many}, want: []string{"spec.action.args: Too many"}},
		"invalid timeout": {action: v1alpha1.Action{Type: command, Name: "x", Timeout: "soon"}, want: []string{"spec.action.timeout: Invalid value"}},
		"short timeout":   {action: v1alpha1.Action{Type: command, Name: "x", Timeout: "1ms"}, want: []string{"spec.action.timeout: Invalid value"}},
		"long timeout":    {action: v1alpha1.Action{Type: command, Name: "x", Timeout: "25h"}, want: []string{"spec.action.timeout: Invalid value"}},
		"rollback": {action: v1alpha1.Action{Type: command, Name: "x"}, more: func(p *v1alpha1.UpgradePlan) {
			p.Spec.FailurePolicy = v1alpha1.FailurePolicy{MaxFailed: new(intstr.FromInt32(1)), OnExceeded: v1alpha1.RollbackOnFailure}
		}, want: []string{"spec.failurePolicy.onExceeded: Invalid value: \"Rollback\": must be Pause for an action"}},
		"unsupported key format": {more: func(p *v1alpha1.UpgradePlan) { p.Spec.Keys.Format = "Number" },
			want: []string{`spec.keys.format: Unsupported value: "Number": supported values: "Boolean", "Version"`}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(withAction(tc.action))
			if tc.more != nil {
				tc.more(p)
			}
			got := validation.ValidateUpgradePlan(p)
			if len(got) != len(tc.want) {
				t.Fatalf("errors %v, want %q", got, tc.want)
			}
			for i, want := range tc.want {
				if !strings.Contains(got[i].Error(), want) {
					t.Errorf("error %v, want %q", got[i], want)
				}
			}
		})
	}
}

func TestValidateUpgradePlanUpdate_ActionNeedsNewVersion(t *testing.T) {
	reboot, halt := withAction(v1alpha1.Action{Type: "Command", Name: "reboot"}), withAction(v1alpha1.Action{Type: "Command", Name: "halt"})
	for name, tc := range map[string]struct {
		was, is *v1alpha1.UpgradePlan
		valid   bool
	}{
		"same action":     {plan(reboot), plan(reboot), true},
		"other action":    {plan(reboot), plan(halt), false},
		"removed":         {plan(reboot), plan(), false},
		"added":           {plan(), plan(reboot), false},
		"another version": {plan(reboot), plan(halt, func(p *v1alpha1.UpgradePlan) { p.Spec.Version = "v3" }), true},
	} {
		errs := validation.ValidateUpgradePlanUpdate(tc.is, tc.was)
		if len(errs) == 0 != tc.valid || !tc.valid && !strings.Contains(errs[0].Error(), "spec.action: Invalid value") {
			t.Errorf("%s: %v", name, errs)
		}
	}
}
