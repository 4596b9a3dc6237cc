// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/devagent"
)

var rule = regexp.MustCompile(`(?m)^((?:key|node|service)(?:_prefix)?|session) +("[^"]*") +\{ policy = "(\w+)" \}$`)

// TestNoRuleIsThereForNothing takes from each policy one right after the other (writing, then reading), and sees that
// something fails which passes with all of them.
func TestNoRuleIsThereForNothing(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	file := planFile(t, plan+"  action: {type: Command, name: reboot}\n")
	host := consultest.StartWith(t, devagent.Options{ManagementToken: management,
		Config: "node_name = \"web1\"\nacl { enable_key_list_policy = true }\n"})
	puppet := write(t, filepath.Join(t.TempDir(), "puppet"), "#!/bin/sh\n")
	if err := os.Chmod(puppet, 0o700); err != nil {
		t.Fatal(err)
	}
	config := write(t, filepath.Join(t.TempDir(), "config.yaml"), "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: AgentConfig\n"+
		"pipeline: {puppet: {path: "+puppet+"}}\nchecks: {}\n")
	// The pause of the whole fleet, which jorc writes, is written by no binary of ours.
	jorc := regexp.MustCompile(`"config_state/global/"`)
	for _, tt := range []struct {
		policy string
		consul *devagent.Agent
		// works says whether all works that the policy is for.
		works func(t *testing.T, token string) bool
	}{
		{"controller", consul, func(t *testing.T, token string) bool {
			return succeeds(t, consul, token, "upgradectl", "reconcile", "fleet")
		}},
		{"agent", host, func(t *testing.T, token string) bool {
			version := write(t, filepath.Join(t.TempDir(), "version"), "v0\n")
			return succeeds(t, host, token, "upgrade-agent", "once", "--hostname", "web1", "--config", config, "--version-file", version)
		}},
		{"operator", consul, func(t *testing.T, token string) bool {
			return succeeds(t, consul, token, "upgradectl", "apply", "-f", file) &&
				succeeds(t, consul, token, "upgradectl", "describe", "plan", "fleet") &&
				succeeds(t, consul, token, "upgradectl", "hold", "host/web7", "role/db") &&
				succeeds(t, consul, token, "upgradectl", "delete", "fleet")
		}},
		{"viewer", consul, func(t *testing.T, token string) bool {
			return succeeds(t, consul, token, "upgradectl", "get", "plans") &&
				succeeds(t, consul, token, "upgradectl", "describe", "plan", "fleet")
		}},
	} {
		rules := policy(t, tt.policy, "web1")
		found := rule.FindAllStringSubmatchIndex(rules, -1)
		if strings.Count(rules, "policy =") != len(found) {
			t.Errorf("%s: not every rule is of the form that this test reads", tt.policy)
		}
		check := func(name, rules string, want bool) {
			t.Run(tt.policy+" "+name, func(t *testing.T) {
				seed(t, tt.consul, file)
				if got := tt.works(t, consultest.Token(t, tt.consul.Addr(), management, rules)); got != want {
					t.Errorf("works: %v, want %v", got, want)
				}
			})
		}
		check("whole", rules, true)
		for _, at := range found {
			kind, key, level := rules[at[2]:at[3]], rules[at[4]:at[5]], rules[at[6]:at[7]]
			if jorc.MatchString(key) {
				continue
			}
			check(key+" not there", rules[:at[0]]+rules[at[1]:], false)
			switch {
			case level == "write" && kind == "key_prefix":
				check(key+" list only", rules[:at[6]]+"list"+rules[at[7]:], false)
			case level == "write":
				check(key+" read only", rules[:at[6]]+"read"+rules[at[7]:], false)
			case level == "list":
				check(key+" read only", rules[:at[6]]+"read"+rules[at[7]:], false)
			}
		}
	}
}

// succeeds runs a command, and says whether it did all that it was to do.
func succeeds(t *testing.T, consul *devagent.Agent, token, binary string, args ...string) bool {
	t.Helper()
	code, out := program{binary, []string{"CONSUL_HTTP_ADDR=" + consul.Addr(), "CONSUL_HTTP_TOKEN=" + token}}.run(t, args...)
	if code != 0 && !strings.Contains(out, "permission denied on ") {
		t.Fatalf("%s %s: exit code %d:\n%s", binary, strings.Join(args, " "), code, out)
	}
	return code == 0 && !strings.Contains(out, "ACL")
}

// seed makes a fleet in which a host in the field may have begun, a switch of the version is due, one host may start, pause
// keys are left of holds that have ended, and only the old tree may hold records.
func seed(t *testing.T, consul *devagent.Agent, file string) {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: consul.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.KV().DeleteTree("", nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"current_version=v1", "config_state/enable_puppet/host/web1=True", "running_version/v0/web2=1"} {
		key, value, _ := strings.Cut(key, "=")
		if _, err := client.KV().Put(&api.KVPair{Key: key, Value: []byte(value)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"config_state/host/web9/enable_puppet", "config_state/role/cache/enable_puppet"} {
		if _, err := client.KV().Put(&api.KVPair{Key: key, Value: []byte("False"), Flags: keys.HoldFlags}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !succeeds(t, consul, management, "upgradectl", "apply", "-f", file) {
		t.Fatal("the plan could not be applied")
	}
	if _, err := client.KV().Delete("upgrade.jiocloud.com/holds/epoch", nil); err != nil {
		t.Fatal(err)
	}
}
