// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

var now = time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)

// fleet is web1, at v1 and on hold, and web2 and web3, agents at v0, below a plan to v1 that takes one of them at a time.
func fleet(t *testing.T) (store.Store, *pass.Assessment) {
	t.Helper()
	s := memory.New(func() time.Time { return now })
	for _, pair := range [][2]string{
		{"current_version", "v1"},
		{"running/versions/v1/web1", "1772800000"},
		{"running/versions/v0/web2", "1772700000"},
		{"running/versions/v0/web3", "1772700000"},
		{"config_state/enable_puppet/global", "False"},
		{"upgrade.jiocloud.com/holds/host/web1", `{"reason":"disk","owner":"bob"}`},
		{"upgrade.jiocloud.com/hosts/web2", `{"schema":2,"role":"web","version":"v0","phase":"Idle","time":"2026-03-06T13:00:00Z"}`},
		{"upgrade.jiocloud.com/hosts/web3", `{"schema":2,"role":"web","version":"v0","phase":"Idle","time":"2026-03-06T13:00:00Z"}`},
	} {
		op := store.Op{Verb: store.Set, Key: pair[0], Value: []byte(pair[1])}
		if pair[0] == "current_version" {
			op.Flags = keys.CurrentFlags(1, false)
		}
		if _, err := s.Txn(t.Context(), []store.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
	plan := &v1alpha1.UpgradePlan{}
	plan.Name, plan.Spec.Version = "fleet", "v1"
	plan.Spec.Instructions.RollingRules.Global = &intstr.IntOrString{IntVal: 1}
	v1alpha1.SetDefaults(plan)
	o, err := planstore.ObserveAs(t.Context(), s, plan, now)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

// wantTexts wants texts of facts by their names.
func wantTexts(t *testing.T, facts []describe.Fact, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, f := range facts {
		got[f.Name] = f.Text
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %q, want %q", name, got[name], text)
		}
	}
}

func TestPlan_NamesLimitsLeaderAndPhase(t *testing.T) {
	_, o := fleet(t)
	wantTexts(t, describe.Plan(o, nil, "main: fleet.yaml"), map[string]string{"Name": "fleet", "Managed by": "main: fleet.yaml",
		"Limits": "global 1", "Paused": "no", "Windows": "", "Keys": "no prefix, records below running/versions/ and running_version/",
		"Leader": "none: start upgrade-controller, or run upgradectl reconcile fleet", "Phase": string(describe.Status(o).Phase)})
	o.Plan.Spec.Instructions.RollingRules.AlsoCount = []v1alpha1.Outage{v1alpha1.OutageMaintenance, v1alpha1.OutageCritical}
	o.Plan.Spec.HealthGate = v1alpha1.HealthGate{MaxUnhealthy: new(intstr.FromInt32(2)), CountMaintenance: true}
	var err error
	if o.Plan, err = planstore.Compile(o.Plan.UpgradePlan); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, describe.Plan(o, nil, ""), map[string]string{
		"Limits":      "global 1; hosts that also take slots: Maintenance, Critical",
		"Health gate": "at most 2 hosts critical or in maintenance"})
	wantTexts(t, describe.Plan(o, &leaderelection.LockHeldError{Holder: "alice", Since: now}, ""), map[string]string{"Managed by": "",
		"Leader": "alice since 2026-03-06T14:00:00Z"})
}

func TestHosts_ExplainStateHoldAndReport(t *testing.T) {
	s, o := fleet(t)
	times, err := describe.Records(t.Context(), s, o.Layout)
	if err != nil {
		t.Fatal(err)
	}
	hosts := describe.Hosts(o, times)
	if len(hosts) != 3 || hosts[0].RecordedAt.Unix() != 1772800000 || !hosts[0].InState([]string{"pending", "upgraded"}) ||
		hosts[1].InState([]string{"upgraded"}) || hosts[1].InRole([]string{"db"}) || !hosts[1].InRole(nil) {
		t.Fatalf("%+v", hosts)
	}
	pairs, _, err := s.Get(t.Context(), o.RecordsOf("web1")...)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, hosts[0].Facts(o, pairs), map[string]string{"Hold": "disk, by bob", "Plan": "upgradeplan/fleet",
		"Agent": "never seen as one", "Report": "", "Checks": "", "Started": "no", "Paused by": "none",
		"Decided by": "config_state/enable_puppet/global = False (index 6)",
		"Record":     "running/versions/v1/web1 (2026-03-06T12:26:40Z, index 3)"})
	wantTexts(t, hosts[1].Facts(o, nil), map[string]string{"Report": "Idle v0 at 2026-03-06T13:00:00Z", "Record": "", "Agent": "yes",
		"Hold": "none", "Message": "by the next pass: granted now: it takes slot 1 of 1 of web"})
	// It waits for the next pass, and has no slot yet.
	if h := hosts[1]; h.State != "Pending" || h.InFlight || h.DecidedBy.Key != "config_state/enable_puppet/global" {
		t.Errorf("%+v", h)
	}
}

func TestRoles_CountUpgradedHosts(t *testing.T) {
	_, o := fleet(t)
	roles := describe.Roles(o)
	if len(roles) != 1 || roles[0].Total != 3 || roles[0].Upgraded != 1 || roles[0].Enabled {
		t.Fatalf("%+v", roles)
	}
	wantTexts(t, roles[0].Facts(o), map[string]string{"Name": "web", "Limit": "1", "Role key": "not set", "Group": "of its own",
		"Status": "1 of 3 hosts upgraded, 2 pending"})
}

func TestVersions_CountHosts(t *testing.T) {
	_, o := fleet(t)
	want := []describe.Version{{Name: "v0", Hosts: 2}, {Name: "v1", Hosts: 1, Current: true}}
	if d := cmp.Diff(want, describe.Versions(o)); d != "" {
		t.Error(d)
	}
}

func TestWhy_NamesTheChangeThatEndsTheWait(t *testing.T) {
	_, o := fleet(t)
	if d := cmp.Diff([]describe.Reason{{Of: "web2", Message: "granted now: it takes slot 1 of 1 of web", Change: "the next pass"}},
		describe.Why(o.Why().Host("web2"))); d != "" {
		t.Error(d)
	}
	if why := describe.Why(o.Why().Host("web1")); len(why) > 0 { // it is upgraded
		t.Errorf("%+v", why)
	}
}

func TestStarts_ListsHostsInTheOrderOfTheirGrants(t *testing.T) {
	_, o := fleet(t)
	starts := describe.Starts(o)
	for i := range starts {
		starts[i].Message = ""
	}
	want := []describe.Start{{Host: "web2", Time: now, When: "now"}, {Host: "web3", Time: now.Add(5 * time.Minute), When: "in 5m"}}
	if d := cmp.Diff(want, starts); d != "" {
		t.Error(d)
	}
}
