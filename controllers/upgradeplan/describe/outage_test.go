// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	corefleet "github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// A host in maintenance is described as such, and hosts that wait for it say so.
func TestHosts_NameMaintenance(t *testing.T) {
	s, o := fleet(t)
	s.(*memory.Store).SetChecks("web2", corefleet.Check{ID: corefleet.NodeMaintenance, Status: corefleet.Critical})
	plan := o.Plan.UpgradePlan.DeepCopy()
	plan.Spec.Instructions.RollingRules.AlsoCount = []v1alpha1.Outage{v1alpha1.OutageMaintenance}
	o, err := planstore.ObserveAs(t.Context(), s, plan, now)
	if err != nil {
		t.Fatal(err)
	}
	const waits = "1 of 1 slots of web are taken: web2 is in maintenance"
	for _, h := range describe.Hosts(o, nil) {
		want := map[string]map[string]string{
			"web2": {"Checks": "the node is in maintenance", "Message": waits},
			"web3": {"Checks": "", "Message": waits},
		}[h.Name]
		wantTexts(t, h.Facts(o, nil), want)
	}
}
