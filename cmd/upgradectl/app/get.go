// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const getHelp = `
-o json and -o yaml print {apiVersion: upgrade.jiocloud.com/v1alpha1, kind: %sList, items: […]}, and with exactly one NAME
that item itself. Fields may be added to items over time; none is renamed. Items have: %s.`

func (c *cli) get() *cobra.Command {
	return parent("get", "List plans, hosts, roles, versions, holds, events and sources", c.getPlans(), c.getHosts(), c.getRoles(),
		c.getVersions(), c.getHolds(), c.getEvents(), c.getSources())
}

// kind is how one kind of things is listed.
type kind[T any] struct {
	name string // of one of them, as -o name has it
	kind string
	// header and row are those of the table; from column wide on they are shown with -o wide.
	header []string
	wide   int
	row    func(*T) []string
	nameOf func(*T) string
}

// show prints those items that are named, or all of them.
func show[T any](c *cli, k kind[T], format string, items []T, names []string) error {
	chosen := items
	if len(names) > 0 {
		chosen = nil
		at := make(map[string]int, len(items))
		for i := range items {
			at[k.nameOf(&items[i])] = i
		}
		for _, name := range names {
			i, ok := at[name]
			if !ok {
				return fmt.Errorf("%s %q not found", k.name, name)
			}
			chosen = append(chosen, items[i])
		}
	}
	switch {
	case format == asName:
		return c.buffered(func(w io.Writer) error {
			for i := range chosen {
				if _, err := fmt.Fprintf(w, "%s/%s\n", k.name, k.nameOf(&chosen[i])); err != nil {
					return err
				}
			}
			return nil
		})
	case (format == asJSON || format == asYAML) && len(names) == 1:
		return c.print(format, chosen[0])
	case format == asJSON || format == asYAML:
		return c.print(format, list(k.kind+"List", chosen))
	case len(chosen) == 0:
		c.say("no %ss found", k.name)
		return nil
	}
	columns := k.wide
	if format == asWide {
		columns = len(k.header)
	}
	rows := make([][]string, len(chosen))
	for i := range chosen {
		rows[i] = k.row(&chosen[i])[:columns]
	}
	return c.buffered(func(w io.Writer) error { return table(w, "", k.header[:columns], rows) })
}

func getOutput(cmd *cobra.Command) *choice {
	return output(cmd.Flags(), asTable, asWide, asJSON, asYAML, asName)
}

// ofPlan adds the flag that names the plan whose fleet is meant.
func ofPlan(cmd *cobra.Command) *string {
	return cmd.Flags().String("plan", "", "the plan whose fleet is meant (default: the only one; without a plan, the keys alone)")
}

func (c *cli) getPlans() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "plans [NAME...]",
		Aliases: []string{"plan", "upgradeplan", "upgradeplans", "up"},
		Short:   "List plans, with their status as it is now",
		Long: "Lists plans, with their status as it is now.\n" +
			fmt.Sprintf(getHelp, v1alpha1.Kind, "apiVersion, kind, metadata, spec and status, as in a manifest"),
	}
	cmd.ValidArgsFunction = c.many(c.planned)
	format, watch := getOutput(cmd), watchFlag(cmd)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		names, err := planNames(args)
		if err != nil {
			return err
		}
		if *watch {
			return watchList(ctx, c, planKind(), format.value, func(ctx context.Context) (seen[*v1alpha1.UpgradePlan], error) {
				return c.seePlans(ctx, names)
			})
		}
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		all, unreadable := plans.List(ctx)
		var items []*v1alpha1.UpgradePlan
		for _, plan := range all {
			if len(names) > 0 && !slices.Contains(names, plan.Name) {
				continue
			}
			o, err := upgradeplan.Observe(ctx, s, plan.Name, c.Now())
			if err != nil {
				return err
			}
			o.Stored.Status = describe.Status(o)
			items = append(items, o.Stored)
		}
		if unreadable != nil && len(names) > 0 && len(items) == len(names) {
			unreadable = nil // those are others
		}
		if unreadable != nil && len(items) == 0 {
			return unreadable
		}
		if err := show(c, planKind(), format.value, items, names); err != nil {
			return err
		}
		return unreadable
	})
	return cmd
}

func planKind() kind[*v1alpha1.UpgradePlan] {
	return kind[*v1alpha1.UpgradePlan]{
		name: "upgradeplan", kind: v1alpha1.Kind, wide: 5,
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

func (c *cli) getHosts() *cobra.Command {
	var roles, states []string
	cmd := &cobra.Command{
		Use:     "hosts [NAME...]",
		Aliases: []string{"host"},
		Short:   "List hosts, with their state and why they are in it",
		Long: "Lists hosts, with their state and why they are in it. -o wide adds the sentence, the group, and times.\n" +
			fmt.Sprintf(getHelp, "Host", "name, role, group, version,\nstate, reason, message, inFlight, counts, agent, "+
				"decidedBy {key, value, modifyIndex, grantedAt}, recordedAt,\nstarted {version, from, time, by}, "+
				"report {role, version, phase, message, time}, pausedBy, hold {reason, owner, time, expires, exempt},\n"+
				"checks {id, status}, unhealthy"),
		Example: "  upgradectl get hosts --role web --state pending,failed -o wide",
	}
	cmd.ValidArgsFunction = c.many(c.hostNames)
	format, plan, watch := getOutput(cmd), ofPlan(cmd), watchFlag(cmd)
	cmd.Flags().StringSliceVar(&roles, "role", nil, "only hosts of these roles or groups")
	completeFlag(cmd, "role", c.offer(commas(c.roleOrGroupNames)))
	cmd.Flags().StringSliceVar(&states, "state", nil, "only hosts in these states: "+strings.Join(describe.States(), ", "))
	completeFlag(cmd, "state", c.offer(commas(words(describe.States()...))))
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		for _, state := range states {
			if !slices.ContainsFunc(describe.States(), func(s string) bool { return strings.EqualFold(s, state) }) {
				return flagError{fmt.Errorf("--state %q: must be %s", state, orList(describe.States()))}
			}
		}
		times := format.value == asWide || format.value == asJSON || format.value == asYAML
		if *watch {
			wanted := func(h *describe.Host) bool {
				return h.InRole(roles) && h.InState(states) && (len(names) == 0 || slices.Contains(names, h.Name))
			}
			return watchList(ctx, c, hostKind(), format.value, func(ctx context.Context) (seen[describe.Host], error) {
				return c.seeHosts(ctx, *plan, times, wanted)
			})
		}
		hosts, err := c.hosts(ctx, *plan, times)
		if err != nil {
			return err
		}
		hosts = slices.DeleteFunc(hosts, func(h describe.Host) bool { return !h.InRole(roles) || !h.InState(states) })
		return show(c, hostKind(), format.value, hosts, names)
	})
	return cmd
}

// hosts are all hosts of a fleet, with the times of their records if these are wanted.
func (c *cli) hosts(ctx context.Context, plan string, times bool) ([]describe.Host, error) {
	_, hosts, err := c.observeHosts(ctx, plan, times)
	return hosts, err
}

// observeHosts is hosts with the observation that they are of.
func (c *cli) observeHosts(ctx context.Context, plan string, times bool) (*upgradeplan.Observation, []describe.Host, error) {
	o, err := c.observe(ctx, plan)
	if err != nil {
		return nil, nil, err
	}
	if !times {
		return o, describe.Hosts(o, nil), nil
	}
	_, s, err := c.plans()
	if err != nil {
		return nil, nil, err
	}
	records, err := describe.Records(ctx, s, o.Layout)
	if err != nil {
		return nil, nil, err
	}
	return o, describe.Hosts(o, records), nil
}

func hostKind() kind[describe.Host] {
	return kind[describe.Host]{
		name: "host", kind: "Host", wide: 5,
		header: []string{"NAME", "ROLE", "STATE", "VERSION", "REASON", "GROUP", "AGENT", "GRANTED", "RECORDED", "MESSAGE"},
		nameOf: func(h *describe.Host) string { return h.Name },
		row: func(h *describe.Host) []string {
			granted := ""
			if h.DecidedBy != nil {
				granted = describe.Stamp(h.DecidedBy.GrantedAt)
			}
			return []string{h.Name, h.Role, h.State, h.Version, h.Reason, h.Group, describe.YesNo(h.Agent), granted,
				describe.Stamp(h.RecordedAt), h.Message}
		},
	}
}

func (c *cli) getRoles() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "roles [NAME...]",
		Aliases: []string{"role"},
		Short:   "List roles, with their hosts by state",
		Long: "Lists roles, with their hosts by state.\n" + fmt.Sprintf(getHelp, "Role", "name, group, total, upgraded,\n"+
			"upgrading, pending, failed, held, inFlight, excluded, unknown, limit, blockedBy, enabled"),
	}
	cmd.ValidArgsFunction = c.many(c.roleNames)
	format, plan := getOutput(cmd), ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		o, err := c.observe(ctx, *plan)
		if err != nil {
			return err
		}
		return show(c, roleKind(), format.value, describe.Roles(o), names)
	})
	return cmd
}

func roleKind() kind[describe.Role] {
	return kind[describe.Role]{
		name: "role", kind: "Role", wide: 9,
		header: []string{"NAME", "HOSTS", "UPGRADED", "UPGRADING", "PENDING", "FAILED", "HELD", "IN-FLIGHT", "LIMIT", "GROUP",
			"ENABLED", "BLOCKED-BY"},
		nameOf: func(r *describe.Role) string { return r.Name },
		row: func(r *describe.Role) []string {
			return append(roleCells(&r.RoleStatus), r.Group, describe.YesNo(r.Enabled), r.BlockedBy)
		},
	}
}

// roleCells are the cells of a role up to its limit.
func roleCells(r *v1alpha1.RoleStatus) []string {
	cells := []string{r.Name}
	for _, n := range []int{r.Total, r.Upgraded, r.Upgrading, r.Pending, r.Failed, r.Held, r.InFlight} {
		cells = append(cells, strconv.Itoa(n))
	}
	return append(cells, describe.Limit(r.Limit))
}

func (c *cli) getVersions() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "versions [NAME...]",
		Aliases: []string{"version"},
		Short:   "List the versions that hosts have",
		Long: "Lists the versions that hosts have, and the one that all trend towards.\n" +
			fmt.Sprintf(getHelp, "Version", "name, hosts, current"),
	}
	cmd.ValidArgsFunction = c.many(c.versionNames)
	format, plan := getOutput(cmd), ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		o, err := c.observe(ctx, *plan)
		if err != nil {
			return err
		}
		return show(c, versionKind(), format.value, describe.Versions(o), names)
	})
	return cmd
}

func versionKind() kind[describe.Version] {
	return kind[describe.Version]{
		name: "version", kind: "Version", wide: 3,
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
