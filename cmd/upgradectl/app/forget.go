// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func (c *cli) forget() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "forget host/NAME...",
		Short: "Remove all that is kept of hosts that are gone",
		Long: "Removes the records of a host under all versions, its report, started mark, enable key and hold, in one\n" +
			"transaction, and says which keys these were. Its slot becomes free, and nothing waits for it any more.\n\n" +
			"Refused for a host that is in flight, or that has reported within the last hour, unless --force is given: a host\n" +
			"that lives comes back with its next report, and may have begun meanwhile. A pause key that an operator set stays.",
		Args: args(cobra.MinimumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.many(c.hostPlaces)
	plan := ofPlan(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "forget hosts even if they are in flight or have just reported")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		for _, arg := range args {
			if at, ok := keys.PlaceOf(arg); !ok || at.Scope != fleet.ScopeHost {
				return usagef("%q: must be host/NAME", arg)
			}
		}
		of, s, err := c.planOrNone(ctx, *plan)
		if err != nil {
			return err
		}
		f := upgradeplan.ForgetOptions{Layout: c.flags.layout, Force: force, Now: c.Now()}
		if of != nil {
			f.Plan = of.Name
		}
		var problems []error
		for _, arg := range args {
			at, _ := keys.PlaceOf(arg)
			f.Host = at.Name
			problems = append(problems, c.forgetOne(ctx, upgradeplan.Plans{Store: s}, f))
		}
		return errors.Join(problems...)
	})
	return cmd
}

func (c *cli) forgetOne(ctx context.Context, plans upgradeplan.Plans, f upgradeplan.ForgetOptions) error {
	did, err := plans.Forget(ctx, f)
	switch {
	case errors.As(err, new(*upgradeplan.HostActiveError)):
		return fmt.Errorf("%w; --force forgets it all the same", err)
	case err != nil:
		return fmt.Errorf("host/%s: %w", f.Host, err)
	case len(did.Removed) == 0:
		return fmt.Errorf("host %q not found", f.Host)
	}
	fmt.Fprintf(c.Out, "host/%s forgotten\n", f.Host)
	for _, key := range did.Removed {
		c.say("removed %s", key)
	}
	if did.OwnPause != "" {
		c.say("%s is an operator's own and stays", did.OwnPause)
	}
	return nil
}
