// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

func (c *cli) describe() *cobra.Command {
	return parent("describe", "Say all that is known of a plan, a host, a role or a source, and why it is where it is",
		c.describePlan(), c.describeHost(), c.describeRole(), c.describeSource())
}

func (c *cli) describePlan() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "plan [NAME]",
		Aliases: []string{"plans", "upgradeplan", "upgradeplans", "up"},
		Short:   "Say what a plan wants, where it stands, and what stops it",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		o, err := upgradeplan.Observe(ctx, s, name, c.Now())
		if err != nil {
			return err
		}
		held, err := leaderelection.LockHolder(ctx, s, keys.Leader)
		if err != nil {
			return err
		}
		events, err := plans.Events(ctx, name)
		if err != nil {
			return err
		}
		by, err := keeper(ctx, plans, name)
		if err != nil {
			return err
		}
		return c.buffered(func(w io.Writer) error { return writePlan(w, o, held, by, events) })
	})
	return cmd
}

func writePlan(w io.Writer, o *upgradeplan.Observation, held *leaderelection.LockHeldError, keeper string, events []fleet.Event) error {
	now := describe.Status(o)
	if err := facts(w, describe.Plan(o, held, keeper)); err != nil {
		return err
	}
	if err := writeConditions(w, now); err != nil {
		return err
	}
	if err := writeRoles(w, now.Roles, now.RolesOmitted); err != nil {
		return err
	}
	if err := writeFailures(w, now); err != nil {
		return err
	}
	if err := writeEvents(w, events); err != nil {
		return err
	}
	if err := writeWarnings(w, o.Decision.Warnings); err != nil {
		return err
	}
	if err := writeWhy(w, describe.Why(o.Why().Plan())); err != nil {
		return err
	}
	return writeStarts(w, o)
}

// writeFailures writes the first hosts that have failed, and how many more have.
func writeFailures(w io.Writer, s v1alpha1.UpgradePlanStatus) error {
	if len(s.Failures) == 0 {
		return nil
	}
	var rows [][]string
	for _, f := range s.Failures {
		rows = append(rows, []string{f.Host, f.Reason, oneLine(f.Message)})
	}
	_, _ = fmt.Fprintln(w, "Failures:")
	err := table(w, "  ", []string{"HOST", "REASON", "MESSAGE"}, rows)
	if more := s.Hosts.Failed - len(rows); more > 0 {
		_, err = fmt.Fprintf(w, "  and %d more: upgradectl get hosts --state failed\n", more)
	}
	return err
}

// maxEvents is how many events describe shows.
const maxEvents = 10

func writeEvents(w io.Writer, events []fleet.Event) error {
	if len(events) == 0 {
		return nil
	}
	kind, rows := eventKind(), [][]string(nil)
	for i := max(0, len(events)-maxEvents); i < len(events); i++ {
		rows = append(rows, kind.row(&events[i])[:kind.wide])
	}
	_, _ = fmt.Fprintln(w, "Events:")
	return table(w, "  ", kind.header[:kind.wide], rows)
}

func writeConditions(w io.Writer, s v1alpha1.UpgradePlanStatus) error {
	var rows [][]string
	for _, c := range s.Conditions {
		rows = append(rows, []string{c.Type, string(c.Status), c.Reason, describe.Stamp(c.LastTransitionTime.Time), c.Message})
	}
	_, _ = fmt.Fprintln(w, "Conditions:")
	return table(w, "  ", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, rows)
}

func writeRoles(w io.Writer, roles []v1alpha1.RoleStatus, omitted int) error {
	if len(roles) == 0 {
		return nil
	}
	var rows [][]string
	for i := range roles {
		rows = append(rows, append(roleCells(&roles[i]), roles[i].Group, roles[i].BlockedBy))
	}
	_, _ = fmt.Fprintln(w, "Roles:")
	err := table(w, "  ", []string{"ROLE", "HOSTS", "UPGRADED", "UPGRADING", "PENDING", "FAILED", "HELD", "IN-FLIGHT", "LIMIT",
		"GROUP", "BLOCKED-BY"}, rows)
	if omitted > 0 {
		_, err = fmt.Fprintf(w, "  and %d more: upgradectl get roles\n", omitted)
	}
	return err
}

func writeWarnings(w io.Writer, warnings []string) error {
	if len(warnings) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, "Warnings:")
	for _, text := range warnings {
		_, err = fmt.Fprintln(w, "  "+oneLine(text))
	}
	return err
}

func (c *cli) describeHost() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "host NAME...",
		Aliases: []string{"hosts"},
		Short:   "Say all that is known of hosts, and why each is where it is",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.many(c.hostNames)
	plan := ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		o, err := c.observe(ctx, *plan)
		if err != nil {
			return err
		}
		_, s, err := c.plans()
		if err != nil {
			return err
		}
		hosts := describe.Hosts(o, nil)
		for i, name := range names {
			at := slices.IndexFunc(hosts, func(h describe.Host) bool { return h.Name == name })
			if at < 0 {
				return fmt.Errorf("host %q not found", name)
			}
			records, _, err := s.Get(ctx, o.RecordsOf(name)...)
			if err != nil {
				return err
			}
			if i > 0 {
				fmt.Fprintln(c.Out)
			}
			if err := c.buffered(func(w io.Writer) error { return writeHost(w, o, &hosts[at], records) }); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

func writeHost(w io.Writer, o *upgradeplan.Observation, h *describe.Host, records []keys.Pair) error {
	if err := facts(w, h.Facts(o, records)); err != nil {
		return err
	}
	return writeWhy(w, describe.Why(o.Why().Host(h.Name)))
}

func (c *cli) describeRole() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "role NAME...",
		Aliases: []string{"roles"},
		Short:   "Say where a role stands, and its hosts by state",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.many(c.roleNames)
	plan := ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		o, err := c.observe(ctx, *plan)
		if err != nil {
			return err
		}
		roles, hosts := describe.Roles(o), describe.Hosts(o, nil)
		for i, name := range names {
			at := slices.IndexFunc(roles, func(r describe.Role) bool { return r.Name == name })
			if at < 0 {
				return fmt.Errorf("role %q not found", name)
			}
			if i > 0 {
				fmt.Fprintln(c.Out)
			}
			if err := c.buffered(func(w io.Writer) error { return writeRole(w, o, &roles[at], hosts) }); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// maxListed is how many hosts of one state describe lists.
const maxListed = 20

func writeRole(w io.Writer, o *upgradeplan.Observation, r *describe.Role, hosts []describe.Host) error {
	if err := facts(w, r.Facts(o)); err != nil {
		return err
	}
	for _, state := range describe.States() {
		var rows [][]string
		for i := range hosts {
			if h := &hosts[i]; h.Role == r.Name && h.State == state {
				rows = append(rows, []string{h.Name, cmp.Or(h.Version, "none"), h.Message})
			}
		}
		if len(rows) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "%s:\n", state)
		if err := table(w, "  ", []string{"HOST", "VERSION", "MESSAGE"}, rows[:min(len(rows), maxListed)]); err != nil {
			return err
		}
		if more := len(rows) - maxListed; more > 0 {
			_, _ = fmt.Fprintf(w, "  and %d more: upgradectl get hosts --role %s --state %s\n", more, r.Name, state)
		}
	}
	return writeWhy(w, describe.Why(o.Why().Role(r.Name)))
}
