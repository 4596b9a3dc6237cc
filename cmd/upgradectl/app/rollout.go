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
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
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
		return plans.SetPause(ctx, plan, &fleet.Pause{By: c.Who, Time: c.Now().UTC(), Reason: reason})
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
	interval := defaultInterval
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Say in a sentence where a plan stands",
		Args:  args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "wait until the plan is complete, for --timeout at most")
	cmd.Flags().DurationVar(&interval, "interval", interval, "time between two looks of --watch")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		if interval <= 0 {
			return flagError{errors.New("--interval must be above 0")}
		}
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		for last := ""; ; {
			o, err := upgradeplan.Observe(ctx, s, name, c.Now())
			if err != nil {
				return err
			}
			d := o.Present()
			now := status.Of(&d, o.Plan.Status, o.Plan.Generation, o.Now)
			done, stopped := ended(now, &o.Decision)
			if line := sentence(name, now, done, o.Decision.GateMessage); line != last {
				last = line
				if _, err := fmt.Fprintln(c.Out, line); err != nil {
					return err
				}
			}
			if done || stopped != nil || !watch {
				return stopped
			}
			if err := pause(ctx, interval); err != nil {
				return err
			}
		}
	})
	return cmd
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
