// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Complete says what a shell offers as the values of the flags of a command, and of the commands below it: what value
// says, which is nil for flags that it does not know, and for the flags of this package what they take. A flag that has a
// completion keeps it. For all others, and for arguments that have none, a shell offers nothing rather than files.
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
				_ = cmd.RegisterFlagCompletionFunc(f.Name, found) // but for one that has a completion
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
	case "token-file", "ca-file", "client-cert", "client-key":
		return AnyFile
	case "log-format":
		return cobra.FixedCompletions([]cobra.Completion{"console", "json"}, cobra.ShellCompDirectiveNoFileComp)
	}
	return nil
}

// AnyFile lets the shell offer files.
func AnyFile(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
