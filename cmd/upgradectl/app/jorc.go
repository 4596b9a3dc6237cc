// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// jorc are the commands of python-jiocloud's jorc that are about the fleet, with its exit codes and in both spellings.
func (c *cli) jorc() []*cobra.Command {
	all := []*cobra.Command{c.triggerUpdate(), c.runningVersions(), c.hostsAtVersion(), c.verifyHosts(), c.checkSingleVersion(),
		c.getFailures(), c.enablePuppet(), c.setConfig()}
	for _, cmd := range all {
		cmd.Aliases = []string{strings.ReplaceAll(cmd.Name(), "-", "_")}
		cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
			return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
		})
	}
	return all
}

// no is an answer that is given by the exit code alone.
func no() error { return &exitError{code: exitFailed} }

// triggerUpdate is upgrade by another name: to set current_version alone would release whoever has an old permission.
func (c *cli) triggerUpdate() *cobra.Command {
	cmd := c.upgrade()
	cmd.Use, cmd.Short = "trigger-update VERSION", "The same as upgrade"
	cmd.Example = ""
	return cmd
}

// whole observes a fleet. That something may be missing is an error: no answer is made of it.
func (c *cli) whole(ctx context.Context, plan string) (*upgradeplan.Observation, error) {
	o, err := c.observe(ctx, plan)
	if err != nil {
		return nil, err
	}
	if o.Fleet.Incomplete != "" {
		return nil, errors.New("it cannot be told: what was read is not whole")
	}
	return o, nil
}

// at are the hosts by the version of their newest record, in natural order.
func at(o *upgradeplan.Observation) map[string][]string {
	hosts := map[string][]string{}
	for i := range o.Fleet.Hosts {
		if h := &o.Fleet.Hosts[i]; h.Record.Version != "" {
			hosts[h.Record.Version] = append(hosts[h.Record.Version], h.Name)
		}
	}
	return hosts
}

func (c *cli) lines(list []string) error {
	if len(list) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(c.Out, strings.Join(list, "\n"))
	return err
}

func (c *cli) runningVersions() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "running-versions",
		Short: "Print the versions that hosts have, one a line (get versions tells more)",
		Args:  noArgs,
	}
	plan := ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		o, err := c.whole(ctx, *plan)
		if err != nil {
			return err
		}
		return c.lines(fleet.NaturalKeys(at(o)))
	})
	return cmd
}

func (c *cli) hostsAtVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hosts-at-version VERSION",
		Short: "Print the hosts that have a version, one a line",
		Args:  args(cobra.ExactArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.versionNames)
	plan := ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		o, err := c.whole(ctx, *plan)
		if err != nil {
			return err
		}
		return c.lines(at(o)[args[0]])
	})
	return cmd
}

func (c *cli) verifyHosts() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify-hosts VERSION [HOST...]",
		Short: "Exit with 0 when hosts have a version, with 1 when not; hosts are read from stdin, one a line",
		Long: "Exits with 0 when all hosts have the version, with 1 when one has not, and tells which. Without HOST they are read\n" +
			"from stdin, one a line. No host at all is a no.",
		Example: "  upgradectl get hosts --role web -o name | cut -d/ -f2 | upgradectl verify-hosts 2.1",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.many(c.versionNames, c.hostNames)
	plan := ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		hosts := args[1:]
		if len(hosts) == 0 {
			var err error
			if hosts, err = c.hostsOfStdin(); err != nil {
				return err
			}
		}
		if len(hosts) == 0 {
			return errors.New("no host is given")
		}
		o, err := c.whole(ctx, *plan)
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(hosts, func(name string) bool {
			h, ok := o.Fleet.Host(name)
			return ok && h.Record.Version == args[0]
		})
		if len(missing) == 0 {
			return nil
		}
		c.say("not at %s: %s", args[0], oneLine(strings.Join(missing, ", ")))
		return no()
	})
	return cmd
}

// hostsOfStdin are the lines of stdin that are not blank.
func (c *cli) hostsOfStdin() (hosts []string, err error) {
	lines := bufio.NewScanner(c.In)
	for lines.Scan() {
		if host := strings.TrimSpace(lines.Text()); host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts, lines.Err()
}

func (c *cli) checkSingleVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check-single-version VERSION",
		Short: "Exit with 0 when hosts have this version and no other, with 1 when not",
		Long: "Exits with 0 when at least one host has the version, and no host another; with 1 when not. With --verbose it prints\n" +
			"whether the version was found, and which others.",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.versionNames)
	plan := ofPlan(cmd)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		if problem := names.Version(args[0]); problem != "" {
			return usagef("version %q: %s", args[0], problem)
		}
		o, err := c.whole(ctx, *plan)
		if err != nil {
			return err
		}
		versions := fleet.NaturalKeys(at(o))
		others := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v == args[0] })
		found := len(others) < len(versions)
		if c.flags.verbose {
			fmt.Fprintf(c.Out, "Wanted version found: %s\nUnwanted versions found: %s\n", describe.YesNo(found),
				oneLine(cmp.Or(strings.Join(others, ", "), "none")))
		}
		if !found || len(others) > 0 {
			return no()
		}
		return nil
	})
	return cmd
}

func (c *cli) getFailures() *cobra.Command {
	var hosts, warnings bool
	cmd := &cobra.Command{
		Use:   "get-failures",
		Short: "Exit with 0 when no check in Consul fails, with 1 when one does",
		Long: "Exits with 0 when no check of any node in Consul is critical, and none of puppet and validation a warning; with 1 when\n" +
			"one is. Nodes and services in maintenance do not count.",
		Args: noArgs,
	}
	cmd.Flags().BoolVar(&hosts, "hosts", false, "print the checks that fail, with their nodes")
	cmd.Flags().BoolVar(&warnings, "show-warnings", false, "count all warnings as failures")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		_, s, err := c.plans()
		if err != nil {
			return err
		}
		bad, meta, err := s.Unhealthy(ctx)
		switch {
		case err != nil:
			return err
		case meta.Filtered:
			return fmt.Errorf("it cannot be told: ACLs hid checks: the token needs %s", store.ChecksPolicy)
		}
		failures, others := split(bad)
		if !warnings {
			others = nil
		}
		if hosts {
			c.checks("Failures:", failures)
			c.checks("Warnings:", others)
		}
		if len(failures)+len(others) > 0 {
			return no()
		}
		return nil
	})
	return cmd
}

// split takes the checks that fail apart from those that only warn.
func split(bad []fleet.Check) (failures, warnings []fleet.Check) {
	for _, check := range bad {
		if check.Fails() {
			failures = append(failures, check)
		} else {
			warnings = append(warnings, check)
		}
	}
	return failures, warnings
}

func (c *cli) checks(header string, list []fleet.Check) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(c.Out, header)
	for _, check := range list {
		fmt.Fprintf(c.Out, "  Node: %s, Check: %s\n", oneLine(check.Node), oneLine(check.ID))
	}
}
