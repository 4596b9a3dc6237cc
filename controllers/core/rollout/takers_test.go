// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import "testing"

// A message names the hosts that take the slots: failed hosts first, then the oldest in flight.
func TestLimitMessage_NamesFailedThenOldestHosts(t *testing.T) {
	const fleet = `record v1 web1..9
		agent web1..9
		key host/web1 True -1m
		started web1 v2 -1m
		key host/web2 True -9m
		started web2 v2 -9m
		`
	check(t, []example{{
		name:  "by age",
		fleet: fleet,
		spec:  "instructions: {rollingRules: {global: 2}}",
		want: `web1..2 Upgrading Granted
			web3..9 Pending NoFreeSlot: 2 of 2 slots of web are taken by web2, web1`,
	}, {
		name: "failed first",
		fleet: fleet + `key host/web3 True -5m
			started web3 v2 -5m
			report web3 Failed v2 -1m no disk`,
		spec: "instructions: {rollingRules: {global: 3}}",
		want: `web1..2 Upgrading Granted
			web3 Failed ReportedFailure
			web4..9 Pending NoFreeSlot: 3 of 3 slots of web are taken by web3, web2, web1; failed: web3`,
	}, {
		name: "a hold on another host of the full role changes nothing",
		fleet: fleet + `hold host/web4 look
			key host/web3 True -5m
			started web3 v2 -5m
			report web3 Failed v2 -1m no disk`,
		spec: "instructions: {rollingRules: {global: 3}}",
		want: `web1..2 Upgrading Granted
			web3 Failed ReportedFailure
			web4 Held OnHold
			web5..9 Pending NoFreeSlot: 3 of 3 slots of web are taken by web3, web2, web1; failed: web3`,
	}, {
		name:  "hosts granted in this pass come last",
		fleet: "record v1 web1..9\nagent web1..9\nkey host/web2 True -1m\nstarted web2 v2 -1m",
		spec:  "instructions: {rollingRules: {global: 2}}",
		want: `web1 Upgrading Starting
			web2 Upgrading Granted
			web3..9 Pending NoFreeSlot: 2 of 2 slots of web are taken by web2, web1`,
	}})
}
