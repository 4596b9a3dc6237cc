// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
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
		held, err := store.HeldBy(ctx, s, keys.Leader)
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

func writePlan(w io.Writer, o *upgradeplan.Observation, held *store.Held, keeper string, events []fleet.Event) error {
	spec, now := &o.Plan.Spec, statusOf(o)
	leader := "none: start upgrade-controller, or run upgradectl reconcile " + o.Plan.Name
	if held != nil {
		leader = cmp.Or(held.Holder, "somebody unknown")
		if since := stamp(held.Since); since != "" {
			leader += " since " + since
		}
	}
	err := facts(w, []fact{
		{"Name", o.Plan.Name},
		{"Generation", fmt.Sprint(o.Plan.Generation)},
		{"Labels", pairsText(o.Plan.Labels)},
		{"Annotations", pairsText(o.Plan.Annotations)},
		{"Managed by", keeper},
		{"Version", spec.Version},
		{"Current version", cmp.Or(o.Fleet.Current.Name, "none")},
		{"Action", actionText(spec.Action)},
		{"Strategy", string(spec.Strategy)},
		{"Limits", limitsText(spec.Instructions.RollingRules)},
		{"Order", listsText(spec.Instructions.RoleOrder, " after ")},
		{"Groups", listsText(spec.Instructions.GroupMappings, " = ")},
		{"Soak", fmt.Sprintf("%d s", spec.MinReadySeconds)},
		{"Progress deadline", fmt.Sprintf("%d s", *spec.ProgressDeadlineSeconds)},
		{"Failure policy", failureText(spec.FailurePolicy)},
		{"Health gate", healthText(spec.HealthGate)},
		{"Canaries", canaryText(o)},
		{"Windows", windowsText(spec.Windows)},
		{"Hosts", hostsText(spec.Hosts)},
		{"Role pattern", spec.Hosts.RolePattern},
		{"Left out", strings.Join(spec.Hosts.Exclude, ", ")},
		{"Keys", fmt.Sprintf("%s, records below %s", cmp.Or(spec.Keys.Prefix, "no prefix"), o.Layout.RecordTree())},
		{"Paused", pauseText(o)},
		{"Pinned", o.Decision.PinMessage},
		{"Leader", leader},
		{"Phase", string(now.Phase)},
		{"Status", status.Line(now)},
		{"Stopped by", o.Decision.GateMessage},
	})
	if err != nil {
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
	if err := writeWhy(w, o.Why().Plan()); err != nil {
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

func actionText(a v1alpha1.Action) string {
	if !a.Given() {
		return ""
	}
	text := "command " + strings.Join(append([]string{a.Name}, a.Args...), " ")
	if a.Timeout != "" {
		text += ", for " + a.Timeout + " at most"
	}
	return text
}

func failureText(p v1alpha1.FailurePolicy) string {
	if p.MaxFailed == nil {
		return ""
	}
	return fmt.Sprintf("more than %s failed: %s", p.MaxFailed, p.OnExceeded)
}

func healthText(g v1alpha1.HealthGate) string {
	var parts []string
	if len(g.Checks) > 0 {
		parts = append(parts, strings.Join(g.Checks, ", ")+" must pass")
	}
	if g.MaxUnhealthy != nil {
		parts = append(parts, "at most "+g.MaxUnhealthy.String()+" hosts critical")
	}
	return strings.Join(parts, "; ")
}

func canaryText(o *upgradeplan.Observation) string {
	spec := &o.Plan.Spec.Canary
	if !spec.Given() {
		return ""
	}
	who := slices.Clone(spec.Hosts)
	if spec.PerRole != nil {
		who = append(who, spec.PerRole.String()+" of each role")
	}
	text := fmt.Sprintf("%s, soak %d s, promoted: %s", strings.Join(who, ", "), spec.SoakSeconds, spec.Promote)
	switch c := o.Decision.Canary; {
	case c != nil && c.Awaiting:
		text += fmt.Sprintf("; %d of %d are complete: upgradectl rollout promote %s", c.Complete, c.Total, o.Plan.Name)
	case c != nil:
		text += fmt.Sprintf("; %d of %d are complete", c.Complete, c.Total)
	case o.Decision.Ledger.Promoted == o.Plan.Spec.Version:
		text += "; those of " + o.Plan.Spec.Version + " have been"
	}
	return text
}

func windowsText(w v1alpha1.Windows) string {
	var parts []string
	for _, list := range []struct {
		word    string
		windows []v1alpha1.Window
	}{{"allow", w.Allow}, {"deny", w.Deny}} {
		for _, one := range list.windows {
			parts = append(parts, fmt.Sprintf("%s %q for %s (%s)", list.word, one.Schedule, one.Duration, cmp.Or(one.TimeZone, "UTC")))
		}
	}
	return strings.Join(parts, "; ")
}

func hostsText(h v1alpha1.Hosts) string {
	var parts []string
	if h.Source == v1alpha1.HostsFromCatalog {
		parts = append(parts, "lost when the catalog does not know them")
	}
	if h.VerifyReports {
		parts = append(parts, "upgraded when their own reports say so too")
	}
	return strings.Join(parts, "; ")
}

func writeConditions(w io.Writer, s v1alpha1.UpgradePlanStatus) error {
	var rows [][]string
	for _, c := range s.Conditions {
		rows = append(rows, []string{c.Type, string(c.Status), c.Reason, stamp(c.LastTransitionTime.Time), c.Message})
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

func pauseText(o *upgradeplan.Observation) string {
	p := o.Control.Pause
	switch {
	case p != nil:
		text := "by " + cmp.Or(p.By, "somebody") + " since " + stamp(p.Time)
		if p.Reason != "" {
			text += ": " + p.Reason
		}
		return text
	case o.Plan.Spec.Paused:
		return "by its spec (spec.paused)"
	}
	return "no"
}

func pairsText(m map[string]string) string {
	var parts []string
	for _, k := range naturalKeys(m) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, ", ")
}

func limitsText(r v1alpha1.RollingRules) string {
	var parts []string
	if r.Global != nil {
		parts = append(parts, "global "+r.Global.String())
	}
	for _, role := range naturalKeys(r.Roles) {
		limit := r.Roles[role]
		parts = append(parts, role+" "+limit.String())
	}
	if r.Fleet != nil {
		parts = append(parts, "fleet "+r.Fleet.String())
	}
	return listOr(parts, "none")
}

func listsText(m map[string]v1alpha1.StringList, between string) string {
	var parts []string
	for _, name := range naturalKeys(m) {
		parts = append(parts, name+between+strings.Join(m[name], ", "))
	}
	return strings.Join(parts, "; ")
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
		hosts := hostsOf(o, nil)
		for i, name := range names {
			at := slices.IndexFunc(hosts, func(h Host) bool { return h.Name == name })
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

func writeHost(w io.Writer, o *upgradeplan.Observation, h *Host, records []keys.Pair) error {
	host, _ := o.Fleet.Host(h.Name)
	role := cmp.Or(h.Role, "none")
	if host.LookupRole != h.Role {
		role += " by the plan, " + cmp.Or(host.LookupRole, "none") + " in its own eyes"
	}
	list := []fact{
		{"Name", h.Name},
		{"Role", role},
		{"Group", h.Group},
		{"Plan", strings.TrimPrefix(fleetName(o), "the fleet")},
		{"State", h.State},
		{"Reason", h.Reason},
		{"Message", h.Message},
		{"Version", cmp.Or(h.Version, "none")},
		{"Current version", currentText(o)},
		{"Counts", yesNo(h.Counts)},
		{"In flight", yesNo(h.InFlight)},
		{"Agent", agentText(h)},
		{"Decided by", decidedText(h)},
		{"Paused by", cmp.Or(h.PausedBy, "nobody")},
		{"Hold", holdText(h.Hold)},
		{"Started", startedText(h.Started)},
	}
	if h.Report != nil {
		list = append(list, fact{"Report", reportText(h.Report)})
	}
	if len(h.Checks) > 0 {
		list = append(list, fact{"Checks", checksText(h)})
	}
	for _, p := range records {
		text := fmt.Sprintf("%s (%s, index %d)", p.Key, cmp.Or(stamp(keys.DecodeTime(p.Value)), "no time"), p.ModifyIndex)
		list = append(list, fact{"Record", text})
	}
	if err := facts(w, list); err != nil {
		return err
	}
	return writeWhy(w, o.Why().Host(h.Name))
}

func checksText(h *Host) string {
	var parts []string
	for _, c := range h.Checks {
		parts = append(parts, c.ID+" is "+c.Status)
	}
	text := strings.Join(parts, ", ")
	if h.Unhealthy {
		text += "; some failed already when it was released"
	}
	return text
}

func currentText(o *upgradeplan.Observation) string {
	if o.Fleet.Current.Index == 0 {
		return "none"
	}
	return fmt.Sprintf("%s (index %d)", o.Fleet.Current.Name, o.Fleet.Current.Index)
}

func agentText(h *Host) string {
	if h.Agent {
		return "yes"
	}
	return "never seen as one"
}

func decidedText(h *Host) string {
	k := h.DecidedBy
	if k == nil {
		return "no key is set"
	}
	text := fmt.Sprintf("%s = %s (index %d", k.Key, k.Value, k.ModifyIndex)
	if since := stamp(k.GrantedAt); since != "" {
		text += ", granted " + since
	}
	return text + ")"
}

func holdText(h *fleet.Hold) string {
	if h == nil {
		return "none"
	}
	text := cmp.Or(h.Reason, "without a reason")
	if h.Owner != "" {
		text += ", by " + h.Owner
	}
	if !h.Expires.IsZero() {
		text += ", until " + stamp(h.Expires)
	}
	if h.Exempt {
		text += ", exempt"
	}
	return text
}

func startedText(s *fleet.Started) string {
	if s == nil {
		return "no"
	}
	text := fmt.Sprintf("%s at %s", cmp.Or(s.Version, "an unknown version"), cmp.Or(stamp(s.Time), "an unknown time"))
	if s.From != "" {
		text += " from " + s.From
	}
	if s.By != "" {
		text += ", marked by the " + s.By
	}
	return text
}

func reportText(r *fleet.Report) string {
	text := fmt.Sprintf("%s %s at %s", cmp.Or(string(r.Phase), "unknown phase"), r.Version, cmp.Or(stamp(r.Time), "an unknown time"))
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
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
		roles, hosts := rolesOf(o), hostsOf(o, nil)
		for i, name := range names {
			at := slices.IndexFunc(roles, func(r Role) bool { return r.Name == name })
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

func writeRole(w io.Writer, o *upgradeplan.Observation, r *Role, hosts []Host) error {
	key := "not set"
	if s, ok := o.Fleet.Roles[r.Name]; ok {
		key = fmt.Sprintf("%s = %s (index %d)", o.Layout.EnableRole(r.Name), s.Text, s.Index)
	}
	err := facts(w, []fact{
		{"Name", r.Name},
		{"Group", cmp.Or(r.Group, "of its own")},
		{"Plan", strings.TrimPrefix(fleetName(o), "the fleet")},
		{"Limit", limitText(r.Limit)},
		{"In flight", fmt.Sprint(r.InFlight)},
		{"Blocked by", cmp.Or(r.BlockedBy, "nothing")},
		{"Role key", key},
		{"Status", status.Line(v1alpha1.UpgradePlanStatus{Hosts: r.HostCounts})},
	})
	if err != nil {
		return err
	}
	for _, state := range hostStates() {
		var rows [][]string
		for i := range hosts {
			if h := &hosts[i]; h.Role == r.Name && h.State == state {
				rows = append(rows, []string{h.Name, cmp.Or(h.Version, "none"), h.Message})
			}
		}
		if len(rows) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "%s:\n", rollout.State(state))
		if err := table(w, "  ", []string{"HOST", "VERSION", "MESSAGE"}, rows[:min(len(rows), maxListed)]); err != nil {
			return err
		}
		if more := len(rows) - maxListed; more > 0 {
			_, _ = fmt.Fprintf(w, "  and %d more: upgradectl get hosts --role %s --state %s\n", more, r.Name, state)
		}
	}
	return writeWhy(w, o.Why().Role(r.Name))
}
