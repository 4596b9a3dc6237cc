// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

type deleteOptions struct {
	*factory
	plansArg
	files  files
	force  forceFlag
	dryRun bool
}

func newCmdDelete(f *factory, runF func(context.Context, *deleteOptions) error) *cobra.Command {
	o := &deleteOptions{factory: f}
	cmd := &cobra.Command{
		Use:               "delete NAME... | -f FILE|DIR|-",
		Short:             "Delete plans, and leave the keys of their hosts as they are",
		Example:           "  upgradectl delete fleet",
		ValidArgsFunction: f.completeManyArgs(completePlans),
		RunE:              runE(f, o, runDelete, runF),
	}
	o.files.bind(cmd.Flags())
	o.force.bind(cmd.Flags())
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "delete nothing, and print what would be deleted")
	return cmd
}

func (o *deleteOptions) complete(args []string) error {
	if err := o.plansArg.complete(args); err != nil {
		return err
	}
	switch {
	case len(o.planNames) == 0 && len(o.files.names) == 0:
		return cli.FlagErrorf("the name of a plan or -f is required")
	case len(o.planNames) > 0 && len(o.files.names) > 0:
		return cli.FlagErrorf("give names or -f, not both")
	}
	return nil
}

func runDelete(ctx context.Context, o *deleteOptions) error {
	names := o.planNames
	if len(names) == 0 {
		documents, err := readManifests(o.factory, o.files)
		if err != nil {
			return err
		}
		for _, d := range documents {
			names = append(names, d.Plan.Name)
		}
	}
	note := ""
	if o.dryRun {
		note = " (dry run)"
	}
	var problems []error
	for _, name := range names {
		if err := deleteOne(ctx, o, name); err != nil {
			problems = append(problems, err)
			continue
		}
		fmt.Fprintf(o.Out, "upgradeplan/%s deleted%s\n", name, note)
	}
	return errors.Join(problems...)
}

func deleteOne(ctx context.Context, o *deleteOptions, name string) error {
	plans, err := o.plans()
	if err != nil {
		return err
	}
	if err := o.force.check(ctx, o.factory, name, o.dryRun); err != nil {
		return err
	}
	return plans.Delete(ctx, name, o.dryRun)
}
