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
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/checks"
	"github.com/jiocloud/upgrade-controller/controllers/agent/config"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// options are the flags.
type options struct {
	config                  string
	host, role, versionFile string
	layout                  keys.Layout
	step                    agent.Command
	interval, jitter        time.Duration
	consul                  consul.Config
	log                     flags.Log
	stderr                  io.Writer
	// changed says whether a flag was given.
	changed func(name string) bool
}

func newOptions(stderr io.Writer) *options { return &options{stderr: stderr} }

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", "file of kind AgentConfig; what a flag says goes before it")
	f.StringVar(&o.host, "hostname", "", "name of this host in the keys (default: the whole host name, as jorc has it)")
	f.StringVar(&o.role, "role", "", "role of this host (default: the letters before the first digits of its name)")
	f.StringVar(&o.versionFile, "version-file", "/etc/current_version", "file with the version that this host has; the "+
		"agent's journal and other state stand beside it")
	f.StringVar(&o.layout.Prefix, "prefix", "", "what stands before the fleet's keys: spec.keys.prefix of the plan")
	f.StringVar(&o.layout.Records, "running-versions", keys.RunningVersions, "tree in which hosts record their version")
	f.StringVar(&o.step.Path, "exec", "", "the whole upgrade: a program, in the place of the pipeline; its arguments come "+
		"after --. Only a change of the version runs it")
	f.DurationVar(&o.step.Timeout, "timeout", time.Hour, "how long the program of --exec may take; 0: without bound")
	flags.BindConsul(f, &o.consul)
	o.log.Bind(f)
	o.changed = f.Changed
}

func (o *options) bindLoop(f *pflag.FlagSet) {
	f.DurationVar(&o.interval, "interval", time.Minute, "time between two looks")
	f.DurationVar(&o.jitter, "jitter", 15*time.Second, "up to so much is added to each wait, so that hosts spread")
}

// complete reads the file, fills in what was not given and says what is wrong.
func (o *options) complete(args []string) (config.Config, error) {
	file := config.Default()
	if o.config != "" {
		var err error
		if file, err = config.Load(o.config); err != nil {
			return file, usageError{fmt.Errorf("--config: %w", err)}
		}
		o.fill(file)
	}
	if o.host == "" {
		name, err := os.Hostname()
		if err != nil {
			return file, fmt.Errorf("the host name cannot be read (--hostname sets it): %w", err)
		}
		o.host = name
	}
	switch {
	case o.layout.Prefix != "" && !keys.ValidPath(o.layout.Prefix):
		return file, usageError{fmt.Errorf("--prefix %q: must be names joined by single slashes, without one at its ends",
			o.layout.Prefix)}
	case !keys.ValidPath(o.layout.Records):
		return file, usageError{fmt.Errorf("--running-versions %q: must be names joined by single slashes, without one at its ends",
			o.layout.Records)}
	case o.step.Timeout < 0 || o.jitter < 0 || o.interval < 0:
		return file, usageError{errors.New("--timeout, --interval and --jitter must not be negative")}
	}
	return file, o.completeStep(args)
}

func (o *options) completeStep(args []string) error {
	if o.step.Path == "" {
		if len(args) > 0 {
			return usageError{errors.New("arguments after -- are those of --exec, which is not given")}
		}
		return nil
	}
	path, err := exec.LookPath(o.step.Path)
	if err != nil {
		return usageError{fmt.Errorf("--exec: %w", err)}
	}
	o.step.Path, o.step.Args, o.step.Output = path, args, o.stderr
	return nil
}

// fill takes from the file what no flag says.
func (o *options) fill(file config.Config) {
	for _, text := range []struct {
		flag  string
		field *string
		value string
	}{
		{"hostname", &o.host, file.Hostname}, {"role", &o.role, file.Role}, {"version-file", &o.versionFile, file.VersionFile},
		{"prefix", &o.layout.Prefix, file.Prefix}, {"running-versions", &o.layout.Records, file.RunningVersions},
		{"http-addr", &o.consul.Address, file.Consul.Address}, {"ca-file", &o.consul.CAFile, file.Consul.CAFile},
		{"client-cert", &o.consul.ClientCert, file.Consul.ClientCert}, {"client-key", &o.consul.ClientKey, file.Consul.ClientKey},
		{"datacenter", &o.consul.Datacenter, file.Consul.Datacenter}, {"namespace", &o.consul.Namespace, file.Consul.Namespace},
	} {
		if !o.changed(text.flag) && text.value != "" {
			*text.field = text.value
		}
	}
	if o.consul.Token == "" && o.consul.TokenFile == "" {
		o.consul.TokenFile = file.Consul.TokenFile
	}
	if !o.changed("interval") {
		o.interval = file.Interval.Or(o.interval)
	}
	if !o.changed("jitter") {
		o.jitter = file.Jitter.Or(o.jitter)
	}
}

// running is an agent that was made, and what is at work beside it.
type running struct {
	agent *agent.Agent
	// board is nil when no checks are kept.
	board *checks.Reporter
	lock  *os.File
}

func (r running) close() { _ = r.lock.Close() }

// start makes the agent. It holds a lock until it is closed: two agents of one host would run the step twice.
func (o *options) start(args []string) (r running, err error) {
	file, err := o.complete(args)
	if err != nil {
		return r, err
	}
	log, err := o.log.Logger(o.stderr)
	if err != nil {
		return r, usageError{err}
	}
	o.consul.Stale = true
	random, err := newRandom()
	if err != nil {
		return r, err
	}
	s, err := consul.New(o.consul)
	if err != nil {
		return r, err
	}
	b := builder{file: file, state: o.versionFile, store: s, output: o.stderr, log: log}
	r.board = b.board()
	step := o.step.Run
	if o.step.Path == "" {
		if step, err = b.pipeline(r.board); err != nil {
			return r, err
		}
	}
	defined, err := b.commands()
	if err != nil {
		return r, err
	}
	r.agent, err = agent.New(agent.Options{
		Host: o.host, Role: o.role, Layout: o.layout, Store: s, Version: agent.File(o.versionFile), Step: b.inhibiting(step),
		Command: defined.Run, Spool: b.spool(), Clock: agent.SystemClock{}, Random: random.Float64, Interval: o.interval,
		Jitter: o.jitter, Log: log,
	})
	if err != nil {
		return r, usageError{err}
	}
	r.lock, err = lockFile(o.versionFile + ".lock")
	return r, err
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
	r, err := o.start(args)
	if err != nil {
		return err
	}
	defer r.close()
	var beside sync.WaitGroup
	if r.board != nil {
		beside.Go(func() { r.board.Run(ctx, agent.SystemClock{}) })
	}
	r.agent.Run(ctx)
	beside.Wait()
	return nil
}

func (o *options) once(ctx context.Context, args []string) error {
	r, err := o.start(args)
	if err != nil {
		return err
	}
	defer r.close()
	_, err = r.agent.Once(ctx)
	if r.board != nil && ctx.Err() == nil {
		err = errors.Join(err, r.board.Renew(ctx))
	}
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
