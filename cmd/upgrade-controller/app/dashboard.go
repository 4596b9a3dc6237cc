// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/dashboard"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// dashboardOptions are the flags of the command dashboard.
type dashboardOptions struct {
	consul  consul.Config
	log     flags.Log
	serving serving
	address string
}

func newDashboard(stderr io.Writer) *cobra.Command {
	o := &dashboardOptions{}
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Serve the dashboard in a process of its own",
		Long: "Serve the read-only dashboard without a controller. It needs a token of the viewer's policy only. Run the " +
			"controllers with --" + dashboardFlag + " 0 beside it.",
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return cli.FlagError(err)
			}
			return o.run(cmd.Context(), stderr)
		},
	}
	f := cmd.Flags()
	flags.BindConsul(f, &o.consul)
	flags.BindLogin(f, &o.consul.Login)
	o.log.Bind(f)
	o.serving.bind(f)
	bindDashboardAddress(f, &o.address, "")
	return cmd
}

func (o *dashboardOptions) check(f *pflag.FlagSet) error {
	if err := check(f); err != nil {
		return err
	}
	if o.address == off {
		return fmt.Errorf("--%s %s: must be host:port, since the command serves nothing else", dashboardFlag, off)
	}
	return o.serving.check()
}

// run serves the dashboard until the context ends.
func (o *dashboardOptions) run(ctx context.Context, stderr io.Writer) error {
	log, err := o.log.Logger(stderr)
	if err != nil {
		return cli.FlagError(err)
	}
	defer flags.RedirectStandardLog(log)()
	stores, err := newStores(o.consul)
	if err != nil {
		return cli.Usage(err)
	}
	defer stores.close(log) //nolint:contextcheck // the context has ended by then
	pages := dashboard.New(dashboard.Options{Store: stores.work, Now: time.Now, Log: log})
	defer pages.Close()
	servers, err := serve(ctx, o.serving.server(log), dashboardEndpoint(o.address, pages))
	if err != nil {
		return err
	}
	defer servers.close()
	supervisor := &systemd{log: log}
	supervisor.notify(daemon.SdNotifyReady)
	<-ctx.Done()
	supervisor.stopping()
	return nil
}
