// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

type statusOptions struct {
	planOptions
	format *cli.Choice
}

func newCmdStatus(f *factory, runF func(context.Context, *statusOptions) error) *cobra.Command {
	o := &statusOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show which hosts are upgraded, upgrading and pending",
		Long: "Prints {\"upgraded\":[…],\"upgrading\":[…],\"pending\":[…]} on one line, each host in one of the lists and each list\n" +
			"in natural order. It needs no plan: the keys are enough. -o table counts hosts by role.",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runStatus, runF),
	}
	o.format = cli.BindOutput(cmd.Flags(), cli.JSON, cli.YAML, cli.Table)
	return cmd
}

func runStatus(ctx context.Context, o *statusOptions) error {
	if o.format.Value == cli.Table {
		seen, err := observe(ctx, o.factory, o.plan)
		if err != nil {
			return err
		}
		d := seen.Present()
		return writeCounts(o.Out, &d)
	}
	sets, err := readSets(ctx, o.factory, o.plan)
	if err != nil {
		return err
	}
	if o.format.Value == cli.YAML {
		return cli.Print(o.Out, cli.YAML, sets)
	}
	return writeSets(o.Out, sets)
}

// writeSets writes the lists as one line of JSON.
func writeSets(w io.Writer, sets status.HostLists) error {
	data, err := json.Marshal(sets)
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// writeCounts writes the number of hosts by role. Hosts without a role are counted under a dash.
func writeCounts(w io.Writer, d *rollout.Decision) error {
	roles, total := status.CountByRole(d)
	total.Role = "all"
	var rows [][]string
	for _, c := range append(roles, total) {
		rows = append(rows, []string{c.Role, strconv.Itoa(c.Upgraded), strconv.Itoa(c.Upgrading), strconv.Itoa(c.Pending)})
	}
	return cli.WriteTable(w, "", []string{"ROLE", "UPGRADED", "UPGRADING", "PENDING"}, rows)
}
