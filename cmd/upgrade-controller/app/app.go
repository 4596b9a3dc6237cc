// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command upgrade-controller: flags, one manager, logs.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// options are the flags.
type options struct {
	consul consul.Config
	log    flags.Log
	minGap time.Duration
	resync time.Duration
	health string
}

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
	if errors.As(err, new(failure)) {
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
			"transaction under way and gives the lock up.",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), stderr) },
	}
	flags.BindConsul(cmd.Flags(), &o.consul)
	o.log.Bind(cmd.Flags())
	cmd.Flags().DurationVar(&o.minGap, "min-gap", manager.DefaultMinGap,
		"least time between two looks at a tree of keys that changes all the time; two may follow each other at once")
	cmd.Flags().DurationVar(&o.resync, "resync", manager.DefaultResync, "about how often all is looked at though nothing changes")
	cmd.Flags().StringVar(&o.health, "health-probe-bind-address", "127.0.0.1:8081",
		"where /healthz and /readyz are served, host:port; 0: nowhere")
	return cmd
}

func (o *options) run(ctx context.Context, stderr io.Writer) error {
	if o.minGap <= 0 || o.resync <= 0 {
		return fmt.Errorf("--min-gap %s, --resync %s: must be above 0", o.minGap, o.resync)
	}
	log, err := o.log.Logger(stderr)
	if err != nil {
		return err
	}
	s, err := consul.New(o.consul)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return failure{err}
	}
	m := &manager.Manager{
		Store:  s,
		Worker: &upgradeplan.Worker{Store: s, Now: time.Now, Log: log},
		Holder: fmt.Sprintf("%s on %s (process %d)", manager.HolderPrefix, host, os.Getpid()),
		MinGap: o.minGap,
		Resync: o.resync,
		Log:    log,
	}
	stop, err := serveHealth(ctx, o.health, m, log)
	if err != nil {
		return failure{err}
	}
	defer stop()
	m.Run(ctx)
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
