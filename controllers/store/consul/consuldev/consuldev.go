// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consuldev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// BinaryEnv is the environment variable that names the Consul binary.
const BinaryEnv = "UPGRADE_TEST_CONSUL"

const (
	attempts     = 5                // another process may take a free port before Consul does
	startTimeout = 30 * time.Second // of one attempt
	stopTimeout  = 10 * time.Second // then it is killed
	pollInterval = 20 * time.Millisecond
)

// Options say which Consul to run.
type Options struct {
	// Binary is the path of the Consul binary. Empty means the one that Find returns.
	Binary string
	// Server runs a real single server with its data in a temporary directory. Without it, `consul agent -dev` keeps everything in
	// memory and indents its JSON, so use Server to measure.
	Server bool
	// ManagementToken, a UUID, enables ACLs that deny everything by default, and is the token that may do everything.
	ManagementToken string
	// HTTPS also serves the HTTP API over TLS on another port: see Agent.AddrTLS. It requires a client certificate.
	HTTPS *Certificates
	// Config is additional configuration of Consul in HCL. It takes precedence over the other options.
	Config string
}

// Certificates are the PEM files of a server: the CA of its clients, its certificate and its key.
type Certificates struct{ CAFile, CertFile, KeyFile string }

// Agent is a running Consul.
type Agent struct {
	addr   string
	tls    string
	dir    string
	cmd    *exec.Cmd
	output *tail
	exited chan struct{} // closed when the process has ended
}

// Find returns the path of the Consul binary: the given one, else that of $UPGRADE_TEST_CONSUL, else `consul` in the PATH.
func Find(binary string) (string, error) {
	if binary == "" {
		binary = os.Getenv(BinaryEnv)
	}
	if binary == "" {
		binary = "consul"
	}
	path, err := exec.LookPath(binary)
	if err != nil {
		return "", fmt.Errorf("no Consul binary (give its path, set %s, or put it on the PATH): %w", BinaryEnv, err)
	}
	return filepath.Abs(path)
}

// Start runs a Consul and returns when it has a leader and answers. The context bounds the start only. Stop ends the process.
func Start(ctx context.Context, o Options) (*Agent, error) {
	binary, err := Find(o.Binary)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		a, err := start(ctx, binary, o)
		if err == nil {
			return a, nil
		}
		if attempt == attempts || ctx.Err() != nil || !errors.Is(err, errPortTaken) {
			return nil, fmt.Errorf("start %s: %w", binary, err)
		}
	}
}

// Addr is the address of the HTTP API, host:port.
func (a *Agent) Addr() string { return a.addr }

// AddrTLS is the address of the HTTP API over TLS, host:port. It is empty without Options.HTTPS.
func (a *Agent) AddrTLS() string { return a.tls }

// Stop ends the process and removes its files. Further calls do nothing.
func (a *Agent) Stop() error {
	_ = a.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-a.exited:
	case <-time.After(stopTimeout):
		_ = a.cmd.Process.Kill()
		<-a.exited
	}
	return os.RemoveAll(a.dir)
}

// Kill ends the process at once, like a crash. Call Stop as well.
func (a *Agent) Kill() {
	_ = a.cmd.Process.Kill()
	<-a.exited
}

var errPortTaken = errors.New("a port was taken meanwhile")

