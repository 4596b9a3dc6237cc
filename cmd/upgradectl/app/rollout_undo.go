// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

type undoOptions struct {
	orderOptions
	revision int64
	policy   *cli.Choice
}

// The values of undo --policy.
const (
	policyRollback = "rollback"
	policyAsSpec   = "as-spec"
)

func newCmdRolloutUndo(f *factory, runF func(context.Context, *undoOptions) error) *cobra.Command {
	o := &undoOptions{orderOptions: orderOptions{planOptions: planOptions{factory: f}},
		policy: cli.NewChoice(policyRollback, policyAsSpec)}
	cmd := &cobra.Command{
		Use:   "undo [NAME]",
		Short: "Carry out an earlier revision of a plan again",
		Long: "Pins an earlier revision in place of the plan's spec: by default the newest earlier one that differs. The spec stays\n" +
			"as it is, so to apply it again, as Git does, changes nothing. A spec that differs ends the pin.\n" +
			"`undo --to-revision` with the revision of the spec itself ends a pin; `rollout resume` does not. A pause stays.\n" +
			"`rollout history` lists the revisions.\n\n" +
			"The hosts go back by failurePolicy.rollback of the spec: without it, by the limits of that revision, also outside of\n" +
			"windows.allow, and without canaries. If too many fail by either spec, the plan halts. --policy as-spec carries the\n" +
			"revision out by its own rules alone.",
		Example:           "  upgradectl rollout undo fleet --reason 'v2 does not boot'\n  upgradectl rollout undo fleet --to-revision 3",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runRolloutUndo, runF),
	}
	cmd.Flags().Int64Var(&o.revision, "to-revision", 0, "revision to carry out; 0 means the one before")
	cmd.Flags().StringVar(&o.reason, "reason", "", "reason, shown wherever the pin is shown")
	cmd.Flags().Var(o.policy, "policy",
		"rules by which hosts go back: rollback (failurePolicy.rollback) or as-spec (those of the revision)")
	return cmd
}

func (o *undoOptions) complete(args []string) error {
	if o.revision < 0 {
		return cli.FlagErrorf("--to-revision must not be negative")
	}
	return o.orderOptions.complete(args)
}

func runRolloutUndo(ctx context.Context, o *undoOptions) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	order := planstore.Undo{Pause: o.order(), Revision: o.revision, Policy: fleet.PinRollback}
	if o.policy.Value == policyAsSpec {
		order.Policy = fleet.PinAsSpec
	}
	did, err := planstore.Plans{Store: s}.Undo(ctx, name, order)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("rolled back to revision %d (version %s)", did.Revision, did.Version)
	switch {
	case !did.Changed:
		what = fmt.Sprintf("skipped: revision %d (version %s) is the current one already", did.Revision, did.Version)
	case did.Unpinned:
		what = fmt.Sprintf("follows its spec again: revision %d (version %s)", did.Revision, did.Version)
	}
	if _, err := fmt.Fprintf(o.Out, "upgradeplan/%s %s\n", name, what); err != nil {
		return err
	}
	if did.Paused {
		o.warn("the plan is paused: nothing starts before `upgradectl rollout resume %s`", name)
	}
	hintController(ctx, o.factory, s, name)
	return nil
}

// Revision is an earlier spec of a plan.
type Revision struct {
	Revision int64  `json:"revision"`
	Version  string `json:"version"`
	// State is Stored for the spec of the plan, Current for the revision that is carried out, and empty for others.
	State string `json:"state,omitempty"`
}

type historyOptions struct {
	planOptions
	format   *cli.Choice
	revision int64
}

func newCmdRolloutHistory(f *factory, runF func(context.Context, *historyOptions) error) *cobra.Command {
	o := &historyOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "history [NAME]",
		Short: "List the stored revisions of a plan",
		Long: "Lists the stored revisions of a plan (spec.revisionHistoryLimit). Current is the revision that is carried out. While\n" +
			"another revision is pinned, the spec of the plan is Stored. --revision prints one revision as a manifest.",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runRolloutHistory, runF),
	}
	o.format = cli.BindOutput(cmd.Flags(), cli.Table, cli.JSON, cli.YAML)
	cmd.Flags().Int64Var(&o.revision, "revision", 0, "revision to print")
	return cmd
}

func runRolloutHistory(ctx context.Context, o *historyOptions) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	stored, err := planstore.Plans{Store: s}.Revisions(ctx, name)
	if err != nil {
		return err
	}
	if o.revision != 0 {
		return printRevision(o, name, stored)
	}
	seen, err := planstore.Observe(ctx, s, name, o.Now())
	if err != nil {
		return err
	}
	var list []Revision
	for _, r := range stored {
		list = append(list, Revision{r.Generation, r.Plan.Spec.Version, revisionState(seen, r.Generation)})
	}
	if err := printItems(o.factory, revisionKind(), o.format.Value, list, nil); err != nil {
		return err
	}
	if message := seen.PinMessage(); message != "" {
		o.say("%s", cli.OneLine(message))
	}
	return nil
}

func revisionState(o *pass.Assessment, revision int64) string {
	pin := o.Decision.Pinned
	switch {
	case revision == pin, pin == 0 && revision == o.Stored.Generation:
		return "Current"
	case revision == o.Stored.Generation:
		return "Stored"
	}
	return ""
}

func printRevision(o *historyOptions, plan string, stored []planstore.Revision) error {
	format := o.format.Value
	if format == cli.Table {
		format = cli.YAML
	}
	for _, r := range stored {
		if r.Generation == o.revision {
			return cli.Print(o.Out, format, r.Plan)
		}
	}
	return fmt.Errorf("upgradeplan %q has no revision %d", plan, o.revision)
}

func revisionKind() itemKind[Revision] {
	return itemKind[Revision]{
		name: "revision", kind: "Revision", narrow: 3,
		header: []string{"REVISION", "VERSION", "STATE"},
		nameOf: func(r *Revision) string { return strconv.FormatInt(r.Revision, 10) },
		row:    func(r *Revision) []string { return []string{strconv.FormatInt(r.Revision, 10), r.Version, r.State} },
	}
}
