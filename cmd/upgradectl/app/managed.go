// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

// forceFlag is the flag --force, which allows changes to a plan that Git manages.
type forceFlag struct{ force bool }

func (f *forceFlag) bind(set *pflag.FlagSet) {
	set.BoolVar(&f.force, "force", false, "change a plan that Git manages; the next sync undoes the change")
}

// check refuses to change a plan that Git manages, unless it is forced or a dry run.
func (f *forceFlag) check(ctx context.Context, on *factory, plan string, dryRun bool) error {
	by, err := managedBy(ctx, on, plan)
	switch {
	case err != nil || by == "":
		return err
	case !f.force && !dryRun:
		return cli.Usagef("upgradeplan/%s is managed by %s: change it there, or use --force, which the next sync undoes", plan, by)
	}
	on.warn("upgradeplan/%s is managed by %s: the next sync undoes this change", plan, by)
	return nil
}

// managedBy describes the source that manages a plan. Empty means none.
func managedBy(ctx context.Context, f *factory, plan string) (string, error) {
	plans, err := f.plans()
	if err != nil {
		return "", err
	}
	origin, err := plans.Origin(ctx, plan)
	return cli.OneLine(origin.String()), err
}
