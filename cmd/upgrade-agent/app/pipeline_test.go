// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// configure writes the configuration file of the host. The lines come after those for the host name and Consul.
func (h *host) configure(lines string) (path string) {
	h.t.Helper()
	path = filepath.Join(h.t.TempDir(), "config.yaml")
	text := fmt.Sprintf("apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: AgentConfig\nhostname: web1.example.com\nversionFile: %s\n"+
		"consul: {address: %q}\n%s", h.version, h.addr, lines)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// script writes a program that logs its name and the version, and then runs the body.
func (h *host) script(name, body string) (path string) {
	h.t.Helper()
	path = filepath.Join(filepath.Dir(h.step), name)
	text := fmt.Sprintf("#!/bin/sh\nlog=%s\necho \"%s $UPGRADE_VERSION\" >> $log\n%s\n", h.log, name, body)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func TestPipeline_RunsTheStepsOfTheFile(t *testing.T) {
	h := newHost(t, "v1", "")
	dir := t.TempDir()
	h.script("validate", "") // in a directory with other names
	config := h.configure(fmt.Sprintf(`
pipeline:
  preHook: {path: %s}
  facts: {path: %s/facts.d/current_version.txt}
  puppet: {path: %s, manifest: /site.pp}
  validation: {directory: %s, names: ^validate$}
checks: {ttl: 10m}
`, h.script("drain", ""), dir, h.script("puppet", `echo "$*" >> $log; exit 2`), filepath.Dir(h.step)))
	h.set("current_version", "v2", enable, "True")
	if code, _, errs := run(t, agent(t, "once", "--config", config)); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, errs)
	}
	want := "drain v2\npuppet v2\napply --detailed-exitcodes --color=false /site.pp\nvalidate v2\n"
	if got := read(t, h.log); got != want {
		t.Errorf("ran\n%s", got)
	}
	if got := read(t, filepath.Join(dir, "facts.d", "current_version.txt")); got != "current_version=v2\n" {
		t.Errorf("facts %q", got)
	}
	client, err := api.NewClient(&api.Config{Address: h.addr})
	if err != nil {
		t.Fatal(err)
	}
	all, err := client.Agent().Checks()
	if err != nil || all["puppet"] == nil || all["puppet"].Status != api.HealthPassing || all["validation"] == nil {
		t.Errorf("checks %v %v", all, err)
	}
	if got := h.own(""); got != "running/versions/v2/web1.example.com "+reported {
		t.Errorf("keys %s", got)
	}
}

