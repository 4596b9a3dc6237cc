// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/upgrade-controller/app"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// output collects what a controller writes. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.String()
}

func (o *output) has(text string) func() bool {
	return func() bool { return strings.Contains(o.String(), text) }
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// bench is a Consul and its store.
type bench struct {
	*testing.T
	addr  string
	store *consul.Store
}

func newBench(t *testing.T) *bench {
	t.Parallel()
	addr := consultest.Start(t).Addr()
	s, err := consul.New(consul.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, addr, s}
}

// controller runs a controller in this process, without periodic resyncs. It returns its output and a function that stops it.
func (b *bench) controller(args ...string) (*output, func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	out, code := &output{}, make(chan int, 1)
	args = append([]string{"--http-addr", b.addr, "--min-gap", "10ms", "--resync", "24h",
		"--health-probe-bind-address", "0", "--metrics-bind-address", "0", "--dashboard-bind-address", "0"}, args...)
	go func() { code <- app.Main(ctx, args, out, out) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if got := <-code; got != 0 {
			b.Errorf("exit code %d:\n%s", got, out)
		}
		if b.Failed() {
			b.Logf("output of the controller:\n%s", out)
		}
	})
	b.Cleanup(stop)
	eventually(b.T, "the lock", func() bool { return out.has("leading")() || out.has("standing by")() })
	return out, stop
}

// agents runs agents with an interval of 20 ms.
func (b *bench) agents(hosts ...string) {
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	for _, host := range hosts {
		version := &agent.MemoryVersion{}
		_ = version.SetVersion("v1")
		a, err := agent.New(agent.Options{Host: host, Store: b.store, Version: version, Clock: agent.SystemClock{},
			Step:     func(context.Context, agent.Change) (string, error) { return "", nil },
			Random:   func() float64 { return 0 },
			Interval: 20 * time.Millisecond, AgentVersion: "v0.2.0", Log: logr.Discard()})
		if err != nil {
			b.Fatal(err)
		}
		running.Go(func() { a.Run(ctx) })
	}
	b.Cleanup(func() { cancel(); running.Wait() })
	eventually(b.T, "the reports", func() bool {
		found, _, err := b.store.Keys(b.Context(), keys.Layout{}.ReportTree())
		return err == nil && len(found) == len(hosts)
	})
}

func (b *bench) apply(version string) {
	b.Helper()
	p := &v1alpha1.UpgradePlan{}
	p.Name = "fleet"
	spec := "version: " + version + "\ninstructions: {rollingRules: {global: 1}, roleOrder: {web: db}}"
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		b.Fatal(err)
	}
	if _, _, err := (planstore.Plans{Store: b.store}).Apply(b.Context(), p, false); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) complete(version string) func() bool {
	return func() bool {
		p, err := planstore.Plans{Store: b.store}.Get(b.Context(), "fleet")
		return err == nil && p.Status.Phase == v1alpha1.PhaseComplete && p.Spec.Version == version &&
			p.Status.ObservedGeneration == p.Generation
	}
}

