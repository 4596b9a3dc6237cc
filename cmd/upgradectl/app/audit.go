// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

type auditOptions struct {
	planOptions
	format *cli.Choice
}

func newCmdAudit(f *factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify and export the audit log of a plan",
		Long: "Verifies and exports the audit log of a plan: the orders that the controller saw, each with the hash of the one\n" +
			"before. Only the controller's token may write it.",
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCmdAuditVerify(f, nil), newCmdAuditExport(f, nil))
	return cmd
}

func newCmdAuditVerify(f *factory, runF func(context.Context, *auditOptions) error) *cobra.Command {
	o := &auditOptions{planOptions: planOptions{factory: f}}
	return &cobra.Command{
		Use:   "verify [PLAN]",
		Short: "Check that no entry of the audit log was changed, moved or removed",
		Long: "Checks that no entry of the audit log was changed, moved or removed. Exits with 1 and the number of the first entry that\n" +
			"does not fit. A client with the controller's token can write another log that fits: compare the hash of the last entry,\n" +
			"which is printed, with the logs of the controllers.",
		Example:           "  upgradectl audit verify fleet",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runAuditVerify, runF),
	}
}

func newCmdAuditExport(f *factory, runF func(context.Context, *auditOptions) error) *cobra.Command {
	o := &auditOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "export [PLAN]",
		Short: "Print the audit log of a plan, the oldest entry first",
		Long: fmt.Sprintf("Prints the audit log of a plan, the oldest entry first. The last %d entries are stored.\n", audit.MaxEntries) +
			fmt.Sprintf(itemHelp, "AuditEntry", "number, time, plan,\nkind, what, by, reason, accessor, index, previous, hash"),
		Example:           "  upgradectl audit export fleet -o json > audit.json",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runAuditExport, runF),
	}
	o.format = cli.BindOutput(cmd.Flags(), cli.Table, cli.Wide, cli.JSON, cli.YAML, cli.Name)
	return cmd
}

// read returns all pairs of the audit log of a plan, and the name of the plan. The log outlives the plan.
func (o *auditOptions) read(ctx context.Context) (plan string, pairs []keys.Pair, err error) {
	s, plan, err := o.resolve(ctx)
	if err != nil {
		return "", nil, err
	}
	pairs, _, err = s.List(ctx, audit.Tree(plan))
	return plan, pairs, err
}

func runAuditVerify(ctx context.Context, o *auditOptions) error {
	plan, pairs, err := o.read(ctx)
	if err != nil {
		return err
	}
	entries, err := audit.Verify(plan, pairs)
	if err != nil {
		return fmt.Errorf("upgradeplan/%s: the audit log: %w", plan, err)
	}
	first, last := &entries[0], &entries[len(entries)-1]
	_, err = fmt.Fprintf(o.Out, "upgradeplan/%s: entries %d to %d hold; the last has the hash %s\n", plan, first.Number, last.Number,
		last.Hash)
	return err
}

func runAuditExport(ctx context.Context, o *auditOptions) error {
	plan, pairs, err := o.read(ctx)
	if err != nil {
		return err
	}
	if len(pairs) == 0 {
		return fmt.Errorf("upgradeplan/%s: %w", plan, audit.ErrNoLog)
	}
	return printItems(o.factory, auditKind(), o.format.Value, audit.Decode(plan, pairs), nil)
}

func auditKind() itemKind[audit.Entry] {
	return itemKind[audit.Entry]{
		name: "entry", kind: "AuditEntry", narrow: 6,
		header: []string{"NUMBER", "TIME", "KIND", "WHAT", "BY", "REASON", "ACCESSOR", "INDEX", "HASH"},
		nameOf: func(e *audit.Entry) string { return strconv.FormatUint(e.Number, 10) },
		row: func(e *audit.Entry) []string {
			return []string{strconv.FormatUint(e.Number, 10), describe.Stamp(e.Time), string(e.Kind), cli.OneLine(e.What), e.By,
				cli.OneLine(e.Reason), e.Accessor, strconv.FormatUint(e.Index, 10), e.Hash}
		},
	}
}
