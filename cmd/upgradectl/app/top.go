// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func (c *cli) top() *cobra.Command {
	return parent("top", "Watch a rollout", c.topPlan())
}

func (c *cli) topPlan() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "plan [NAME]",
		Aliases: []string{"plans", "upgradeplan", "upgradeplans", "up"},
		Short:   "Watch where a plan stands: its roles, the hosts in flight, failures and events",
		Long: "Shows where a plan stands, and goes on until q is pressed: a bar for each role with what blocks it, the hosts in\n" +
			"flight, those that have failed, and the last events. It reads Consul only when something has changed.\n\n" +
			"Without a terminal, it prints some lines for each change until the plan is complete.",
		Example: "  upgradectl top plan fleet",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		fatal := func(err error) bool { return !errors.As(err, new(*store.UnavailableError)) }
		if c.OutTerminal && !c.plain() {
			view := live{cli: c, plans: plans, store: s, plan: name, fatal: fatal}
			_, err = view.run(ctx)
		} else {
			err = c.topLines(ctx, s, name, fatal)
		}
		if ctx.Err() == nil && !errors.Is(err, errSeenAll) {
			return err
		}
		return nil // it was to go on until then, as get -w
	})
	return cmd
}

// topLines prints a block for each change until the plan is complete.
func (c *cli) topLines(ctx context.Context, s store.Store, plan string, fatal func(error) bool) error {
	last := ""
	doubt := doubts{cli: c}
	return c.watchPlan(ctx, s, plan, fatal, doubt.failed, func(o *upgradeplan.Observation) error {
		doubt.well()
		digest := top.Of(o)
		if text := strings.Join(digest.Lines(topColumns), "\n"); text != last {
			last = text
			if _, err := io.WriteString(c.Out, text+"\n"); err != nil {
				return err
			}
		}
		if o.Decision.Complete {
			return errSeenAll
		}
		return nil
	})
}

// topColumns is how wide the lines are that are printed.
const topColumns = 80
