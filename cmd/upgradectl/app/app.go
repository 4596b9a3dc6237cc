// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of upgradectl. A command turns flags into options, makes one call of a package, and
// prints: data on stdout, talk on stderr.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	shared "github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// Options are what the command line needs of the world around it.
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	// OutTerminal and ErrTerminal say whether people look at these streams: diffs are coloured then, progress is live.
	OutTerminal, ErrTerminal bool
	Getenv                   func(string) string
	Now                      func() time.Time
	// Open makes the store that the flags ask for.
	Open func(consul.Config) (store.Store, error)
	// Who is the person at the keyboard, as pauses and locks name them: user@host.
	Who string
	// LegacyFiles are where the instructions of python-jiocloud are looked for; the first that exists counts.
	LegacyFiles []string
}

// SystemOptions are those of this process.
func SystemOptions() Options {
	return Options{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())), ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Getenv: os.Getenv, Now: time.Now, Who: who(),
		Open:        func(c consul.Config) (store.Store, error) { return consul.New(c) },
		LegacyFiles: []string{"/etc/jio-upgrade.json", "/etc/jiocloud-upgrade.json"},
	}
}

func who() string {
	user, host := os.Getenv("USER"), "unknown"
	if user == "" {
		user = fmt.Sprintf("uid-%d", os.Getuid())
	}
	if name, err := os.Hostname(); err == nil {
		host = name
	}
	return user + "@" + host
}

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is what the caller did wrong: an argument, a flag or a file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError ends the command with a code. Err may be nil: all has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line and returns the exit code: 0; 1 failed; 2 wrong usage or bad input. Of diff: 0 same, 1
// different, 2 trouble.
func Main(ctx context.Context, args []string, o Options) int {
	cmd := New(o) //nolint:contextcheck // cobra hands it on
	cmd.SetArgs(args)
	ran, err := cmd.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	code := exitFailed
	if _, ok := errors.AsType[usageError](err); ok {
		code = exitUsage
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		if code = exit.code; exit.err == nil {
			return code
		}
	}
	for line := range strings.SplitSeq(strings.TrimRight(message(ctx, err), "\n"), "\n") {
		fmt.Fprintln(o.Err, "error: "+line)
	}
	if _, ok := errors.AsType[flagError](err); ok {
		fmt.Fprintf(o.Err, "See '%s --help'.\n", ran.CommandPath())
	}
	return code
}

func message(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

// flagError is a usageError about the command line itself.
type flagError struct{ error }

func (e flagError) Unwrap() error { return usageError(e) }

// New makes the command line.
func New(o Options) *cobra.Command {
	c := &cli{Options: o}
	root := &cobra.Command{
		Use:   "upgradectl",
		Short: "Upgrades a fleet by the rules of a plan, through keys in Consul",
		Long: "upgradectl stores upgrade plans in Consul, shows what they do and why, and carries them out without a daemon.\n\n" +
			"Consul is addressed as its own command line does: by the flags below, else by CONSUL_HTTP_ADDR,\n" +
			"CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY, …\n\n" +
			"Exit codes: 0; 1 failed; 2 wrong usage or bad input. Of diff: 0 same, 1 different, 2 or more trouble.",
		Args:              noArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return c.flags.complete() },
		SilenceUsage:      true,
		SilenceErrors:     true,
	}
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError{err} })
	c.flags.bind(root.PersistentFlags())
	for _, g := range c.commands() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, command := range g.commands {
			command.GroupID = g.id
			root.AddCommand(command)
		}
	}
	shared.Complete(root, c.flagValue)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	return root
}

const groupOther = "other"

type group struct {
	id, title string
	commands  []*cobra.Command
}

// commands are all commands, as the help lists them.
func (c *cli) commands() []group {
	return []group{
		{"plans", "Plans:", []*cobra.Command{c.apply(), c.edit(), c.diff(), c.simulate(), c.delete(), c.convert()}},
		{"rollout", "Rollouts:", []*cobra.Command{c.reconcile(), c.rollout(), c.hold(), c.release(), c.forget(), c.wait()}},
		{"look", "What is, and why:", []*cobra.Command{c.status(), c.top(), c.get(), c.describe(), c.explain()}},
		{"legacy", "As python -m jiocloud.upgrade had them (and status):", []*cobra.Command{c.upgrade(), c.globalDisablePuppet()}},
		{"jorc", "As jorc had them (with underscores too):", c.jorc()},
		{groupOther, "Other:", []*cobra.Command{c.demo(), c.version()}},
	}
}

// args makes what is wrong with the arguments a usageError.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return flagError{err}
		}
		return nil
	}
}

// maxTypos is how far from a command a word may be to be taken for it.
const maxTypos = 2

func noArgs(cmd *cobra.Command, given []string) error {
	switch {
	case len(given) > 0 && cmd.HasAvailableSubCommands():
		cmd.SuggestionsMinimumDistance = maxTypos
		text := fmt.Sprintf("unknown command %q for %q", given[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(given[0]); len(near) > 0 {
			text += ": did you mean " + strings.Join(near, " or ") + "?"
		}
		return flagError{errors.New(text)}
	case len(given) > 0:
		return flagError{fmt.Errorf("unexpected argument %q", given[0])}
	}
	return nil
}

// parent is a command that only has commands below it.
func parent(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(below...)
	return cmd
}
