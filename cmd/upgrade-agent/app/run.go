// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/checks"
	"github.com/jiocloud/upgrade-controller/controllers/agent/config"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

const stepHelp = `
The pipeline of the configuration file upgrades the host: a hook, facts, package sources, apt, Puppet, and validation
scripts, each if it is configured. Without a file the pipeline is puppet apply of ` + config.DefaultManifest + `.
With --exec, one program replaces the pipeline. Programs run without a shell, in a session of their own, in the directory
/, and inherit the variables of the agent, but for those that begin with CONSUL_. They also have:
  UPGRADE_VERSION        the version to reach
  UPGRADE_LOCAL_VERSION  the version that the host has; empty on its first boot
  UPGRADE_HOSTNAME       the host's name
  UPGRADE_ROLE           its role; empty if it has none
Exit code 0 means success (for Puppet, 2 does too). Programs must be idempotent: they run again for a change that was
interrupted or failed. They must not write the version file: the agent writes it after the last step. On a host that is
at its version, nothing runs.

The agent refuses a configuration, template, token, program or manifest that users other than root, its own user and those
of the field trust can change.`

// runOptions are the flags of run and once.
type runOptions struct {
	host             hostOptions
	config           string
	step             agent.Command
	interval, jitter time.Duration
	consul           consul.Config
	log              flags.Log
	stderr           io.Writer
	// changed reports whether a flag was set on the command line.
	changed func(name string) bool
	// logout ends the token of a login.
	logout func(context.Context) error
}

func newRun(stderr io.Writer) *cobra.Command {
	o := &runOptions{stderr: stderr}
	cmd := &cobra.Command{
		Use:   "run [--config FILE | --exec PATH [flags] [-- ARG...]]",
		Short: "Check the fleet's keys every interval, until stopped",
		Long: "Check the fleet's keys every interval, change the version when this host may, and report. SIGTERM or SIGHUP stops the\n" +
			"agent and its step. The next start resumes the change.\n" + stepHelp,
		Args:              cli.Args(argsAfterDash),
		ValidArgsFunction: flags.AnyFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	o.bind(cmd.Flags())
	cmd.Flags().DurationVar(&o.interval, "interval", time.Minute, "time between two checks of the keys")
	cmd.Flags().DurationVar(&o.jitter, "jitter", 15*time.Second, "longest random time added to each interval, to spread the hosts")
	return cmd
}

func newOnce(stderr io.Writer) *cobra.Command {
	o := &runOptions{stderr: stderr}
	cmd := &cobra.Command{
		Use:   "once [--config FILE | --exec PATH [flags] [-- ARG...]]",
		Short: "Check the fleet's keys once, and act",
		Long: "Check the fleet's keys once, change the version if this host may, and report. Exit with 0 if there was nothing to do\n" +
			"or it succeeded, and with 1 if the step failed or Consul is unavailable.\n" + stepHelp,
		Args:              cli.Args(argsAfterDash),
		ValidArgsFunction: flags.AnyFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.once(cmd.Context(), args) },
	}
	o.bind(cmd.Flags())
	return cmd
}

func argsAfterDash(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
		return fmt.Errorf("unexpected argument %q: arguments of --exec come after --", args[0])
	}
	return nil
}

func (o *runOptions) bind(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", "file of kind AgentConfig; flags take precedence")
	o.host.bindName(f, "")
	o.host.bindRole(f)
	o.host.bindVersionFile(f)
	f.Lookup("version-file").Usage += "; the agent keeps its state beside it"
	o.host.bindPrefix(f)
	f.StringVar(&o.host.layout.Records, "running-versions", keys.RunningVersions, "tree of the hosts' records")
	f.StringVar(&o.step.Path, "exec", "", "program that replaces the whole pipeline; its arguments come after --")
	f.DurationVar(&o.step.Timeout, "timeout", time.Hour, "timeout of the program of --exec; 0 means none")
	flags.BindConsul(f, &o.consul)
	flags.BindLogin(f, &o.consul.Login)
	o.log.Bind(f)
	o.changed = f.Changed
}

func (o *runOptions) run(ctx context.Context, args []string) error {
	if o.interval == 0 {
		return cli.FlagErrorf("--interval must be above 0")
	}
	p, err := o.start(args)
	if err != nil {
		return err
	}
	defer p.close(ctx)
	var renewal sync.WaitGroup
	if p.checks != nil {
		renewal.Go(func() { p.checks.Run(ctx, agent.SystemClock{}) })
	}
	p.agent.Run(ctx)
	renewal.Wait()
	return nil
}

