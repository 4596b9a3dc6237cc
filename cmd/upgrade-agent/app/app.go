// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
)

// Main runs the command line and returns the exit code: 0 for success, 1 for a failure, 2 for wrong usage. The commands of
// jorc have codes of their own.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = cli.Streams(stdout, stderr)
	cmd := New(stderr) //nolint:contextcheck // cobra passes the context on
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cli.Execute(ctx, cmd, args)
}

// New returns the command. It logs to stderr.
func New(stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "upgrade-agent",
		Short: "Change the version of this host when the fleet's rules allow it, and report",
		Args:  cli.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return cli.FlagErrorf("a command is required: run, once, check or version")
		},
	}
	cli.Silence(root)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(stderr), newOnce(stderr), newCheck(stderr), newVersion())
	addJorc(root)
	flags.Complete(root, completeFile)
	return root
}

// completeFile completes the flags that name files.
func completeFile(f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case "config", "exec", "version-file":
		return flags.AnyFile
	}
	return nil
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "upgrade-agent", version())
			return err
		},
	}
}

// version returns the version of this program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
