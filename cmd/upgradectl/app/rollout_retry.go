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

// hostOrderOptions are the options of an order about failed hosts of a plan.
type hostOrderOptions struct {
	*factory
	placesArg
	plan, reason string
	failed       bool
}

func (o *hostOrderOptions) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.plan, "plan", "", "plan of the hosts (default: the only plan)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "reason, shown wherever the order is shown")
}

// give sends the order, and prints what it did to each host.
func (o *hostOrderOptions) give(ctx context.Context, did, none string,
	order func(planstore.Plans, string, fleet.Pause) ([]string, error)) error {
	plan := planOptions{factory: o.factory}
	plan.plan = o.plan
	s, name, err := plan.resolve(ctx)
	if err != nil {
		return err
	}
	by := fleet.Pause{By: o.Who, Time: o.Now().UTC().Truncate(time.Second), Reason: o.reason}
	hosts, err := order(planstore.Plans{Store: s}, name, by)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		fmt.Fprintf(o.Out, "host/%s %s\n", host, did)
	}
	if len(hosts) == 0 {
		_, err = fmt.Fprintf(o.Out, "upgradeplan/%s %s\n", name, none)
	}
	return err
}

type setAsideOptions struct{ hostOrderOptions }

func newCmdRolloutSetAside(f *factory, runF func(context.Context, *setAsideOptions) error) *cobra.Command {
	o := &setAsideOptions{hostOrderOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "set-aside host/NAME...",
		Short: "Free the slots of failed hosts",
		Long: "Sets failed hosts aside, also those that are silent: they free their slots, make no further attempt, and still count\n" +
			"as failed. The plan does not complete without them. Roles that wait for their role do not wait for them.\n" +
			"`rollout retry` grants them again. A plan sets failed hosts aside by itself with failurePolicy.setAside: Failed.\n\n" +
			"A host that is set aside although its agent still works can be one more host at work than the limit.",
		Example:           "  upgradectl rollout set-aside host/web3 --reason 'disk is broken'",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completePlaces),
		RunE:              runE(f, o, runRolloutSetAside, runF),
	}
	o.bind(cmd)
	return cmd
}

func (o *setAsideOptions) complete(args []string) error {
	if err := o.placesArg.complete(args); err != nil {
		return err
	}
	for _, at := range o.places {
		if at.Scope != fleet.ScopeHost {
			return cli.Usagef("%q: must be host/NAME", at)
		}
	}
	return nil
}

func runRolloutSetAside(ctx context.Context, o *setAsideOptions) error {
	return o.give(ctx, "set aside", "unchanged: the hosts are set aside already",
		func(plans planstore.Plans, plan string, order fleet.Pause) ([]string, error) {
			var hosts []string
			for _, at := range o.places {
				hosts = append(hosts, at.Name)
			}
			return plans.SetAside(ctx, plan, hosts, order)
		})
}

type retryOptions struct{ hostOrderOptions }

func newCmdRolloutRetry(f *factory, runF func(context.Context, *retryOptions) error) *cobra.Command {
	o := &retryOptions{hostOrderOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "retry --failed|host/NAME|role/NAME...",
		Short: "Let failed hosts try again",
		Long: "Grants failed hosts again. A host that waits for its next attempt begins it when its agent looks next. A host that is\n" +
			"set aside gets a grant when a slot is free, after all other hosts. Each order allows one more attempt. Until a host\n" +
			"succeeds it counts as failed.",
		Example:           "  upgradectl rollout retry host/web3\n  upgradectl rollout retry --failed --reason 'mirror is back'",
		Args:              cli.Args(cobra.ArbitraryArgs),
		ValidArgsFunction: f.completeManyArgs(completePlaces),
		RunE:              runE(f, o, runRolloutRetry, runF),
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&o.failed, "failed", false, "all hosts that have failed, also those that are set aside")
	return cmd
}

func (o *retryOptions) complete(args []string) error {
	if o.failed == (len(args) > 0) {
		return cli.Usagef("give --failed, or hosts and roles (host/NAME, role/NAME)")
	}
	return o.placesArg.complete(args)
}

func runRolloutRetry(ctx context.Context, o *retryOptions) error {
	return o.give(ctx, "may try again", "unchanged: no host has failed",
		func(plans planstore.Plans, plan string, order fleet.Pause) ([]string, error) {
			return plans.Retry(ctx, plan, o.places, order)
		})
}
