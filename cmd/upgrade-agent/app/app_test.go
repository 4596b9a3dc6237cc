// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/cmd/upgrade-agent/app"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// asAgent is the environment variable that makes the test binary run as upgrade-agent.
const asAgent = "UPGRADE_AGENT_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// host has an agent in a process of its own, and a real Consul.
type host struct {
	t       *testing.T
	store   *consul.Store
	addr    string
	version string // path of the version file
	step    string // path of the step
	log     string // path of the log of the step
}

func newHost(t *testing.T, local, script string) *host {
	return newHostOn(t, consultest.Start(t).Addr(), "", local, script)
}

func newHostOn(t *testing.T, addr, token, local, script string) *host {
	s, err := consul.New(consul.Config{Address: addr, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &host{t: t, store: s, addr: addr, version: filepath.Join(dir, "current_version"),
		step: filepath.Join(dir, "step"), log: filepath.Join(dir, "log")}
	script = "#!/bin/sh\nlog=" + h.log + "\n" + script + "\n"
	if err := os.WriteFile(h.step, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if local != "" {
		if err := os.WriteFile(h.version, []byte(local+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *host) set(kv ...string) {
	h.t.Helper()
	for i := 0; i < len(kv); i += 2 {
		op := store.Op{Verb: store.Set, Key: kv[i], Value: []byte(kv[i+1])}
		if _, err := h.store.Txn(h.t.Context(), []store.Op{op}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// own returns the keys that the host wrote below the prefix of its fleet.
func (h *host) own(prefix string) string {
	h.t.Helper()
	all, _, err := h.store.Keys(h.t.Context(), prefix)
	if err != nil {
		h.t.Fatal(err)
	}
	var own []string
	for _, key := range all {
		if strings.Contains(key, "running/") || strings.Contains(key, "upgrade.jiocloud.com/") {
			own = append(own, strings.TrimPrefix(key, prefix))
		}
	}
	return strings.Join(own, " ")
}

func (h *host) report(prefix string) fleet.Report {
	h.t.Helper()
	pairs, _, err := h.store.Get(h.t.Context(), prefix+"upgrade.jiocloud.com/hosts/web1.example.com")
	if err != nil {
		h.t.Fatal(err)
	}
	r := keys.DecodeReport(pairs[0])
	if r == nil {
		return fleet.Report{}
	}
	return *r
}

func (h *host) command(args ...string) *exec.Cmd {
	args = append(args[:1:1], append([]string{"--hostname", "web1.example.com", "--version-file", h.version, "--exec", h.step,
		"--http-addr", h.addr}, args[1:]...)...)
	return agent(h.t, args...)
}

func agent(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asAgent+"=1")
	return cmd
}

// run runs the agent and returns its exit code and output.
func run(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

const (
	enable   = "config_state/enable_puppet/host/web1.example.com"
	reported = "upgrade.jiocloud.com/hosts/web1.example.com"
	started  = "upgrade.jiocloud.com/started/web1.example.com"
)

func TestOnce_ChangesTheVersionWhenGranted(t *testing.T) {
	h := newHost(t, "v1", `echo "$UPGRADE_LOCAL_VERSION $UPGRADE_VERSION $UPGRADE_ROLE $*" >> $log`)
	h.set("current_version", "v2")
	if code, out, errs := run(t, h.command("once", "--", "-x", "a b")); code != 0 || out != "" || read(t, h.log) != "" {
		t.Fatalf("no grant: exit code %d, stdout %q, stderr:\n%s", code, out, errs)
	}
	if got := h.own(""); got != "running/versions/v1/web1.example.com "+reported {
		t.Errorf("keys %s", got)
	}
	h.set(enable, "True")
	if code, _, errs := run(t, h.command("once", "--", "-x", "a b")); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, errs)
	}
	if got := read(t, h.log); got != "v1 v2 web -x a b\n" {
		t.Errorf("the step got %q", got)
	}
	if got := read(t, h.version); got != "v2\n" {
		t.Errorf("version file %q", got)
	}
	if got := h.own(""); got != "running/versions/v2/web1.example.com "+reported {
		t.Errorf("keys %s", got)
	}
	if r := h.report(""); r.Phase != fleet.PhaseIdle || r.Version != "v2" || r.Role != "web" {
		t.Errorf("report %+v", r)
	}
}

func TestOnce_ReportsAFailure(t *testing.T) {
	h := newHost(t, "v1", `echo "the disk is full"; exit 7`)
	h.set("eu/current_version", "v2", "eu/"+enable, "1")
	code, _, errs := run(t, h.command("once", "--prefix", "eu", "--role", "edge"))
	if code != 1 || !strings.Contains(errs, "the change to v2 failed: exit status 7") {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
	r := h.report("eu/")
	if r.Phase != fleet.PhaseFailed || r.Version != "v2" || r.Role != "edge" ||
		!strings.HasSuffix(r.Message, "\nthe disk is full") {
		t.Errorf("report %+v", r)
	}
	if got := h.own("eu/"); got != "running/versions/v1/web1.example.com "+reported+" "+started {
		t.Errorf("keys %s", got)
	}
	if got := read(t, h.version); got != "v1\n" {
		t.Errorf("version file %q", got)
	}
}

// hostPolicy returns the policy of a host's token in config.
func hostPolicy(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../../config/consul/agent.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "HOST", "web1.example.com")
}

func TestOnce_WithACLs(t *testing.T) {
	const root = "6f5a4c4e-93cb-4f4c-a6ad-8c1d1a0c7a11"
	h := newHostOn(t, consultest.StartWith(t, consuldev.Options{ManagementToken: root}).Addr(), root, "v1", "exit 0")
	client, err := api.NewClient(&api.Config{Address: h.addr, Token: root})
	if err != nil {
		t.Fatal(err)
	}
	token := func(name, rules string) string {
		t.Helper()
		policy, _, err := client.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
		if err != nil {
			t.Fatal(err)
		}
		created, _, err := client.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return created.SecretID
	}
	h.set("current_version", "v2", enable, "True")
	for name, hidden := range map[string]string{
		"hold":  `key "upgrade.jiocloud.com/holds/host/web1.example.com" { policy = "deny" }`,
		"pause": `key "config_state/role/web/enable_puppet" { policy = "deny" }`,
	} {
		code, _, errs := run(t, h.command("once", "--token", token(name, hostPolicy(t)+hidden)))
		if code != 1 || !strings.Contains(errs, "permission denied") || h.own("") != "" {
			t.Errorf("%s hidden: exit code %d, keys %q:\n%s", name, code, h.own(""), errs)
		}
	}
	code, _, errs := run(t, h.command("once", "--token", token("host", hostPolicy(t))))
	if code != 0 || h.own("") != "running/versions/v2/web1.example.com "+reported {
		t.Errorf("exit code %d, keys %q:\n%s", code, h.own(""), errs)
	}
}

func TestRun_StopsItsStepAndResumes(t *testing.T) {
	h := newHost(t, "", `if [ -e $log ]; then exit 0; fi; echo started > $log; sleep 1000`)
	h.set("current_version", "v1")
	cmd := h.command("run", "--interval", "50ms", "--jitter", "10ms", "--log-format", "json")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the step to start", func() bool { return read(t, h.log) != "" })
	if code, _, second := run(t, h.command("once")); code != 1 || !strings.Contains(second, "another upgrade-agent") {
		t.Errorf("second agent: exit code %d:\n%s", code, second)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, errs.String())
	}
	if got := h.own(""); got != reported+" "+started {
		t.Errorf("keys %s", got)
	}
	if r := h.report(""); r.Phase != fleet.PhaseUpgrading {
		t.Errorf("report %+v", r)
	}
	if code, _, errs := run(t, h.command("once")); code != 0 || read(t, h.version) != "v1\n" {
		t.Errorf("exit code %d, version file %q:\n%s", code, read(t, h.version), errs)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	end := time.After(5 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "current_version")
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "a command is required"},
		{"walk", 2, "walk"},
		{"once -- extra", 2, "arguments after -- need --exec"},
		{"once --config /no/such/file", 2, "/no/such/file"},
		{"once --exec /no/such/step", 2, "/no/such/step"},
		{"once --no-such-flag", 2, "no-such-flag"},
		{"once --exec /bin/true extra", 2, "come after --"},
		{"once --exec /bin/true --hostname a/b", 2, `"a/b"`},
		{"once --exec /bin/true --hostname web1 --role /", 2, "role"},
		{"once --exec /bin/true --prefix /eu", 2, "--prefix"},
		{"once --exec /bin/true --running-versions a//b", 2, "--running-versions"},
		{"once --exec /bin/true --log-format xml", 2, "--log-format"},
		{"once --interval 5s", 2, "interval"},
		{"run --exec /bin/true --interval 0s", 2, "--interval"},
		{"run --exec /bin/true --jitter -1s", 2, "--jitter"},
		{"version extra", 2, "extra"},
		{"once --exec /bin/true --version-file /no/such/folder/v", 1, "/no/such/folder"},
		{"once --exec /bin/true --http-addr 127.0.0.1:1 --token s3cret --version-file " + file, 1, "127.0.0.1:1"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, stdout, stderr := run(t, agent(t, strings.Fields(tt.args)...))
			if code != tt.code || !strings.Contains(stderr, tt.want) || stdout != "" {
				t.Errorf("exit code %d, want %d with %q; stdout %q, stderr:\n%s", code, tt.code, tt.want, stdout, stderr)
			}
			if strings.Contains(stderr, "s3cret") {
				t.Error("the token was printed")
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	if code, stdout, _ := run(t, agent(t, "version")); code != 0 || !strings.HasPrefix(stdout, "upgrade-agent ") {
		t.Errorf("version: %d %q", code, stdout)
	}
	if code, stdout, _ := run(t, agent(t, "run", "--help")); code != 0 || !strings.Contains(stdout, "UPGRADE_VERSION") {
		t.Errorf("help: %d %q", code, stdout)
	}
}
