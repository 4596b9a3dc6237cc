// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

func newCmdDescribe(f *factory) *cobra.Command {
	return cli.Parent("describe", "Show details of a plan, a host, a role or a source, and why it is in its state",
		newCmdDescribePlan(f, nil), newCmdDescribeHost(f, nil), newCmdDescribeRole(f, nil), newCmdDescribeSource(f, nil))
}

func newCmdDescribePlan(f *factory, runF func(context.Context, *planOptions) error) *cobra.Command {
	o := &planOptions{factory: f}
	return &cobra.Command{
		Use:               "plan [NAME]",
		Aliases:           planAliases("plans"),
		Short:             "Show the rules of a plan, its progress, and what stops it",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runDescribePlan, runF),
	}
}

func runDescribePlan(ctx context.Context, o *planOptions) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	d := planDescription{}
	if d.seen, err = planstore.Observe(ctx, s, name, o.Now()); err != nil {
		return err
	}
	if d.leader, err = lockHolder(ctx, s); err != nil {
		return err
	}
	if d.events, err = (planstore.Plans{Store: s}).Events(ctx, name); err != nil {
		return err
	}
	plans, err := (planstore.Plans{Store: s}).Names(ctx)
	if err != nil {
		return err
	}
	d.plans = len(plans)
	if d.managedBy, err = managedBy(ctx, o.factory, name); err != nil {
		return err
	}
	return cli.Buffered(o.Out, d.write)
}

// describeFleetOptions are the options of describe host and describe role.
type describeFleetOptions struct {
	*factory
	fleetFlag
	namesArg
}

func newCmdDescribeHost(f *factory, runF func(context.Context, *describeFleetOptions) error) *cobra.Command {
	o := &describeFleetOptions{factory: f}
	cmd := &cobra.Command{
		Use:               "host NAME...",
		Aliases:           []string{"hosts"},
		Short:             "Show details of hosts, and why each is in its state",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completeHosts),
		RunE:              runE(f, o, runDescribeHost, runF),
	}
	o.fleetFlag.bind(cmd)
	return cmd
}

func runDescribeHost(ctx context.Context, o *describeFleetOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	seen, err := observe(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	hosts, err := choose(hostKind(), describe.Hosts(seen, nil), o.names)
	if err != nil {
		return err
	}
	for i := range hosts {
		records, _, err := s.Get(ctx, seen.RecordsOf(hosts[i].Name)...)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(o.Out)
		}
		if err := cli.Buffered(o.Out, func(w io.Writer) error { return writeHost(w, seen, &hosts[i], records) }); err != nil {
			return err
		}
	}
	return nil
}

func writeHost(w io.Writer, o *pass.Assessment, h *describe.Host, records []keys.Pair) error {
	if err := cli.WriteFields(w, h.Facts(o, records)); err != nil {
		return err
	}
	return writeWhy(w, describe.Why(o.Why().Host(h.Name)))
}

func newCmdDescribeRole(f *factory, runF func(context.Context, *describeFleetOptions) error) *cobra.Command {
	o := &describeFleetOptions{factory: f}
	cmd := &cobra.Command{
		Use:               "role NAME...",
		Aliases:           []string{"roles"},
		Short:             "Show the progress of a role, and its hosts by state",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completeRoles),
		RunE:              runE(f, o, runDescribeRole, runF),
	}
	o.fleetFlag.bind(cmd)
	return cmd
}

func runDescribeRole(ctx context.Context, o *describeFleetOptions) error {
	seen, err := observe(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	roles, err := choose(roleKind(), describe.Roles(seen), o.names)
	if err != nil {
		return err
	}
	hosts := describe.Hosts(seen, nil)
	for i := range roles {
		if i > 0 {
			fmt.Fprintln(o.Out)
		}
		if err := cli.Buffered(o.Out, func(w io.Writer) error { return writeRole(w, seen, &roles[i], hosts) }); err != nil {
			return err
		}
	}
	return nil
}
