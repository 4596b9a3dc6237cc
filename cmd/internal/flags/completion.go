// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Complete registers shell completions for the flags of root and its subcommands. It asks value first, which returns nil
// for a flag that it does not know, and then completes the flags of this package. A flag that has a completion keeps it.
// For other flags, and for arguments without a completion, the shell offers nothing rather than files.
func Complete(root *cobra.Command, value func(*pflag.Flag) cobra.CompletionFunc) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	complete(root, value)
}

func complete(cmd *cobra.Command, value func(*pflag.Flag) cobra.CompletionFunc) {
	for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			found := value(f)
			if found == nil {
				found = own(f)
			}
			if found != nil {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, found) // it fails only for a flag that has a completion
			}
		})
	}
	for _, sub := range cmd.Commands() {
		complete(sub, value)
	}
}

// own completes the flags of this package.
func own(f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case "token-file", "ca-file", "client-cert", "client-key", "login-bearer-token-file":
		return AnyFile
	case "log-format":
		return cobra.FixedCompletions([]cobra.Completion{"console", "json"}, cobra.ShellCompDirectiveNoFileComp)
	}
	return nil
}

// AnyFile is a completion that lets the shell offer files.
func AnyFile(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
