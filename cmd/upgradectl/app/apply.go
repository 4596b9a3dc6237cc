// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The values of --dry-run.
const (
	dryNone   = "none"
	dryClient = "client"
	dryServer = "server"
)

type applyOptions struct {
	*factory
	withoutArgs
	files    files
	force    forceFlag
	dryRun   *cli.Choice
	wait     bool
	interval time.Duration
}

func newCmdApply(f *factory, runF func(context.Context, *applyOptions) error) *cobra.Command {
	o := &applyOptions{factory: f, dryRun: cli.NewChoice(dryNone, dryClient, dryServer)}
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "Store plans",
		Long: "Validates all documents of all files, then stores the plans that differ from what is stored.\n\n" +
			"--dry-run=client needs only the files: without a Consul it prints `valid` for a plan whose outcome it cannot know.\n" +
			"--dry-run=server must be able to read the stored plans.",
		Example: "  upgradectl apply -f plan.yaml\n  upgradectl apply -f plans/ -R --dry-run=server\n" +
			"  upgradectl apply -f plan.yaml --wait --timeout 1h",
		Args: cli.NoArgs,
		RunE: runE(f, o, runApply, runF),
	}
	o.files.bind(cmd.Flags())
	o.force.bind(cmd.Flags())
	cmd.Flags().Var(o.dryRun, "dry-run", "none, client or server: store nothing, and print what would happen to the plans")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until the plans are complete, up to --timeout")
	cmd.Flags().DurationVar(&o.interval, "interval", defaultInterval, "time between two checks of --wait")
	return cmd
}

func (o *applyOptions) complete(args []string) error {
	if o.wait && o.interval <= 0 {
		return cli.FlagErrorf("--interval must be above 0")
	}
	return o.withoutArgs.complete(args)
}

func runApply(ctx context.Context, o *applyOptions) error {
	documents, err := readManifests(o.factory, o.files)
	if err != nil {
		return err
	}
	if o.dryRun.Value == dryClient {
		return applyOffline(ctx, o.factory, documents)
	}
	s, err := o.store()
	if err != nil {
		return err
	}
	dry := o.dryRun.Value == dryServer
	for _, d := range documents {
		if err := o.force.check(ctx, o.factory, d.Plan.Name, dry); err != nil {
			return err
		}
	}
	if err := storePlans(ctx, o.factory, documents, dry); err != nil || dry {
		return err
	}
	hintController(ctx, o.factory, s, documents[0].Plan.Name)
	if !o.wait {
		return nil
	}
	for _, d := range documents {
		if err := awaitComplete(ctx, o.factory, s, d.Plan.Name, o.interval); err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "upgradeplan/%s complete\n", d.Plan.Name)
	}
	return nil
}

// applyOffline prints what would happen to the plans, as far as it can be known.
func applyOffline(ctx context.Context, f *factory, documents []manifest.Document) error {
	config := f.flags.consul
	config.RetryFor = -1
	s, err := f.Open(config)
	if err != nil {
		return cli.Usage(err)
	}
	for _, d := range documents {
		_, outcome, err := planstore.Plans{Store: s}.Apply(ctx, d.Plan, true)
		if _, away := errors.AsType[*store.UnavailableError](err); away {
			f.warn("cannot compare with the stored plan: %v", err)
			outcome, err = "valid", nil
		}
		if err != nil {
			return inputError(err)
		}
		fmt.Fprintf(f.Out, "upgradeplan/%s %s (dry run)\n", d.Plan.Name, outcome)
	}
	return nil
}

// storePlans applies all plans or none: it first checks for each plan that the store accepts it.
func storePlans(ctx context.Context, f *factory, documents []manifest.Document, dry bool) error {
	plans, err := f.plans()
	if err != nil {
		return err
	}
	outcomes := make([]planstore.Outcome, len(documents))
	for i, d := range documents {
		if _, outcomes[i], err = plans.Apply(ctx, d.Plan, true); err != nil {
			return inputError(err)
		}
	}
	for i, d := range documents {
		if dry {
			fmt.Fprintf(f.Out, "upgradeplan/%s %s (server dry run)\n", d.Plan.Name, outcomes[i])
			continue
		}
		_, outcome, err := plans.Apply(ctx, d.Plan, false)
		if err != nil {
			return inputError(err)
		}
		fmt.Fprintf(f.Out, "upgradeplan/%s %s\n", d.Plan.Name, outcome)
	}
	return nil
}

// inputError makes an invalid plan a usage error.
func inputError(err error) error {
	if _, invalid := errors.AsType[*planstore.InvalidPlanError](err); invalid {
		return cli.Usage(err)
	}
	return err
}
