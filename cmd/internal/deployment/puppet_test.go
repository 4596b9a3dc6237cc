// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// puppetTimeout allows for a second attempt of a host, which comes within a minute.
const puppetTimeout = 3 * time.Minute

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
    timeout: 2m
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
	hosts := []string{"db1", "db2", "db3", "db4", "web1", "web2", "web3", "web4", "web5", "web6", "web7", "web8"}
	for _, host := range hosts {
		p.start(consul, host)
		p.manifest(host, "")
	}
	const broken = "web3"
	p.manifest(broken, "exec { '/bin/false': }")
	operator := as(t, consul, "upgradectl", policy(t, "operator", ""))
	viewer := as(t, consul, "upgradectl", policy(t, "viewer", ""))
	within(t, puppetTimeout, "the reports", func() bool {
		return strings.Count(viewer.must(t, "get", "hosts", "-o", "name"), "host/") == len(hosts)
	})
	as(t, consul, "upgrade-controller", policy(t, "controller", "")).start(t, "--min-gap", "50ms")
	operator.must(t, "apply", "-f", planFile(t, puppetPlan))

	status := func() string { return viewer.must(t, "describe", "plan", "fleet") }
	within(t, puppetTimeout, "the plan to halt", func() bool { return strings.Contains(status(), "Halted") })
	why := viewer.must(t, "describe", "host", broken)
	for _, want := range []string{"ReportedFailure", "failed to reach v2", "puppet: exit status 6 (some resources were changed, others failed)", "/bin/false"} {
		if !strings.Contains(why, want) {
			t.Errorf("describe host does not say %q:\n%s", want, why)
		}
	}
	within(t, puppetTimeout, "those under way to finish", func() bool { return p.text("web1", "version") == "v2" && p.text("web2", "version") == "v2" })
	for _, host := range hosts[7:] {
		if got := p.text(host, "version"); got != "v1" {
			t.Errorf("%s started although the plan is halted: it has %s", host, got)
		}
	}

	p.manifest(broken, "")
	operator.must(t, "rollout", "resume", "--reason", "the manifest is corrected")
	within(t, puppetTimeout, "the plan to complete", func() bool { return strings.Contains(status(), "12 of 12 hosts upgraded") })
	for _, host := range hosts {
		if version, made := p.text(host, "version"), p.text(host, "made-by-puppet"); version != "v2" || made != "v2" {
			t.Errorf("%s has %s, and Puppet made it %q", host, version, made)
		}
	}
}
