// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command upgrade-controller: flags, one manager, logs.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/controllers/dashboard"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
	"github.com/jiocloud/upgrade-controller/controllers/metrics"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// failure is an error that is not the user's fault.
type failure struct{ error }

// Main runs the command and returns its exit code: 0; 1 failed; 2 usage.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := command(stderr) //nolint:contextcheck // cobra hands the context on
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "error: %v\n", err) // nobody is left to tell
	if _, ok := errors.AsType[failure](err); ok {
		return exitFailed
	}
	return exitUsage
}

func command(stderr io.Writer) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "upgrade-controller",
		Short: "Reconciles all upgrade plans of a Consul",
		Long: "upgrade-controller takes the lock of the one writer and reconciles a plan whenever something that it depends " +
			"on changes. Of several that run, one works and the others stand by. When it is interrupted it ends the " +
			"transaction under way and gives the lock up.\n\n" +
			"What is not given as a flag is taken from the file of --config, and which Consul is meant, from Consul's own " +
			"environment then. Started by systemd with Type=notify, it says when it leads or stands by.",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.Flags(), stderr) },
	}
	o.bind(cmd.Flags())
	return cmd
}

// complete takes from the file what was not given as a flag, and checks all of it.
func (o *options) complete(given *pflag.FlagSet) error {
	if o.file != "" {
		c, err := load(o.file, given)
		if err != nil {
			return err
		}
		o.sources = c.Sources
	}
	if err := check(given); err != nil {
		return err
	}
	var err error
	o.sources, err = withFlags(o.sources, o.source)
	return err
}

func (o *options) run(ctx context.Context, given *pflag.FlagSet, stderr io.Writer) error {
	if err := o.complete(given); err != nil {
		return err
	}
	log, err := o.log.Logger(stderr)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	seen := metrics.New(registry, version(), o.resync)
	o.consul.Observe = seen.Request
	s, err := consul.New(o.consul)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return failure{err}
	}
	supervisor := &systemd{log: log}
	m := &manager.Manager{
		Store:    s,
		Worker:   &upgradeplan.Worker{Store: s, Now: time.Now, Log: log, Observer: seen},
		Also:     []manager.Runner{runner(o.sources, s, seen, log)},
		Holder:   fmt.Sprintf("%s on %s (process %d)", manager.HolderPrefix, host, os.Getpid()),
		MinGap:   o.minGap,
		Resync:   o.resync,
		Log:      log,
		Observer: told{seen, supervisor},
	}
	pages := dashboard.New(dashboard.Options{Store: s, Now: time.Now, Log: log.WithName("dashboard")})
	defer pages.Close()
	stop, err := serve(ctx, log, endpoint{healthFlag, o.health, healthRoutes(m)},
		endpoint{metricsFlag, o.metrics, metricsRoutes(registry)},
		endpoint{dashboardFlag, o.dashboard, func(mux *http.ServeMux) { mux.Handle("GET /", pages) }},
		endpoint{webhookFlag, o.webhook, webhookRoutes(gitsync.NewHooks(o.sources, s, time.Now, log))})
	if err != nil {
		return failure{err}
	}
	defer stop()
	work(ctx, m, supervisor)
	return nil
}

// work runs the manager until the context ends, and keeps systemd told.
func work(ctx context.Context, m *manager.Manager, supervisor *systemd) {
	defer supervisor.watch(m.Healthy)()
	context.AfterFunc(ctx, supervisor.stopping) // at once: Run may take a moment to end
	m.Run(ctx)
	supervisor.stopping() // not before it has been told
}

// told are those that are told what the manager does.
type told struct {
	metrics *metrics.Metrics
	systemd *systemd
}

func (t told) StateChanged(d manager.State) {
	t.metrics.Leads(d.Leading)
	t.systemd.does(d)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
