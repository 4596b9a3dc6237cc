// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consuldev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cluster is several servers of one Consul, on addresses of the loopback range. Each may be killed and started again.
type Cluster struct {
	binary  string
	dir     string
	servers []*member
}

// member is a server of a cluster.
type member struct {
	bind, http, rpc string // rpc is what the leader is known by
	config          string
	cmd             *exec.Cmd
	exited          chan struct{}
}

// StartCluster runs n servers and returns when they have a leader. Binary is as in Options.
func StartCluster(ctx context.Context, binary string, n int) (*Cluster, error) {
	binary, err := Find(binary)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "upgrade-consul-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{binary: binary, dir: dir}
	if err := c.configure(ctx, n); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	for i := range n {
		if err := c.Restart(ctx, i); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	if _, err := c.Leader(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) configure(ctx context.Context, n int) error {
	ports, err := freePorts(ctx, 3*n)
	if err != nil {
		return err
	}
	join := make([]string, n)
	for i := range n {
		join[i] = strconv.Quote(fmt.Sprintf("127.0.0.%d:%d", i+1, ports[3*i+2]))
	}
	for i := range n {
		p := ports[3*i : 3*i+3]
		m := &member{bind: fmt.Sprintf("127.0.0.%d", i+1), http: net.JoinHostPort("127.0.0.1", strconv.Itoa(p[0])),
			config: filepath.Join(c.dir, fmt.Sprintf("server%d.hcl", i))}
		m.rpc = net.JoinHostPort(m.bind, strconv.Itoa(p[1]))
		text := fmt.Sprintf(`
node_name = "server%d"
server = true
bootstrap_expect = %d
data_dir = %q
bind_addr = %q
client_addr = "127.0.0.1"
retry_join = [%s]
retry_interval = "1s"
disable_update_check = true
leave_on_terminate = false
performance { raft_multiplier = 1 }
ports { http = %d  server = %d  serf_lan = %d  serf_wan = -1  dns = -1  grpc = -1  grpc_tls = -1 }
`, i, n, filepath.Join(c.dir, "data"+strconv.Itoa(i)), m.bind, strings.Join(join, ", "), p[0], p[1], p[2])
		if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
			return err
		}
		c.servers = append(c.servers, m)
	}
	return nil
}

// Addrs are the addresses of the servers' HTTP APIs, host:port. They stay the same over a restart.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.servers))
	for i, m := range c.servers {
		addrs[i] = m.http
	}
	return addrs
}

// Restart runs a server that does not run. It does not wait until it serves.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	m := c.servers[i]
	m.cmd = exec.CommandContext(context.WithoutCancel(ctx), c.binary, "agent", "-config-file", m.config)
	m.cmd.Dir, m.cmd.Env = c.dir, withoutConsul(os.Environ())
	exited := make(chan struct{})
	if err := m.cmd.Start(); err != nil {
		return err
	}
	m.exited = exited
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(exited)
	}(m.cmd)
	return nil
}

// Kill ends a server at once, as a crash does.
func (c *Cluster) Kill(i int) {
	_ = c.servers[i].cmd.Process.Kill()
	<-c.servers[i].exited
}

// Leader is the number of the server that leads. It waits until there is one.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(pollInterval)
	defer again.Stop()
	for {
		for i := range c.servers {
			if known := c.leaderBy(ctx, i); known >= 0 {
				return known, nil
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("no leader in time: %w", ctx.Err())
		}
	}
}

// leaderBy is who leads as a server knows it, if that one serves; else -1.
func (c *Cluster) leaderBy(ctx context.Context, asked int) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.servers[asked].http+"/v1/status/leader", nil)
	if err != nil {
		return -1
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return -1
	}
	var leader string
	err = json.NewDecoder(response.Body).Decode(&leader)
	_ = response.Body.Close()
	for i, m := range c.servers {
		probe := Agent{addr: m.http}
		if err == nil && m.rpc == leader && probe.answers(ctx, "") {
			return i
		}
	}
	return -1
}

// Stop ends all servers and removes what they left. It may be called again.
func (c *Cluster) Stop() error {
	for _, m := range c.servers {
		if m.cmd != nil && m.exited != nil {
			_ = m.cmd.Process.Signal(syscall.SIGKILL)
			<-m.exited
		}
	}
	return os.RemoveAll(c.dir)
}
