// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

func TestCompilePlan_NamesTheInvalidField(t *testing.T) {
	for spec, want := range map[string]string{
		"windows: {allow: [{schedule: daily, duration: 1h}]}": `spec.windows.allow[0]: schedule "daily": must be five fields`,
		"action: {type: Command, name: reboot, timeout: 4x}":  "spec.action.timeout: ",
		"hosts: {rolePattern: '('}":                           "spec.hosts.rolePattern: error parsing regexp",
		"instructions: {groupMappings: {dbs: ['(']}}":         "spec.instructions.groupMappings[dbs]: error parsing regexp",
		"instructions: {rollingRules: {global: -1}}":          "spec.instructions.rollingRules.global: must not be negative",
		"instructions: {rollingRules: {fleet: some}}":         "spec.instructions.rollingRules.fleet: must be a number",
		"instructions: {rollingRules: {roles: {db: 101%}}}":   "spec.instructions.rollingRules.roles[db]: must be at most 100%",
		"canary: {perRole: some}":                             "spec.canary.perRole: must be a number",
		"failurePolicy: {maxFailed: some}":                    "spec.failurePolicy.maxFailed: must be a number",
		"healthGate: {maxUnhealthy: some}":                    "spec.healthGate.maxUnhealthy: must be a number",
	} {
		var plan v1alpha1.UpgradePlan
		if err := yaml.UnmarshalStrict([]byte(spec), &plan.Spec); err != nil {
			t.Fatal(err)
		}
		if _, err := rollout.CompilePlan(&plan, schedule.LoadZone); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %s…", spec, err, want)
		}
	}
}

func TestCompilePlan_AcceptsNoPlan(t *testing.T) {
	p, err := rollout.CompilePlan(nil, schedule.LoadZone)
	if p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	if p.RolePattern() != nil || p.Deadline() != time.Hour {
		t.Errorf("role pattern %v, deadline %s", p.RolePattern(), p.Deadline())
	}
}
