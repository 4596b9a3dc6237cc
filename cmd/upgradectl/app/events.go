// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

func (c *cli) getEvents() *cobra.Command {
	var kinds, objects []string
	var last int
	cmd := &cobra.Command{
		Use:     "events [PLAN]",
		Aliases: []string{"event", "ev"},
		Short:   "List what has happened to a plan, the oldest first",
		Long: fmt.Sprintf("Lists what has happened to a plan, the oldest first. The last %d are kept.\n", keys.MaxEvents) +
			fmt.Sprintf(getHelp, "Event", "number, time, type,\nreason, object, message"),
		Example: "  upgradectl get events fleet --type Warning\n  upgradectl get events --for host/web1",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	format, watch := getOutput(cmd), watchFlag(cmd)
	cmd.Flags().StringSliceVar(&kinds, "type", nil, "only events of these types: Normal, Warning")
	cmd.Flags().StringSliceVar(&objects, "for", nil, "only events about these: plan, host/NAME or a key")
	completeFlag(cmd, "type", c.offer(commas(words(string(fleet.EventNormal), string(fleet.EventWarning)))))
	completeFlag(cmd, "for", c.offer(commas(c.objects)))
	cmd.Flags().IntVar(&last, "last", 0, "only so many, the last ones; 0: all")
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		for _, kind := range kinds {
			if kind != string(fleet.EventNormal) && kind != string(fleet.EventWarning) {
				return flagError{fmt.Errorf("--type %q: must be Normal or Warning", kind)}
			}
		}
		if last < 0 {
			return flagError{fmt.Errorf("--last must not be negative")}
		}
		plans, _, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, names)
		if err != nil {
			return err
		}
		see := func(ctx context.Context) (seen[fleet.Event], error) {
			events, err := plans.Events(ctx, name)
			events = slices.DeleteFunc(events, func(e fleet.Event) bool {
				return len(kinds) > 0 && !slices.Contains(kinds, string(e.Type)) || len(objects) > 0 && !slices.Contains(objects, e.Object)
			})
			if last > 0 {
				events = events[max(0, len(events)-last):]
			}
			return seen[fleet.Event]{items: events, watch: []store.Watch{store.WatchKeys(keys.Plan(name).Events())}}, err
		}
		if *watch {
			return watchList(ctx, c, eventKind(), format.value, see)
		}
		found, err := see(ctx)
		if err != nil {
			return err
		}
		events := found.items
		return show(c, eventKind(), format.value, events, nil)
	})
	return cmd
}

// eventName is what one of them is called.
const eventName = "event"

func eventKind() kind[fleet.Event] {
	return kind[fleet.Event]{
		name: eventName, kind: "Event", wide: 5,
		header: []string{"TIME", "TYPE", "REASON", "OBJECT", "MESSAGE", "NUMBER"},
		nameOf: func(e *fleet.Event) string { return strconv.FormatUint(e.Number, 10) },
		row: func(e *fleet.Event) []string {
			return []string{describe.Stamp(e.Time), string(e.Type), e.Reason, e.Object, oneLine(e.Message),
				strconv.FormatUint(e.Number, 10)}
		},
	}
}
