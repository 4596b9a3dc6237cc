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

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// Hold is a host or role on hold.
type Hold struct {
	// Name is host/NAME or role/NAME.
	Name       string `json:"name"`
	fleet.Hold `json:",inline"`
	// Expired is true if the hold has ended by itself.
	Expired bool `json:"expired"`
}

// placesArg holds arguments of the form host/NAME or role/NAME.
type placesArg struct{ places []fleet.Place }

func (a *placesArg) complete(args []string) error {
	a.places = nil
	for _, arg := range args {
		at, ok := keys.PlaceOf(arg)
		if !ok {
			return cli.Usagef("%q: must be host/NAME or role/NAME", arg)
		}
		a.places = append(a.places, at)
	}
	return nil
}

type holdOptions struct {
	*factory
	fleetFlag
	placesArg
	hold        fleet.Hold
	expiresText string
}

func newCmdHold(f *factory, runF func(context.Context, *holdOptions) error) *cobra.Command {
	o := &holdOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "hold host/NAME|role/NAME...",
		Short: "Hold hosts or roles at their version",
		Long: "Holds hosts or roles at their version, at once, with or without a plan and a controller. Hosts that have started\n" +
			"continue. Agents with a grant that have not started lose it. Legacy hosts are stopped by their pause key,\n" +
			"config_state/host/NAME/enable_puppet or that of the role; it also keeps Puppet from running there.\n" +
			"A pause key that an operator has set stays as it is.\n\n" +
			"A second hold replaces the reason, owner and expiry of the first.",
		Example: "  upgradectl hold host/web3 --reason 'bad disk' --expires 48h\n" +
			"  upgradectl hold role/db --exempt --reason migration",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completePlaces),
		RunE:              runE(f, o, runHold, runF),
	}
	o.fleetFlag.bind(cmd)
	cmd.Flags().StringVar(&o.hold.Reason, "reason", "", "reason, shown wherever the hold is shown")
	cmd.Flags().StringVar(&o.hold.Owner, "owner", f.Who, "contact for this hold")
	cmd.Flags().StringVar(&o.expiresText, "expires", "", "end of the hold: a duration from now (90m, 48h) or a time "+
		"(2026-03-06T14:00:00Z); default: never")
	cmd.Flags().BoolVar(&o.hold.Exempt, "exempt", false, "also leave the hosts out of the counts, so that nothing waits for them")
	return cmd
}

func (o *holdOptions) complete(args []string) (err error) {
	if err := o.placesArg.complete(args); err != nil {
		return err
	}
	o.hold.Expires, err = parseExpiry(o.expiresText, o.Now())
	return err
}

func runHold(ctx context.Context, o *holdOptions) error {
	hold := o.hold
	hold.Time = o.Now().UTC().Truncate(time.Second)
	return changeHolds(ctx, o.factory, o.fleet, o.places, func(holds planstore.Holds, at fleet.Place) (string, error) {
		did, err := holds.Set(ctx, at, hold)
		switch {
		case err != nil:
			return "", err
		case did.OwnPause != "" && !did.OwnStops:
			o.warn("%s was set by an operator to True: legacy hosts ignore this hold", did.OwnPause)
		case did.OwnPause != "":
			o.say("%s was set by an operator: unhold will leave it", did.OwnPause)
		}
		switch {
		case !did.Changed:
			return "already held", nil
		case did.Before != nil && !did.Before.Expired(o.Now()):
			return "held, in place of an earlier hold", nil
		}
		return "held", nil
	})
}

type unholdOptions struct {
	*factory
	fleetFlag
	placesArg
}

func newCmdUnhold(f *factory, runF func(context.Context, *unholdOptions) error) *cobra.Command {
	o := &unholdOptions{factory: f}
	cmd := &cobra.Command{
		Use:     "unhold host/NAME|role/NAME...",
		Aliases: []string{"release"},
		Short:   "End the holds of hosts or roles",
		Long: "Ends holds, and removes the pause keys that belong to them. A pause key that an operator has set stays.\n" +
			"`release` is another name of this command.",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completeHolds),
		RunE:              runE(f, o, runUnhold, runF),
	}
	o.fleetFlag.bind(cmd)
	return cmd
}

func runUnhold(ctx context.Context, o *unholdOptions) error {
	return changeHolds(ctx, o.factory, o.fleet, o.places, func(holds planstore.Holds, at fleet.Place) (string, error) {
		did, err := holds.Unhold(ctx, at)
		if err != nil {
			return "", err
		}
		if did.OwnStops {
			o.warn("%s was set by an operator and stays: it still pauses", did.OwnPause)
		}
		if !did.Changed {
			return "not held", nil
		}
		return "unheld", nil
	})
}

// changeHolds changes the hold of each place, and prints what change returns.
func changeHolds(ctx context.Context, f *factory, fleetName string, places []fleet.Place,
	change func(planstore.Holds, fleet.Place) (string, error)) error {
	holds, err := holdsOf(ctx, f, fleetName)
	if err != nil {
		return err
	}
	var problems []error
	for _, at := range places {
		did, err := change(holds, at)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", at, err))
			continue
		}
		fmt.Fprintf(f.Out, "%s %s\n", at, did)
	}
	return errors.Join(problems...)
}

// parseExpiry reads the value of --expires. Empty means never.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := parseTime(text, now)
	switch {
	case err != nil:
		return at, cli.FlagErrorf("--expires %q: %w", text, err)
	case !at.After(now):
		return at, cli.FlagErrorf("--expires %q: must be in the future", text)
	}
	return at.UTC(), nil
}

// parseTime reads a duration from now, or a time.
func parseTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d).Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, errors.New("must be a duration such as 48h, or a time such as 2026-03-06T14:00:00Z")
	}
	return at, nil
}

func newCmdGetHolds(f *factory, runF func(context.Context, *getFleetOptions) error) *cobra.Command {
	return newCmdGetFleet(f, &cobra.Command{
		Use:     "holds [host/NAME|role/NAME...]",
		Aliases: []string{"hold"},
		Short:   "List holds, with their owners and reasons",
		Long: "Lists holds, including expired ones, with their owners and reasons.\n" +
			fmt.Sprintf(itemHelp, "Hold", "name (host/NAME or role/NAME),\nreason, owner, time, expires, exempt, expired"),
	}, completeHolds, runGetHolds, runF)
}

func runGetHolds(ctx context.Context, o *getFleetOptions) error {
	of, err := holdsOf(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	found, err := of.List(ctx)
	if err != nil {
		return err
	}
	holds := make([]Hold, len(found))
	for i, h := range found {
		holds[i] = Hold{h.Place.String(), h.Hold, h.Expired(o.Now())}
	}
	return printItems(o.factory, holdKind(), o.format.Value, holds, o.names)
}

func holdKind() itemKind[Hold] {
	return itemKind[Hold]{
		name: "hold", kind: "Hold", narrow: 5,
		header: []string{"NAME", "OWNER", "EXPIRES", "EXEMPT", "REASON", "SINCE"},
		nameOf: func(h *Hold) string { return h.Name },
		row: func(h *Hold) []string {
			expires := cmp.Or(describe.Stamp(h.Expires), "never")
			if h.Expired {
				expires += " (expired)"
			}
			return []string{h.Name, h.Owner, expires, describe.YesNo(h.Exempt), h.Reason, describe.Stamp(h.Time)}
		},
	}
}
