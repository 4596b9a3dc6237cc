// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

func (c *cli) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Print which hosts are upgraded, upgrading and pending",
		Long: "Prints {\"upgraded\":[…],\"upgrading\":[…],\"pending\":[…]} on one line, each host in one of the lists and each list\n" +
			"in natural order. It needs no plan: the keys are enough. -o table counts by role.",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	format := output(cmd.Flags(), asJSON, asYAML, asTable)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		name, err := only(args)
		if err != nil {
			return err
		}
		if format.value == asTable {
			o, err := c.observe(ctx, name)
			if err != nil {
				return err
			}
			d := o.Present()
			return c.statusTable(&d)
		}
		sets, err := c.sets(ctx, name)
		if err != nil {
			return err
		}
		if format.value == asYAML {
			return c.print(asYAML, sets)
		}
		return printSets(c.Out, sets)
	})
	return cmd
}

// printSets writes the lists as one line of JSON.
func printSets(w io.Writer, sets status.HostLists) error {
	data, err := json.Marshal(sets)
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// statusTable counts by the role of the name; hosts without one are counted under a dash.
func (c *cli) statusTable(d *rollout.Decision) error {
	counts := map[string]*[3]int{}
	total := [3]int{}
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		row, ok := counts[v.Role]
		if !ok {
			row = &[3]int{}
			counts[v.Role] = row
		}
		column := 2
		switch v.Base {
		case rollout.Upgraded:
			column = 0
		case rollout.Upgrading:
			column = 1
		}
		row[column]++
		total[column]++
	}
	var rows [][]string
	for _, role := range fleet.NaturalKeys(counts) {
		rows = append(rows, countRow(role, *counts[role]))
	}
	rows = append(rows, countRow("all", total))
	return c.buffered(func(w io.Writer) error {
		return table(w, "", []string{"ROLE", "UPGRADED", "UPGRADING", "PENDING"}, rows)
	})
}

func countRow(name string, n [3]int) []string {
	return []string{name, strconv.Itoa(n[0]), strconv.Itoa(n[1]), strconv.Itoa(n[2])}
}
