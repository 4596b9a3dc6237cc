// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// The ways to do as if.
const (
	dryNone   = "none"
	dryClient = "client"
	dryServer = "server"
)

func (c *cli) apply() *cobra.Command {
	var f files
	var wait bool
	dry := &choice{dryNone, []string{dryNone, dryClient, dryServer}}
	interval := defaultInterval
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "Store plans",
		Long: "Validates all documents of all files, then stores the plans that differ from what is stored.\n\n" +
			"With --dry-run=client nothing but the files is needed: without a Consul it says `valid` in place of what would\n" +
			"become of the plan. With --dry-run=server the stored plans must be readable.",
		Example: "  upgradectl apply -f plan.yaml\n  upgradectl apply -f plans/ -R --dry-run=server\n" +
			"  upgradectl apply -f plan.yaml --wait --timeout 1h",
		Args: noArgs,
	}
	f.bind(cmd.Flags())
	force := bindForce(cmd.Flags())
	cmd.Flags().Var(dry, "dry-run", "none, client or server: store nothing and say what would become of the plans")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the plans are complete, for --timeout at most")
	cmd.Flags().DurationVar(&interval, "interval", interval, "time between two looks of --wait")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		documents, err := c.read(f)
		if err != nil {
			return err
		}
		if dry.value == dryClient {
			return c.applyOffline(ctx, documents)
		}
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		for _, d := range documents {
			if err := c.managed(ctx, plans, d.Plan.Name, *force || dry.value == dryServer); err != nil {
				return err
			}
		}
		if err := c.store(ctx, plans, documents, dry.value == dryServer); err != nil || dry.value != dryNone {
			return err
		}
		c.hintController(ctx, s, documents[0].Plan.Name)
		if !wait {
			return nil
		}
		for _, d := range documents {
			if err := c.await(ctx, s, d.Plan.Name, interval); err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "upgradeplan/%s complete\n", d.Plan.Name)
		}
		return nil
	})
	return cmd
}

// applyOffline says what would become of the plans, as far as that can be told.
func (c *cli) applyOffline(ctx context.Context, documents []manifest.Document) error {
	config := c.flags.consul
	config.RetryFor = -1
	s, err := c.Open(config)
	if err != nil {
		return usageError{err}
	}
	for _, d := range documents {
		_, outcome, err := upgradeplan.Plans{Store: s}.Apply(ctx, d.Plan, true)
		var away *store.UnavailableError
		switch {
		case errors.As(err, &away):
			outcome = "valid"
			c.warn("nothing can be said of the stored plan: " + err.Error())
		case err != nil:
			return refused(err)
		}
		fmt.Fprintf(c.Out, "upgradeplan/%s %s (dry run)\n", d.Plan.Name, outcome)
	}
	return nil
}

// store applies all plans; first it asks for each whether the store would take it, so that it takes all or none.
func (c *cli) store(ctx context.Context, plans upgradeplan.Plans, documents []manifest.Document, dry bool) error {
	outcomes := make([]upgradeplan.Outcome, len(documents))
	for i, d := range documents {
		_, outcome, err := plans.Apply(ctx, d.Plan, true)
		if err != nil {
			return refused(err)
		}
		outcomes[i] = outcome
	}
	for i, d := range documents {
		if dry {
			fmt.Fprintf(c.Out, "upgradeplan/%s %s (server dry run)\n", d.Plan.Name, outcomes[i])
			continue
		}
		_, outcome, err := plans.Apply(ctx, d.Plan, false)
		if err != nil {
			return refused(err)
		}
		fmt.Fprintf(c.Out, "upgradeplan/%s %s\n", d.Plan.Name, outcome)
	}
	return nil
}

// refused: a plan that is not what a plan may be is bad input.
func refused(err error) error {
	if _, ok := errors.AsType[*upgradeplan.InvalidPlanError](err); ok {
		return usageError{err}
	}
	return err
}

// hintController says so when a stored plan will not move. Whether that can be told does not matter to what was stored.
func (c *cli) hintController(ctx context.Context, s store.Store, plan string) {
	if held, err := leaderelection.LockHolder(ctx, s, keys.Leader); err == nil && held == nil {
		c.say("no controller is running: start upgrade-controller, or run upgradectl reconcile %s", plan)
	}
}

