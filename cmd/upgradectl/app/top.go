// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// topColumns is the width of the lines that top prints without a terminal.
const topColumns = 80

func newCmdTop(f *factory) *cobra.Command {
	return cli.Parent("top", "Watch a rollout", newCmdTopPlan(f, nil))
}

func newCmdTopPlan(f *factory, runF func(context.Context, *planOptions) error) *cobra.Command {
	o := &planOptions{factory: f}
	return &cobra.Command{
		Use:     "plan [NAME]",
		Aliases: planAliases("plans"),
		Short:   "Watch the progress of a plan: its roles, the hosts in flight, failures and events",
		Long: "Shows the progress of a plan until q is pressed: a bar for each role with what blocks it, the hosts in flight, the\n" +
			"hosts that have failed, and the last events. It reads Consul only when something has changed.\n\n" +
			"Without a terminal, it prints some lines for each change until the plan is complete.",
		Example:           "  upgradectl top plan fleet",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runTopPlan, runF),
	}
}

func runTopPlan(ctx context.Context, o *planOptions) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	fatal := func(err error) bool {
		_, away := errors.AsType[*store.UnavailableError](err)
		return !away
	}
	if o.OutTerminal && !o.dumb() {
		screen := liveScreen{factory: o.factory, store: s, plan: name, fatal: fatal}
		_, err = screen.run(ctx)
	} else {
		err = printTop(ctx, o.factory, s, name, fatal)
	}
	if ctx.Err() == nil {
		return err
	}
	return nil // an interrupt or --timeout is the way to end it, as with get -w
}

// printTop prints a block of lines for each change until the plan is complete.
func printTop(ctx context.Context, f *factory, s store.Store, plan string, fatal func(error) bool) error {
	last := ""
	warn := warnOnce{factory: f}
	return watchPlan(ctx, f, s, plan, fatal, warn.failed, func(o *pass.Assessment) (bool, error) {
		warn.succeeded()
		digest := top.Of(o)
		if text := strings.Join(digest.Lines(topColumns), "\n"); text != last {
			last = text
			if _, err := io.WriteString(f.Out, text+"\n"); err != nil {
				return false, err
			}
		}
		return o.Decision.Complete, nil
	})
}
