// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// options are the flags.
type options struct {
	host, role, versionFile string
	layout                  keys.Layout
	step                    agent.Command
	interval, jitter        time.Duration
	consul                  consul.Config
	log                     flags.Log
	stderr                  io.Writer
}

func newOptions(stderr io.Writer) *options { return &options{stderr: stderr} }

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.host, "hostname", "", "name of this host in the keys (default: the whole host name, as jorc has it)")
	f.StringVar(&o.role, "role", "", "role of this host (default: the letters before the first digits of its name)")
	f.StringVar(&o.versionFile, "version-file", "/etc/current_version", "file with the version that this host has")
	f.StringVar(&o.layout.Prefix, "prefix", "", "what stands before the fleet's keys: spec.keys.prefix of the plan")
	f.StringVar(&o.layout.Records, "running-versions", keys.RunningVersions, "tree in which hosts record their version")
	f.StringVar(&o.step.Path, "exec", "", "the upgrade step: a program; its arguments come after --. Only a change of the "+
		"version runs it (required)")
	f.DurationVar(&o.step.Timeout, "timeout", time.Hour, "how long the upgrade step may take; 0: without bound")
	flags.BindConsul(f, &o.consul)
	o.log.Bind(f)
}

func (o *options) bindLoop(f *pflag.FlagSet) {
	f.DurationVar(&o.interval, "interval", time.Minute, "time between two looks")
	f.DurationVar(&o.jitter, "jitter", 15*time.Second, "up to so much is added to each wait, so that hosts spread")
}

// complete fills in what was not given and says what is wrong.
func (o *options) complete(args []string) error {
	if o.host == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the host name cannot be read (--hostname sets it): %w", err)
		}
		o.host = name
	}
	if o.step.Path == "" {
		return usageError{errors.New("--exec is required: the program that brings this host to a version")}
	}
	path, err := exec.LookPath(o.step.Path)
	if err != nil {
		return usageError{fmt.Errorf("--exec: %w", err)}
	}
	o.step.Path, o.step.Args, o.step.Output = path, args, o.stderr
	switch {
	case o.layout.Prefix != "" && !keys.ValidPath(o.layout.Prefix):
		return usageError{fmt.Errorf("--prefix %q: must be names joined by single slashes, without one at its ends",
			o.layout.Prefix)}
	case !keys.ValidPath(o.layout.Records):
		return usageError{fmt.Errorf("--running-versions %q: must be names joined by single slashes, without one at its ends",
			o.layout.Records)}
	case o.step.Timeout < 0 || o.jitter < 0 || o.interval < 0:
		return usageError{errors.New("--timeout, --interval and --jitter must not be negative")}
	}
	return nil
}

// start makes the agent. It holds a lock until close is called: two agents of one host would run the step twice.
func (o *options) start(args []string) (a *agent.Agent, closeAll func(), err error) {
	if err := o.complete(args); err != nil {
		return nil, nil, err
	}
	log, err := o.log.Logger(o.stderr)
	if err != nil {
		return nil, nil, usageError{err}
	}
	o.consul.Stale = true
	random, err := newRandom()
	if err != nil {
		return nil, nil, err
	}
	s, err := consul.New(o.consul)
	if err != nil {
		return nil, nil, err
	}
	a, err = agent.New(agent.Options{
		Host: o.host, Role: o.role, Layout: o.layout, Store: s, Version: agent.File(o.versionFile), Step: o.step.Run,
		Clock: agent.SystemClock{}, Random: random.Float64, Interval: o.interval, Jitter: o.jitter, Log: log,
	})
	if err != nil {
		return nil, nil, usageError{err}
	}
	lock, err := lockFile(o.versionFile + ".lock")
	if err != nil {
		return nil, nil, err
	}
	return a, func() { _ = lock.Close() }, nil
}

// newRandom is seeded so that hosts that boot at one moment differ.
func newRandom() (*rand.Rand, error) {
	var seed [32]byte
	if _, err := cryptorand.Read(seed[:]); err != nil {
		return nil, err
	}
	return rand.New(rand.NewChaCha8(seed)), nil
}

func (o *options) run(ctx context.Context, args []string) error {
	if o.interval == 0 {
		return usageError{errors.New("--interval must be above 0")}
	}
	a, closeAll, err := o.start(args)
	if err != nil {
		return err
	}
	defer closeAll()
	a.Run(ctx)
	return nil
}

func (o *options) once(ctx context.Context, args []string) error {
	a, closeAll, err := o.start(args)
	if err != nil {
		return err
	}
	defer closeAll()
	_, err = a.Once(ctx)
	return err
}

// lockFile takes a lock that ends with the process. It does not wait.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("another upgrade-agent is at work on this host: it holds %s", path)
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