func TestPipeline_ReportsTheNameOfTheFailedStep(t *testing.T) {
	h := newHost(t, "v1", "")
	config := h.configure(fmt.Sprintf("pipeline: {puppet: {path: %s}}\n", h.script("puppet", "echo 'Error: /Stage[main]/X'; exit 4")))
	h.set("current_version", "v2", enable, "True")
	if code, _, errs := run(t, agent(t, "once", "--config", config)); code != 1 || !strings.Contains(errs, "puppet: exit status 4 (resources failed)") {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
	if r := h.report(""); r.Phase != fleet.PhaseFailed || !strings.HasPrefix(r.Message, "attempt 1 failed: puppet: exit status 4") ||
		!strings.HasSuffix(r.Message, "\nError: /Stage[main]/X") {
		t.Errorf("report %+v", r)
	}
}

func TestConfig_FlagsTakePrecedence(t *testing.T) {
	h := newHost(t, "v1", "touch $log")
	config := h.configure("role: edge\nprefix: eu\npipeline: {puppet: {path: /bin/false}}\n")
	h.set("us/current_version", "v2", "us/config_state/enable_puppet/role/edge", "True")
	if code, _, errs := run(t, agent(t, "once", "--config", config, "--prefix", "us", "--exec", h.step)); code != 0 {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
	if got := read(t, h.version); got != "v2\n" {
		t.Errorf("version file %q", got)
	}
}

// The agent is killed while Puppet runs, as by a power failure.
func TestPipeline_ContinuesWithTheStepAfterAKill(t *testing.T) {
	h := newHost(t, "v1", "")
	pid := h.log + ".pid"
	config := h.configure(fmt.Sprintf("pipeline: {preHook: {path: %s}, puppet: {path: %s}}\n", h.script("drain", ""),
		h.script("puppet", fmt.Sprintf(`[ -e %[1]s ] && exit 0; echo $$ > %[1]s; exec sleep 1000`, pid))))
	h.set("current_version", "v2", enable, "True")
	cmd := agent(t, "run", "--config", config, "--jitter", "0s")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Puppet to run", func() bool { return strings.HasSuffix(read(t, pid), "\n") })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	var puppet int
	if _, err := fmt.Sscan(read(t, pid), &puppet); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Puppet to end with its agent", func() bool { return syscall.Kill(puppet, 0) != nil })
	if code, _, errs := run(t, agent(t, "once", "--config", config)); code != 0 {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
	if got := read(t, h.log); got != "drain v2\npuppet v2\npuppet v2\n" {
		t.Errorf("ran\n%s", got)
	}
	if got := h.own(""); read(t, h.version) != "v2\n" || got != "running/versions/v2/web1.example.com "+reported {
		t.Errorf("version %q, keys %s", read(t, h.version), got)
	}
}

// A real Consul stops while the step runs, and starts again.
func TestReport_IsSentAfterAnOutage(t *testing.T) {
	cluster, err := consuldev.StartCluster(t.Context(), consultest.Binary(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := newHostOn(t, cluster.Addrs()[0], "", "v1", `echo started > $log; while [ -e $log ]; do sleep 0.01; done`)
	h.set("current_version", "v2", enable, "True")
	cmd := h.command("once")
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the step to start", func() bool { return read(t, h.log) != "" })
	cluster.Kill(0)
	if err := os.Remove(h.log); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || read(t, h.version) != "v2\n" || read(t, h.version+".unsent") == "" {
		t.Errorf("%v, version %q, saved %q:\n%s", err, read(t, h.version), read(t, h.version+".unsent"), errs.String())
	}
	if code, _, errs := run(t, h.command("once")); code != 1 || !strings.Contains(errs, "consul at") {
		t.Errorf("during the outage: exit code %d:\n%s", code, errs)
	}
	if err := cluster.Restart(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	eventually(t, "Consul to accept the report", func() bool {
		code, _, _ := run(t, h.command("once"))
		return code == 0
	})
	r := h.report("")
	if r.Phase != fleet.PhaseIdle || r.Version != "v2" || !r.Time.Before(back) || read(t, h.version+".unsent") != "" {
		t.Errorf("report %+v after %s, saved %q", r, back, read(t, h.version+".unsent"))
	}
	if got := h.own(""); got != "running/versions/v2/web1.example.com "+reported {
		t.Errorf("keys %s", got)
	}
}

func TestAction_RunsDefinedCommandsOnly(t *testing.T) {
	h := newHost(t, "v1", "")
	config := h.configure(fmt.Sprintf("pipeline: {puppet: {path: /bin/false}}\ncommands:\n  restart:\n    path: %s\n    args: ['[a-z]+']\n",
		h.script("restart", `echo "$1" >> $log`)))
	act := func(version, name string, args ...string) {
		ops := []store.Op{
			{Verb: store.Set, Key: "current_version", Value: []byte(version), Flags: 0x616374},
			{Verb: store.Set, Key: "upgrade.jiocloud.com/action", Value: keys.EncodeAction(fleet.Action{Version: version, Name: name, Args: args})}}
		if _, err := h.store.Txn(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
		h.set(enable, "False", enable, "True")
	}
	act("run-1", "restart", "nginx")
	if code, _, errs := run(t, agent(t, "once", "--config", config)); code != 0 || read(t, h.log) != "restart run-1\nnginx\n" {
		t.Errorf("exit code %d, ran %q:\n%s", code, read(t, h.log), errs)
	}
	for version, args := range map[string][]string{"run-2": {"halt"}, "run-3": {"restart", "nginx; id"}} {
		act(version, args[0], args[1:]...)
		code, _, errs := run(t, agent(t, "once", "--config", config))
		if r := h.report(""); code != 1 || !strings.Contains(errs, "refused: ") || r.Phase != fleet.PhaseFailed || !strings.Contains(r.Message, "refused: ") {
			t.Errorf("%s: exit code %d, report %+v:\n%s", args, code, r, errs)
		}
	}
	if got := read(t, h.log); got != "restart run-1\nnginx\n" {
		t.Errorf("ran %q", got)
	}
}

func TestConfig_Errors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	text := "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: AgentConfig\ncommands: {x: {path: /bin/true, user: nosuchuser}}\npipelin: {}\n"
	for _, want := range []string{path + ":4: pipelin: unknown field, did you mean pipeline?", "commands[x].user: user: unknown user nosuchuser"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := run(t, agent(t, "once", "--config", path, "--hostname", "web1"))
		if code == 0 || !strings.Contains(errs, want) {
			t.Errorf("exit code %d, want %q:\n%s", code, want, errs)
		}
		text = strings.Replace(text, "pipelin: {}\n", "", 1)
	}
}