func (b *bench) indexes() map[string]uint64 {
	b.Helper()
	pairs, _, err := b.store.List(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	all := map[string]uint64{}
	for _, p := range pairs {
		if !strings.HasPrefix(p.Key, keys.Controllers) { // each start of a controller has its own
			all[p.Key] = p.ModifyIndex
		}
	}
	return all
}

func TestController_RegistersUntilItStops(t *testing.T) {
	b := newBench(t)
	count := func(want int) func() bool {
		return func() bool {
			found, _, err := leaderelection.Controllers(t.Context(), b.store)
			registered := 0
			for _, c := range found {
				if c.Version != "" && !c.Since.IsZero() {
					registered++
				}
			}
			return err == nil && registered == want
		}
	}
	_, stop := b.controller()
	b.controller()
	eventually(t, "leader and standby", count(2))
	found, _, err := leaderelection.Controllers(t.Context(), b.store)
	if err != nil || !found[0].Leading || found[1].Leading {
		t.Errorf("%+v, %v", found, err)
	}
	stop()
	if !count(1)() {
		t.Error("a controller that has stopped is still registered")
	}
}

func TestController_UpgradesAndCorrectsDriftByWatches(t *testing.T) {
	b := newBench(t)
	b.agents("db1", "db2", "web1", "web2", "web3")
	_, stop := b.controller()
	b.apply("v2")
	eventually(t, "v2", b.complete("v2"))
	b.apply("v3")
	eventually(t, "v3", b.complete("v3"))

	l := keys.Layout{}
	drift := func(op store.Op) {
		t.Helper()
		if _, err := b.store.Txn(t.Context(), []store.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
	is := func(key, want string) func() bool {
		return func() bool {
			pairs, _, err := b.store.Get(t.Context(), key)
			return err == nil && string(pairs[0].Value) == want
		}
	}
	drift(store.Op{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte("True")})
	eventually(t, "the edited key", is(l.EnableGlobal(), "False"))
	drift(store.Op{Verb: store.Delete, Key: l.EnableHost("db1")})
	eventually(t, "the deleted key", is(l.EnableHost("db1"), "True"))
	drift(store.Op{Verb: store.Set, Key: l.CurrentVersion(), Value: []byte("v2")})
	eventually(t, "the version", is(l.CurrentVersion(), "v3"))
	eventually(t, "v3 again", b.complete("v3"))
	stop()
	if held, err := leaderelection.LockHolder(t.Context(), b.store, keys.Leader); err != nil || held != nil {
		t.Errorf("the lock is still held: %+v (%v)", held, err)
	}
}

func TestController_WritesNothingWhenIdle(t *testing.T) {
	b := newBench(t)
	b.agents("db1", "web1")
	_, stop := b.controller()
	b.apply("v2")
	eventually(t, "v2", b.complete("v2"))
	stop()
	before := b.indexes()
	out, stop := b.controller("--resync", "50ms", "-v", "1")
	delete(before, keys.Leader)
	reads := time.NewTimer(500 * time.Millisecond) // about ten full reads
	<-reads.C
	after := b.indexes()
	delete(after, keys.Leader)
	for key, index := range after {
		if index != before[key] {
			t.Errorf("%s changed from index %d to %d", key, before[key], index)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d keys, before %d", len(after), len(before))
	}
	stop()
	if strings.Contains(out.String(), "error") {
		t.Errorf("output:\n%s", out)
	}
}

// process is a controller in a process of its own.
type process struct {
	*output
	cmd    *exec.Cmd
	health string
	exited chan error
}

func build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "upgrade-controller")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// process starts a controller with additional environment variables. Metrics and health probes share an address.
func (b *bench) process(binary string, env ...string) *process {
	b.Helper()
	address := freeAddress(b.T)
	p := b.start(binary, env, "--http-addr", b.addr, "--min-gap", "10ms", "--resync", "24h",
		"--health-probe-bind-address", address, "--metrics-bind-address", address,
		"--dashboard-bind-address", "0")
	p.health = address
	return p
}

func (b *bench) start(binary string, env []string, args ...string) *process {
	b.Helper()
	p := &process{output: &output{}, exited: make(chan error, 1)}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	b.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		if b.Failed() {
			b.Logf("output of process %d:\n%s", p.cmd.Process.Pid, p)
		}
	})
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// probe returns the status and the text of an HTTP response.
func (p *process) probe(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.health+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(text)))
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestController_Failover(t *testing.T) {
	b := newBench(t)
	binary := build(t)
	first := b.process(binary)
	eventually(t, "the lock", first.has("leading"))
	second := b.process(binary)
	eventually(t, "the standby", second.has("standing by"))
	for p, want := range map[*process]string{first: "200 leading", second: "200 standing by"} {
		if got := p.probe(t, "/readyz"); got != want {
			t.Errorf("/readyz: %s, want %s", got, want)
		}
		if got := p.probe(t, "/healthz"); got != "200 ok" {
			t.Errorf("/healthz: %s", got)
		}
	}
	b.agents("db1", "web1")
	b.apply("v2")
	eventually(t, "v2", b.complete("v2"))

	stopped := time.Now()
	first.signal(t, syscall.SIGTERM)
	eventually(t, "the second to lead", second.has("leading"))
	t.Logf("takeover after a clean stop: %s", time.Since(stopped))
	if err := <-first.exited; err != nil {
		t.Errorf("exit of the first: %v", err)
	}
	b.apply("v3")
	eventually(t, "v3", b.complete("v3"))
	if testing.Short() && os.Getenv("CI") != "true" {
		t.Skip("Consul needs half a minute to end a session")
	}

	third := b.process(binary)
	eventually(t, "the standby", third.has("standing by"))
	second.signal(t, syscall.SIGKILL)
	eventually(t, "the third to lead", third.has("leading"))
	b.apply("v4")
	eventually(t, "v4", b.complete("v4"))

	fourth := b.process(binary)
	eventually(t, "the standby", fourth.has("standing by"))
	third.signal(t, syscall.SIGSTOP)
	b.apply("v5")
	eventually(t, "the fourth to lead", fourth.has("leading"))
	eventually(t, "v5", b.complete("v5"))
	before := b.indexes()
	third.signal(t, syscall.SIGCONT)
	eventually(t, "the third to notice", third.has("no longer leading"))
	eventually(t, "the third to stand by", func() bool { return third.probe(t, "/readyz") == "200 standing by" })
	for key, index := range b.indexes() {
		if index != before[key] {
			t.Errorf("the stale leader wrote %s", key)
		}
	}
}

func TestConfig_TakesPrecedenceOverConsulsEnvironment(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	address := freeAddress(t)
	text := fmt.Sprintf("apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: ControllerConfig\nconsul: {address: %q}\n"+
		"healthProbeBindAddress: %q\nmetricsBindAddress: \"0\"\nlog: {format: json}\n", b.addr, address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := b.start(build(t), []string{"CONSUL_HTTP_ADDR=127.0.0.1:1"}, "--config", file)
	p.health = address
	eventually(t, "the lock", p.has(`"msg":"leading"`))
	if got := p.probe(t, "/readyz"); got != "200 leading" {
		t.Errorf("/readyz: %s", got)
	}
	if got := p.probe(t, "/metrics"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("/metrics: %s", got)
	}
}

func TestReadyz_WithoutConsul(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t)
	b := &bench{T: t, addr: agent.Addr()}
	p := b.process(build(t))
	eventually(t, "the lock", p.has("leading"))
	agent.Kill()
	if got := p.probe(t, "/readyz"); !strings.HasPrefix(got, "503 leading, but ") {
		t.Errorf("/readyz: %s", got)
	}
	if got := p.probe(t, "/healthz"); got != "200 ok" {
		t.Errorf("/healthz: %s", got)
	}
}

func TestMain_HidesPasswordsOfConsulsAddress(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	stop := writerFunc(func(p []byte) (int, error) {
		cancel() // after the first line
		return out.Write(p)
	})
	args := strings.Fields("--http-addr http://me:secret@127.0.0.1:1 --metrics-bind-address 0 --health-probe-bind-address 0 " +
		"--dashboard-bind-address 0 -v 1")
	app.Main(ctx, args, stop, stop)
	if text := out.String(); strings.Contains(text, "secret") || !strings.Contains(text, "me:xxxxx@127.0.0.1:1") {
		t.Errorf("the password of the address, or no address:\n%s", text)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestUsageErrors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	for args, tt := range map[string]struct {
		code int
		want string
	}{
		"--min-gap 0s":                         {2, "--min-gap"},
		"--resync -1s":                         {2, "--resync"},
		"plan":                                 {2, "plan"},
		"--health-probe-bind-address nowhere":  {2, "--health-probe-bind-address nowhere: must be host:port"},
		"dashboard --dashboard-bind-address 0": {2, "--dashboard-bind-address 0: must be host:port"},
		"--metrics-bind-address :http":         {2, "--metrics-bind-address :http: must be host:port"},
		"--health-probe-bind-address 0 --dashboard-bind-address 0 --metrics-bind-address " + taken: {1, "--metrics-bind-address " + taken},
		"--http-addr ftp://consul": {2, "--http-addr ftp://consul: must be"},
		"--log-format xml":         {2, "--log-format xml: must be"},
		"-v 10":                    {2, "--verbosity 10: must be"},
		"--config /no/such/file":   {2, "/no/such/file"},
	} {
		var out bytes.Buffer
		if code := app.Main(t.Context(), strings.Fields(args), &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: exit code %d:\n%s", args, code, &out)
		}
	}
}
