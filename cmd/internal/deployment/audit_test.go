// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// Orders of an operator are in the audit log, and no token but that of the controller can write, change or erase entries.
func TestStolenToken_OperatorCannotChangeTheAuditLog(t *testing.T) {
	t.Parallel()
	f := newTheft(t, 3, "instructions: {rollingRules: {global: 1}}")
	f.wantGranted("web1")
	f.operator.must(t, "rollout", "pause", "--reason", "storm in the west")
	f.wantGranted()
	f.operator.must(t, "rollout", "resume")
	f.wantGranted("web1")
	var exported string
	eventually(t, "the entries", func() bool {
		exported = f.operator.must(t, "audit", "export", "fleet", "-o", "wide")
		return strings.Contains(exported, "Resume")
	})
	if !strings.Contains(exported, "storm in the west") {
		t.Errorf("audit export:\n%s", exported)
	}
	if out := f.operator.must(t, "audit", "verify"); !strings.Contains(out, "upgradeplan/fleet: entries 1 to 4 hold") {
		t.Errorf("audit verify:\n%s", out)
	}

	client, err := api.NewClient(&api.Config{Address: f.consul.Addr(),
		Token: consultest.Token(t, f.consul.Addr(), management, policy(t, "operator", "")+"# another token\n")})
	if err != nil {
		t.Fatal(err)
	}
	for who, thief := range map[string]*api.KV{"an operator": client.KV(), "an agent": f.thief} {
		for _, key := range []string{audit.EntryKey("fleet", 3), audit.EntryKey("fleet", 5), audit.HeadKey("fleet"), audit.Tree("other") + "head"} {
			if _, err := thief.Put(&api.KVPair{Key: key, Value: []byte("x")}, nil); err == nil {
				t.Errorf("%s wrote %s", who, key)
			}
			if _, err := thief.Delete(key, nil); err == nil {
				t.Errorf("%s deleted %s", who, key)
			}
		}
		if _, err := thief.DeleteTree(audit.Tree("fleet"), nil); err == nil {
			t.Errorf("%s erased the log", who)
		}
	}
	f.operator.must(t, "audit", "verify", "fleet")

	if _, err := f.all.Delete(audit.EntryKey("fleet", 3), nil); err != nil { // with a management token
		t.Fatal(err)
	}
	code, out := f.operator.run(t, "audit", "verify", "fleet")
	if code != 1 || !strings.Contains(out, "entry 3 is missing") {
		t.Errorf("audit verify: exit code %d:\n%s", code, out)
	}
}

// A controller whose policy is that of an earlier release carries plans out, and says that it writes no log.
func TestAuditLog_NeedsNoNewPolicyForRollouts(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	rules := strings.ReplaceAll(policy(t, "controller", ""), `key_prefix "upgrade.jiocloud.com/audit/" { policy = "write" }`, "")
	startAgents(t, consul, []string{"web1"}, "")
	operator := as(t, consul, "upgradectl", policy(t, "operator", ""))
	eventually(t, "the report", func() bool { return strings.Contains(operator.must(t, "get", "hosts", "-o", "name"), "host/web1") })
	log := as(t, consul, "upgrade-controller", rules).start(t, "--min-gap", "50ms")
	operator.must(t, "apply", "-f", planFile(t, plan))
	operator.must(t, "rollout", "status", "--watch", "--interval", "50ms", "--timeout", "1m")
	want := "cannot write the audit log"
	eventually(t, want, func() bool { return strings.Contains(log.String(), want) })
	if n := strings.Count(log.String(), want); n != 1 {
		t.Errorf("%s", fmt.Sprint(n, " times: ", log))
	}
}
