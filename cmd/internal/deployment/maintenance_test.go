// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
)

// maintenance puts the node of a host into maintenance, or ends it, as `consul maint` on that host does.
func (f *fleetOfFiles) maintenance(host string, on bool) {
	f.Helper()
	status := api.HealthPassing
	if on {
		status = api.HealthCritical
	}
	_, err := managing(f.T, f.consul).Catalog().Register(&api.CatalogRegistration{Node: host, Address: "192.0.2.1",
		Check: &api.AgentCheck{Node: host, CheckID: api.NodeMaint, Name: "Node Maintenance Mode", Status: status}}, nil)
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fleetOfFiles) grants() []string {
	f.Helper()
	granted, _, err := managing(f.T, f.consul).KV().Keys("upgrade.jiocloud.com/grants/", "", nil)
	if err != nil {
		f.Fatal(err)
	}
	return granted
}

// Two of three hosts are in maintenance, and two slots exist. No host starts until one of the two is back.
func TestMaintenance_TakesSlotsUntilItEnds(t *testing.T) {
	t.Parallel()
	f := newFleetOfFiles(t, "db1", "db2", "db3")
	f.maintenance("db1", true)
	f.maintenance("db2", true)
	f.once()
	ctl := f.program("upgradectl")
	ctl.must(t, "apply", "-f", planFile(t, "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet}\n"+
		"spec: {version: v1, instructions: {rollingRules: {global: 2, alsoCount: [Maintenance]}}}\n"))
	f.program("upgrade-controller").start(t)
	eventually(t, "db3 waits for the hosts in maintenance", func() bool {
		return strings.Contains(ctl.must(t, "describe", "host", "db3"), "2 of 2 slots of db are taken: db1, db2 are in maintenance")
	})
	if got := f.once(); slices.Contains(got, "v1") {
		t.Errorf("started although db1 and db2 are in maintenance: %q", got)
	}
	f.maintenance("db1", false)
	eventually(t, "one host is granted when db1 is back", func() bool { return len(f.grants()) > 0 })
	if got := f.grants(); !slices.Equal(got, []string{"upgrade.jiocloud.com/grants/db1"}) {
		t.Errorf("granted %q, and db2 takes one slot of two", got)
	}
	f.maintenance("db2", false)
	eventually(t, "all hosts are upgraded", func() bool { return !slices.Contains(f.once(), "v0") })
}
