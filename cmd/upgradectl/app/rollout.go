// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

func (c *cli) rollout() *cobra.Command {
	return parent("rollout", "Stop a plan, let it go on, and watch it", c.rolloutStatus(), c.rolloutPause(), c.rolloutResume(),
		c.rolloutAbort(), c.rolloutUndo(), c.rolloutPromote(), c.rolloutHistory())
}

func (c *cli) rolloutPause() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pause [NAME]",
		Short: "Stop every new start of a plan at once",
		Long: "Stops every new start at once, with or without a controller. Hosts that have started go on; agents that were\n" +
			"released and have not started lose their permission with the next pass. No apply undoes it.",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is shown wherever the pause is")
	cmd.RunE = c.change("paused", "already paused", func(ctx context.Context, plans upgradeplan.Plans, plan string) (bool, error) {
		return plans.SetPause(ctx, plan, &fleet.Pause{Kind: fleet.PausedByOperator, By: c.Who, Time: c.Now().UTC(), Reason: reason})
	})
	return cmd
}

func (c *cli) rolloutResume() *cobra.Command {
	var reason string
	var override bool
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "resume [NAME]",
		Short: "Let a paused, aborted or halted plan go on",
		Long: "Ends a pause, an abort, and the halt of a rollout in which too many hosts have failed: those that have failed\n" +
			"until now do not stop it again.",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	cmd.Flags().BoolVar(&override, "override-window", false, "release outside of the windows too, for the plan's present version")
	cmd.Flags().DurationVar(&expires, "override-for", 0, "how long --override-window holds; 0: until the plan has another version")
	cmd.RunE = c.change("resumed", "not paused", func(ctx context.Context, plans upgradeplan.Plans, plan string) (bool, error) {
		switch {
		case override && reason == "":
			return false, flagError{errors.New("--override-window needs a --reason")}
		case expires < 0 || expires > 0 && !override:
			return false, flagError{errors.New("--override-for must be above 0, and needs --override-window")}
		}
		r := upgradeplan.Resumption{Pause: fleet.Pause{By: c.Who, Time: c.Now().UTC(), Reason: reason}, OverrideWindows: override}
		if expires > 0 {
			r.Until = r.Time.Add(expires)
		}
		return plans.Resume(ctx, plan, r)
	})
	return cmd
}

// change is a command that changes what stops a plan.
func (c *cli) change(done, undone string, do func(context.Context, upgradeplan.Plans, string) (bool, error)) func(
	*cobra.Command, []string) error {
	return c.run(func(ctx context.Context, args []string) error {
		plans, _, err := c.plans()
		if err != nil {
			return err
		}
		plan, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		changed, err := do(ctx, plans, plan)
		if err != nil {
			return err
		}
		if !changed {
			done = undone
		}
		_, err = fmt.Fprintf(c.Out, "upgradeplan/%s %s\n", plan, done)
		return err
	})
}

// named is the name that was given, or that of the only plan.
func (c *cli) named(ctx context.Context, plans upgradeplan.Plans, args []string) (string, error) {
	name, err := only(args)
	if err != nil || name != "" {
		return name, err
	}
	plan, err := c.find(ctx, plans, "")
	if err != nil {
		return "", err
	}
	return plan.Name, nil
}

func (c *cli) rolloutStatus() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Say in a sentence where a plan stands",
		Long: "Says in a sentence where a plan stands. With --watch, it says so whenever that changes, until the plan is complete or\n" +
			"cannot go on without somebody; on a terminal it shows what top plan shows.",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "wait until the plan is complete, for --timeout at most")
	cmd.Flags().Duration("interval", 0, "has no effect: changes are seen as they happen")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		switch {
		case !watch:
			o, err := upgradeplan.Observe(ctx, s, name, c.Now())
			if err != nil {
				return err
			}
			return c.tellStatus(o, new(string))
		case c.OutTerminal && !c.plain():
			return c.showStatus(ctx, plans, s, name)
		}
		return c.tellStatuses(ctx, s, name)
	})
	return cmd
}

// anyError is fatal.
func anyError(error) bool { return true }

// showStatus shows a plan on a terminal until it is complete or cannot go on without somebody.
func (c *cli) showStatus(ctx context.Context, plans upgradeplan.Plans, s store.Store, name string) error {
	view := live{cli: c, plans: plans, store: s, plan: name, inline: true, fatal: anyError,
		seen: func(o *upgradeplan.Observation) error {
			done, stopped := ended(describe.Status(o), &o.Decision)
			if done {
				return errSeenAll
			}
			return stopped
		}}
	switch quit, err := view.run(ctx); {
	case quit:
		return errors.New("interrupted")
	case !errors.Is(err, errSeenAll):
		return err
	}
	return nil
}

// tellStatuses prints a sentence for each change until the plan is complete or cannot go on without somebody.
func (c *cli) tellStatuses(ctx context.Context, s store.Store, name string) error {
	last, doubt := "", doubts{cli: c}
	err := c.watchPlan(ctx, s, name, anyError, doubt.failed, func(o *upgradeplan.Observation) error {
		doubt.well()
		if err := c.tellStatus(o, &last); err != nil {
			return err
		}
		if o.Decision.Complete {
			return errSeenAll
		}
		return nil
	})
	if errors.Is(err, errSeenAll) {
		return nil
	}
	return err
}

// tellStatus prints the sentence of a plan, unless it is the last one. The error says that the plan cannot go on without
// somebody.
func (c *cli) tellStatus(o *upgradeplan.Observation, last *string) error {
	now := describe.Status(o)
	done, stopped := ended(now, &o.Decision)
	if line := sentence(o.Plan.Name, now, done, o.Decision.Gate.Message); line != *last {
		*last = line
		if _, err := fmt.Fprintln(c.Out, line); err != nil {
			return err
		}
	}
	return stopped
}

// sentence says where a plan stands, and what stops it.
func sentence(name string, s v1alpha1.UpgradePlanStatus, done bool, stopped string) string {
	if done {
		return fmt.Sprintf("upgradeplan %q is complete: %s", name, status.Line(s))
	}
	line := fmt.Sprintf("Waiting for upgradeplan %q to be complete: %s", name, status.Line(s))
	if stopped != "" {
		line += "; " + oneLine(stopped)
	}
	return line
}
