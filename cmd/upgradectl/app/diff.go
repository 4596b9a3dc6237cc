// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// PlanDiff is what diff -o json and -o yaml print for each plan.
type PlanDiff struct {
	// Plan is its name, and Outcome what apply would do with it: created, configured or unchanged; of a source, also deleted.
	Plan    string              `json:"plan"`
	Outcome upgradeplan.Outcome `json:"outcome"`
	// Keys are the keys in Consul that the next pass would change, in order.
	Keys []diff.JSON `json:"keys"`

	before, after string
	source        string
	changes       diff.Changes
	review        upgradeplan.Review
}

func (d *PlanDiff) differs() bool { return d.Outcome != upgradeplan.Unchanged || !d.changes.Empty() }

func (c *cli) diff() *cobra.Command {
	var f files
	var from fromSource
	var save string
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIR|- | --source NAME",
		Short: "Show what apply would change of a plan, and what a reconcile would then change of the keys",
		Long: "Prints a unified diff of the stored plan and the manifest, then of every key in Consul that a reconcile would\n" +
			"change at once. Nothing is written. -o json prints a list of {plan, outcome, keys}.\n\n" +
			"With --source, the manifests are those that the repository of that source holds now, and plans that have left it\n" +
			"are shown as deleted: so it tells what the next sync would do. Credentials are not taken from the controller.\n\n" +
			"--save also writes these changes to a file: each key with what it was, what it will be and its ModifyIndex. After\n" +
			"somebody has looked at them, `upgradectl reconcile --changes` writes exactly those, or nothing.\n\n" +
			"Exit codes: 0 same, 1 different, 2 or more trouble.",
		Args: noArgs,
	}
	f.bind(cmd.Flags())
	from.bind(cmd.Flags())
	cmd.Flags().StringVar(&save, "save", "", "write the changes to this file, for reconcile --changes")
	c.bindColor(cmd)
	format := output(cmd.Flags(), "diff", asJSON, asYAML)
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		different, err := c.showDiff(ctx, f, from, format.value, save)
		switch {
		case err != nil:
			return &exitError{exitUsage, err}
		case different:
			return &exitError{code: exitFailed}
		}
		return nil
	})
	return cmd
}

func (c *cli) showDiff(ctx context.Context, f files, from fromSource, format, save string) (different bool, err error) {
	diffs, err := c.diffs(ctx, f, from)
	if err != nil {
		return false, err
	}
	if save != "" && len(diffs) != 1 {
		return false, usagef("these are %d plans: --save takes one at a time", len(diffs))
	}
	for _, one := range diffs {
		different = different || one.differs()
	}
	if save != "" {
		if err := c.saveReview(ctx, save, diffs[0].review); err != nil {
			return false, err
		}
	}
	if format != "diff" {
		return different, c.print(format, diffs)
	}
	return different, c.buffered(func(w io.Writer) error {
		for _, d := range diffs {
			if err := c.writeDiff(w, d.text()); err != nil {
				return err
			}
		}
		return nil
	})
}

// diffs are those of the files, or of a source.
func (c *cli) diffs(ctx context.Context, f files, from fromSource) ([]*PlanDiff, error) {
	var documents []manifest.Document
	var leaving []string
	var err error
	switch {
	case from.name != "" && len(f.names) > 0:
		return nil, flagError{errors.New("give -f or --source, not both")}
	case from.name != "":
		documents, leaving, err = c.readSource(ctx, from)
	default:
		documents, err = c.read(f)
	}
	if err != nil {
		return nil, err
	}
	diffs := make([]*PlanDiff, 0, len(documents)+len(leaving))
	for _, d := range documents {
		one, err := c.diffPlan(ctx, d, leaving)
		if err != nil {
			return nil, err
		}
		diffs = append(diffs, one)
	}
	for _, name := range leaving {
		one, err := c.diffDeleted(ctx, name)
		if err != nil {
			return nil, err
		}
		diffs = append(diffs, one)
	}
	return diffs, nil
}

// diffPlan is what becomes of a plan when those that are leaving are gone.
func (c *cli) diffPlan(ctx context.Context, d manifest.Document, leaving []string) (*PlanDiff, error) {
	plans, s, err := c.plans()
	if err != nil {
		return nil, err
	}
	out := &PlanDiff{Plan: d.Plan.Name, source: d.Source}
	outcome, err := upgradeplan.ManagedPlans{Store: s}.Apply(ctx, d.Plan, fleet.Origin{}, leaving, true)
	if err != nil {
		return nil, err
	}
	out.Outcome = upgradeplan.Outcome(outcome)
	next := d.Plan.DeepCopy()
	v1alpha1.SetDefaults(next)
	stored, err := plans.Get(ctx, d.Plan.Name)
	if err == nil {
		out.before, err = describe.Manifest(stored)
	} else if errors.As(err, new(*upgradeplan.NotFoundError)) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if out.after, err = describe.Manifest(next); err != nil {
		return nil, err
	}
	o, err := upgradeplan.ObserveAs(ctx, s, d.Plan, c.Now())
	if err != nil {
		return nil, err
	}
	after, changes := o.Preview()
	if message := after.Decision.Gate.Message; message != "" {
		c.say("upgradeplan/%s: no host would be released: %s", d.Plan.Name, message)
	}
	out.changes, out.Keys, out.review = changes, changes.JSON(), o.Review()
	return out, nil
}

func (d *PlanDiff) text() string {
	text := udiff.Unified("consul/upgradeplan/"+d.Plan, d.source, d.before, d.after)
	if !d.changes.Empty() {
		text += "--- consul/keys\n+++ after a reconcile of upgradeplan/" + d.Plan + "\n" + d.changes.String()
	}
	return text
}

// When a diff is coloured.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

// bindColor adds the flag that says whether a diff is coloured.
func (c *cli) bindColor(cmd *cobra.Command) {
	if c.color == nil {
		c.color = &choice{colorAuto, []string{colorAuto, colorAlways, colorNever}}
	}
	cmd.Flags().Var(c.color, "color", "auto, always or never; auto: when people look, unless NO_COLOR is set")
}

// colored says whether a diff is: by the flag, else when people look at it, unless NO_COLOR is set (https://no-color.org).
func (c *cli) colored() bool {
	if c.color != nil && c.color.value != colorAuto {
		return c.color.value == colorAlways
	}
	return c.OutTerminal && c.Getenv("NO_COLOR") == ""
}

// writeDiff writes a diff, with its lines in colour.
func (c *cli) writeDiff(w io.Writer, text string) error {
	colored := c.colored()
	for line := range strings.Lines(text) {
		line = oneLine(strings.TrimSuffix(line, "\n"))
		if colored {
			line = paint(line)
		}
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// paint colours one line of a diff.
func paint(line string) string {
	for _, p := range []struct {
		prefix string
		color  color.Attribute
	}{{"--- ", color.Bold}, {"+++ ", color.Bold}, {"@@", color.FgCyan}, {"-", color.FgRed}, {"+", color.FgGreen}} {
		if strings.HasPrefix(line, p.prefix) {
			painted := color.New(p.color)
			painted.EnableColor() // whether there is a terminal has been seen to
			return painted.Sprint(line)
		}
	}
	return line
}
