// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// bindForce adds the flag that lets somebody change what Git manages.
func bindForce(set *pflag.FlagSet) *bool {
	return set.Bool("force", false, "change a plan that Git manages all the same: the next sync puts it right again")
}

// managed refuses to change a plan that Git manages, unless it is forced.
func (c *cli) managed(ctx context.Context, plans upgradeplan.Plans, name string, force bool) error {
	by, err := keeper(ctx, plans, name)
	switch {
	case err != nil || by == "":
		return err
	case !force:
		return usagef("upgradeplan/%s is managed by %s: change it there, or use --force, which the next sync undoes", name, by)
	}
	c.warn(fmt.Sprintf("upgradeplan/%s is managed by %s: the next sync puts it right again", name, by))
	return nil
}

// keeper says who manages a plan, for people; empty: nobody.
func keeper(ctx context.Context, plans upgradeplan.Plans, name string) (string, error) {
	origin, err := plans.Origin(ctx, name)
	return oneLine(origin.String()), err
}