func (c *cli) delete() *cobra.Command {
	var f files
	var dry bool
	cmd := &cobra.Command{
		Use:     "delete NAME... | -f FILE|DIR|-",
		Short:   "Delete plans; the keys of their hosts stay as they are",
		Example: "  upgradectl delete fleet",
	}
	cmd.ValidArgsFunction = c.many(c.planned)
	f.bind(cmd.Flags())
	force := bindForce(cmd.Flags())
	cmd.Flags().BoolVar(&dry, "dry-run", false, "delete nothing")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		names, err := planNames(args)
		if err != nil {
			return err
		}
		switch {
		case len(names) == 0 && len(f.names) == 0:
			return flagError{errors.New("the name of a plan or -f is required")}
		case len(names) > 0 && len(f.names) > 0:
			return flagError{errors.New("give names or -f, not both")}
		case len(names) == 0:
			documents, err := c.read(f)
			if err != nil {
				return err
			}
			for _, d := range documents {
				names = append(names, d.Plan.Name)
			}
		}
		plans, _, err := c.plans()
		if err != nil {
			return err
		}
		var problems []error
		for _, name := range names {
			if err := c.managed(ctx, plans, name, *force || dry); err != nil {
				problems = append(problems, err)
				continue
			}
			if err := plans.Delete(ctx, name, dry); err != nil {
				problems = append(problems, err)
				continue
			}
			note := ""
			if dry {
				note = " (dry run)"
			}
			fmt.Fprintf(c.Out, "upgradeplan/%s deleted%s\n", name, note)
		}
		return errors.Join(problems...)
	})
	return cmd
}

// find is the one plan that is meant: that of the name, else the only one (of --prefix, when that is given).
func (c *cli) find(ctx context.Context, plans upgradeplan.Plans, name string) (*v1alpha1.UpgradePlan, error) {
	if name != "" {
		return plans.Get(ctx, name)
	}
	all, err := c.candidates(ctx, plans)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, errors.New("there is no plan: upgradectl apply -f FILE stores one")
	case len(all) > 1:
		return nil, usagef("there are several plans: give the name of one (%s)", nameList(all))
	}
	return all[0], nil
}

// candidates are the plans that may be meant when none is named.
func (c *cli) candidates(ctx context.Context, plans upgradeplan.Plans) ([]*v1alpha1.UpgradePlan, error) {
	all, err := plans.List(ctx)
	if c.flags.layout.Prefix == "" {
		return all, err
	}
	var some []*v1alpha1.UpgradePlan
	for _, plan := range all {
		if plan.Spec.Keys.Prefix == c.flags.layout.Prefix {
			some = append(some, plan)
		}
	}
	return some, err
}

func nameList(plans []*v1alpha1.UpgradePlan) string {
	names := make([]string, len(plans))
	for i, plan := range plans {
		names[i] = plan.Name
	}
	return strings.Join(names, ", ")
}

// observe looks at the fleet of a plan; without a plan, at the keys alone.
func (c *cli) observe(ctx context.Context, name string) (*upgradeplan.Observation, error) {
	plan, s, err := c.planOrNone(ctx, name)
	if err != nil {
		return nil, err
	}
	var o *upgradeplan.Observation
	if plan != nil {
		o, err = upgradeplan.Observe(ctx, s, plan.Name, c.Now())
	} else {
		o, err = upgradeplan.ObserveFleet(ctx, s, c.flags.layout, c.Now())
	}
	if err == nil {
		c.warnIncomplete(o.Fleet.Incomplete)
	}
	return o, err
}

// sets are the three lists of status.
func (c *cli) sets(ctx context.Context, name string) (status.HostLists, error) {
	plan, s, err := c.planOrNone(ctx, name)
	if err != nil {
		return status.HostLists{}, err
	}
	sets, incomplete, err := upgradeplan.Sets(ctx, s, plan, c.flags.layout, c.Now())
	c.warnIncomplete(incomplete)
	return sets, err
}

func (c *cli) warnIncomplete(why string) {
	if why != "" {
		c.warn("something may be missing: " + oneLine(why))
	}
}

// planOrNone is the plan of the name, or the only one; nil: there is none, and the keys alone tell.
func (c *cli) planOrNone(ctx context.Context, name string) (*v1alpha1.UpgradePlan, store.Store, error) {
	plans, s, err := c.plans()
	if err != nil {
		return nil, nil, err
	}
	if name != "" {
		plan, err := plans.Get(ctx, name)
		return plan, s, err
	}
	all, err := c.candidates(ctx, plans)
	switch invalid := (*upgradeplan.InvalidPlanError)(nil); {
	case len(all) > 1:
		return nil, nil, usagef("there are several plans: name one of them, or give --prefix (%s)", nameList(all))
	case len(all) == 1:
		return all[0], s, nil
	case errors.As(err, &invalid):
		c.warn(fmt.Sprintf("judged by the keys alone: %v", err))
	case err != nil:
		return nil, nil, err
	}
	return nil, s, nil
}

// only is the argument that may be left out.
func only(args []string) (string, error) {
	names, err := planNames(args)
	if err != nil || len(names) == 0 {
		return "", err
	}
	return names[0], nil
}
