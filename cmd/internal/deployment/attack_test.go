// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// theft is a fleet of idle agents at v1 that a controller carries to v2, and the stolen token of web1. The agents do not run: the
// test decides what they report.
type theft struct {
	*testing.T
	consul   *consuldev.Agent
	operator program
	all      *api.KV // of the management token
	thief    *api.KV
	hosts    []string
}

func newTheft(t *testing.T, hosts int, spec string) *theft {
	t.Helper()
	consul := newConsul(t, true)
	kv := func(token string) *api.KV {
		client, err := api.NewClient(&api.Config{Address: consul.Addr(), Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return client.KV()
	}
	f := &theft{T: t, consul: consul, operator: as(t, consul, "upgradectl", policy(t, "operator", "")), all: kv(management),
		thief: kv(consultest.Token(t, consul.Addr(), management, policy(t, "agent", "web1")))}
	for i := range hosts {
		host := fmt.Sprintf("web%d", i+1)
		f.hosts = append(f.hosts, host)
		f.put(f.all, keys.Layout{}.Record("v1", host), "1")
		f.put(f.all, keys.Layout{}.Report(host), idle("v1"))
	}
	f.put(f.all, "current_version", "v1")
	controller := as(t, consul, "upgrade-controller", policy(t, "controller", "")).start(t, "--min-gap", "50ms")
	eventually(t, "the lock", func() bool { return strings.Contains(controller.String(), "leading") })
	f.operator.must(t, "apply", "-f", planFile(t, "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\n"+
		"metadata: {name: fleet}\nspec: {version: v2, "+spec+"}\n"))
	return f
}

// idle is the report of an agent that has a version.
func idle(version string) string {
	return string(keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Role: "web", Version: version, Phase: fleet.PhaseIdle,
		Reached: fleet.Reached{Version: version}}))
}

func (f *theft) put(kv *api.KV, key, value string) {
	f.Helper()
	if _, err := kv.Put(&api.KVPair{Key: key, Value: []byte(value)}, nil); err != nil {
		f.Fatal(err)
	}
}

// granted returns the hosts that have a grant.
func (f *theft) granted() []string {
	f.Helper()
	names, _, err := f.all.Keys(keys.Layout{}.GrantTree(), "", nil)
	if err != nil {
		f.Fatal(err)
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], keys.Layout{}.GrantTree())
	}
	return names
}

// finish lets a host that has a grant report the version.
func (f *theft) finish(kv *api.KV, host, version string) {
	f.Helper()
	grant, _, err := f.all.Get(keys.Layout{}.Grant(host), nil)
	if err != nil || grant == nil {
		f.Fatalf("the grant of %s: %v, %v", host, grant, err)
	}
	id := keys.DecodeGrant(keys.Pair{Value: grant.Value, ModifyIndex: 1}).ID
	if _, err := kv.Delete(grant.Key, nil); err != nil {
		f.Fatal(err)
	}
	f.put(kv, keys.Layout{}.Report(host), string(keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Role: "web",
		Version: version, Phase: fleet.PhaseIdle, Reached: fleet.Reached{Version: version, Grant: id}})))
}

func (f *theft) wantGranted(want ...string) {
	f.Helper()
	eventually(f.T, fmt.Sprint("grants of ", want), func() bool { return slices.Equal(f.granted(), want) })
}

// One agent's token can write the record of each host. Of agents only their own reports count, so no slot becomes free.
func TestStolenToken_RecordsFreeNoSlot(t *testing.T) {
	t.Parallel()
	f := newTheft(t, 10, "instructions: {rollingRules: {global: 1}}")
	f.wantGranted("web1")
	for _, host := range f.hosts[:9] {
		f.put(f.thief, keys.Layout{}.Record("v2", host), "1")
	}
	f.finish(f.thief, "web1", "v2") // the pass that sees this sees the records
	f.wantGranted("web2")
	for _, host := range f.hosts {
		if _, err := f.thief.DeleteTree(keys.Layout{}.Record("v1", host), nil); err != nil {
			t.Fatal(err)
		}
	}
	f.finish(f.all, "web2", "v2")
	f.wantGranted("web3")
	if _, err := f.thief.Put(&api.KVPair{Key: keys.Layout{}.Report("web2"), Value: []byte(idle("v2"))}, nil); err == nil {
		t.Error("it wrote the report of another host")
	}
	if out := f.operator.must(t, "status", "fleet", "-o", "json"); !strings.Contains(out, `"upgraded":["web1","web2"]`) {
		t.Errorf("status: %s", out)
	}
}

