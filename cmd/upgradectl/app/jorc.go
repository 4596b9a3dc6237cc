// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// jorcCommands returns the commands of python-jiocloud's jorc about the fleet, with its exit codes and in both spellings.
func jorcCommands(f *factory) []*cobra.Command {
	all := []*cobra.Command{newCmdTriggerUpdate(f), newCmdRunningVersions(f, nil), newCmdHostsAtVersion(f, nil), newCmdVerifyHosts(f, nil),
		newCmdCheckSingleVersion(f, nil), newCmdGetFailures(f, nil), newCmdEnablePuppet(f, nil), newCmdSetConfig(f, nil)}
	for _, cmd := range all {
		cmd.Aliases = []string{strings.ReplaceAll(cmd.Name(), "-", "_")}
		cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
			return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
		})
	}
	return all
}

// exitFalse returns the error of a check that is false: the exit code alone is the answer.
func exitFalse() error { return &cli.ExitError{Code: cli.ExitFailed} }

// newCmdTriggerUpdate returns upgrade under another name. A command that only set current_version would start every host with
// an old enable_puppet key.
func newCmdTriggerUpdate(f *factory) *cobra.Command {
	cmd := newCmdUpgrade(f, nil)
	cmd.Use, cmd.Short, cmd.Example = "trigger-update VERSION", "Do the same as upgrade", ""
	return cmd
}

// jorcFleetOptions are the options of the commands about the versions of a fleet.
type jorcFleetOptions struct {
	*factory
	fleetFlag
	withoutArgs
}

// jorcVersionOptions are the options of the commands that take VERSION [HOST...].
type jorcVersionOptions struct {
	*factory
	fleetFlag
	namesArg
}

func (o *jorcVersionOptions) version() string { return o.names[0] }

// observeComplete reads a fleet. It returns an error if a part of the fleet could not be read.
func observeComplete(ctx context.Context, f *factory, name string) (*pass.Assessment, error) {
	o, err := observe(ctx, f, name)
	if err != nil {
		return nil, err
	}
	if o.Fleet.Incomplete != "" {
		return nil, errors.New("incomplete read: the token cannot see all keys")
	}
	return o, nil
}

// hostsByVersion returns the hosts in natural order, by the version of their newest record.
func hostsByVersion(o *pass.Assessment) map[string][]string {
	hosts := map[string][]string{}
	for i := range o.Fleet.Hosts {
		if h := &o.Fleet.Hosts[i]; h.Version() != "" {
			hosts[h.Version()] = append(hosts[h.Version()], h.Name)
		}
	}
	return hosts
}

func writeLines(w io.Writer, list []string) error {
	if len(list) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, strings.Join(list, "\n"))
	return err
}

func newCmdRunningVersions(f *factory, runF func(context.Context, *jorcFleetOptions) error) *cobra.Command {
	o := &jorcFleetOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "running-versions",
		Short: "Print the versions that hosts have, one on each line (see also get versions)",
		Args:  cli.NoArgs,
		RunE:  runE(f, o, runRunningVersions, runF),
	}
	o.fleetFlag.bind(cmd)
	return cmd
}

func runRunningVersions(ctx context.Context, o *jorcFleetOptions) error {
	seen, err := observeComplete(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	return writeLines(o.Out, fleet.NaturalKeys(hostsByVersion(seen)))
}

func newCmdHostsAtVersion(f *factory, runF func(context.Context, *jorcVersionOptions) error) *cobra.Command {
	o := &jorcVersionOptions{factory: f}
	cmd := &cobra.Command{
		Use:               "hosts-at-version VERSION",
		Short:             "Print the hosts that have a version, one on each line",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: f.completeArgs(completeVersions),
		RunE:              runE(f, o, runHostsAtVersion, runF),
	}
	o.fleetFlag.bind(cmd)
	return cmd
}

func runHostsAtVersion(ctx context.Context, o *jorcVersionOptions) error {
	seen, err := observeComplete(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	return writeLines(o.Out, hostsByVersion(seen)[o.version()])
}

func newCmdVerifyHosts(f *factory, runF func(context.Context, *jorcVersionOptions) error) *cobra.Command {
	o := &jorcVersionOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "verify-hosts VERSION [HOST...]",
		Short: "Exit with 0 if hosts have a version, else with 1; without HOST, read hosts from stdin, one on each line",
		Long: "Exits with 0 if all hosts have the version. Else it exits with 1 and lists the hosts that do not have it. Without\n" +
			"HOST it reads them from stdin, one on each line. Without any host it exits with 1.",
		Example:           "  upgradectl get hosts --role web -o name | cut -d/ -f2 | upgradectl verify-hosts 2.1",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completeVersions, completeHosts),
		RunE:              runE(f, o, runVerifyHosts, runF),
	}
	o.fleetFlag.bind(cmd)
	return cmd
}

func runVerifyHosts(ctx context.Context, o *jorcVersionOptions) error {
	hosts := slices.Clone(o.names[1:])
	if len(hosts) == 0 {
		var err error
		if hosts, err = readLines(o.In); err != nil {
			return err
		}
	}
	if len(hosts) == 0 {
		return errors.New("no host is given")
	}
	seen, err := observeComplete(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(hosts, func(name string) bool {
		h, ok := seen.Fleet.Host(name)
		return ok && h.Version() == o.version()
	})
	if len(missing) == 0 {
		return nil
	}
	o.say("not at %s: %s", o.version(), cli.OneLine(strings.Join(missing, ", ")))
	return exitFalse()
}

// readLines returns the lines that are not blank.
func readLines(r io.Reader) (found []string, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			found = append(found, line)
		}
	}
	return found, lines.Err()
}

func newCmdCheckSingleVersion(f *factory, runF func(context.Context, *jorcVersionOptions) error) *cobra.Command {
	o := &jorcVersionOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "check-single-version VERSION",
		Short: "Exit with 0 if all hosts have this version, else with 1",
		Long: "Exits with 0 if at least one host has the version, and no host has another; else with 1. --verbose prints whether\n" +
			"the version was found, and the other versions.",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: f.completeArgs(completeVersions),
		RunE:              runE(f, o, runCheckSingleVersion, runF),
	}
	o.fleetFlag.bind(cmd)
	return cmd
}

func runCheckSingleVersion(ctx context.Context, o *jorcVersionOptions) error {
	if problem := names.Version(o.version()); problem != "" {
		return cli.Usagef("version %q: %s", o.version(), problem)
	}
	seen, err := observeComplete(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	versions := fleet.NaturalKeys(hostsByVersion(seen))
	others := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v == o.version() })
	found := len(others) < len(versions)
	if o.flags.verbose {
		fmt.Fprintf(o.Out, "Wanted version found: %s\nUnwanted versions found: %s\n", describe.YesNo(found),
			cli.OneLine(cmp.Or(strings.Join(others, ", "), "none")))
	}
	if !found || len(others) > 0 {
		return exitFalse()
	}
	return nil
}
