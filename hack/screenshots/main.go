// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: screenshots BINARIES PLAN IMAGES")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1], os.Args[2], os.Args[3])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run starts everything that a rollout needs, takes the pictures, and stops it.
func run(ctx context.Context, binaries, plan, images string) (err error) {
	server, err := consuldev.Start(ctx, consuldev.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	s, err := consul.New(consul.Config{Address: server.Addr()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wait, err := startFleet(ctx, s)
	if err != nil {
		return err
	}
	defer func() { cancel(); wait() }()
	if err := awaitReports(ctx, s); err != nil {
		return err
	}
	p := programs{folder: binaries, consul: server.Addr()}
	for _, args := range [][]string{
		{"hold", "host/web12", "--owner", "alice", "--reason", "is being debugged"},
		{"apply", "-f", plan},
	} {
		if out, err := p.command(ctx, "upgradectl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("upgradectl %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	ctx, dashboard, stop, err := p.controller(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := take(ctx, s, p, dashboard, images); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// take waits for the moments to show, and takes the pictures.
func take(ctx context.Context, s store.Store, p programs, dashboard, images string) error {
	if err := awaitUpgraded(ctx, s, recordFrom); err != nil {
		return err
	}
	frames, err := record(ctx, p.command(ctx, "upgradectl", "top", "plan", planName))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(images, "top.svg"), animate(frames), 0o644); err != nil {
		return err
	}
	if err := awaitUpgraded(ctx, s, pictureFrom); err != nil {
		return err
	}
	return photograph(ctx, dashboard+"/plans/"+planName, images)
}

// programs are the binaries in a folder, which all use one Consul.
type programs struct{ folder, consul string }

// command is interrupted when the context ends, and killed if it does not exit.
func (p programs) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.folder, name), args...)
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+p.consul)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// controller starts the daemon. The function stop ends it. The context ends with the daemon, and its cause says why.
func (p programs) controller(ctx context.Context) (running context.Context, dashboard string, stop func(), err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	cmd := p.command(ctx, "upgrade-controller", "--dashboard-bind-address", address, "--health-probe-bind-address", "0",
		"--metrics-bind-address", "0", "--min-gap", "500ms")
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		cancel(err)
		return nil, "", nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its state says how it ended
		cancel(fmt.Errorf("upgrade-controller ended by itself: %s\n%s", cmd.ProcessState, &log))
	}()
	return ctx, "http://" + address, func() { cancel(nil); <-ended }, nil
}

// freeAddress returns a loopback address that is not in use.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
