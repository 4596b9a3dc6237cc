// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

func ExampleSimulation_Run() {
	one := intstr.FromInt32(1)
	plan := &v1alpha1.UpgradePlan{Spec: v1alpha1.UpgradePlanSpec{Version: "2026.11"}}
	plan.Spec.Instructions.RollingRules.Global = &one
	v1alpha1.SetDefaults(plan)
	compiled, err := rollout.CompilePlan(plan, schedule.LoadZone)
	if err != nil {
		panic(err)
	}
	s := simulate.NewIdle(simulate.Options{
		Plan:     compiled,
		Hosts:    []simulate.Host{{Name: "web1", Version: "2026.10", Agent: true}, {Name: "web2", Version: "2026.10", Agent: true}},
		Start:    time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC),
		Duration: simulate.Span{Mean: 10 * time.Minute},
		Rand:     rand.New(rand.NewPCG(1, 1)),
	})
	outcome := s.Run(24 * time.Hour)
	fmt.Printf("%d of %d hosts upgraded after %s\n", outcome.Upgraded, outcome.Total, simulate.FormatDuration(outcome.Duration()))
	for _, run := range outcome.Runs {
		fmt.Println(run.Host, "granted after", simulate.FormatDuration(run.Granted.Sub(outcome.Start)))
	}
	// Output:
	// 2 of 2 hosts upgraded after 20m
	// web1 granted after 0s
	// web2 granted after 10m
}
