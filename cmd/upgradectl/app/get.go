// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

func newCmdGet(f *factory) *cobra.Command {
	return cli.Parent("get", "List plans, hosts, roles, versions, holds, events and sources",
		newCmdGetPlans(f, nil), newCmdGetHosts(f, nil), newCmdGetRoles(f, nil), newCmdGetVersions(f, nil), newCmdGetHolds(f, nil),
		newCmdGetEvents(f, nil), newCmdGetSources(f, nil))
}

// planAliases returns the aliases of a subcommand about plans, with the other of plan and plans first.
func planAliases(other string) []string { return []string{other, "upgradeplan", "upgradeplans", "up"} }

type getPlansOptions struct {
	getOptions
	plansArg
	watchFlag
}

func newCmdGetPlans(f *factory, runF func(context.Context, *getPlansOptions) error) *cobra.Command {
	o := &getPlansOptions{getOptions: getOptions{factory: f}}
	cmd := &cobra.Command{
		Use:     "plans [NAME...]",
		Aliases: planAliases("plan"),
		Short:   "List plans, with their current status",
		Long: "Lists plans, with their current status.\n" +
			fmt.Sprintf(itemHelp, v1alpha1.Kind, "apiVersion, kind, metadata, spec and status, as in a manifest"),
		ValidArgsFunction: f.completeManyArgs(completePlans),
		RunE:              runE(f, o, runGetPlans, runF),
	}
	o.getOptions.bind(cmd)
	o.watchFlag.bind(cmd)
	return cmd
}

func runGetPlans(ctx context.Context, o *getPlansOptions) error {
	if o.watch {
		return watchList(ctx, o.factory, planKind(), o.format.Value, func(ctx context.Context) (listing[*v1alpha1.UpgradePlan], error) {
			return readPlans(ctx, o.factory, o.planNames)
		})
	}
	s, err := o.store()
	if err != nil {
		return err
	}
	all, unreadable := planstore.Plans{Store: s}.List(ctx)
	var items []*v1alpha1.UpgradePlan
	for _, plan := range all {
		if len(o.planNames) > 0 && !slices.Contains(o.planNames, plan.Name) {
			continue
		}
		seen, err := planstore.Observe(ctx, s, plan.Name, o.Now())
		if err != nil {
			return err
		}
		seen.Stored.Status = describe.Status(seen)
		items = append(items, seen.Stored)
	}
	if unreadable != nil && len(o.planNames) > 0 && len(items) == len(o.planNames) {
		unreadable = nil // it is about other plans
	}
	if unreadable != nil && len(items) == 0 {
		return unreadable
	}
	if err := printItems(o.factory, planKind(), o.format.Value, items, o.planNames); err != nil {
		return err
	}
	return unreadable
}

func planKind() itemKind[*v1alpha1.UpgradePlan] {
	return itemKind[*v1alpha1.UpgradePlan]{
		name: "upgradeplan", kind: v1alpha1.Kind, narrow: 5,
		header: []string{"NAME", "VERSION", "PHASE", "UPGRADED", "TOTAL", "CURRENT", "IN-FLIGHT", "FAILED", "STRATEGY", "PREFIX",
			"STATUS"},
		nameOf: func(p **v1alpha1.UpgradePlan) string { return (*p).Name },
		row: func(p **v1alpha1.UpgradePlan) []string {
			plan := *p
			h := plan.Status.Hosts
			return []string{plan.Name, plan.Spec.Version, string(plan.Status.Phase), strconv.Itoa(h.Upgraded),
				strconv.Itoa(h.Total), plan.Status.CurrentVersion, strconv.Itoa(h.InFlight), strconv.Itoa(h.Failed),
				string(plan.Spec.Strategy), plan.Spec.Keys.Prefix, status.Line(plan.Status)}
		},
	}
}

func newCmdGetRoles(f *factory, runF func(context.Context, *getFleetOptions) error) *cobra.Command {
	return newCmdGetFleet(f, &cobra.Command{
		Use:     "roles [NAME...]",
		Aliases: []string{"role"},
		Short:   "List roles, with their hosts by state",
		Long: "Lists roles, with their hosts by state.\n" + fmt.Sprintf(itemHelp, "Role", "name, group, total, upgraded,\n"+
			"upgrading, pending, failed, held, inFlight, excluded, unknown, limit, blockedBy, enabled"),
	}, completeRoles, runGetRoles, runF)
}

func runGetRoles(ctx context.Context, o *getFleetOptions) error {
	seen, err := observe(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	return printItems(o.factory, roleKind(), o.format.Value, describe.Roles(seen), o.names)
}

func roleKind() itemKind[describe.Role] {
	return itemKind[describe.Role]{
		name: "role", kind: "Role", narrow: 9,
		header: []string{"NAME", "HOSTS", "UPGRADED", "UPGRADING", "PENDING", "FAILED", "HELD", "IN-FLIGHT", "LIMIT", "GROUP",
			"ENABLED", "BLOCKED-BY"},
		nameOf: func(r *describe.Role) string { return r.Name },
		row: func(r *describe.Role) []string {
			return append(roleCells(&r.RoleStatus), r.Group, describe.YesNo(r.Enabled), r.BlockedBy)
		},
	}
}

// roleCells returns the cells of a role up to its limit.
func roleCells(r *v1alpha1.RoleStatus) []string {
	cells := []string{r.Name}
	for _, n := range []int{r.Total, r.Upgraded, r.Upgrading, r.Pending, r.Failed, r.Held, r.InFlight} {
		cells = append(cells, strconv.Itoa(n))
	}
	return append(cells, describe.Limit(r.Limit))
}

func newCmdGetVersions(f *factory, runF func(context.Context, *getFleetOptions) error) *cobra.Command {
	return newCmdGetFleet(f, &cobra.Command{
		Use:     "versions [NAME...]",
		Aliases: []string{"version"},
		Short:   "List the versions that hosts have",
		Long: "Lists the versions that hosts have, and the current version of the fleet.\n" +
			fmt.Sprintf(itemHelp, "Version", "name, hosts, current"),
	}, completeVersions, runGetVersions, runF)
}

func runGetVersions(ctx context.Context, o *getFleetOptions) error {
	seen, err := observe(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	return printItems(o.factory, versionKind(), o.format.Value, describe.Versions(seen), o.names)
}

func versionKind() itemKind[describe.Version] {
	return itemKind[describe.Version]{
		name: "version", kind: "Version", narrow: 3,
		header: []string{"NAME", "HOSTS", "CURRENT"},
		nameOf: func(v *describe.Version) string { return v.Name },
		row: func(v *describe.Version) []string {
			current := ""
			if v.Current {
				current = "*"
			}
			return []string{v.Name, strconv.Itoa(v.Hosts), current}
		},
	}
}
