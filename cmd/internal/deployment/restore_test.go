// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
)

// fleetOfFiles is a fleet whose agents run one pass at a time.
type fleetOfFiles struct {
	*testing.T
	consul *consuldev.Agent
	dir    string
	hosts  []string
	// oldReconciler says that reconcile is of the previous release, as the agents of oldAgents are.
	oldReconciler bool
	oldAgents     []string
}

func newFleetOfFiles(t *testing.T, hosts ...string) *fleetOfFiles {
	f := &fleetOfFiles{T: t, consul: newConsul(t, false), dir: t.TempDir(), hosts: hosts}
	for _, host := range hosts {
		f.install(host, "v0")
	}
	return f
}

// use chooses which programs are of the previous release.
func (f *fleetOfFiles) use(oldReconciler bool, oldAgents ...string) {
	f.oldReconciler, f.oldAgents = oldReconciler, oldAgents
}

// agent is the agent of a host.
func (f *fleetOfFiles) agent(host string) program {
	if slices.Contains(f.oldAgents, host) {
		return f.program(previous + "/upgrade-agent")
	}
	return f.program("upgrade-agent")
}

// reconciler is the command that makes passes, as a controller does.
func (f *fleetOfFiles) reconciler() program {
	if f.oldReconciler {
		return f.program(previous + "/upgradectl")
	}
	return f.program("upgradectl")
}

// upgraded counts the hosts at a version.
func (f *fleetOfFiles) upgraded(version string) (n int) {
	f.Helper()
	for _, host := range f.hosts {
		if data, err := os.ReadFile(filepath.Join(f.dir, host)); err != nil {
			f.Fatal(err)
		} else if strings.TrimSpace(string(data)) == version {
			n++
		}
	}
	return n
}

// install gives a host a version, as an image does.
func (f *fleetOfFiles) install(host, version string) {
	write(f.T, filepath.Join(f.dir, host), version+"\n")
}

func (f *fleetOfFiles) program(name string) program {
	return program{name, []string{"CONSUL_HTTP_ADDR=" + f.consul.Addr(), "CONSUL_HTTP_TOKEN=" + management}}
}

// once lets each agent make one pass. It returns the versions of the hosts.
func (f *fleetOfFiles) once() []string {
	f.Helper()
	var versions []string
	for _, host := range f.hosts {
		file := filepath.Join(f.dir, host)
		f.agent(host).must(f.T, "once", "--hostname", host, "--version-file", file, "--exec", "/bin/true")
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		versions = append(versions, strings.TrimSpace(string(data)))
	}
	return versions
}

func (f *fleetOfFiles) apply(version, also string) {
	f.Helper()
	f.program("upgradectl").must(f.T, "apply", "-f", planFile(f.T, fmt.Sprintf("apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\n"+
		"metadata: {name: fleet}\nspec:\n  version: %s\n  instructions: {rollingRules: {global: 1}}\n%s", version, also)))
}

func (f *fleetOfFiles) reconcile() string {
	f.Helper()
	_, out := f.reconciler().run(f.T, "reconcile", "fleet")
	return out
}

// complete carries out a version. It returns the largest number of hosts that changed their version in one round of passes.
func (f *fleetOfFiles) complete(version string) int {
	f.Helper()
	most, before := 0, f.once()
	for range 4 * len(f.hosts) {
		f.reconcile()
		after := f.once()
		changed := 0
		for i := range after {
			if after[i] != before[i] {
				changed++
			}
		}
		most, before = max(most, changed), after
		if !slices.ContainsFunc(after, func(v string) bool { return v != version }) {
			f.reconcile()
			return most
		}
	}
	f.Fatalf("not at %s: %q", version, before)
	return 0
}

func (f *fleetOfFiles) backup() []byte {
	f.Helper()
	snapshot, _, err := managing(f.T, f.consul).Snapshot().Save(nil)
	if err != nil {
		f.Fatal(err)
	}
	defer snapshot.Close()
	data, err := io.ReadAll(snapshot)
	if err != nil {
		f.Fatal(err)
	}
	return data
}

func (f *fleetOfFiles) restore(backup []byte) {
	f.Helper()
	if err := managing(f.T, f.consul).Snapshot().Restore(nil, bytes.NewReader(backup)); err != nil {
		f.Fatal(err)
	}
}

// Consul is restored from a backup of the last version. No host moves before an operator accepts that, with and without a
// controller, and then the hosts move by the rules.
func TestRestoredBackup_MovesNoHostUntilAccepted(t *testing.T) {
	t.Parallel()
	f := newFleetOfFiles(t, "web1", "web2", "web3", "web4")
	f.apply("v1", "")
	f.complete("v1")
	backup := f.backup()
	f.apply("v2", "")
	f.complete("v2")
	f.restore(backup)

	stay := func(when string) {
		t.Helper()
		if versions := f.once(); slices.ContainsFunc(versions, func(v string) bool { return v != "v2" }) {
			t.Fatalf("%s: %q", when, versions)
		}
	}
	stay("after the restore")
	if out := f.reconcile(); !strings.Contains(out, "has taken part in rollout 2, and the keys are of rollout 1") {
		t.Errorf("reconcile:\n%s", out)
	}
	stay("after a pass of the controller")
	ctl := f.program("upgradectl")
	if out := ctl.must(t, "describe", "plan", "fleet"); !strings.Contains(out, "StoreWentBack") && !strings.Contains(out, "--accept-restored") {
		t.Errorf("describe:\n%s", out)
	}
	if out := ctl.must(t, "describe", "host", "web1"); !strings.Contains(out, "Refused v2") {
		t.Errorf("describe host:\n%s", out)
	}
	ctl.must(t, "rollout", "resume", "--accept-restored", "--reason", "backup of Monday")
	stay("without a grant")
	if most := f.complete("v1"); most != 1 {
		t.Errorf("%d hosts changed their version at once, the limit is 1", most)
	}
	if out := ctl.must(t, "audit", "export"); !strings.Contains(out, "StoreWentBack") || !strings.Contains(out, "backup of Monday") {
		t.Errorf("audit export:\n%s", out)
	}
	ctl.must(t, "audit", "verify")
}

// A host that joins a finished role at an old version, or is reinstalled, waits for a grant: under a pause, and without a
// controller.
func TestJoiningHost_WaitsForItsGrant(t *testing.T) {
	t.Parallel()
	f := newFleetOfFiles(t, "web1", "web2")
	f.apply("v2", "")
	f.complete("v2")
	f.hosts = append(f.hosts, "web3", "web4")
	f.install("web3", "v1")
	f.install("web4", "v1")
	f.install("web2", "v1")
	want := []string{"v2", "v1", "v1", "v1"}
	if got := f.once(); !slices.Equal(got, want) {
		t.Errorf("without a controller: %q", got)
	}
	ctl := f.program("upgradectl")
	f.reconcile() // it grants one host
	ctl.must(t, "rollout", "pause")
	if got := f.once(); !slices.Equal(got, want) {
		t.Errorf("a pause does not bind a host that has a grant: %q", got)
	}
	f.reconcile()
	if got := f.once(); !slices.Equal(got, want) {
		t.Errorf("paused: %q", got)
	}
	ctl.must(t, "rollout", "resume")
	f.apply("v2", "  paused: true\n")
	f.reconcile()
	if got := f.once(); !slices.Equal(got, want) {
		t.Errorf("spec.paused: %q", got)
	}
	f.apply("v2", "")
	if most := f.complete("v2"); most != 1 {
		t.Errorf("%d hosts changed their version at once, the limit is 1", most)
	}
}
