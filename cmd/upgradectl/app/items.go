// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

// itemHelp is the end of the help of get. It takes the kind and the fields of the items.
const itemHelp = `
-o json and -o yaml print {apiVersion: upgrade.jiocloud.com/v1alpha1, kind: %sList, items: […]}, and with exactly one NAME
that item itself. Later versions may add fields to items, and rename none. Items have: %s.`

// List is what get -o json and -o yaml print: apiVersion upgrade.jiocloud.com/v1alpha1, a kind (UpgradePlanList,
// HostList, RoleList, VersionList, HoldList or EventList), and items of UpgradePlan, Host, Role, Version, Hold or Event.
// Later versions may add fields. They rename none, and change the meaning of none. Times are RFC 3339 in UTC.
type List[T any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      []T    `json:"items"`
}

func newList[T any](kind string, items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{v1alpha1.APIVersion, kind, items}
}

// itemKind describes how get lists one kind of items.
type itemKind[T any] struct {
	// name is the word before the slash with -o name.
	name string
	kind string
	// header and row are those of the table. Without -o wide it has the first narrow columns.
	header []string
	narrow int
	row    func(*T) []string
	nameOf func(*T) string
}

// columns returns the number of columns of a format.
func (k *itemKind[T]) columns(wide bool) int {
	if wide {
		return len(k.header)
	}
	return k.narrow
}

// getOptions are the options that the subcommands of get share.
type getOptions struct {
	*factory
	format *cli.Choice
}

func (o *getOptions) bind(cmd *cobra.Command) {
	o.format = cli.BindOutput(cmd.Flags(), cli.Table, cli.Wide, cli.JSON, cli.YAML, cli.Name)
}

// getFleetOptions are the options of a subcommand of get that lists parts of a fleet.
type getFleetOptions struct {
	getOptions
	fleetFlag
	namesArg
}

// newCmdGetFleet returns a subcommand of get with the flag --plan.
func newCmdGetFleet(f *factory, cmd *cobra.Command, complete completer,
	run, runF func(context.Context, *getFleetOptions) error) *cobra.Command {
	o := &getFleetOptions{getOptions: getOptions{factory: f}}
	cmd.ValidArgsFunction = f.completeManyArgs(complete)
	cmd.RunE = runE(f, o, run, runF)
	o.getOptions.bind(cmd)
	o.fleetFlag.bind(cmd)
	return cmd
}

// printItems prints the items with these names, or all items without names.
func printItems[T any](f *factory, k itemKind[T], format string, items []T, names []string) error {
	chosen, err := choose(k, items, names)
	if err != nil {
		return err
	}
	switch {
	case format == cli.Name:
		return cli.Buffered(f.Out, func(w io.Writer) error {
			for i := range chosen {
				if _, err := fmt.Fprintf(w, "%s/%s\n", k.name, k.nameOf(&chosen[i])); err != nil {
					return err
				}
			}
			return nil
		})
	case (format == cli.JSON || format == cli.YAML) && len(names) == 1:
		return cli.Print(f.Out, format, chosen[0])
	case format == cli.JSON || format == cli.YAML:
		return cli.Print(f.Out, format, newList(k.kind+"List", chosen))
	case len(chosen) == 0:
		f.say("no %ss found", k.name)
		return nil
	}
	columns := k.columns(format == cli.Wide)
	rows := make([][]string, len(chosen))
	for i := range chosen {
		rows[i] = k.row(&chosen[i])[:columns]
	}
	return cli.Buffered(f.Out, func(w io.Writer) error { return cli.WriteTable(w, "", k.header[:columns], rows) })
}

// choose returns the items with these names in their order, or all items without names.
func choose[T any](k itemKind[T], items []T, names []string) ([]T, error) {
	if len(names) == 0 {
		return items, nil
	}
	at := make(map[string]int, len(items))
	for i := range items {
		at[k.nameOf(&items[i])] = i
	}
	var chosen []T
	for _, name := range names {
		i, ok := at[name]
		if !ok {
			return nil, fmt.Errorf("%s %q not found", k.name, name)
		}
		chosen = append(chosen, items[i])
	}
	return chosen, nil
}
