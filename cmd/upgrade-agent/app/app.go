// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of upgrade-agent.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/agent/config"
)

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is what the caller did wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs the command line and returns the exit code: 0; 1 failed; 2 wrong usage. The commands of jorc have their own.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand(stderr) //nolint:contextcheck // cobra hands the context on
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	fmt.Fprintf(stderr, "upgrade-agent: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(stderr, "See upgrade-agent --help.")
		return exitUsage
	}
	return exitFailed
}

func newCommand(stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "upgrade-agent",
		Short: "Changes the version of this host when the fleet's rules let it, and reports",
		Args:  asUsage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("a command is required: run, once or version")}
		},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(stderr), newOnce(stderr), newVersion())
	addJorc(root)
	flags.Complete(root, flagValue)
	return root
}

// flagValue completes the flags that name files.
func flagValue(f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case "config", "exec", "version-file":
		return flags.AnyFile
	}
	return nil
}

// asUsage makes what is wrong with the arguments a usageError.
func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

const stepHelp = `
How this host reaches a version is the pipeline of the configuration file: a hook, facts, package sources, apt, Puppet, and
scripts that validate, each if it is given. Without a file it is puppet apply of ` + config.DefaultManifest + `, and with
--exec one program in the place of all. Each program is run, without a shell, with these in its environment:
  UPGRADE_VERSION        the version to reach
  UPGRADE_LOCAL_VERSION  the version that the host has; empty on its first boot
  UPGRADE_HOSTNAME       the host's name
  UPGRADE_ROLE           its role; empty when it has none
Exit status 0 means success (of Puppet, 2 as well). A program may be run again for a change that was interrupted or failed.
It must leave the version file alone: the agent writes it in the end. A host that is at its version runs nothing.`

func newRun(stderr io.Writer) *cobra.Command {
	o := newOptions(stderr)
	cmd := &cobra.Command{
		Use:   "run [--config FILE | --exec PATH [flags] [-- ARG...]]",
		Short: "Look at the fleet's keys every interval, until stopped",
		Long: "Looks at the fleet's keys every interval, changes the version when this host may, and reports. SIGTERM stops\n" +
			"it, and a step that is under way; the next start goes on.\n" + stepHelp,
		Args:              asUsage(argsAfterDash),
		ValidArgsFunction: flags.AnyFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	o.bind(cmd.Flags())
	o.bindLoop(cmd.Flags())
	return cmd
}

func newOnce(stderr io.Writer) *cobra.Command {
	o := newOptions(stderr)
	cmd := &cobra.Command{
		Use:   "once [--config FILE | --exec PATH [flags] [-- ARG...]]",
		Short: "Look once, and do what is to be done",
		Long: "Looks at the fleet's keys once, changes the version if this host may, and reports. Exits with 0 when there was\n" +
			"nothing to do or it was done, with 1 when the step failed or Consul could not be reached.\n" + stepHelp,
		Args:              asUsage(argsAfterDash),
		ValidArgsFunction: flags.AnyFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.once(cmd.Context(), args) },
	}
	o.bind(cmd.Flags())
	return cmd
}

func argsAfterDash(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
		return fmt.Errorf("unexpected argument %q: arguments of the upgrade step come after --", args[0])
	}
	return nil
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  asUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "upgrade-agent", version)
			return err
		},
	}
}
