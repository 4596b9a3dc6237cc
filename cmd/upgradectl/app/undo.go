// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func (c *cli) rolloutUndo() *cobra.Command {
	u := upgradeplan.Undo{}
	cmd := &cobra.Command{
		Use:   "undo [NAME]",
		Short: "Carry out an earlier revision of a plan again",
		Long: "Pins an earlier revision in the place of the plan's spec: by default the newest one before it that differs. The spec\n" +
			"stays as it is, so applying it again (Git does) changes nothing; a spec that differs is carried out as it is.\n" +
			"`undo --to-revision` with the revision of the spec itself ends a pin; `rollout resume` does not. Whether the plan is\n" +
			"paused does not change. `rollout history` lists the revisions.",
		Example: "  upgradectl rollout undo fleet --reason 'v2 does not boot'\n  upgradectl rollout undo fleet --to-revision 3",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.Flags().Int64Var(&u.Revision, "to-revision", 0, "the revision; 0: the one before")
	cmd.Flags().StringVar(&u.Reason, "reason", "", "why; it is shown wherever the pin is")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		if u.Revision < 0 {
			return flagError{errors.New("--to-revision must not be negative")}
		}
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		u.Pause = fleet.Pause{By: c.Who, Time: c.Now().UTC(), Reason: u.Reason}
		did, err := plans.Undo(ctx, name, u)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("rolled back to revision %d (version %s)", did.Revision, did.Version)
		switch {
		case !did.Changed:
			what = fmt.Sprintf("skipped: revision %d (version %s) is carried out already", did.Revision, did.Version)
		case did.Unpinned:
			what = fmt.Sprintf("follows its spec again: revision %d (version %s)", did.Revision, did.Version)
		}
		if _, err := fmt.Fprintf(c.Out, "upgradeplan/%s %s\n", name, what); err != nil {
			return err
		}
		if did.Paused {
			c.warn("the plan is paused: nothing happens before `upgradectl rollout resume " + name + "`")
		}
		c.hintController(ctx, s, name)
		return nil
	})
	return cmd
}

// Revision is a spec of a plan that was kept.
type Revision struct {
	Revision int64  `json:"revision"`
	Version  string `json:"version"`
	// State is Stored for the spec that the plan has, Current for the revision that is carried out, empty for others.
	State string `json:"state,omitempty"`
}

func (c *cli) rolloutHistory() *cobra.Command {
	var number int64
	cmd := &cobra.Command{
		Use:   "history [NAME]",
		Short: "List the revisions of a plan that were kept",
		Long: "Lists the revisions of a plan that were kept (spec.revisionHistoryLimit). Current is the one that is carried out;\n" +
			"while another is pinned in its place, the plan's spec is Stored. With --revision, prints that revision as a manifest.",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	format := output(cmd.Flags(), asTable, asJSON, asYAML)
	cmd.Flags().Int64Var(&number, "revision", 0, "print this revision")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		kept, err := plans.Revisions(ctx, name)
		if err != nil {
			return err
		}
		if number != 0 {
			return c.showRevision(name, kept, number, format.value)
		}
		o, err := upgradeplan.Observe(ctx, s, name, c.Now())
		if err != nil {
			return err
		}
		var list []Revision
		for _, r := range kept {
			list = append(list, Revision{r.Generation, r.Plan.Spec.Version, revisionState(o, r.Generation)})
		}
		if err := show(c, revisionKind(), format.value, list, nil); err != nil {
			return err
		}
		if message := o.PinMessage(); message != "" {
			c.say("%s", oneLine(message))
		}
		return nil
	})
	return cmd
}

func revisionState(o *upgradeplan.Observation, number int64) string {
	pin := o.Decision.Pinned
	switch {
	case number == pin, pin == 0 && number == o.Stored.Generation:
		return "Current"
	case number == o.Stored.Generation:
		return "Stored"
	}
	return ""
}

func (c *cli) showRevision(name string, kept []upgradeplan.Revision, number int64, format string) error {
	for _, r := range kept {
		if r.Generation == number {
			if format == asTable {
				format = asYAML
			}
			return c.print(format, r.Plan)
		}
	}
	return fmt.Errorf("upgradeplan %q has no revision %d", name, number)
}

func revisionKind() kind[Revision] {
	return kind[Revision]{
		name: "revision", kind: "Revision", wide: 3,
		header: []string{"REVISION", "VERSION", "STATE"},
		nameOf: func(r *Revision) string { return strconv.FormatInt(r.Revision, 10) },
		row:    func(r *Revision) []string { return []string{strconv.FormatInt(r.Revision, 10), r.Version, r.State} },
	}
}