func (o *runOptions) once(ctx context.Context, args []string) error {
	p, err := o.start(args)
	if err != nil {
		return err
	}
	defer p.close(ctx)
	_, err = p.agent.Once(ctx)
	if p.checks != nil && ctx.Err() == nil {
		err = errors.Join(err, p.checks.Renew(ctx))
	}
	return err
}

// process is an agent with the parts that the process needs besides.
type process struct {
	agent *agent.Agent
	// checks is nil if the configuration has none.
	checks *checks.Reporter
	lock   *os.File
	// restoreLog ends the redirection of the standard logger.
	restoreLog func()
	// logout ends the token of a login.
	logout func(context.Context) error
}

func (p process) close(ctx context.Context) {
	_ = p.lock.Close()
	_ = p.logout(context.WithoutCancel(ctx)) // a token that stays ends by itself
	p.restoreLog()
}

// start builds the agent. It holds a lock until close: two agents on a host would run the step twice.
func (o *runOptions) start(args []string) (p process, err error) {
	file, err := o.complete(args)
	if err != nil {
		return p, err
	}
	log, err := o.log.Logger(o.stderr)
	if err != nil {
		return p, cli.FlagError(err)
	}
	if p.agent, p.checks, err = o.build(file, log); err != nil {
		return p, err
	}
	if p.lock, err = lockFile(o.host.versionFile + ".lock"); err != nil {
		return p, err
	}
	p.restoreLog, p.logout = flags.RedirectStandardLog(log), o.logout
	return p, nil
}

func (o *runOptions) build(file config.Config, log logr.Logger) (*agent.Agent, *checks.Reporter, error) {
	random, err := newRandom()
	if err != nil {
		return nil, nil, err
	}
	owners := file.Trust.Owners()
	if err := o.checkFiles(owners); err != nil {
		return nil, nil, err
	}
	o.warn(log)
	o.consul.Stale, o.consul.ReadFile = true, o.readFile(owners, log)
	s, err := consul.New(o.consul)
	if err != nil {
		return nil, nil, err
	}
	o.logout = s.Logout
	b := builder{file: file, statePath: o.host.versionFile, store: s, output: o.stderr, log: log, owners: owners}
	reporter := b.reporter()
	o.step.Trust = owners
	steps, step := []pipeline.Step{{Name: "--exec", Run: o.step.Run, Check: o.step.Check}}, o.step.Run
	if o.step.Path == "" {
		if steps, err = b.steps(); err != nil {
			return nil, nil, err
		}
		step = b.pipeline(steps, reporter)
	}
	defined, err := b.commands()
	if err != nil {
		return nil, nil, err
	}
	b.warn(steps, defined)
	a, err := agent.New(agent.Options{
		Host: o.host.name, Role: o.host.role, Layout: o.host.layout, Store: s, Version: agent.File(o.host.versionFile),
		Step: b.inhibiting(step), Command: defined.Run, Spool: b.spool(), Memory: memory(o.host.versionFile),
		Machine: agent.SystemMachineID, AgentVersion: version(), Clock: agent.SystemClock{}, Random: random.Float64,
		Interval: o.interval, Jitter: o.jitter, Log: log,
	})
	return a, reporter, err
}

// complete reads the file, fills in defaults and checks the values.
func (o *runOptions) complete(args []string) (config.Config, error) {
	file := config.Default()
	if o.config != "" {
		var err error
		if file, err = config.Load(o.config); err != nil {
			return file, cli.Usage(fmt.Errorf("--config: %w", err))
		}
		o.fill(file)
	}
	if err := o.host.complete(); err != nil {
		return file, err
	}
	switch {
	case o.host.layout.Records == "":
		return file, cli.FlagErrorf("--running-versions must not be empty")
	case o.step.Timeout < 0 || o.jitter < 0 || o.interval < 0:
		return file, cli.FlagErrorf("--timeout, --interval and --jitter must not be negative")
	}
	return file, o.completeStep(args)
}

func (o *runOptions) completeStep(args []string) error {
	if o.step.Path == "" {
		if len(args) > 0 {
			return cli.FlagErrorf("arguments after -- need --exec")
		}
		return nil
	}
	path, err := exec.LookPath(o.step.Path)
	if err != nil {
		return cli.FlagErrorf("--exec: %w", err)
	}
	if o.step.Path, err = filepath.Abs(path); err != nil { // it runs in another directory
		return err
	}
	o.step.Args, o.step.Output = args, o.stderr
	return nil
}

