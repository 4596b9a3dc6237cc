// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Two hosts are to be upgraded one after the other.
func ExampleCompute() {
	one := intstr.FromInt32(1)
	spec := &v1alpha1.UpgradePlan{Spec: v1alpha1.UpgradePlanSpec{Version: "2026.11"}}
	spec.Spec.Instructions.RollingRules.Global = &one
	v1alpha1.SetDefaults(spec)
	plan, err := rollout.CompilePlan(spec, schedule.LoadZone)
	if err != nil {
		panic(err)
	}

	host := func(name string) fleet.Host {
		return fleet.Host{Name: name, Role: "web", LookupRole: "web",
			Record:  fleet.Record{Version: "2026.10", CreateIndex: 1, ModifyIndex: 1},
			Report:  &fleet.Report{Schema: fleet.ReportSchema, Version: "2026.10", Phase: fleet.PhaseIdle},
			Setting: fleet.Setting{Scope: fleet.ScopeGlobal, EnableValue: fleet.EnableValue{Value: fleet.False, Text: "False"}}}
	}
	d := rollout.Compute(rollout.Input{
		Plan: plan,
		Fleet: &fleet.Fleet{Current: fleet.CurrentVersion{Name: "2026.11", Index: 5, Governed: true, Rollout: 3},
			Hosts: []fleet.Host{host("web1"), host("web2")}},
		Now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC),
	})
	for _, v := range d.Verdicts {
		fmt.Println(v.Host, v.State, v.Reason, "-", v.Message)
	}
	b := d.Verdicts[1].Blocker
	fmt.Println(b.Kind, b.Name, b.Have, b.Limit, b.Hosts)
	// Output:
	// web1 Upgrading Starting - granted now: it takes slot 1 of 1 of web
	// web2 Pending NoFreeSlot - 1 of 1 slots of web are taken by web1
	// GroupLimit web 1 1 [web1]
}