func start(ctx context.Context, binary string, o Options) (*Agent, error) {
	ports, err := freePorts(ctx, 4)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "upgrade-consul-")
	if err != nil {
		return nil, err
	}
	args := []string{"agent"}
	for i, text := range []string{o.config(filepath.Join(dir, "data"), ports), o.Config} {
		config := filepath.Join(dir, fmt.Sprintf("config%d.hcl", i))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		args = append(args, "-config-file", config)
	}
	if !o.Server {
		args = append(args, "-dev")
	}
	a := &Agent{
		addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), dir: dir,
		// The process outlives the context of the start.
		cmd: exec.CommandContext(context.WithoutCancel(ctx), binary, args...), output: &tail{}, exited: make(chan struct{}),
	}
	if o.HTTPS != nil {
		a.tls = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[3]))
	}
	a.cmd.Dir, a.cmd.Stdout, a.cmd.Stderr = dir, a.output, a.output
	a.cmd.Env = withoutConsul(os.Environ())
	if err := a.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		_ = a.cmd.Wait()
		close(a.exited)
	}()
	if err := a.ready(ctx, o.ManagementToken); err != nil {
		output := a.output.String()
		if strings.Contains(output, "address already in use") {
			err = errPortTaken
		}
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, output), a.Stop())
	}
	return a, nil
}

// config is the agent's configuration file. The management token is in it, and not on the command line, where other
// users of the machine could read it.
func (o Options) config(dataDir string, ports []int) string {
	var b strings.Builder
	https := -1
	if o.HTTPS != nil {
		https = ports[3]
	}
	fmt.Fprintf(&b, `
bind_addr = "127.0.0.1"
client_addr = "127.0.0.1"
disable_update_check = true
performance { raft_multiplier = 1 }
ports { http = %d  https = %d  server = %d  serf_lan = %d  serf_wan = -1  dns = -1  grpc = -1  grpc_tls = -1 }
`, ports[0], https, ports[1], ports[2])
	if o.Server {
		fmt.Fprintf(&b, "server = true\nbootstrap_expect = 1\ndata_dir = %q\n", dataDir)
	}
	if o.HTTPS != nil {
		fmt.Fprintf(&b, "tls { https { ca_file = %q  cert_file = %q  key_file = %q  verify_incoming = true } }\n",
			o.HTTPS.CAFile, o.HTTPS.CertFile, o.HTTPS.KeyFile)
	}
	if o.ManagementToken != "" {
		fmt.Fprintf(&b, `
acl {
  enabled = true
  default_policy = "deny"
  tokens { initial_management = %q  agent = %q }
}
`, o.ManagementToken, o.ManagementToken)
	}
	return b.String()
}

// ready waits until a consistent read succeeds: then there is a leader, and it knows the token.
func (a *Agent) ready(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(pollInterval)
	defer again.Stop()
	for {
		if a.answers(ctx, token) {
			return nil
		}
		select {
		case <-again.C:
		case <-a.exited:
			return fmt.Errorf("it ended by itself: %s", a.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no leader in time: %w", ctx.Err())
		}
	}
}

// answers reports whether the Consul serves reads and sessions. Consul refuses sessions until its own node is registered.
func (a *Agent) answers(ctx context.Context, token string) bool {
	missing, _ := a.get(ctx, "/v1/kv/ready?consistent", token)
	sessions, _ := a.get(ctx, "/v1/session/list", token)
	nodes, list := a.get(ctx, "/v1/catalog/nodes", token)
	return missing == http.StatusNotFound && sessions == http.StatusOK && nodes == http.StatusOK && bytes.Contains(list, []byte(`"Node"`))
}

// get returns the status and the body of a response. The status is 0 if there is none.
func (a *Agent) get(ctx context.Context, path, token string) (status int, body []byte) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.addr+path, nil)
	if err != nil {
		return 0, nil
	}
	request.Header.Set("X-Consul-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, body
}

// freePorts returns n unused ports. Another process may take them before Consul does.
func freePorts(ctx context.Context, n int) (ports []int, err error) {
	var held []io.Closer // closed together, so that no port is returned twice
	defer func() {
		for _, listener := range held {
			err = errors.Join(err, listener.Close())
		}
	}()
	for range n {
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, listener)
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// withoutConsul removes the variables that would change the configuration of the server.
func withoutConsul(env []string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, "CONSUL_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// tail keeps the end of the output of a process.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if over := len(t.data) - tailSize; over > 0 {
		t.data = bytes.Clone(t.data[over:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}
