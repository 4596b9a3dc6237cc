// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

const puppetPlan = `
apiVersion: upgrade.jiocloud.com/v1alpha1
kind: UpgradePlan
metadata: {name: fleet}
spec:
  version: v2
  failurePolicy: {maxFailed: 0}
  keys: {format: Version}
  instructions:
    rollingRules: {global: 3}
    roleOrder: {web: db}
`

// puppets are hosts whose agents run the real Puppet, each with its own manifest.
type puppets struct {
	*testing.T
	dir string
}

func (p puppets) path(host, file string) string { return filepath.Join(p.dir, host, file) }

// manifest writes the desired state of a host. It is broken while it ends in an error.
func (p puppets) manifest(host, more string) {
	p.Helper()
	write(p, p.path(host, "site.pp"), fmt.Sprintf("file { '%s': content => \"${facts['current_version']}\\n\" }\n%s\n",
		p.path(host, "made-by-puppet"), more))
}

func (p puppets) start(consul *consuldev.Agent, host string) {
	p.Helper()
	if err := os.MkdirAll(p.path(host, "facts.d"), 0o755); err != nil {
		p.Fatal(err)
	}
	write(p, p.path(host, "version"), "v1\n")
	config := write(p, p.path(host, "config.yaml"), fmt.Sprintf(`
apiVersion: upgrade.jiocloud.com/v1alpha1
kind: AgentConfig
hostname: %s
versionFile: %s
interval: 200ms
jitter: 50ms
pipeline:
  facts: {path: %s/current_version.txt}
  puppet:
    manifest: %s
    args: [--vardir, %s, --confdir, %s, --pluginfactdest, %[3]s]
`, host, p.path(host, "version"), p.path(host, "facts.d"), p.path(host, "site.pp"), p.path(host, "var"), p.path(host, "conf")))
	as(p.T, consul, "upgrade-agent", policy(p, "agent", host)).start(p.T, "run", "--config", config)
}

func (p puppets) text(host, file string) string {
	p.Helper()
	data, err := os.ReadFile(p.path(host, file))
	if err != nil && !os.IsNotExist(err) {
		p.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// TestPuppet_UpgradesAFleet follows a rollout as an operator does: a host with a broken manifest stops it, the host reports why,
// the manifest is corrected, and the rollout completes.
func TestPuppet_UpgradesAFleet(t *testing.T) {
	t.Parallel()
	testtool.Need(t, "puppet")
	consul := newConsul(t, true)
	p := puppets{t, t.TempDir()}
	hosts := []string{"db1", "db2", "web1", "web2", "web3", "web4", "web5"}
	for _, host := range hosts {
		p.start(consul, host)
		p.manifest(host, "")
	}
	const broken = "web3"
	p.manifest(broken, "exec { '/bin/false': }")
	// These two take their slots until the plan has halted. If one were faster than the broken host, the controller would grant another.
	goOn := filepath.Join(p.dir, "go-on")
	for _, host := range []string{"web1", "web2"} {
		p.manifest(host, fmt.Sprintf("exec { '/bin/sh -c \"until [ -e %s ]; do sleep 0.1; done\"': timeout => 0 }", goOn))
	}
	operator := as(t, consul, "upgradectl", policy(t, "operator", ""))
	viewer := as(t, consul, "upgradectl", policy(t, "viewer", ""))
	eventually(t, "the reports", func() bool {
		return strings.Count(viewer.must(t, "get", "hosts", "-o", "name"), "host/") == len(hosts)
	})
	as(t, consul, "upgrade-controller", policy(t, "controller", "")).start(t, "--min-gap", "50ms")
	operator.must(t, "apply", "-f", planFile(t, puppetPlan))

	reaches := func(condition, want string) {
		t.Helper()
		eventually(t, "condition "+condition, func() bool {
			code, _ := viewer.run(t, "wait", "fleet", "--for=condition="+condition, "--timeout=10s")
			return code == 0
		})
		if status := viewer.must(t, "describe", "plan", "fleet"); !strings.Contains(status, want) {
			t.Errorf("describe plan does not say %q:\n%s", want, status)
		}
	}
	reaches("Stalled", "Halted")
	for _, want := range []string{"ReportedFailure", "failed to reach v2", "puppet: exit status 6 (some resources were changed, others failed)", "/bin/false"} {
		// While the host tries again, there is nothing to say.
		eventually(t, "describe host to say "+want, func() bool { return strings.Contains(viewer.must(t, "describe", "host", broken), want) })
	}
	write(t, goOn, "")
	eventually(t, "those under way to finish", func() bool { return p.text("web1", "version") == "v2" && p.text("web2", "version") == "v2" })
	for _, host := range []string{"web4", "web5"} {
		if got := p.text(host, "version"); got != "v1" {
			t.Errorf("%s started although the plan is halted: it has %s", host, got)
		}
	}

	p.manifest(broken, "")
	operator.must(t, "rollout", "resume", "--reason", "the manifest is corrected")
	reaches("Complete", "7 of 7 hosts upgraded")
	for _, host := range hosts {
		if version, made := p.text(host, "version"), p.text(host, "made-by-puppet"); version != "v2" || made != "v2" {
			t.Errorf("%s has %s, and Puppet made it %q", host, version, made)
		}
	}
}
