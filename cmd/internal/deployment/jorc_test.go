// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// TestPolicies_AllowTheCommandsOfJorc runs the commands of a host with that host's token, and those about the fleet with a
// viewer's or an operator's.
func TestPolicies_AllowTheCommandsOfJorc(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keyLists bool
		prefix   string
	}{"lists as reads": {false, ""}, "list needs its own permission": {true, ""}, "below a prefix": {true, "eu"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			useJorc(t, withServices(t, "web1", tt.keyLists), tt.prefix)
		})
	}
}

// withServices starts a Consul like newConsul. Its node has a name, and three services with a passing check, all in the catalog.
func withServices(t *testing.T, node string, keyLists bool) *consuldev.Agent {
	t.Helper()
	var services []string
	for _, name := range []string{"puppet", "validation", "other"} {
		services = append(services, fmt.Sprintf("{ name = %q  token = %q  check { ttl = \"24h\"  status = \"passing\" } }",
			name, management))
	}
	consul := consultest.StartWith(t, consuldev.Options{ManagementToken: management, Config: fmt.Sprintf(
		"node_name = %q\nacl { enable_key_list_policy = %t }\nservices = [%s]\n", node, keyLists, strings.Join(services, ", "))})
	health := managing(t, consul).Health()
	eventually(t, "the services", func() bool {
		checks, _, err := health.Node(node, nil)
		return err == nil && len(checks) > len(services)
	})
	return consul
}

// managing returns a client that may do everything.
func managing(t *testing.T, consul *consuldev.Agent) *api.Client {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: consul.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func useJorc(t *testing.T, consul *consuldev.Agent, prefix string) {
	t.Helper()
	command := func(p program, line string) {
		t.Helper()
		args := append(strings.Fields(line), "--prefix", prefix)
		if out := p.must(t, args...); strings.Contains(out, "ACL") {
			t.Errorf("%s:\n%s", line, out)
		}
	}
	host := as(t, consul, "upgrade-agent", below(t, prefix, policy(t, "agent", "web1")))
	file := write(t, filepath.Join(t.TempDir(), "version"), "v1\n")
	host.must(t, "ping")
	command(host, "current_version")
	command(host, "check_puppet -n web1 --version-file "+file)
	command(host, "host_data config_state -n web1")
	command(host, "host_data config_version -n web1")
	command(host, "update_own_info --hostname web1 --version-file "+file)
	for _, status := range []string{"puppet", "validation", "puppet_service", "validation_service"} {
		host.must(t, "update_own_status", status, "0")
	}
	eventually(t, "the checks to pass", func() bool {
		code, _ := host.run(t, "local_health", "-n", "web1")
		return code == 0
	})
	if code, out := host.run(t, "local_health", "-n", "web2"); code != 1 || !strings.Contains(out, `node "web2" { policy = "read" }`) {
		t.Errorf("the health of another node: exit code %d:\n%s", code, out)
	}

	viewer := as(t, consul, "upgradectl", below(t, prefix, policy(t, "viewer", "")))
	command(viewer, "running_versions")
	command(viewer, "hosts_at_version v1")
	command(viewer, "verify_hosts v1 web1")
	command(viewer, "check_single_version v1")
	command(viewer, "get_failures --hosts")

	operator := as(t, consul, "upgradectl", below(t, prefix, policy(t, "operator", "")))
	command(operator, "enable_puppet False host -n web1")
	command(operator, "set_config kernel 6.1 global -c config_version")
	command(operator, "set_config color red role -n web")
	command(operator, "get_failures")
	code, out := host.run(t, "check_puppet", "-n", "web1", "--version-file", file, "--prefix", prefix)
	if code != 9 {
		t.Errorf("check_puppet of a host that is paused: exit code %d:\n%s", code, out)
	}
	if code, out := viewer.run(t, "enable_puppet", "True", "global", "--prefix", prefix); code != 1 ||
		!strings.Contains(out, "permission denied on ") {
		t.Errorf("enable_puppet of a viewer: exit code %d:\n%s", code, out)
	}
}
