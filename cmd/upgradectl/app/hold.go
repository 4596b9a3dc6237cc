// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// Hold keeps a host or role where it is.
type Hold struct {
	// Name is host/ or role/ and a name.
	Name       string `json:"name"`
	fleet.Hold `json:",inline"`
	// Expired says that it has ended by itself.
	Expired bool `json:"expired"`
}

func (c *cli) hold() *cobra.Command {
	var hold fleet.Hold
	var expires string
	cmd := &cobra.Command{
		Use:   "hold host/NAME|role/NAME...",
		Short: "Keep hosts or roles where they are",
		Long: "Keeps hosts or roles where they are, at once, with or without a plan and a controller. Hosts that have started go\n" +
			"on. Agents that were released and have not started lose their permission. Hosts in the field are stopped by the pause\n" +
			"key that they know, config_state/host/NAME/enable_puppet or that of the role; it also keeps Puppet from running there.\n" +
			"Where an operator has set that key already, it is left as it is.\n\n" +
			"Holding again replaces the reason, owner and expiry of the hold that stands.",
		Example: "  upgradectl hold host/web3 --reason 'bad disk' --expires 48h\n  upgradectl hold role/db --exempt --reason migration",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.many(c.places)
	plan := ofPlan(cmd)
	cmd.Flags().StringVar(&hold.Reason, "reason", "", "why; it is shown wherever the hold is")
	cmd.Flags().StringVar(&hold.Owner, "owner", c.Who, "who is to be asked about it")
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends by itself: a duration from now (90m, 48h) or a time "+
		"(2026-03-06T14:00:00Z); default: never")
	cmd.Flags().BoolVar(&hold.Exempt, "exempt", false, "also take the hosts out of the counts: nothing waits for them")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		var err error
		if hold.Expires, err = expiry(expires, c.Now()); err != nil {
			return err
		}
		hold.Time = c.Now().UTC().Truncate(time.Second)
		return c.eachHold(ctx, *plan, args, func(holds upgradeplan.Holds, at fleet.Place) (string, error) {
			did, err := holds.Set(ctx, at, hold)
			switch {
			case err != nil:
				return "", err
			case did.OwnPause != "" && !did.OwnStops:
				c.warn(did.OwnPause + " is an operator's own and says to go on: hosts in the field do, hold or not")
			case did.OwnPause != "":
				c.say("%s is an operator's own: release will leave it", did.OwnPause)
			}
			return heldWord(did, c.Now()), nil
		})
	})
	return cmd
}

func heldWord(did upgradeplan.HoldResult, now time.Time) string {
	switch {
	case !did.Changed:
		return "already held"
	case did.Before != nil && !did.Before.Expired(now):
		return "held, in place of an earlier hold"
	}
	return "held"
}

func (c *cli) release() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release host/NAME|role/NAME...",
		Short: "End holds",
		Long:  "Ends holds, and removes the pause keys that stand for them. A pause key that an operator set stays.",
		Args:  args(cobra.MinimumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.many(c.held)
	plan := ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		return c.eachHold(ctx, *plan, args, func(holds upgradeplan.Holds, at fleet.Place) (string, error) {
			did, err := holds.Release(ctx, at)
			if err != nil {
				return "", err
			}
			if did.OwnStops {
				c.warn(did.OwnPause + " is an operator's own and stays: it still pauses")
			}
			if !did.Changed {
				return "not held", nil
			}
			return "released", nil
		})
	})
	return cmd
}

// eachHold changes the hold of each place that is named, and prints what became of it.
func (c *cli) eachHold(ctx context.Context, plan string, args []string,
	change func(upgradeplan.Holds, fleet.Place) (string, error)) error {
	places := make([]fleet.Place, len(args))
	for i, arg := range args {
		at, ok := keys.PlaceOf(arg)
		if !ok {
			return usagef("%q: must be host/NAME or role/NAME", arg)
		}
		places[i] = at
	}
	l, s, err := c.layoutOf(ctx, plan)
	if err != nil {
		return err
	}
	var problems []error
	for _, at := range places {
		did, err := change(upgradeplan.Holds{Store: s, Layout: l}, at)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", at, err))
			continue
		}
		fmt.Fprintf(c.Out, "%s %s\n", at, did)
	}
	return errors.Join(problems...)
}

// layoutOf is where the keys of a plan's fleet are; without a plan, of the fleet that the flags say.
func (c *cli) layoutOf(ctx context.Context, name string) (keys.Layout, store.Store, error) {
	plan, s, err := c.planOrNone(ctx, name)
	if err != nil || plan == nil {
		return c.flags.layout, s, err
	}
	return upgradeplan.Layout(plan), s, nil
}

// expiry is the time that a flag says: a duration from now, or a time.
func expiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if d, notDuration := time.ParseDuration(text); notDuration == nil {
		at, err = now.Add(d).Truncate(time.Second), nil
	}
	switch {
	case err != nil:
		return at, flagError{fmt.Errorf("--expires %q: must be a duration such as 48h, or a time such as 2026-03-06T14:00:00Z", text)}
	case !at.After(now):
		return at, flagError{fmt.Errorf("--expires %q: must be in the future", text)}
	}
	return at.UTC(), nil
}

func (c *cli) getHolds() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "holds [host/NAME|role/NAME...]",
		Aliases: []string{"hold"},
		Short:   "List holds, with who set them and why",
		Long: "Lists holds, those that have expired too, with who set them and why.\n" +
			fmt.Sprintf(getHelp, "Hold", "name (host/NAME or role/NAME),\nreason, owner, time, expires, exempt, expired"),
	}
	cmd.ValidArgsFunction = c.many(c.held)
	format, plan := getOutput(cmd), ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		l, s, err := c.layoutOf(ctx, *plan)
		if err != nil {
			return err
		}
		found, err := upgradeplan.Holds{Store: s, Layout: l}.List(ctx)
		if err != nil {
			return err
		}
		holds := make([]Hold, len(found))
		for i, h := range found {
			holds[i] = Hold{h.Place.String(), h.Hold, h.Expired(c.Now())}
		}
		return show(c, holdKind(), format.value, holds, names)
	})
	return cmd
}

func holdKind() kind[Hold] {
	return kind[Hold]{
		name: "hold", kind: "Hold", wide: 5,
		header: []string{"NAME", "OWNER", "EXPIRES", "EXEMPT", "REASON", "SINCE"},
		nameOf: func(h *Hold) string { return h.Name },
		row: func(h *Hold) []string {
			ends := cmp.Or(describe.Stamp(h.Expires), "never")
			if h.Expired {
				ends += " (expired)"
			}
			return []string{h.Name, h.Owner, ends, describe.YesNo(h.Exempt), h.Reason, describe.Stamp(h.Time)}
		},
	}
}
