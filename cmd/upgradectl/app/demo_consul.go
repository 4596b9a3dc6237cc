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

// demoOnConsul runs the demo on a Consul of its own, with a process for each agent.
func demoOnConsul(ctx context.Context, f *factory) (err error) {
	binary, err := agentBinary()
	if err != nil {
		return err
	}
	f.say("Starting a Consul …")
	server, err := consuldev.Start(ctx, consuldev.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	s, err := consul.New(consul.Config{Address: server.Addr()})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "upgradectl-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f.say("Consul answers at http://%s while the demo runs.", server.Addr())
	return newDemo(f, s).run(ctx, func(ctx context.Context) (func(), error) {
		return startProcesses(ctx, binary, server.Addr(), dir)
	})
}

// agentBinary returns the path of the upgrade-agent beside this program, else the one on the PATH.
func agentBinary() (string, error) {
	const name = "upgrade-agent"
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), name); isFile(beside) {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("demo --consul needs %s: build it beside upgradectl (make build): %w", name, err)
	}
	return path, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// startProcesses runs an upgrade-agent for each host, and stops them when the context ends. The function it returns waits for
// their end.
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
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the keyboard must reach this process only
		if err := cmd.Start(); err != nil {
			return group.Wait, err
		}
		group.Go(func() { _ = cmd.Wait() }) // it ends by the signal
	}
	return group.Wait, nil
}
