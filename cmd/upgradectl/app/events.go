// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

type getEventsOptions struct {
	planOptions
	format *cli.Choice
	watchFlag
	types, objects []string
	last           int
}

func newCmdGetEvents(f *factory, runF func(context.Context, *getEventsOptions) error) *cobra.Command {
	o := &getEventsOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:     "events [PLAN]",
		Aliases: []string{"event", "ev"},
		Short:   "List the events of a plan, the oldest first",
		Long: fmt.Sprintf("Lists the events of a plan, the oldest first. The last %d are stored.\n", keys.MaxEvents) +
			fmt.Sprintf(itemHelp, "Event", "number, time, type,\nreason, object, message"),
		Example:           "  upgradectl get events fleet --type Warning\n  upgradectl get events --for host/web1",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runGetEvents, runF),
	}
	get := getOptions{}
	get.bind(cmd)
	o.format = get.format
	o.watchFlag.bind(cmd)
	cmd.Flags().StringSliceVar(&o.types, "type", nil, "only events of these types: Normal, Warning")
	cmd.Flags().StringSliceVar(&o.objects, "for", nil, "only events about these objects: plan, host/NAME or a key")
	completeFlag(cmd, "type", f.completeBy(completeList(completeWords(string(fleet.EventNormal), string(fleet.EventWarning)))))
	completeFlag(cmd, "for", f.completeBy(completeList(completeEventObjects)))
	cmd.Flags().IntVar(&o.last, "last", 0, "number of events, the last ones; 0 means all")
	return cmd
}

func (o *getEventsOptions) complete(args []string) error {
	for _, kind := range o.types {
		if kind != string(fleet.EventNormal) && kind != string(fleet.EventWarning) {
			return cli.FlagErrorf("--type %q: must be Normal or Warning", kind)
		}
	}
	if o.last < 0 {
		return cli.FlagErrorf("--last must not be negative")
	}
	return o.planOptions.complete(args)
}

func runGetEvents(ctx context.Context, o *getEventsOptions) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	read := func(ctx context.Context) (listing[fleet.Event], error) {
		events, err := planstore.Plans{Store: s}.Events(ctx, name)
		return listing[fleet.Event]{items: o.filter(events), watches: []store.Watch{store.WatchKeys(keys.Plan(name).Events())}}, err
	}
	if o.watch {
		return watchList(ctx, o.factory, eventKind(), o.format.Value, read)
	}
	found, err := read(ctx)
	if err != nil {
		return err
	}
	return printItems(o.factory, eventKind(), o.format.Value, found.items, nil)
}

// filter returns the events that the flags select.
func (o *getEventsOptions) filter(events []fleet.Event) []fleet.Event {
	events = slices.DeleteFunc(events, func(e fleet.Event) bool {
		return len(o.types) > 0 && !slices.Contains(o.types, string(e.Type)) ||
			len(o.objects) > 0 && !slices.Contains(o.objects, e.Object)
	})
	if o.last > 0 {
		events = events[max(0, len(events)-o.last):]
	}
	return events
}

// eventName is the name of the kind of events.
const eventName = "event"

func eventKind() itemKind[fleet.Event] {
	return itemKind[fleet.Event]{
		name: eventName, kind: "Event", narrow: 5,
		header: []string{"TIME", "TYPE", "REASON", "OBJECT", "MESSAGE", "NUMBER"},
		nameOf: func(e *fleet.Event) string { return strconv.FormatUint(e.Number, 10) },
		row: func(e *fleet.Event) []string {
			return []string{describe.Stamp(e.Time), string(e.Type), e.Reason, e.Object, cli.OneLine(e.Message),
				strconv.FormatUint(e.Number, 10)}
		},
	}
}
