// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func (c *cli) rolloutPromote() *cobra.Command {
	var reason string
	var force bool
	cmd := &cobra.Command{
		Use:   "promote [NAME]",
		Short: "Let the other hosts follow the canaries of a plan",
		Long: "Lets the other hosts follow the canaries (spec.canary) of the version that the plan has now. It refuses while a\n" +
			"canary is not upgraded or has not soaked, unless forced. The next version has canaries of its own.",
		Example: "  upgradectl rollout promote fleet --reason 'quiet for an hour'",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	cmd.Flags().BoolVar(&force, "force", false, "also when canaries are not upgraded, or have not soaked")
	promote := func(ctx context.Context, plans upgradeplan.Plans, plan string) (bool, error) {
		return plans.Promote(ctx, plan, fleet.Pause{By: c.Who, Time: c.Now().UTC(), Reason: reason}, force)
	}
	cmd.RunE = c.change("promoted", "has no canaries any more", promote)
	return cmd
}
