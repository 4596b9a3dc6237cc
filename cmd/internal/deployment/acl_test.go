// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
)

const plan = `
apiVersion: upgrade.jiocloud.com/v1alpha1
kind: UpgradePlan
metadata: {name: fleet}
spec:
  version: v2
  instructions:
    rollingRules: {global: 1}
    roleOrder: {web: db}
`

func planFile(t *testing.T, text string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "plan.yaml"), text)
}

// startAgents runs the agents of hosts at v1, each with its own token, and returns a function that reads a host's version.
func startAgents(t *testing.T, consul *consuldev.Agent, hosts []string, prefix string) func(host string) string {
	t.Helper()
	dir := t.TempDir()
	for _, host := range hosts {
		file := write(t, filepath.Join(dir, host), "v1\n")
		as(t, consul, "upgrade-agent", below(t, prefix, policy(t, "agent", host))).start(t, "run", "--hostname", host,
			"--version-file", file, "--exec", "/bin/true", "--interval", "50ms", "--jitter", "0s", "--prefix", prefix)
	}
	return func(host string) string {
		data, err := os.ReadFile(filepath.Join(dir, host))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
}

func TestPolicies_AllowARollout(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keyLists bool
		prefix   string
	}{"lists as reads": {false, ""}, "list needs its own permission": {true, ""}, "below a prefix": {true, "eu"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rollOut(t, newConsul(t, tt.keyLists), tt.prefix)
		})
	}
}

// rollOut carries out a rollout of three hosts, each program with the token of its policy.
func rollOut(t *testing.T, consul *consuldev.Agent, prefix string) {
	t.Helper()
	ctl := func(name string) program { return as(t, consul, "upgradectl", below(t, prefix, policy(t, name, ""))) }
	operator, viewer := ctl("operator"), ctl("viewer")
	hosts := []string{"db1", "web1.example.com", "web2.example.com"}
	version := startAgents(t, consul, hosts, prefix)
	eventually(t, "the reports", func() bool {
		return strings.Count(viewer.must(t, "get", "hosts", "-o", "name", "--prefix", prefix), "host/") == len(hosts)
	})
	controller := as(t, consul, "upgrade-controller", below(t, prefix, policy(t, "controller", ""))).start(t, "--min-gap", "50ms")
	eventually(t, "the lock", func() bool { return strings.Contains(controller.String(), "leading") })

	file := planFile(t, plan+"  keys: {prefix: \""+prefix+"\"}\n")
	if code, out := viewer.run(t, "diff", "-f", file); code != 1 || !strings.Contains(out, "current_version") {
		t.Errorf("diff: exit code %d:\n%s", code, out)
	}
	viewer.must(t, "apply", "-f", file, "--dry-run=server")
	operator.must(t, "apply", "-f", file)
	operator.must(t, "rollout", "pause", "--reason", "wait a moment")
	operator.must(t, "rollout", "resume")
	viewer.must(t, "rollout", "status", "--watch", "--interval", "50ms", "--timeout", "1m")
	for _, host := range hosts {
		eventually(t, host+" at v2", func() bool { return version(host) == "v2" })
	}
	for _, look := range []string{"status", "status fleet", "get plans", "get hosts -o wide", "get roles", "get versions",
		"describe plan fleet", "describe host db1", "describe role web", "diff -f " + file, "reconcile fleet --dry-run"} {
		if out := viewer.must(t, strings.Fields(look)...); strings.Contains(out, "ACL") {
			t.Errorf("%s:\n%s", look, out)
		}
	}
	if out := viewer.must(t, "version", "--fleet"); !strings.Contains(out, ": leads since ") || strings.Contains(out, "upgrade-controller unknown") {
		t.Errorf("version:\n%s", out)
	}
	operator.must(t, "delete", "fleet")
	if out := controller.String(); strings.Contains(out, " error ") {
		t.Error("the controller logged an error")
	}
}

