// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
)

// completionTimeout bounds the time that shell completion waits for Consul.
const completionTimeout = 2 * time.Second

// completionRequest is a command line up to the word that the shell completes. Its factory does not retry and prints nothing.
type completionRequest struct {
	*factory
	cmd  *cobra.Command
	args []string
	word string
}

// fleet returns the value of --plan. Empty means that the command has no such flag, or that it is not set.
func (r *completionRequest) fleet() string {
	if f := r.cmd.Flags().Lookup("plan"); f != nil {
		return f.Value.String()
	}
	return ""
}

// completer returns completions of the word. Those that do not begin with the word are dropped by the caller.
type completer func(ctx context.Context, r *completionRequest) ([]cobra.Completion, error)

// completeArgs completes as many arguments as there are completers, each by its own.
func (f *factory) completeArgs(completers ...completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(completers) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f.completeBy(completers[len(args)])(cmd, args, word)
	}
}

// completeManyArgs is completeArgs, but the last completer completes all arguments that follow, each of them once.
func (f *factory) completeManyArgs(completers ...completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		find := completers[min(len(args), len(completers)-1)]
		return f.completeBy(completeExcept(args, find))(cmd, args, word)
	}
}

// completeBy completes a word. After an error the shell offers nothing, and $BASH_COMP_DEBUG_FILE names a file with the error.
func (f *factory) completeBy(find completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		var found []cobra.Completion
		quick, err := f.quick()
		if err == nil {
			found, err = find(ctx, &completionRequest{quick, cmd, args, word})
		}
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return matching(found, word)
	}
}

// matching returns the completions that begin with the word. The shell adds no space after role/ and spec.windows.
func matching(found []cobra.Completion, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	found = slices.DeleteFunc(found, func(one cobra.Completion) bool { return !strings.HasPrefix(one, word) })
	if slices.ContainsFunc(found, func(one cobra.Completion) bool { return isPrefix(choiceOf(one)) }) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return found, directive
}

func isPrefix(choice string) bool {
	return strings.HasSuffix(choice, "/") || strings.HasSuffix(choice, ".")
}

// choiceOf returns a completion without its description.
func choiceOf(one cobra.Completion) string {
	choice, _, _ := strings.Cut(one, "\t")
	return choice
}

// completeExcept leaves out words that are on the line already.
func completeExcept(given []string, find completer) completer {
	return func(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
		found, err := find(ctx, r)
		return slices.DeleteFunc(found, func(one cobra.Completion) bool { return slices.Contains(given, choiceOf(one)) }), err
	}
}

// completeList completes the last of several words that are joined by commas, each of them once.
func completeList(find completer) completer {
	return func(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
		before := r.word[:strings.LastIndex(r.word, ",")+1]
		last := *r
		last.word = strings.TrimPrefix(r.word, before)
		found, err := completeExcept(strings.Split(before, ","), find)(ctx, &last)
		for i := range found {
			found[i] = before + found[i]
		}
		return found, err
	}
}

// completeWords completes constant words.
func completeWords(words ...string) completer {
	return func(context.Context, *completionRequest) ([]cobra.Completion, error) { return slices.Clone(words), nil }
}

// completeFlag sets the completion of a flag that completeFlagValue does not know.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the command has no such flag
	}
}

// completeFlagValue completes flags that take one of several words, and those that mean the same for every command.
func (f *factory) completeFlagValue(flag *pflag.Flag) cobra.CompletionFunc {
	if choice, ok := flag.Value.(*cli.Choice); ok {
		return f.completeBy(completeWords(choice.Allowed()...))
	}
	switch flag.Name {
	case "plan":
		return f.completeBy(completePlans)
	case "source":
		return f.completeBy(completeSources)
	case "revision", "to-revision":
		return f.completeBy(completeRevisions)
	case "filename":
		return cobra.FixedCompletions([]cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt)
	case "changes", "save", "git-token-file", "git-ca-file", "git-ssh-key", "git-known-hosts":
		return flags.AnyFile
	}
	return nil
}
