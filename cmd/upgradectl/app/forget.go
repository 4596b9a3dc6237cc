// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

type forgetOptions struct {
	*factory
	fleetFlag
	hosts []string
	force bool
}

func newCmdForget(f *factory, runF func(context.Context, *forgetOptions) error) *cobra.Command {
	o := &forgetOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "forget host/NAME...",
		Short: "Remove all keys of hosts that are gone",
		Long: "Removes the records of a host under all versions, its report, started marker, enable key and hold, in one\n" +
			"transaction, and lists these keys. Its slot becomes free, and nothing waits for it any more.\n\n" +
			"Without --force the command refuses a host that is in flight, or that has reported within the last hour: such a\n" +
			"host comes back with its next report, and may have started meanwhile. A pause key that an operator has set stays.",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completeHostPlaces),
		RunE:              runE(f, o, runForget, runF),
	}
	o.fleetFlag.bind(cmd)
	cmd.Flags().BoolVar(&o.force, "force", false, "forget hosts even if they are in flight or have just reported")
	return cmd
}

func (o *forgetOptions) complete(args []string) error {
	o.hosts = nil
	for _, arg := range args {
		at, ok := keys.PlaceOf(arg)
		if !ok || at.Scope != fleet.ScopeHost {
			return cli.Usagef("%q: must be host/NAME", arg)
		}
		o.hosts = append(o.hosts, at.Name)
	}
	return nil
}

func runForget(ctx context.Context, o *forgetOptions) error {
	plan, err := planOrNone(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	options := planstore.ForgetOptions{Layout: o.flags.layout, Force: o.force, Now: o.Now()}
	if plan != nil {
		options.Plan = plan.Name
	}
	var problems []error
	for _, host := range o.hosts {
		options.Host = host
		problems = append(problems, forgetHost(ctx, o.factory, options))
	}
	return errors.Join(problems...)
}

func forgetHost(ctx context.Context, f *factory, options planstore.ForgetOptions) error {
	plans, err := f.plans()
	if err != nil {
		return err
	}
	did, err := plans.Forget(ctx, options)
	_, active := errors.AsType[*planstore.HostActiveError](err)
	switch {
	case active:
		return fmt.Errorf("%w; use --force to forget it anyway", err)
	case err != nil:
		return fmt.Errorf("host/%s: %w", options.Host, err)
	case len(did.Removed) == 0:
		return fmt.Errorf("host %q not found", options.Host)
	}
	fmt.Fprintf(f.Out, "host/%s forgotten\n", options.Host)
	for _, key := range did.Removed {
		f.say("removed %s", key)
	}
	if did.OwnPause != "" {
		f.say("%s was set by an operator and stays", did.OwnPause)
	}
	return nil
}
