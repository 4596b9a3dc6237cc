// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// root is the module's folder. binEnv names the folder of the built binaries.
const (
	root   = "../../.."
	binEnv = "UPGRADE_TEST_BIN"
)

func TestMain(m *testing.M) { os.Exit(withBinaries(m.Run)) }

func withBinaries(run func() int) int {
	dir, err := os.MkdirTemp("", "upgrade-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, "./cmd/upgradectl", "./cmd/upgrade-agent", "./cmd/upgrade-controller")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%s", err, out)
		return 1
	}
	if err := os.Setenv(binEnv, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// program is a binary with its environment. It inherits no variables of Consul.
type program struct {
	name string
	env  []string
}

func (p program) command(args ...string) *exec.Cmd {
	if p.name == "upgrade-controller" && !slices.Contains(args, "dashboard") { // several run at once, and have the same addresses by default
		args = append(args, "--health-probe-bind-address", "0", "--metrics-bind-address", "0", "--dashboard-bind-address", "0")
	}
	cmd := exec.Command(filepath.Join(os.Getenv(binEnv), p.name), args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CONSUL_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

// run waits for the program to exit, and returns its exit code and its output.
func (p program) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := p.command(args...)
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// must runs a command that must succeed.
func (p program) must(t *testing.T, args ...string) string {
	t.Helper()
	code, out := p.run(t, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d:\n%s", p.name, strings.Join(args, " "), code, out)
	}
	return out
}

// start runs the program until the test ends, and returns its output.
func (p program) start(t *testing.T, args ...string) *output {
	t.Helper()
	cmd, out := p.command(args...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, cmd)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", p.name, out)
		}
	})
	return out
}

func stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s after SIGTERM: %v", cmd, err)
	}
}

// output collects what a process writes. It calls found when seek is in it.
type output struct {
	mu    sync.Mutex
	data  bytes.Buffer
	seek  string
	found func()
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data.Write(p)
	if o.seek != "" && bytes.Contains(o.data.Bytes(), []byte(o.seek)) {
		o.found()
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.String()
}

// eventually waits until the condition holds, as long as the test may run: a loaded machine must not fail it.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		const rest = 20 * time.Second // for the message and the end of all processes
		limited, cancel := context.WithDeadline(ctx, deadline.Add(-rest))
		defer cancel()
		ctx = limited
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const management = "6f5a4c4e-93cb-4f4c-a6ad-8c1d1a0c7a11"

// node is the node's name in the test's Consul, which the controller's policy names.
const node = "ctl1"

// newConsul starts a Consul with ACLs and the default policy deny. With keyLists, listing keys needs its own permission.
func newConsul(t *testing.T, keyLists bool) *consuldev.Agent {
	t.Helper()
	return consultest.StartWith(t, consuldev.Options{ManagementToken: management,
		Config: fmt.Sprintf("node_name = %q\nacl { enable_key_list_policy = %t }\n", node, keyLists)})
}

// policy reads a file of config/consul, and fills in the names of one host and one node.
func policy(t testing.TB, name, host string) string {
	t.Helper()
	return strings.NewReplacer("HOST", host, "NODE", node).Replace(read(t, "config/consul/"+name+".hcl"))
}

// as returns a program that uses a token with the rules, from a file.
func as(t *testing.T, consul *consuldev.Agent, name, rules string) program {
	t.Helper()
	token := consultest.Token(t, consul.Addr(), management, rules)
	file := write(t, filepath.Join(t.TempDir(), "token"), token+"\n")
	return program{name, []string{"CONSUL_HTTP_ADDR=" + consul.Addr(), "CONSUL_HTTP_TOKEN_FILE=" + file}}
}