// fill takes from the file the values that no flag sets.
func (o *runOptions) fill(file config.Config) {
	for _, text := range []struct {
		flag  string
		field *string
		value string
	}{
		{"hostname", &o.host.name, file.Hostname}, {"role", &o.host.role, file.Role},
		{"version-file", &o.host.versionFile, file.VersionFile},
		{"prefix", &o.host.layout.Prefix, file.Prefix}, {"running-versions", &o.host.layout.Records, file.RunningVersions},
		{"http-addr", &o.consul.Address, file.Consul.Address}, {"ca-file", &o.consul.CAFile, file.Consul.CAFile},
		{"client-cert", &o.consul.ClientCert, file.Consul.ClientCert}, {"client-key", &o.consul.ClientKey, file.Consul.ClientKey},
		{"datacenter", &o.consul.Datacenter, file.Consul.Datacenter}, {"namespace", &o.consul.Namespace, file.Consul.Namespace},
	} {
		if !o.changed(text.flag) && text.value != "" {
			*text.field = text.value
		}
	}
	if o.consul.Token == "" && o.consul.TokenFile == "" { // a login would take precedence over them
		o.consul.TokenFile = file.Consul.TokenFile
		o.consul.Login.AuthMethod = cmp.Or(o.consul.Login.AuthMethod, file.Consul.Login.AuthMethod)
	}
	o.consul.Login.BearerTokenFile = cmp.Or(o.consul.Login.BearerTokenFile, file.Consul.Login.BearerTokenFile)
	if !o.changed("interval") {
		o.interval = file.Interval.Or(o.interval)
	}
	if !o.changed("jitter") {
		o.jitter = file.Jitter.Or(o.jitter)
	}
}

// secretFiles returns the paths of the files with the token and the JWT for a login.
func (o *runOptions) secretFiles() []string {
	var paths []string
	if path := cmp.Or(o.consul.TokenFile, os.Getenv("CONSUL_HTTP_TOKEN_FILE")); path != "" {
		paths = append(paths, path)
	}
	if o.consul.Login.AuthMethod != "" {
		paths = append(paths, cmp.Or(o.consul.Login.BearerTokenFile, consul.DefaultBearerTokenFile))
	}
	return paths
}

// checkFiles refuses a version file, a directory of the agent's state and a secret that untrusted users can change. The owners are
// those of the configuration: they may change the secrets alone.
func (o *runOptions) checkFiles(owners trust.Owners) error {
	state := trust.Owners{}
	problems := []error{state.CheckDirectory(filepath.Dir(o.host.versionFile)), state.Check(o.host.versionFile)}
	for _, path := range o.secretFiles() {
		problems = append(problems, owners.Check(path))
	}
	for _, err := range problems {
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the reader of the file reports that
			return err
		}
	}
	return nil
}

// warn logs secrets that every user can read.
func (o *runOptions) warn(log logr.Logger) {
	for _, path := range o.secretFiles() {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o004 != 0 {
			log.Info("every user can read the token of this host; fix it with: chmod o-r "+path, "file", path)
		}
	}
}

// readFile returns how the files for the connection to Consul are read, each time. Secrets that untrusted users can change are
// refused. Of certificates that is only logged: they often belong to the user of Consul's own agent, which could answer in place of
// Consul anyway.
func (o *runOptions) readFile(owners trust.Owners, log logr.Logger) func(string) ([]byte, error) {
	secrets := o.secretFiles()
	var logged sync.Map // problems, each of which is logged once
	return func(path string) ([]byte, error) {
		data, err := owners.ReadFile(path)
		if _, untrusted := errors.AsType[*trust.Error](err); !untrusted {
			return data, err
		}
		_, known := logged.LoadOrStore(err.Error(), true)
		switch secret := slices.Contains(secrets, path); {
		case secret && !known:
			log.Error(err, "refusing to read a token that others can change")
			fallthrough
		case secret:
			return nil, err
		case !known:
			log.Info("another user can change the connection to Consul: " + err.Error())
		}
		return os.ReadFile(path)
	}
}

// newRandom returns a generator with a random seed, so that hosts that boot at the same moment differ.
func newRandom() (*rand.Rand, error) {
	var seed [32]byte
	if _, err := cryptorand.Read(seed[:]); err != nil {
		return nil, err
	}
	return rand.New(rand.NewChaCha8(seed)), nil
}