// below adds a prefix to the hosts' keys of a policy, with the command of docs/how-to/tls-and-acls.md.
func below(t *testing.T, prefix, rules string) string {
	t.Helper()
	if prefix == "" {
		return rules
	}
	script := regexp.MustCompile(`sed -E '([^']+)'`).FindStringSubmatch(read(t, "docs/how-to/tls-and-acls.md"))
	if script == nil {
		t.Fatal("docs/how-to/tls-and-acls.md has no sed -E")
	}
	cmd := exec.Command("sed", "-E", strings.Replace(script[1], "eu/", prefix+"/", 1))
	cmd.Stdin = strings.NewReader(rules)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestCheck_KnowsWhatATokenMayDo compares upgradectl check with the policies.
func TestCheck_KnowsWhatATokenMayDo(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	args := map[string][]string{"viewer": nil, "operator": nil, "controller": {"--node", node}, "agent": {"--host", "web1"}}
	for role := range args {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			ctl := as(t, consul, "upgradectl", policy(t, role, "web1"))
			for other, more := range args {
				_, out := ctl.run(t, append([]string{"check", "--as", other}, more...)...)
				may := strings.Contains(out, "the token may act as "+other+"\n")
				if want := role == other || role != "agent" && other == "viewer"; may != want {
					t.Errorf("may it act as %s: %v, want %v:\n%s", other, may, want, out)
				}
			}
		})
	}
}

// A token of the policy of an earlier release has no rule for registrations.
func TestController_LeadsWithoutARegistration(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	rule := regexp.MustCompile(`(?m)^key_prefix "upgrade\.jiocloud\.com/controllers/".*$`)
	earlier := func(name string) string {
		rules := policy(t, name, "")
		if !rule.MatchString(rules) {
			t.Fatalf("the policy of the %s has no rule for registrations", name)
		}
		return rule.ReplaceAllString(rules, "")
	}
	controller := as(t, consul, "upgrade-controller", earlier("controller")).start(t, "--health-probe-bind-address", "0")
	eventually(t, "the lock and the line", func() bool {
		return strings.Contains(controller.String(), "leading") && strings.Contains(controller.String(), "cannot register this controller")
	})
	out := as(t, consul, "upgradectl", earlier("viewer")).must(t, "version")
	if !strings.Contains(out, "upgrade-controller unknown: leads since ") || !strings.Contains(out, `{ policy = "list" }`) {
		t.Errorf("version:\n%s", out)
	}
	if out := controller.String(); strings.Contains(out, " error ") || strings.Count(out, "cannot register") != 1 {
		t.Errorf("the log:\n%s", out)
	}
}

