// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import "github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"

// Bases are the base states of all hosts, in the order of Fleet.Hosts: those that Compute gives to them before it releases
// anybody. It costs a fraction of Compute.
func Bases(in Input) []State {
	var spec v1alpha1.UpgradePlanSpec
	if in.Plan != nil {
		spec = in.Plan.Spec
	}
	j := newJudge(in, spec)
	bases := make([]State, len(in.Fleet.Hosts))
	for i := range in.Fleet.Hosts {
		bases[i] = j.judge(&in.Fleet.Hosts[i]).base
	}
	return bases
}
