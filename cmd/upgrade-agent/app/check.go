// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/findings"
	"github.com/jiocloud/upgrade-controller/config"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	agentconfig "github.com/jiocloud/upgrade-controller/controllers/agent/config"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// checkOptions are the flags of check.
type checkOptions struct {
	runOptions
	strict bool
	format *cli.Choice
}

func newCheck(stderr io.Writer) *cobra.Command {
	o := &checkOptions{runOptions: runOptions{stderr: stderr}}
	cmd := &cobra.Command{
		Use:   "check [--config FILE | --exec PATH [flags] [-- ARG...]]",
		Short: "Check the configuration, files, steps and token of this agent, and the connection to Consul",
		Long: "Check the configuration, who can change the files of the agent, whether its programs exist, its version file, the\n" +
			"connection to Consul, and what its token may do. Give the flags that the agent has, and run it as the user of the agent.\n" +
			"The command runs no step and writes nothing.\n\n" +
			"Levels: ok, unknown (it could not be read), warning, problem. Exit codes: 0 no problem, 1 a problem, and with --strict\n" +
			"also a warning, 2 wrong usage.",
		Args: cli.Args(argsAfterDash),
		RunE: func(cmd *cobra.Command, args []string) error {
			result := findings.New(o.check(cmd.Context(), args))
			if err := result.Print(cmd.OutOrStdout(), stderr, o.format.Value); err != nil {
				return err
			}
			return result.Err(o.strict)
		},
	}
	o.bind(cmd.Flags())
	cmd.Flags().BoolVar(&o.strict, "strict", false, "exit with 1 also for warnings")
	o.format = cli.BindOutput(cmd.Flags(), findings.Text, cli.JSON, cli.YAML)
	return cmd
}

// check makes all checks. Without a configuration that can be read, it makes no other one.
func (o *checkOptions) check(ctx context.Context, args []string) []diagnose.Finding {
	var f diagnose.Findings
	file, err := o.complete(args)
	if err != nil {
		f.Add(diagnose.Problem, "configuration", "correct the configuration or the flags", "%v", err)
		return f
	}
	f.Add(diagnose.OK, "configuration", "", "%s of the host %s, role %s", cmp.Or(o.config, "no configuration file"), o.host.name,
		cmp.Or(o.host.role, "none"))
	if o.host.role == "" {
		f.Add(diagnose.Warning, "configuration", "set role",
			"the host has no role, and is never granted unless spec.hosts.rolePattern gives it one")
	}
	owners := file.Trust.Owners()
	o.files(&f, owners)
	o.steps(&f, file, owners)
	o.version(&f)
	o.consulAndToken(ctx, &f, file, owners)
	return f
}

// files checks who can change the files of the agent.
func (o *checkOptions) files(f *diagnose.Findings, owners trust.Owners) {
	before := len(*f)
	if err := o.checkFiles(owners); err != nil {
		f.Add(diagnose.Problem, "files", "", "%v", err)
	}
	for _, path := range o.secretFiles() {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			f.Add(diagnose.Problem, "files", "create the token of this host there", "%v", err)
		case info.Mode()&0o004 != 0:
			f.Add(diagnose.Warning, "files", "chmod o-r "+path, "every user can read the token of this host: %s", path)
		}
	}
	directory := filepath.Dir(o.host.versionFile)
	if info, err := os.Stat(directory); err != nil || !info.IsDir() {
		f.Add(diagnose.Problem, "files", "create the directory, owned by the user of the agent",
			"%s, the directory of the version file, is missing", directory)
	}
	if len(*f) == before {
		f.Add(diagnose.OK, "files", "", "no other user can change the configuration, the token and the version file")
	}
}

