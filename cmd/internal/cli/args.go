// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Silence makes a root command leave the printing of errors to [Execute], and turns errors in flags into usage errors.
func Silence(root *cobra.Command) {
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return FlagError(err) })
}

// Args turns the errors of a check of positional arguments into usage errors.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return FlagError(err)
		}
		return nil
	}
}

// maxTypos is the largest edit distance at which NoArgs suggests a command.
const maxTypos = 2

// NoArgs refuses arguments. For a command with subcommands it suggests those with a similar name.
func NoArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 0 && cmd.HasAvailableSubCommands():
		cmd.SuggestionsMinimumDistance = maxTypos
		text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += ": did you mean " + strings.Join(near, " or ") + "?"
		}
		return FlagErrorf("%s", text)
	case len(args) > 0:
		return FlagErrorf("unexpected argument %q", args[0])
	}
	return nil
}

// Parent returns a command that only groups subcommands and prints its help when it is called.
func Parent(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(subcommands...)
	return cmd
}
