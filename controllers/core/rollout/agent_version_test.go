// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import "testing"

func TestMinAgentVersion(t *testing.T) {
	const least = "hosts: {minAgentVersion: v0.10.0-rc.1}\n"
	check(t, []example{{
		name: "grants agents of this version and later ones",
		fleet: knowing + "release web1 v0.10.0-rc.1\nrelease web2 v0.10.0\n" +
			"release web3 v0.10.1-0.20260301120000-0123456789ab+dirty",
		spec: least,
		want: `web1..3 Upgrading Starting
			+host/web1 = True
			+host/web2 = True
			+host/web3 = True
			+grants/web1
			+grants/web2
			+grants/web3`,
	}, {
		name:  "never grants older ones, nor those of an unknown version",
		fleet: knowing + "release web1 v0.9.9\nrelease web2 (devel)",
		spec:  least,
		want: `web1 Pending AgentTooOld: =its agent has version v0.9.9, and the plan grants agents from v0.10.0-rc.1 on
			web2 Pending AgentTooOld: =its agent has version (devel), and the plan grants agents from v0.10.0-rc.1 on
			web3 Pending AgentTooOld: =its agent has version unknown, and the plan grants agents from v0.10.0-rc.1 on
			no change`,
	}, {
		name:  "a release candidate is older than its release",
		fleet: "record v1 web1\nagent web1\nknows web1\nrelease web1 v0.10.0-rc.1",
		spec:  "hosts: {minAgentVersion: v0.10.0}",
		want:  "web1 Pending AgentTooOld\nno change",
	}, {
		name:  "nor hosts without a version",
		fleet: knowing + "release web1..3 v0.10.0\nreport web9 Idle \"\" -1m\nknows web9\nrelease web9 v0.9.0",
		spec:  least + oneAtATime,
		want:  "web1 Upgrading Starting\nweb2..3 Pending NoFreeSlot\nweb9 Pending AgentTooOld\n+host/web1 = True\n+grants/web1",
	}, {
		name:  "an old one takes no slot",
		fleet: knowing + "release web2..3 v0.10.0",
		spec:  least + oneAtATime,
		want:  "web1 Pending AgentTooOld\nweb2 Upgrading Starting\nweb3 Pending NoFreeSlot\n+host/web2 = True\n+grants/web2",
	}, {
		name:  "keeps what was granted",
		fleet: knowing + "grant web1 -1m\nkey host/web1 True -1m\nrelease web2..3 v0.10.0",
		spec:  least + oneAtATime,
		want:  "web1 Upgrading Granted\nweb2..3 Pending NoFreeSlot\nno change",
	}, {
		name:  "legacy hosts have no agent",
		fleet: "record v1 web1",
		spec:  least,
		want:  "web1 Upgrading Starting",
	}})
}

// An order to try again does not let an old agent try.
func TestMinAgentVersion_HoldsForRetries(t *testing.T) {
	const failed = knowing + "attempt web1 2 waits -1m\nkey host/web1 True -1m\nretry web1 2\nrelease web2..3 v0.2.0\n"
	const least = "hosts: {minAgentVersion: v0.2.0}\n"
	check(t, []example{{
		name:  "of a new agent",
		fleet: failed + "release web1 v0.2.0",
		spec:  least + oneAtATime,
		want:  "web1 Upgrading Starting\nweb2..3 Pending NoFreeSlot\n+host/web1 = True (rewritten)\n+grants/web1",
	}, {
		name:  "of an old agent",
		fleet: failed + "release web1 v0.1.0",
		spec:  least + oneAtATime,
		want:  "web1 Failed ReportedFailure\nweb2..3 Pending NoFreeSlot\nno change",
	}})
}
