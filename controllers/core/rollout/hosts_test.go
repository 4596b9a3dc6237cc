// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import "testing"

// Section 4: a plan without a host that counts is not complete.
func TestNoHosts(t *testing.T) {
	check(t, []example{{
		name: "no host has reported",
		want: "not complete\ngate NoHosts",
	}, {
		name:  "all hosts are lost from the catalog",
		fleet: "record v2 web1..2\nnodes other",
		spec:  "hosts: {source: Catalog}",
		want: `web1..2 Lost LostFromCatalog
			not complete
			gate NoHosts
			!2 of 2 hosts have no node in the catalog (web1, web2)`,
	}, {
		name:  "all hosts are excluded or without a role",
		fleet: "record v2 web1 NOROLE",
		spec:  "hosts: {exclude: [web1]}",
		want:  "NOROLE Upgraded AtVersion\nweb1 Upgraded AtVersion\nnot complete\ngate NoHosts",
	}, {
		name:  "the version is switched nevertheless",
		fleet: "current v1",
		want:  "gate VersionSwitch\nnot complete",
	}, {
		name:  "nodes have full names",
		fleet: "record v2 web1..2\nnodes web1.example.com web2.example.com",
		spec:  "hosts: {source: Catalog}",
		want:  "web1..2 Upgraded AtVersion\ncomplete",
	}, {
		name:  "hosts have full names",
		fleet: "record v2 web1.example.com\nnodes web1",
		spec:  "hosts: {source: Catalog}",
		want:  "web1.example.com Upgraded AtVersion\ncomplete",
	}, {
		name:  "two nodes have the same first label",
		fleet: "record v2 web1 db1\nnodes db1 web1.a web1.b",
		spec:  "hosts: {source: Catalog}",
		want:  "db1 Upgraded AtVersion\nweb1 Lost LostFromCatalog\ncomplete",
	}, {
		name:  "checks of a node with a full name",
		fleet: "record v1 web1\ncheck web1.example.com puppet critical",
		spec:  "healthGate: {maxUnhealthy: 0}\n" + oneAtATime,
		want:  "web1 Pending TooManyUnhealthy\nno change",
	}})
}