// One agent's token can write records of hosts that do not exist. A limit of 10% stays one of ten.
func TestStolenToken_InventedHostsRaiseNoPercentage(t *testing.T) {
	t.Parallel()
	f := newTheft(t, 10, "instructions: {rollingRules: {global: 10%}}")
	f.wantGranted("web1")
	for i := range 990 {
		f.put(f.thief, keys.Layout{}.Record("v1", fmt.Sprintf("web%d", 100+i)), "1")
	}
	f.finish(f.thief, "web1", "v2") // the pass that sees this sees the records
	f.wantGranted("web2")
	if out := f.operator.must(t, "describe", "plan", "fleet"); !strings.Contains(out, "990 of 990 legacy hosts are not admitted") {
		t.Errorf("describe plan:\n%s", out)
	}
}

// One recursive DELETE of all records hides no agent: the plan goes on, and is not complete before its hosts are.
func TestStolenToken_DeletedRecordsHideNoAgent(t *testing.T) {
	t.Parallel()
	f := newTheft(t, 3, "instructions: {rollingRules: {global: 1}}")
	f.wantGranted("web1")
	if _, err := f.thief.DeleteTree(keys.Layout{}.RecordTree(), nil); err != nil {
		t.Fatal(err)
	}
	f.finish(f.thief, "web1", "v2") // the pass that sees this sees no records
	f.wantGranted("web2")
	if out := f.operator.must(t, "get", "plans"); strings.Contains(out, "Complete") {
		t.Errorf("get plans:\n%s", out)
	}
}

// What a host reports cannot stop the plan: a report that is too long cannot be read, and the others go on.
func TestStolenToken_LongReportStopsNothing(t *testing.T) {
	t.Parallel()
	f := newTheft(t, 3, "instructions: {rollingRules: {global: 1}}")
	f.wantGranted("web1")
	long := fleet.Report{Schema: fleet.ReportSchema, Role: strings.Repeat("x", 300_000), Version: "v1", Phase: fleet.PhaseIdle}
	for i := range 20 {
		f.put(f.thief, keys.Layout{}.Report("web1"), string(keys.EncodeReport(long)))
		long.Role = strings.Repeat("y", 1000+i)
	}
	f.operator.must(t, "rollout", "pause")
	f.wantGranted()
	f.operator.must(t, "rollout", "resume")
	f.wantGranted("web1")
	f.finish(f.thief, "web1", "v2")
	f.wantGranted("web2")
	ledger, _, err := f.all.Get(keys.Plan("fleet").Ledger(), nil)
	if err != nil || len(ledger.Value) > 4<<10 {
		t.Errorf("the ledger has %d bytes, %v", len(ledger.Value), err)
	}
}

// A host that reports an upgrade that it was not granted halts the plan.
func TestStolenToken_UnexplainedUpgradeHalts(t *testing.T) {
	t.Parallel()
	f := newTheft(t, 3, "minUpgradeSeconds: 600, instructions: {rollingRules: {global: 1}}")
	f.wantGranted("web1")
	f.finish(f.thief, "web1", "v2")
	eventually(t, "the halt", func() bool {
		out := f.operator.must(t, "describe", "plan", "fleet")
		return strings.Contains(out, "less than 10m0s after the grant (web1)")
	})
	if got := f.granted(); len(got) != 0 {
		t.Errorf("granted %v", got)
	}
	f.operator.must(t, "rollout", "resume")
	f.wantGranted("web2")
}

// A grant that a host invents explains its upgrade only if it could exist.
func TestStolenToken_ImpossibleGrantHalts(t *testing.T) {
	t.Parallel()
	f := newTheft(t, 3, "instructions: {rollingRules: {global: 1}}")
	f.wantGranted("web1")
	f.operator.must(t, "hold", "host/web1")
	f.wantGranted("web2")
	for _, id := range []string{"x", "1000000.1.1750000000"} {
		f.put(f.thief, keys.Layout{}.Report("web1"), string(keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Role: "web",
			Version: "v2", Phase: fleet.PhaseIdle, Reached: fleet.Reached{Version: "v2", Grant: id}})))
		eventually(t, "the halt", func() bool {
			return strings.Contains(f.operator.must(t, "describe", "plan", "fleet"), "1 without a grant (web1)")
		})
		f.put(f.thief, keys.Layout{}.Report("web1"), string(keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Role: "web",
			Version: "v1", Phase: fleet.PhaseIdle, Reached: fleet.Reached{Version: "v1"}})))
		f.operator.must(t, "rollout", "resume")
		f.wantGranted("web2")
	}
}
