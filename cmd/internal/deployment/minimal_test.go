// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

var rule = regexp.MustCompile(`(?m)^((?:key|node|service)(?:_prefix)?|session) +("[^"]*") +\{ policy = "(\w+)" \}$`)

// TestPolicies_HaveNoUnusedRule removes each permission of each policy in turn (write, then read), and checks that something fails
// that passes with all of them.
func TestPolicies_HaveNoUnusedRule(t *testing.T) {
	t.Parallel()
	consul, host := withServices(t, node, true), withServices(t, "web1", true)
	clients := map[*consuldev.Agent]*api.Client{consul: managing(t, consul), host: managing(t, host)}
	file := planFile(t, plan+"  healthGate: {checks: [puppet], maxUnhealthy: 1}\n  hosts: {source: Catalog}\n"+
		"  action: {type: Command, name: reboot}\n")
	all := func(t *testing.T, consul *consuldev.Agent, token, binary string, lines ...string) bool {
		t.Helper()
		return !slices.ContainsFunc(lines, func(line string) bool {
			return !succeeds(t, consul, token, binary, strings.Fields(line)...)
		})
	}
	puppet := write(t, filepath.Join(t.TempDir(), "puppet"), "#!/bin/sh\n")
	if err := os.Chmod(puppet, 0o700); err != nil {
		t.Fatal(err)
	}
	config := write(t, filepath.Join(t.TempDir(), "config.yaml"), "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: AgentConfig\n"+
		"pipeline: {puppet: {path: "+puppet+"}}\nchecks: {}\n")
	for _, tt := range []struct {
		policy string
		consul *consuldev.Agent
		// works reports whether everything works that the policy is for.
		works func(t *testing.T, token string) bool
	}{
		{"controller", consul, func(t *testing.T, token string) bool {
			return succeeds(t, consul, token, "upgradectl", "reconcile", "fleet") && exists(t, clients[consul], audit.HeadKey("fleet")) &&
				syncs(t, consul, token) && registers(t, consul, token)
		}},
		{"agent", host, func(t *testing.T, token string) bool {
			version := write(t, filepath.Join(t.TempDir(), "version"), "v0\n")
			if _, err := clients[host].KV().Delete("upgrade.jiocloud.com/holds/fleet", nil); err != nil {
				t.Fatal(err)
			}
			if !all(t, host, token, "upgrade-agent", "once --hostname web1 --config "+config+" --version-file "+version,
				"host_data config_state -n web1", "host_data config_version -n web1", "update_own_status puppet 0",
				"update_own_status puppet_service 0", "update_own_status validation_service 0", "local_health -n web1") {
				return false
			}
			empty(t, clients[host], keys.RunningVersions+"/", keys.RunningVersionsOld+"/")
			return all(t, host, token, "upgrade-agent", "update_own_info --hostname web1 --version-file "+version)
		}},
		{"operator", consul, func(t *testing.T, token string) bool {
			return all(t, consul, token, "upgradectl", "apply -f "+file, "describe plan fleet", "hold host/web7 role/db",
				"enable_puppet False global", "set_config kernel 6.1 global -c config_version", "get_failures", "get sources", "version --fleet") &&
				readsAudit(t, consul, token) && rings(t, consul, token) && all(t, consul, token, "upgradectl", "delete fleet")
		}},
		{"viewer", consul, func(t *testing.T, token string) bool {
			return all(t, consul, token, "upgradectl", "get plans", "describe plan fleet", "get_failures", "get sources", "version --fleet") &&
				readsAudit(t, consul, token)
		}},
	} {
		rules := policy(t, tt.policy, "web1")
		found := rule.FindAllStringSubmatchIndex(rules, -1)
		if strings.Count(rules, "policy =") != len(found) {
			t.Errorf("%s: not every rule is of the form that this test reads", tt.policy)
		}
		check := func(name, rules string, want bool) {
			t.Run(tt.policy+" "+name, func(t *testing.T) {
				seed(t, tt.consul, clients[tt.consul], file)
				if got := tt.works(t, consultest.Token(t, tt.consul.Addr(), management, rules)); got != want {
					t.Errorf("works: %v, want %v", got, want)
				}
			})
		}
		check("whole", rules, true)
		for _, at := range found {
			kind, key, level := rules[at[2]:at[3]], rules[at[4]:at[5]], rules[at[6]:at[7]]
			key = kind + " " + key
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

// succeeds runs a command, and reports whether it did all of its work.
func succeeds(t *testing.T, consul *consuldev.Agent, token, binary string, args ...string) bool {
	t.Helper()
	code, out := program{binary, []string{"CONSUL_HTTP_ADDR=" + consul.Addr(), "CONSUL_HTTP_TOKEN=" + token}}.run(t, args...)
	if code != 0 && !strings.Contains(out, "the token needs ") {
		t.Fatalf("%s %s: exit code %d:\n%s", binary, strings.Join(args, " "), code, out)
	}
	return code == 0 && !strings.Contains(out, "ACL")
}

// readsAudit reports whether a token may read the audit log, which is empty.
func readsAudit(t *testing.T, consul *consuldev.Agent, token string) bool {
	t.Helper()
	_, out := program{"upgradectl", []string{"CONSUL_HTTP_ADDR=" + consul.Addr(), "CONSUL_HTTP_TOKEN=" + token}}.run(t, "audit", "verify", "fleet")
	return strings.Contains(out, "there is no audit log")
}

// exists reports whether a key exists.
func exists(t *testing.T, client *api.Client, key string) bool {
	t.Helper()
	pair, _, err := client.KV().Get(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair != nil
}

// registers registers a controller, and reports whether that is allowed.
func registers(t *testing.T, consul *consuldev.Agent, token string) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var denied atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		leaderelection.Register(ctx, storeWith(t, consul, token), leaderelection.Registration{Name: "test"},
			funcr.New(func(_, _ string) { denied.Store(true) }, funcr.Options{}))
	}()
	all := storeWith(t, consul, management)
	eventually(t, "the registration, or its denial", func() bool {
		found, _, err := leaderelection.Controllers(t.Context(), all)
		return denied.Load() || err == nil && len(found) == 1
	})
	cancel()
	<-ended
	return !denied.Load()
}

// seed creates a fleet with nodes in the catalog. A legacy host may have started, a switch of the version is due, one host has a
// grant, the hold on the fleet and pause keys of ended holds exist, and the old tree alone may hold records.
func seed(t *testing.T, consul *consuldev.Agent, client *api.Client, file string) {
	t.Helper()
	empty(t, client, "")
	for _, key := range []string{"config_state/enable_puppet/host/web1=True", "running_version/v0/web2=1"} {
		key, value, _ := strings.Cut(key, "=")
		if _, err := client.KV().Put(&api.KVPair{Key: key, Value: []byte(value)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	grant := keys.EncodeGrant(fleet.Grant{Rollout: 1, Version: "v1", Time: time.Now(), ID: "1.1"})
	for _, pair := range []*api.KVPair{
		{Key: "current_version", Value: []byte("v1"), Flags: keys.CurrentFlags(1, false)},
		{Key: "upgrade.jiocloud.com/grants/web1", Value: grant},
		{Key: "upgrade.jiocloud.com/holds/fleet", Value: []byte(`{"plan":"fleet"}`)},
	} {
		if _, err := client.KV().Put(pair, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"config_state/host/web9/enable_puppet", "config_state/role/cache/enable_puppet"} {
		if _, err := client.KV().Put(&api.KVPair{Key: key, Value: []byte("False"), Flags: keys.HoldFlags}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range []string{"web1", "web2"} {
		registration := &api.CatalogRegistration{Node: node, Address: "192.0.2.1", Service: &api.AgentService{Service: "web"},
			Check: &api.AgentCheck{Node: node, CheckID: "service:web", ServiceID: "web", Status: "passing"}}
		if _, err := client.Catalog().Register(registration, nil); err != nil {
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

// empty removes all keys below the prefixes.
func empty(t *testing.T, consul *api.Client, prefixes ...string) {
	t.Helper()
	for _, prefix := range prefixes {
		if _, err := consul.KV().DeleteTree(prefix, nil); err != nil {
			t.Fatal(err)
		}
	}
}
