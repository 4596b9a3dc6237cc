// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// Options are what the command line takes from the process that runs it.
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	// OutTerminal and ErrTerminal report whether the streams are terminals. Diffs have colors then, and progress is live.
	OutTerminal, ErrTerminal bool
	Getenv                   func(string) string
	Now                      func() time.Time
	// Open opens the store that the flags select.
	Open func(consul.Config) (store.Store, error)
	// Who is the operator, as pauses and locks name them: user@host.
	Who string
	// LegacyFiles are the paths of python-jiocloud's instructions. The first that exists is read.
	LegacyFiles []string
}

// SystemOptions returns the options of this process.
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

// Main runs the command line and returns the exit code: 0 for success, 1 for a failure, 2 for wrong usage or bad input. The
// codes of diff are 0 for no difference, 1 for a difference, and 2 for an error.
func Main(ctx context.Context, args []string, o Options) int {
	f := newFactory(o)
	defer f.logout(context.WithoutCancel(ctx))
	return cli.Execute(ctx, newRoot(f), args) //nolint:contextcheck // cobra passes it on
}

// New returns the root command.
func New(o Options) *cobra.Command { return newRoot(newFactory(o)) }

func newRoot(f *factory) *cobra.Command {
	o := f.raw
	root := &cobra.Command{
		Use:   "upgradectl",
		Short: "Upgrade a fleet by the rules of a plan, through keys in Consul",
		Long: "upgradectl stores upgrade plans in Consul, shows what they do and why, and carries them out without a daemon.\n\n" +
			"It finds Consul as Consul's own command line does: by the flags below, else by CONSUL_HTTP_ADDR,\n" +
			"CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY, …\n\n" +
			"Exit codes: 0 success, 1 failure, 2 wrong usage or bad input. Of diff: 0 no difference, 1 a difference, 2 an error.",
		Args:              cli.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return f.flags.complete() },
	}
	root.SetIn(o.In)
	root.SetOut(f.Out)
	root.SetErr(f.Err)
	cli.Silence(root)
	f.flags.bind(root.PersistentFlags())
	for _, g := range commands(f) {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, command := range g.commands {
			command.GroupID = g.id
			root.AddCommand(command)
		}
	}
	flags.Complete(root, f.completeFlagValue)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	return root
}

const groupOther = "other"

type commandGroup struct {
	id, title string
	commands  []*cobra.Command
}

// commands returns all commands in the groups of the help.
func commands(f *factory) []commandGroup {
	return []commandGroup{
		{"plans", "Plans:", []*cobra.Command{newCmdApply(f, nil), newCmdEdit(f, nil), newCmdDiff(f, nil), newCmdSimulate(f, nil),
			newCmdInit(f, nil), newCmdDelete(f, nil), newCmdConvert(f, nil)}},
		{"rollout", "Rollouts:", []*cobra.Command{newCmdReconcile(f, nil), newCmdRollout(f), newCmdHold(f, nil), newCmdUnhold(f, nil),
			newCmdForget(f, nil), newCmdWait(f, nil)}},
		{"look", "Inspect:", []*cobra.Command{newCmdStatus(f, nil), newCmdTop(f), newCmdGet(f), newCmdDescribe(f), newCmdExplain(f, nil),
			newCmdAudit(f), newCmdCheck(f, nil)}},
		{"legacy", "Commands of python -m jiocloud.upgrade (and status):",
			[]*cobra.Command{newCmdUpgrade(f, nil), newCmdGlobalDisablePuppet(f, nil)}},
		{"jorc", "Commands of jorc (also spelled with underscores):", jorcCommands(f)},
		{groupOther, "Other:", []*cobra.Command{newCmdDemo(f, nil), newCmdVersion(f, nil)}},
	}
}
