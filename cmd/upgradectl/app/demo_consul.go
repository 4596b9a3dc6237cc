// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
)

// onConsul runs the demo on a Consul of its own.
func (d *demo) onConsul(ctx context.Context) (err error) {
	binary, err := agentBinary()
	if err != nil {
		return err
	}
	fmt.Fprintln(d.Err, "Starting a Consul …")
	server, err := consuldev.Start(ctx, consuldev.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if d.store, err = consul.New(consul.Config{Address: server.Addr()}); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "upgradectl-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(d.Err, "Consul answers at http://%s while the demo runs.\n", server.Addr())
	return d.run(ctx, func(ctx context.Context) (func(), error) {
		return startProcesses(ctx, binary, server.Addr(), dir)
	})
}

// agentBinary is the upgrade-agent beside this program, else the one on the PATH.
func agentBinary() (string, error) {
	const name = "upgrade-agent"
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), name); isFile(beside) {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("the demo with a real Consul runs %s: build it beside upgradectl (make build): %w", name, err)
	}
	return path, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// startProcesses runs an upgrade-agent for each host. They are interrupted when the context ends.
func startProcesses(ctx context.Context, binary, addr, dir string) (func(), error) {
	var group sync.WaitGroup
	for i, host := range demoHosts() {
		file := filepath.Join(dir, host)
		if err := os.WriteFile(file, []byte(demoFrom+"\n"), 0o600); err != nil {
			return nil, err
		}
		seconds := demoStep/2 + demoStep*time.Duration(i%5)/4
		cmd := exec.CommandContext(ctx, binary, "run", "--http-addr", addr, "--hostname", host, "--version-file", file,
			"--interval", demoPoll.String(), "--jitter", demoPoll.String(),
			"--exec", "sleep", "--", strconv.FormatFloat(seconds.Seconds(), 'f', 3, 64))
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 5 * time.Second
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the keyboard is for this process alone
		if err := cmd.Start(); err != nil {
			return group.Wait, err
		}
		group.Go(func() { _ = cmd.Wait() }) // it was told to end
	}
	return group.Wait, nil
}
