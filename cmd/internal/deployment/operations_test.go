// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// TestTroubleshooting_RepairsAPlan damages the keys of a plan, and repairs them as docs/how-to/troubleshoot.md says.
func TestTroubleshooting_RepairsAPlan(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client, err := api.NewClient(&api.Config{Address: consul.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	set := func(key, value string) {
		t.Helper()
		if _, err := client.KV().Put(&api.KVPair{Key: key, Value: []byte(value)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(key string) {
		t.Helper()
		if _, err := client.KV().Delete(key, nil); err != nil {
			t.Fatal(err)
		}
	}
	ctl, file := program{"upgradectl", []string{"CONSUL_HTTP_ADDR=" + consul.Addr()}}, planFile(t, plan)
	for _, host := range []string{"db1", "db2", "web1"} {
		set("running/versions/v1/"+host, "1")
	}
	ctl.must(t, "apply", "-f", file)
	ctl.must(t, "reconcile")
	const ledger, control = "upgrade.jiocloud.com/plans/fleet/ledger", "upgrade.jiocloud.com/plans/fleet/control"
	docs := read(t, "docs/how-to/troubleshoot.md")
	for _, tt := range []struct {
		says           string
		damage, repair func()
	}{
		{"/ledger does not exist, while", func() { remove(ledger) }, func() {}},
		{"/ledger cannot be read", func() { set(ledger, "not JSON") }, func() { remove(ledger) }},
		{"/control does not exist", func() { remove(control) }, func() {}},
		{"/control cannot be read", func() { set(control, "not JSON") }, func() { remove(control) }},
		{"current_version is gone, although it was", func() { remove("current_version") }, func() { set("current_version", "v2") }},
	} {
		if !strings.Contains(docs, tt.says) {
			t.Errorf("docs/how-to/troubleshoot.md does not say %q", tt.says)
		}
		tt.damage()
		if code, out := ctl.run(t, "rollout", "status"); code != 1 || !strings.Contains(out, tt.says) {
			t.Errorf("exit code %d, want %q:\n%s", code, tt.says, out)
		}
		tt.repair()
		ctl.must(t, "apply", "-f", file)
		if out := ctl.must(t, "reconcile"); strings.Contains(out, tt.says) {
			t.Errorf("%s: after the repair:\n%s", tt.says, out)
		}
	}
}

func TestStandby_TakesOverWhenTheLeaderStops(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	controller := program{"upgrade-controller", []string{"CONSUL_HTTP_ADDR=" + consul.Addr()}}
	first, quiet := &output{}, []string{"--health-probe-bind-address", "0"}
	cmd := controller.command(quiet...)
	cmd.Stdout, cmd.Stderr = first, first
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first to lead", func() bool { return strings.Contains(first.String(), "leading") })
	second := controller.start(t, quiet...)
	eventually(t, "the second to stand by", func() bool { return strings.Contains(second.String(), "standing by") })
	stop(t, cmd)
	eventually(t, "the second to lead", func() bool { return strings.Contains(second.String(), "leading") })
}
