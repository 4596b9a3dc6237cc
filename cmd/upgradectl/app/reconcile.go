// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

type reconcileOptions struct {
	*factory
	planArg
	passFlags
	files   files
	force   forceFlag
	color   colorFlag
	changes string
	dryRun  bool
}

func newCmdReconcile(f *factory, runF func(context.Context, *reconcileOptions) error) *cobra.Command {
	o := &reconcileOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "reconcile [-f FILE | NAME | --changes FILE]",
		Short: "Carry out a plan without a daemon: one pass, or passes until all hosts are upgraded",
		Long: "Makes one pass: reads the fleet, and writes the keys that the plan's rules require. NAME can be omitted if there is\n" +
			"only one plan. With -f the command applies the plan first.\n\n" +
			"Only one process writes. The command takes the lock that upgrade-controller takes, and waits while another command\n" +
			"holds it. While an upgrade-controller holds the lock, the command applies the plan and follows the controller.\n\n" +
			"--changes writes the changes in a file of `upgradectl diff --save`: exactly those, or nothing if a key has changed\n" +
			"since. It needs the lock, so no upgrade-controller may be running.",
		Example: "  upgradectl reconcile fleet\n  upgradectl reconcile -f plan.yaml --until-complete --interval 15s\n" +
			"  upgradectl diff -f plan.yaml --save changes.json; upgradectl reconcile --changes changes.json",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runReconcile, runF),
	}
	cmd.AddCommand(newCmdReconcileSource(f, nil))
	o.files.bind(cmd.Flags())
	o.force.bind(cmd.Flags())
	o.color.bind(cmd.Flags())
	o.passFlags.bind(cmd, defaultInterval)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print the keys that would change, and write nothing")
	cmd.Flags().BoolVar(&o.untilComplete, "until-complete", false, "make passes until all hosts are upgraded")
	cmd.Flags().StringVar(&o.changes, "changes", "", "file of diff --save with the changes to write, or - for standard input")
	return cmd
}

func (o *reconcileOptions) complete(args []string) error {
	if err := o.planArg.complete(args); err != nil {
		return err
	}
	fromFile := len(o.files.names) > 0
	switch {
	case o.changes != "" && (o.plan != "" || fromFile || o.dryRun || o.untilComplete):
		return cli.FlagErrorf("--changes cannot be combined with NAME, -f, --dry-run or --until-complete")
	case o.plan != "" && fromFile:
		return cli.FlagErrorf("give a name or -f, not both")
	}
	return o.check()
}

func runReconcile(ctx context.Context, o *reconcileOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	if o.changes != "" {
		return reconcileReviewed(ctx, o.factory, s, o.changes, o.lockTimeout)
	}
	fromFile := len(o.files.names) > 0
	var plan *v1alpha1.UpgradePlan
	if fromFile {
		plan, err = readOnePlan(o.factory, o.files, "reconcile")
	} else {
		plan, err = findPlan(ctx, o.factory, o.plan)
	}
	switch {
	case err != nil:
		return err
	case o.dryRun:
		return preview(ctx, o.factory, s, plan, fromFile, o.color)
	case !fromFile:
		return carryOut(ctx, o.factory, newRunner(o.factory, s, plan.Name, o.passFlags, nil), nil)
	}
	if err := o.force.check(ctx, o.factory, plan.Name, false); err != nil {
		return err
	}
	r := newRunner(o.factory, s, plan.Name, o.passFlags, func(ctx context.Context) error {
		return storePlans(ctx, o.factory, []manifest.Document{{Plan: plan}}, false)
	})
	return carryOut(ctx, o.factory, r, nil)
}

// preview prints the keys that a pass would change. It refuses a plan from a file if apply would refuse it.
func preview(ctx context.Context, f *factory, s store.Store, plan *v1alpha1.UpgradePlan, fromFile bool, color colorFlag) error {
	if fromFile {
		if _, _, err := (planstore.Plans{Store: s}).Apply(ctx, plan, true); err != nil {
			return inputError(err)
		}
	}
	o, err := planstore.ObserveAs(ctx, s, plan, f.Now())
	if err != nil {
		return err
	}
	preview := o.Preview()
	if preview.Changes.Empty() {
		f.say("no key would change: %s", blockedBy(preview.Last))
	}
	return color.writeDiff(f, preview.Changes.String())
}

// blockedBy returns what stops all new starts, or the progress of the plan if nothing does.
func blockedBy(o *pass.Assessment) string {
	if o.Decision.Gate.Message != "" {
		return o.Decision.Gate.Message
	}
	return status.Line(status.Of(&o.Decision, o.Plan.Status, o.Plan.Generation, o.Now))
}
