// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/dashboard"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
	"github.com/jiocloud/upgrade-controller/controllers/metrics"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// Main runs the command and returns its exit code: 0 for success, 1 for a failure, 2 for wrong usage.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = cli.Streams(stdout, stderr)
	cmd := New(stderr) //nolint:contextcheck // cobra passes the context on
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cli.Execute(ctx, cmd, args)
}

// New returns the command. It logs to stderr.
func New(stderr io.Writer) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "upgrade-controller",
		Short: "Reconcile all upgrade plans of a Consul",
		Long: "Take the controller's lock in Consul, and reconcile a plan whenever something that it depends on changes. Of " +
			"several replicas, one leads and the others stand by. On SIGINT, SIGTERM or SIGHUP the controller finishes the " +
			"transaction in progress and releases the lock.\n\n" +
			"Flags take precedence over the file of --config, and that file over the environment variables of Consul. If " +
			"systemd starts the controller with Type=notify, it reports whether it leads or stands by.",
		Args:    cli.NoArgs,
		Version: version(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(cmd.Flags()); err != nil {
				return cli.FlagError(err)
			}
			return o.run(cmd.Context(), stderr)
		},
	}
	cli.Silence(cmd)
	o.bind(cmd.Flags())
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(newDashboard(stderr))
	return cmd
}

// run builds the parts and runs them until the context ends. Then it notifies systemd, and the parts stop in this order:
//
//  1. The manager finishes the transaction in progress and releases the lock.
//  2. The watchdog stops.
//  3. The HTTP servers stop. Until then probes and metrics answer.
//  4. The dashboard closes its watches, and the blocking queries end.
//  5. The registration is gone: it ends with the context, and the process waits for that.
func (o *options) run(ctx context.Context, stderr io.Writer) error {
	log, err := o.log.Logger(stderr)
	if err != nil {
		return cli.FlagError(err)
	}
	defer flags.RedirectStandardLog(log)()
	registry := prometheus.NewRegistry()
	m := metrics.New(registry, version(), o.resync)
	o.consul.Observe = m.Request
	stores, err := newStores(o.consul)
	if err != nil {
		return cli.Usage(err)
	}
	defer stores.close(log) //nolint:contextcheck // the context has ended by then
	metrics.RegisterWatches(registry, stores.turns)
	expiry := metrics.NewExpiry(registry)
	watchContext, stopWatching := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stopWatching() // also after an error below
	watching.Go(func() { watchCredentials(watchContext, stores.lease.Expiring, log, expiry.Set) })
	supervisor := &systemd{log: log}
	mgr, err := o.manager(stores, m, supervisor, log)
	if err != nil {
		return err
	}
	pages := dashboard.New(dashboard.Options{Store: stores.work, Now: time.Now, Log: log.WithName("dashboard")})
	defer pages.Close()
	servers, err := serve(ctx, o.serving.server(log),
		healthEndpoint(o.bindAddress.health, mgr),
		metricsEndpoint(o.bindAddress.metrics, registry),
		dashboardEndpoint(o.bindAddress.dashboard, pages),
		webhookEndpoint(o.bindAddress.webhook, gitsync.NewWebhooks(o.sources, stores.work, time.Now, log)))
	if err != nil {
		return err
	}
	defer servers.close()
	defer supervisor.startWatchdog(context.WithoutCancel(ctx), mgr.Healthy)() // also while the manager stops
	context.AfterFunc(ctx, supervisor.stopping)                               // at once, since Run may take a moment to return
	watching.Go(func() {
		leaderelection.Register(watchContext, stores.work,
			leaderelection.Registration{Name: mgr.Holder, Version: version(), Since: time.Now().UTC().Truncate(time.Second)}, log)
	})
	mgr.Run(ctx)
	supervisor.stopping() // AfterFunc runs in a goroutine of its own, which may be late
	return nil
}

func (o *options) manager(s *stores, m *metrics.Metrics, supervisor *systemd, log logr.Logger) (*manager.Manager, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return &manager.Manager{
		Store:       s.work,
		LeaseStore:  s.lease,
		Reconciler:  &upgradeplan.Worker{Store: s.work, Now: time.Now, Log: log, Observer: m},
		Runners:     []manager.Runner{newSourceRunner(o.sources, s.work, m, log)},
		Holder:      fmt.Sprintf("%s on %s (process %d)", leaderelection.ControllerName, host, os.Getpid()),
		MinInterval: o.minGap,
		Resync:      o.resync,
		Log:         log,
		Observer:    multiObserver{m, supervisor},
	}, nil
}

// multiObserver forwards the state of the manager to the metrics and to systemd.
type multiObserver struct {
	metrics *metrics.Metrics
	systemd *systemd
}

// StateChanged implements manager.Observer.
func (o multiObserver) StateChanged(s manager.State) {
	o.metrics.Leads(s.Leading)
	o.systemd.StateChanged(s)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
