// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

type getFailuresOptions struct {
	*factory
	withoutArgs
	hosts, showWarnings bool
}

func newCmdGetFailures(f *factory, runF func(context.Context, *getFailuresOptions) error) *cobra.Command {
	o := &getFailuresOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "get-failures",
		Short: "Exit with 0 if no check in Consul fails, else with 1",
		Long: "Exits with 0 if no check of any node in Consul is critical, and no check of puppet and validation is a warning; else\n" +
			"with 1. Nodes and services in maintenance do not count.",
		Args: cli.NoArgs,
		RunE: runE(f, o, runGetFailures, runF),
	}
	cmd.Flags().BoolVar(&o.hosts, "hosts", false, "print the failing checks, with their nodes")
	cmd.Flags().BoolVar(&o.showWarnings, "show-warnings", false, "count all warnings as failures")
	return cmd
}

func runGetFailures(ctx context.Context, o *getFailuresOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	bad, meta, err := s.Unhealthy(ctx)
	switch {
	case err != nil:
		return err
	case meta.Filtered:
		return fmt.Errorf("incomplete read: ACLs hide checks: the token needs %s", store.ChecksPolicy)
	}
	var failures, warnings []fleet.Check
	for _, check := range bad {
		switch {
		case check.Fails():
			failures = append(failures, check)
		case o.showWarnings && check.Status == fleet.Warning:
			warnings = append(warnings, check)
		}
	}
	if o.hosts {
		writeChecks(o.Out, "Failures:", failures)
		writeChecks(o.Out, "Warnings:", warnings)
	}
	if len(failures)+len(warnings) > 0 {
		return exitFalse()
	}
	return nil
}

func writeChecks(w io.Writer, title string, checks []fleet.Check) {
	if len(checks) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	for _, check := range checks {
		fmt.Fprintf(w, "  Node: %s, Check: %s\n", cli.OneLine(check.Node), cli.OneLine(check.ID))
	}
}
