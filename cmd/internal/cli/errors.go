// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes that all commands share. An [ExitError] can set others.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// UsageError reports a wrong argument, flag or input file. The exit code is ExitUsage.
type UsageError struct {
	Err error
	// Hint adds a line that points to the command's --help.
	Hint bool
}

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usage reports bad input, such as a file with a wrong plan.
func Usage(err error) error { return &UsageError{Err: err} }

// Usagef is Usage with a formatted message.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// FlagError reports a wrong flag or argument, and adds a hint to --help.
func FlagError(err error) error { return &UsageError{Err: err, Hint: true} }

// FlagErrorf is FlagError with a formatted message.
func FlagErrorf(format string, args ...any) error { return FlagError(fmt.Errorf(format, args...)) }

// ExitError ends the command with Code. Nil Err means that there is nothing left to print.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Execute runs the command line, prints its error to stderr with "error: " before each line, and returns the exit code. Its
// streams should be those of [Streams].
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	code := ExitFailed
	usage, wrongUsage := errors.AsType[*UsageError](err)
	if wrongUsage {
		code = ExitUsage
	}
	if exit, ok := errors.AsType[*ExitError](err); ok {
		if code = exit.Code; exit.Err == nil {
			return code
		}
	}
	stderr := root.ErrOrStderr()
	for line := range strings.SplitSeq(strings.TrimRight(message(ctx, err), "\n"), "\n") {
		_, _ = fmt.Fprintln(stderr, "error: "+OneLine(line))
	}
	if wrongUsage && usage.Hint {
		_, _ = fmt.Fprintf(stderr, "See '%s --help'.\n", ran.CommandPath())
	}
	return code
}

func message(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

// redact hides the passwords of the URLs in s. A password that is not escaped may hold any character but a space and a quote. The
// "@" after it is escaped where the whole was taken for a host.
func redact(s string) string {
	hidden := regexp.MustCompile(`(://[^\s/@":]*):[^\s"]*(@|%40)`).ReplaceAllString(s, "$1:xxxxx@")
	if hidden == s {
		return s
	}
	// The parser of URLs takes the start of a password that has a slash for a port, and repeats it. Logs escape its quotes.
	return regexp.MustCompile(`invalid port \\?"[^"]*"`).ReplaceAllString(hidden, "invalid port")
}
