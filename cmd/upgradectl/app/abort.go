// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func (c *cli) rolloutAbort() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "abort [NAME]",
		Short: "Give a rollout up: take back every permission at once",
		Long: "Stops every new start and takes all permissions back, with or without a controller. Hosts that have started go on\n" +
			"and keep their slots until they report; so do hosts in the field that may have. The spec is not tried again until it\n" +
			"changes, or `rollout resume`. `rollout undo` puts an earlier one in its place.",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is shown wherever the abort is")
	cmd.RunE = c.change("aborted", "already aborted", func(ctx context.Context, plans upgradeplan.Plans, plan string) (bool, error) {
		did, err := plans.Abort(ctx, plan, fleet.Pause{By: c.Who, Time: c.Now().UTC(), Reason: reason})
		if err == nil && did.Left != nil {
			c.warn("nobody is released any more, but who was released may still begin until the next pass of a controller: " +
				oneLine(did.Left.Error()))
		}
		return did.Changed, err
	})
	return cmd
}