// TestPolicies_MatchTheirTable compares the table of docs/reference/permissions.md with what Consul allows.
func TestPolicies_MatchTheirTable(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	client := func(token string) *api.KV {
		c, err := api.NewClient(&api.Config{Address: consul.Addr(), Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return c.KV()
	}
	names := []string{"controller", "agent", "operator", "viewer"}
	var tokens []*api.KV
	for _, name := range names {
		file := strings.TrimPrefix(as(t, consul, "", policy(t, name, "web1")).env[1], "CONSUL_HTTP_TOKEN_FILE=")
		token, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, client(strings.TrimSpace(string(token))))
	}
	all := client(management)
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\S+) \\| (\\S+) \\| (\\S+) \\| (\\S+) \\|$")
	rows := row.FindAllStringSubmatch(read(t, "docs/reference/permissions.md"), -1)
	if len(rows) < 15 {
		t.Fatalf("%d rows in the table of docs/reference/permissions.md", len(rows))
	}
	for _, cells := range rows {
		key := cells[1]
		if _, err := all.Put(&api.KVPair{Key: key, Value: []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			got := "no"
			if pair, _, err := tokens[i].Get(key, nil); err == nil && pair != nil {
				got = "read"
			}
			if _, err := tokens[i].Put(&api.KVPair{Key: key, Value: []byte("y")}, nil); err == nil {
				got = "write"
			}
			if got != cells[2+i] {
				t.Errorf("%s of %s: %s, and docs/reference/permissions.md says %s", name, key, got, cells[2+i])
			}
		}
	}
}

func TestDenials_NameTheKeyAndTheRule(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	file := planFile(t, plan)
	as(t, consul, "upgradectl", policy(t, "operator", "")).must(t, "apply", "-f", file)
	newer := planFile(t, strings.Replace(plan, "v2", "v3", 1))
	spec := `upgrade.jiocloud.com/plans/fleet/spec: the token needs key "upgrade.jiocloud.com/plans/fleet/spec" { policy = "write" }`
	sessions := `sessions: the token needs session_prefix "" { policy = "write" }`
	once := []string{"once", "--version-file", filepath.Join(t.TempDir(), "version"), "--exec", "/bin/true", "--hostname"}
	for _, tt := range []struct {
		who, binary string
		args        []string
		says        string
	}{
		{"viewer", "upgradectl", []string{"apply", "-f", newer}, spec},
		{"viewer", "upgradectl", []string{"rollout", "pause"}, `upgrade.jiocloud.com/plans/fleet/control: the token needs key`},
		{"viewer", "upgradectl", []string{"delete", "fleet"}, `upgrade.jiocloud.com/plans/fleet/: the token needs key_prefix`},
		{"viewer", "upgradectl", []string{"reconcile"}, sessions},
		{"viewer", "upgradectl", []string{"global-disable-puppet"}, `config_state/enable_puppet/: the token needs ` +
			`key_prefix "config_state/enable_puppet/" { policy = "write" }`},
		{"operator", "upgradectl", []string{"reconcile"}, sessions},
		{"operator", "upgradectl", []string{"upgrade", "v3"}, sessions},
		{"operator", "upgradectl", []string{"global-disable-puppet"}, `config_state/enable_puppet/: the token needs ` +
			`key_prefix "config_state/enable_puppet/" { policy = "write" }`},
		{"agent", "upgradectl", []string{"status"}, `upgrade.jiocloud.com/plans/: the token needs key_prefix ` +
			`"upgrade.jiocloud.com/plans/" { policy = "list" }`},
		{"agent", "upgradectl", []string{"apply", "-f", newer}, `upgrade.jiocloud.com/plans/fleet/manager: the token needs key`},
		{"agent", "upgrade-agent", append(once[:len(once):len(once)], "web2"),
			`upgrade.jiocloud.com/grants/web2: the token needs key "upgrade.jiocloud.com/grants/web2" { policy = "read" }`},
		{"anonymous", "upgradectl", []string{"status"}, `upgrade.jiocloud.com/plans/: the token needs key_prefix`},
		{"anonymous", "upgrade-agent", append(once[:len(once):len(once)], "web1"), `current_version: the token needs key`},
	} {
		t.Run(tt.who+" "+tt.binary+" "+tt.args[0], func(t *testing.T) {
			t.Parallel()
			p := program{tt.binary, []string{"CONSUL_HTTP_ADDR=" + consul.Addr()}}
			if tt.who != "anonymous" {
				p = as(t, consul, tt.binary, policy(t, tt.who, "web1"))
			}
			code, out := p.run(t, tt.args...)
			if code != 1 || !strings.Contains(out, "permission denied on "+tt.says) {
				t.Errorf("exit code %d, want 1 and %q:\n%s", code, tt.says, out)
			}
		})
	}
	for who, says := range map[string]string{"operator": sessions, "viewer": sessions,
		"agent": `upgrade.jiocloud.com/leader: the token needs key "upgrade.jiocloud.com/leader" { policy = "read" }`} {
		t.Run("upgrade-controller as "+who, func(t *testing.T) {
			t.Parallel()
			out := as(t, consul, "upgrade-controller", policy(t, who, "web1")).start(t, "--health-probe-bind-address", "0")
			eventually(t, says, func() bool { return strings.Contains(out.String(), "permission denied on ") })
			if !strings.Contains(out.String(), strings.ReplaceAll(says, `"`, `\"`)) {
				t.Errorf("want %q:\n%s", says, out)
			}
		})
	}
}
