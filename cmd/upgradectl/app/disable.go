// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

// maxListedStarts bounds the hosts that global-disable-puppet lists.
const maxListedStarts = 10

type disableOptions struct {
	*factory
	withoutArgs
}

func newCmdGlobalDisablePuppet(f *factory, runF func(context.Context, *disableOptions) error) *cobra.Command {
	o := &disableOptions{factory: f}
	return &cobra.Command{
		Use:     "global-disable-puppet",
		Aliases: []string{"global_disable_puppet"},
		Short:   "Stop Puppet on all hosts: pause the plan, delete all enable_puppet keys, set global to False",
		Long: "Pauses the fleet's plan, if there is one, deletes the tree enable_puppet and sets its global to False, in one\n" +
			"transaction. It needs no lock. Hosts that may have started keep their slot until they report, or until their\n" +
			"deadline.",
		Args: cli.NoArgs,
		RunE: runE(f, o, runGlobalDisablePuppet, runF),
	}
}

func runGlobalDisablePuppet(ctx context.Context, o *disableOptions) error {
	plans, err := o.plans()
	if err != nil {
		return err
	}
	all, err := candidates(ctx, o.factory)
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return cli.Usagef("there are several plans: choose a fleet by --prefix (%s)", joinNames(all))
	}
	name, layout := "", o.flags.layout
	if len(all) == 1 {
		name, layout = all[0].Name, planstore.Layout(all[0])
	}
	did, err := plans.DisablePuppet(ctx, name, layout, fleet.Pause{Kind: fleet.PausedByDisablePuppet, By: o.Who,
		Time: o.Now().UTC(), Reason: "global-disable-puppet"})
	if err != nil {
		return err
	}
	if did.Paused {
		fmt.Fprintf(o.Out, "upgradeplan/%s paused\n", name)
	} else if name != "" {
		o.say("upgradeplan/%s was paused before", name)
	}
	fmt.Fprintf(o.Out, "%s deleted, %s set to False\n", layout.EnableTree(), layout.EnableGlobal())
	if len(did.Marked) > 0 {
		o.say("%s may have started, and keep their slots until they report: %s", wording.Count(len(did.Marked), "host"),
			strings.Join(did.Marked[:min(len(did.Marked), maxListedStarts)], ", "))
	}
	return nil
}