// steps checks whether the programs of the steps and commands exist, and who can change them. An earlier step may install what is
// missing.
func (o *checkOptions) steps(f *diagnose.Findings, file agentconfig.Config, owners trust.Owners) {
	before := len(*f)
	o.step.Trust = owners
	b := builder{file: file, statePath: o.host.versionFile, output: io.Discard, log: logr.Discard(), owners: owners}
	steps := []pipeline.Step{{Name: "--exec", Check: o.step.Check}}
	if o.step.Path == "" {
		var err error
		if steps, err = b.steps(); err != nil {
			f.Add(diagnose.Problem, "steps", "correct the configuration", "%v", err)
			return
		}
	}
	add := func(kind, name string, err error) {
		_, untrusted := errors.AsType[*trust.Error](err)
		switch {
		case err == nil:
		case untrusted:
			f.Add(diagnose.Problem, "steps", "", "%s %s: %v", kind, name, err)
		case errors.Is(err, fs.ErrNotExist):
			f.Add(diagnose.Warning, "steps", "install it, unless an earlier step does", "%s %s: %v", kind, name, err)
		default:
			f.Add(diagnose.Problem, "steps", "make it executable, or correct its path", "%s %s: %v", kind, name, err)
		}
	}
	var names []string
	for _, step := range steps {
		names = append(names, step.Name)
		if step.Check != nil {
			add("step", step.Name, step.Check())
		}
	}
	defined, err := b.commands()
	if err != nil {
		f.Add(diagnose.Problem, "steps", "correct the configuration", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(defined.Defined)) {
		add("command", name, defined.Defined[name].Check())
	}
	if len(*f) == before {
		f.Add(diagnose.OK, "steps", "", "%s", strings.Join(names, ", "))
	}
}

// version checks the version file and the id of the machine.
func (o *checkOptions) version(f *diagnose.Findings) {
	version, err := agent.File(o.host.versionFile).Version()
	switch {
	case err != nil:
		f.Add(diagnose.Problem, "version", "", "%v", err)
	case version == "":
		f.Add(diagnose.OK, "version", "", "%s is missing: the host has no version yet", o.host.versionFile)
	default:
		f.Add(diagnose.OK, "version", "", "the host has %s", version)
	}
	if id, err := agent.SystemMachineID.ID(); err != nil || id == "" {
		f.Add(diagnose.Warning, "version", "run systemd-machine-id-setup",
			"the machine has no id: another one of the same name is not noticed")
	}
}

// consulAndToken checks the connection to Consul and the rights of the token.
func (o *checkOptions) consulAndToken(ctx context.Context, f *diagnose.Findings, file agentconfig.Config, owners trust.Owners) {
	o.consul.ReadFile = o.readFile(owners, logr.Discard())
	s, err := consul.New(o.consul)
	if err != nil {
		f.Add(diagnose.Problem, "consul", "correct the connection to Consul", "%v", err)
		return
	}
	defer func() { _ = s.Logout(context.WithoutCancel(ctx)) }() // a token that stays ends by itself
	c := diagnose.ReadConsul(ctx, s, s.Address(), time.Now)
	found, answers := diagnose.CheckConsul(&c)
	for _, finding := range found {
		if finding.Level != diagnose.Unknown { // an agent needs to read neither the version of Consul nor its limits
			*f = append(*f, finding)
		}
	}
	if !answers {
		return
	}
	policy := config.Policy("agent")
	if records := o.host.layout.Records; records != keys.RunningVersions {
		policy = strings.ReplaceAll(policy, `"`+keys.RunningVersions+`/"`, `"`+records+`/"`)
	}
	rules := diagnose.Rules(policy, diagnose.Subject{Host: o.host.name, Prefix: o.host.layout.Prefix})
	for i := range rules {
		if rules[i].Access.Resource == "node" && file.Checks != nil {
			rules[i].Optional = false
		}
	}
	finding, _ := diagnose.CheckRights(ctx, s, diagnose.Rights{Role: "the agent of " + o.host.name, Required: true, Rules: rules,
		Policy: "config/consul/agent.hcl"}, true)
	*f = append(*f, finding)
}
