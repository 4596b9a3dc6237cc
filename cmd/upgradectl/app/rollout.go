// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

func newCmdRollout(f *factory) *cobra.Command {
	return cli.Parent("rollout", "Pause, resume, abort or undo the rollout of a plan, and show its status", newCmdRolloutStatus(f, nil),
		newCmdRolloutPause(f, nil), newCmdRolloutResume(f, nil), newCmdRolloutAbort(f, nil), newCmdRolloutUndo(f, nil),
		newCmdRolloutPromote(f, nil), newCmdRolloutSetAside(f, nil), newCmdRolloutRetry(f, nil), newCmdRolloutHistory(f, nil))
}

// orderOptions are the options of an operator's order to a plan.
type orderOptions struct {
	planOptions
	reason string
}

// order returns the order, with who gives it, when and why.
func (o *orderOptions) order() fleet.Pause {
	return fleet.Pause{By: o.Who, Time: o.Now().UTC(), Reason: o.reason}
}

// send resolves the plan, gives it an order, and prints done, or unchanged if the order changes nothing.
func (o *orderOptions) send(ctx context.Context, done, unchanged string,
	change func(plans planstore.Plans, plan string) (bool, error)) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	changed, err := change(planstore.Plans{Store: s}, name)
	if err != nil {
		return err
	}
	if !changed {
		done = unchanged
	}
	_, err = fmt.Fprintf(o.Out, "upgradeplan/%s %s\n", name, done)
	return err
}

func newCmdRolloutPause(f *factory, runF func(context.Context, *orderOptions) error) *cobra.Command {
	o := &orderOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "pause [NAME]",
		Short: "Stop every new start of a plan at once",
		Long: "Stops every new start at once, with or without a controller. Hosts that have started continue. The next pass revokes\n" +
			"the grants of agents that have not started. No apply ends a pause.",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runRolloutPause, runF),
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "reason, shown wherever the pause is shown")
	return cmd
}

func runRolloutPause(ctx context.Context, o *orderOptions) error {
	return o.send(ctx, "paused", "already paused", func(plans planstore.Plans, plan string) (bool, error) {
		pause := o.order()
		pause.Kind = fleet.PausedByOperator
		return plans.SetPause(ctx, plan, &pause)
	})
}

type resumeOptions struct {
	orderOptions
	overrideWindow bool
	overrideFor    time.Duration
	acceptRestored bool
}

func newCmdRolloutResume(f *factory, runF func(context.Context, *resumeOptions) error) *cobra.Command {
	o := &resumeOptions{orderOptions: orderOptions{planOptions: planOptions{factory: f}}}
	cmd := &cobra.Command{
		Use:   "resume [NAME]",
		Short: "Resume a paused, aborted or halted plan",
		Long: "Ends a pause, an abort, and the halt of a rollout in which too many hosts have failed, or have reached the version\n" +
			"without an explanation (UnexplainedUpgrade). What hosts did until now does not halt it again. Accepts that a fleet\n" +
			"shrank by more than half (FleetShrank). Of a plan that is not stopped, accepts hosts that joined since the switch and,\n" +
			"without spec.hosts.legacy, legacy hosts that are not admitted. After Consul was restored from a backup,\n" +
			"--accept-restored lets the rollout go on: the hosts move to the restored plan's version, by its rules.",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runRolloutResume, runF),
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "reason, which is recorded")
	cmd.Flags().BoolVar(&o.overrideWindow, "override-window", false, "start hosts outside the windows too, for the plan's present version")
	cmd.Flags().BoolVar(&o.acceptRestored, "accept-restored", false,
		"go on although Consul was restored from a backup (reason StoreWentBack)")
	cmd.Flags().DurationVar(&o.overrideFor, "override-for", 0, "duration of --override-window; 0 means until the plan has another version")
	return cmd
}

func (o *resumeOptions) complete(args []string) error {
	switch {
	case o.overrideWindow && o.reason == "":
		return cli.FlagErrorf("--override-window needs a --reason")
	case o.overrideFor < 0 || o.overrideFor > 0 && !o.overrideWindow:
		return cli.FlagErrorf("--override-for must be above 0, and needs --override-window")
	}
	return o.orderOptions.complete(args)
}

func runRolloutResume(ctx context.Context, o *resumeOptions) error {
	return o.send(ctx, "resumed", "not paused", func(plans planstore.Plans, plan string) (bool, error) {
		r := planstore.Resumption{Pause: o.order(), OverrideWindows: o.overrideWindow, AcceptRestored: o.acceptRestored}
		if o.overrideFor > 0 {
			r.Until = r.Time.Add(o.overrideFor)
		}
		return plans.Resume(ctx, plan, r)
	})
}

func newCmdRolloutAbort(f *factory, runF func(context.Context, *orderOptions) error) *cobra.Command {
	o := &orderOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "abort [NAME]",
		Short: "Abort a rollout, and revoke every grant at once",
		Long: "Stops every new start and revokes all grants, with or without a controller. Hosts that have started continue, and\n" +
			"keep their slots until they report. So do legacy hosts that may have started. The controller does not try the spec\n" +
			"again until it changes, or until `rollout resume`. `rollout undo` carries out an earlier revision.",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runRolloutAbort, runF),
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "reason, shown wherever the abort is shown")
	return cmd
}

func runRolloutAbort(ctx context.Context, o *orderOptions) error {
	return o.send(ctx, "aborted", "already aborted", func(plans planstore.Plans, plan string) (bool, error) {
		did, err := plans.Abort(ctx, plan, o.order())
		if err == nil && did.Left != nil {
			o.warn("no host is granted any more, but a host that has a grant may start until the next pass of a controller: %s",
				cli.OneLine(did.Left.Error()))
		}
		return did.Changed, err
	})
}

type promoteOptions struct {
	orderOptions
	force bool
}

func newCmdRolloutPromote(f *factory, runF func(context.Context, *promoteOptions) error) *cobra.Command {
	o := &promoteOptions{orderOptions: orderOptions{planOptions: planOptions{factory: f}}}
	cmd := &cobra.Command{
		Use:   "promote [NAME]",
		Short: "Let the other hosts follow the canaries of a plan",
		Long: "Lets the other hosts follow the canaries (spec.canary) of the plan's present version. It refuses while a canary is not\n" +
			"upgraded or has not soaked, unless forced. The next version has canaries of its own.",
		Example:           "  upgradectl rollout promote fleet --reason 'quiet for an hour'",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runRolloutPromote, runF),
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "reason, which is recorded")
	cmd.Flags().BoolVar(&o.force, "force", false, "promote even if canaries are not upgraded or have not soaked")
	return cmd
}

func runRolloutPromote(ctx context.Context, o *promoteOptions) error {
	return o.send(ctx, "promoted", "has no canaries to promote", func(plans planstore.Plans, plan string) (bool, error) {
		return plans.Promote(ctx, plan, o.order(), o.force)
	})
}
