// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// TestRotation_NeedsNoRestart replaces the tokens of a controller and of an agent and deletes the old ones, while both run.
func TestRotation_NeedsNoRestart(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	client, err := api.NewClient(&api.Config{Address: consul.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tokens := map[string]string{}
	replace := func(name, rules string) string {
		file, old := filepath.Join(dir, name+"-token"), tokens[name]
		tokens[name] = consultest.Token(t, consul.Addr(), management, rules)
		write(t, file, tokens[name])
		if old != "" {
			self, _, err := client.ACL().TokenReadSelf(&api.QueryOptions{Token: old})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.ACL().TokenDelete(self.AccessorID, nil); err != nil {
				t.Fatal(err)
			}
		}
		return file
	}
	with := func(name, rules string) program {
		return program{"upgrade-" + name, []string{"CONSUL_HTTP_ADDR=" + consul.Addr(), "CONSUL_HTTP_TOKEN_FILE=" + replace(name, rules)}}
	}
	version := write(t, filepath.Join(dir, "version"), "v1\n")
	agent := with("agent", policy(t, "agent", "web1")).start(t, "run", "--hostname", "web1", "--version-file", version,
		"--exec", "/bin/true", "--interval", "50ms", "--jitter", "0s")
	controller := with("controller", policy(t, "controller", "")).start(t)
	operator := as(t, consul, "upgradectl", policy(t, "operator", ""))
	apply := func(version string) {
		t.Helper()
		operator.must(t, "apply", "-f", planFile(t, strings.Replace(plan, "version: v2", "version: "+version, 1)), "--wait", "--timeout", "1m")
	}
	apply("v2")
	replace("controller", policy(t, "controller", "")+"\n# second")
	replace("agent", policy(t, "agent", "web1")+"\n# second")
	apply("v3")
	if out := controller.String(); strings.Count(out, "leading") != 1 {
		t.Errorf("the controller lost its lock:\n%s", out)
	}
	if out := agent.String(); strings.Contains(out, "permission denied") {
		t.Errorf("the agent was denied:\n%s", out)
	}
}
