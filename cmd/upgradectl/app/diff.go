// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// PlanDiff is what diff -o json and -o yaml print for each plan.
type PlanDiff struct {
	// Plan is the name, and Outcome what apply would do: created, configured or unchanged; for a source also deleted.
	Plan    string            `json:"plan"`
	Outcome planstore.Outcome `json:"outcome"`
	// Keys are the keys in Consul that the next pass would change, in order.
	Keys []diff.JSON `json:"keys"`

	before, after string
	source        string
	changes       diff.Changes
	review        upgradeplan.Review
}

func (d *PlanDiff) differs() bool { return d.Outcome != planstore.Unchanged || !d.changes.Empty() }

// asDiff is the default format of diff.
const asDiff = "diff"

type diffOptions struct {
	*factory
	withoutArgs
	files  files
	source sourceFlags
	color  colorFlag
	format *cli.Choice
	save   string
}

func newCmdDiff(f *factory, runF func(context.Context, *diffOptions) error) *cobra.Command {
	o := &diffOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIR|- | --source NAME",
		Short: "Show what apply would change in a plan, and what a reconcile would then change in the keys",
		Long: "Prints a unified diff of the stored plan and the manifest, then of every key in Consul that a reconcile would\n" +
			"change at once. It writes nothing. -o json prints a list of {plan, outcome, keys}.\n\n" +
			"With --source, the manifests are those in the repository of that source. Plans that have left the repository are\n" +
			"shown as deleted. So the diff shows what the next sync would do. The command does not use the credentials of the\n" +
			"controller.\n\n" +
			"--save also writes these changes to a file: each key with its old value, its new value and its ModifyIndex. After a\n" +
			"review, `upgradectl reconcile --changes` writes exactly those changes, or nothing.\n\n" +
			"Exit codes: 0 no difference, 1 a difference, 2 an error.",
		Args: cli.NoArgs,
		RunE: runE(f, o, runDiff, runF),
	}
	o.files.bind(cmd.Flags())
	o.source.bind(cmd.Flags())
	o.color.bind(cmd.Flags())
	cmd.Flags().StringVar(&o.save, "save", "", "file to write the changes to, for reconcile --changes")
	o.format = cli.BindOutput(cmd.Flags(), asDiff, cli.JSON, cli.YAML)
	return cmd
}

func (o *diffOptions) complete(args []string) error {
	if o.source.name != "" && len(o.files.names) > 0 {
		return cli.FlagErrorf("give -f or --source, not both")
	}
	return o.withoutArgs.complete(args)
}

func runDiff(ctx context.Context, o *diffOptions) error {
	different, err := printDiffs(ctx, o)
	switch {
	case err != nil:
		return &cli.ExitError{Code: cli.ExitUsage, Err: err}
	case different:
		return &cli.ExitError{Code: cli.ExitFailed}
	}
	return nil
}

func printDiffs(ctx context.Context, o *diffOptions) (different bool, err error) {
	diffs, err := diffPlans(ctx, o)
	if err != nil {
		return false, err
	}
	if o.save != "" && len(diffs) != 1 {
		return false, cli.Usagef("--save takes one plan at a time, not %d", len(diffs))
	}
	for _, one := range diffs {
		different = different || one.differs()
	}
	if o.save != "" {
		if err := saveReview(ctx, o.factory, o.save, diffs[0].review); err != nil {
			return false, err
		}
	}
	if o.format.Value != asDiff {
		return different, cli.Print(o.Out, o.format.Value, diffs)
	}
	for _, d := range diffs {
		if err := o.color.writeDiff(o.factory, d.text()); err != nil {
			return false, err
		}
	}
	return different, nil
}

// diffPlans returns the diffs of the plans in the files or in the source.
func diffPlans(ctx context.Context, o *diffOptions) ([]*PlanDiff, error) {
	var documents []manifest.Document
	var leaving []string
	var err error
	if o.source.name != "" {
		documents, leaving, err = readSource(ctx, o.factory, o.source)
	} else {
		documents, err = readManifests(o.factory, o.files)
	}
	if err != nil {
		return nil, err
	}
	diffs := make([]*PlanDiff, 0, len(documents)+len(leaving))
	for _, d := range documents {
		one, err := diffPlan(ctx, o.factory, d, leaving)
		if err != nil {
			return nil, err
		}
		diffs = append(diffs, one)
	}
	for _, name := range leaving {
		one, err := diffDeleted(ctx, o.factory, name)
		if err != nil {
			return nil, err
		}
		diffs = append(diffs, one)
	}
	return diffs, nil
}

// diffPlan returns what happens to a plan after the plans that are leaving are deleted.
func diffPlan(ctx context.Context, f *factory, d manifest.Document, leaving []string) (*PlanDiff, error) {
	s, err := f.store()
	if err != nil {
		return nil, err
	}
	out := &PlanDiff{Plan: d.Plan.Name, source: d.Source}
	outcome, err := planstore.ManagedPlans{Store: s}.Apply(ctx, d.Plan, fleet.Origin{}, leaving, true)
	if err != nil {
		return nil, err
	}
	out.Outcome = planstore.Outcome(outcome)
	stored, err := planstore.Plans{Store: s}.Get(ctx, d.Plan.Name)
	if _, missing := errors.AsType[*planstore.NotFoundError](err); err == nil {
		out.before, err = describe.Manifest(stored)
	} else if missing {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	next := d.Plan.DeepCopy()
	v1alpha1.SetDefaults(next)
	if out.after, err = describe.Manifest(next); err != nil {
		return nil, err
	}
	warnOfRollback(f, next)
	o, err := planstore.ObserveAs(ctx, s, d.Plan, f.Now())
	if err != nil {
		return nil, err
	}
	preview := o.Preview()
	if message := preview.Last.Decision.Gate.Message; message != "" {
		f.say("upgradeplan/%s: no host would be granted: %s", d.Plan.Name, message)
	}
	out.changes, out.Keys, out.review = preview.Changes, preview.Changes.JSON(), upgradeplan.NewReview(o)
	return out, nil
}

// warnOfRollback says what a rollback leaves out, unless the plan has a policy for that.
func warnOfRollback(f *factory, plan *v1alpha1.UpgradePlan) {
	spec, left := &plan.Spec, []string{}
	if len(spec.Windows.Allow) > 0 {
		left = append(left, "does not wait for windows.allow")
	}
	if spec.Canary.Given() {
		left = append(left, "has no canaries")
	}
	if spec.FailurePolicy.OnExceeded == v1alpha1.RollbackOnFailure && spec.FailurePolicy.Rollback == nil && len(left) > 0 {
		f.warn("upgradeplan/%s: a rollback %s; failurePolicy.rollback has its rules", plan.Name, strings.Join(left, " and "))
	}
}

func (d *PlanDiff) text() string {
	text := udiff.Unified("consul/upgradeplan/"+d.Plan, d.source, d.before, d.after)
	if !d.changes.Empty() {
		text += "--- consul/keys\n+++ after a reconcile of upgradeplan/" + d.Plan + "\n" + d.changes.String()
	}
	return text
}
