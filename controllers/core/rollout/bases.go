// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

// Bases are the base states of all hosts, in the order of Fleet.Hosts: those that Compute gives to them before it releases
// anybody. It costs a fraction of Compute.
func Bases(in Input) []State {
	j := newJudge(in)
	bases := make([]State, len(in.Fleet.Hosts))
	for i := range in.Fleet.Hosts {
		bases[i] = j.judge(&in.Fleet.Hosts[i]).base
	}
	return bases
}
