// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// withoutArgs is embedded in the options of commands without arguments.
type withoutArgs struct{}

func (withoutArgs) complete([]string) error { return nil }

// namesArg holds the arguments of a command that takes the names of things other than plans.
type namesArg struct{ names []string }

func (a *namesArg) complete(args []string) error {
	a.names = args
	return nil
}

// planArg holds the argument of a command that takes [NAME]. Empty means the only plan.
type planArg struct{ plan string }

func (a *planArg) complete(args []string) error {
	names, err := parsePlanNames(args)
	if err != nil {
		return err
	}
	a.plan = strings.Join(names, "")
	return nil
}

// plansArg holds the arguments of a command that takes the names of plans.
type plansArg struct{ planNames []string }

func (a *plansArg) complete(args []string) (err error) {
	a.planNames, err = parsePlanNames(args)
	return err
}

// parsePlanNames reads names of plans as operators write them: fleet or upgradeplan/fleet.
func parsePlanNames(args []string) ([]string, error) {
	found := make([]string, len(args))
	for i, arg := range args {
		kind, name, both := strings.Cut(arg, "/")
		if !both {
			name = arg
		} else if !slices.Contains([]string{"plan", "plans", "up", "upgradeplan", "upgradeplans"}, kind) {
			return nil, cli.Usagef("%q: must be the name of a plan, or upgradeplan/NAME", arg)
		}
		if !names.Segment(name) {
			return nil, cli.Usagef("%q: the name of a plan %s", arg, names.SegmentRule)
		}
		found[i] = name
	}
	return found, nil
}

// planOptions are the options of a command about one plan.
type planOptions struct {
	*factory
	planArg
}

// resolve opens the store and returns the name of the plan: the given one, or that of the only plan.
func (o *planOptions) resolve(ctx context.Context) (store.Store, string, error) {
	s, err := o.store()
	if err != nil || o.plan != "" {
		return s, o.plan, err
	}
	plan, err := findPlan(ctx, o.factory, "")
	if err != nil {
		return nil, "", err
	}
	return s, plan.Name, nil
}

// fleetFlag is the flag --plan of commands that work without a plan.
type fleetFlag struct{ fleet string }

func (f *fleetFlag) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.fleet, "plan", "", "plan whose fleet is used (default: the only plan; without a plan, the keys alone)")
}
