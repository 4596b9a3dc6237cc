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
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/runner"
)

type rolloutStatusOptions struct {
	planOptions
	watch bool
	// interval has no effect.
	interval time.Duration
}

func newCmdRolloutStatus(f *factory, runF func(context.Context, *rolloutStatusOptions) error) *cobra.Command {
	o := &rolloutStatusOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show the progress of a plan in a sentence",
		Long: "Prints the progress of a plan in a sentence. With --watch, it prints each change until the plan is complete or cannot\n" +
			"go on without an operator. On a terminal it shows what top plan shows.",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runRolloutStatus, runF),
	}
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "wait until the plan is complete, up to --timeout")
	cmd.Flags().DurationVar(&o.interval, "interval", 0, "has no effect: each change is shown as it happens")
	return cmd
}

func runRolloutStatus(ctx context.Context, o *rolloutStatusOptions) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	lines := statusLines{factory: o.factory}
	switch {
	case !o.watch:
		seen, err := planstore.Observe(ctx, s, name, o.Now())
		if err != nil {
			return err
		}
		_, err = lines.print(seen)
		return err
	case o.OutTerminal && !o.dumb():
		return watchOnTerminal(ctx, o.factory, s, name)
	}
	return lines.watch(ctx, s, name)
}

// watchOnTerminal shows a plan on a terminal until it is complete or cannot go on without an operator.
func watchOnTerminal(ctx context.Context, f *factory, s store.Store, plan string) error {
	screen := liveScreen{factory: f, store: s, plan: plan, inline: true, fatal: isAnyError,
		observed: func(o *pass.Assessment) (bool, error) {
			return runner.Terminal(describe.Status(o), &o.Decision)
		}}
	quit, err := screen.run(ctx)
	if quit {
		return errors.New("interrupted")
	}
	return err
}

// isAnyError makes the first error of a watch fatal.
func isAnyError(error) bool { return true }

// statusLines prints the progress of a plan in sentences.
type statusLines struct {
	*factory
	last string
}

// watch prints a sentence for each change until the plan is complete or cannot go on without an operator.
func (l *statusLines) watch(ctx context.Context, s store.Store, plan string) error {
	warn := warnOnce{factory: l.factory}
	return watchPlan(ctx, l.factory, s, plan, isAnyError, warn.failed, func(o *pass.Assessment) (bool, error) {
		warn.succeeded()
		return l.print(o)
	})
}

// print prints the sentence of a plan, unless it printed it before. It returns true if the plan is complete, and an error if
// the plan cannot go on without an operator.
func (l *statusLines) print(o *pass.Assessment) (complete bool, err error) {
	now := describe.Status(o)
	complete, blocked := runner.Terminal(now, &o.Decision)
	if line := progressSentence(o.Plan.Name, now, complete, o.Decision.Gate.Message); line != l.last {
		l.last = line
		if _, err := fmt.Fprintln(l.Out, line); err != nil {
			return false, err
		}
	}
	return complete, blocked
}

// progressSentence returns the progress of a plan, and what stops it.
func progressSentence(plan string, s v1alpha1.UpgradePlanStatus, complete bool, gate string) string {
	if complete {
		return fmt.Sprintf("upgradeplan %q is complete: %s", plan, status.Line(s))
	}
	line := fmt.Sprintf("Waiting for upgradeplan %q to be complete: %s", plan, status.Line(s))
	if gate != "" {
		line += "; " + cli.OneLine(gate)
	}
	return line
}
