// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

// exitPuppetDenied is the exit code of check-puppet when Puppet may not run.
const exitPuppetDenied = 9

type checkPuppetOptions struct {
	jorcOptions
	verbose bool
}

func newCheckPuppet() *cobra.Command {
	o := &checkPuppetOptions{}
	cmd := &cobra.Command{
		Use:   "check-puppet",
		Short: "Exit with 0 if this host may run Puppet now, and with 9 if not",
		Long: "Look up enable_puppet of the host, its role and the fleet, and the pauses and holds on them. Exit with 0 if Puppet\n" +
			"may run, with 9 if not, and with 1 if the answer is unknown.",
		Args: cli.NoArgs,
		RunE: o.runE(o.run),
	}
	o.bindKeys(cmd.Flags())
	o.host.bindName(cmd.Flags(), "n")
	o.host.bindRole(cmd.Flags())
	o.host.bindVersionFile(cmd.Flags())
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "print the reason")
	return cmd
}

func (o *checkPuppetOptions) run(ctx context.Context, out io.Writer, _ []string) error {
	s, err := o.open()
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Options{Host: o.host.name, Role: o.host.role, Layout: o.host.layout, Store: s,
		Version: agent.File(o.host.versionFile), Memory: memory(o.host.versionFile), Clock: agent.SystemClock{}})
	if err != nil {
		return err
	}
	observed, verdict, err := a.Look(ctx)
	if err != nil {
		return err
	}
	answer := scriptPermission(observed, verdict)
	if o.verbose {
		fmt.Fprintln(out, answer.Message)
	}
	if !answer.Allowed {
		return exitCode(exitPuppetDenied)
	}
	return nil
}

// scriptPermission answers a script that runs Puppet and changes the version in one go, as maybe-upgrade.sh does. So it
// refuses on hold too, although an agent on hold may run Puppet at its own version.
func scriptPermission(o agent.Observation, v agent.Verdict) agent.Permission {
	if !v.Puppet.Allowed || !o.View.OnHold {
		return v.Puppet
	}
	return agent.Permission{
		Permission: permission.Permission{Reason: permission.OnHold},
		Message:    o.Message(permission.OnHold, o.View.Local),
	}
}

// The exit codes of pending-update.
const (
	updatePending  = 0
	upToDate       = 1
	unknown        = 2
	unknownNewHost = 3
)

type pendingUpdateOptions struct{ jorcOptions }

func newPendingUpdate() *cobra.Command {
	o := &pendingUpdateOptions{}
	cmd := &cobra.Command{
		Use:   "pending-update",
		Short: "Exit with 0 if current_version differs from this host's version, and with 1 if not",
		Long: "Exit with 0 if current_version differs from the version that this host has, and with 1 if not. Exit with 2 if the\n" +
			"answer is unknown, and with 3 if it is unknown and the host has no version yet, or if there is no current_version.\n" +
			"The answer does not say whether the host may change: see check-puppet.",
		Args: cli.NoArgs,
		RunE: o.runE(o.run),
	}
	o.bindKeys(cmd.Flags())
	o.host.bindVersionFile(cmd.Flags())
	return cmd
}

func (o *pendingUpdateOptions) run(ctx context.Context, out io.Writer, _ []string) error {
	local, err := agent.File(o.host.versionFile).Version()
	if err != nil {
		fmt.Fprintln(out, err)
		return exitCode(unknown)
	}
	current, err := o.readCurrentVersion(ctx)
	code, message := pendingUpdate(local, current, err)
	fmt.Fprintln(out, message)
	return exitCode(code)
}

// readCurrentVersion returns the pair of current_version. It has index 0 if there is none.
func (o *jorcOptions) readCurrentVersion(ctx context.Context) (keys.Pair, error) {
	s, err := o.open()
	if err != nil {
		return keys.Pair{}, err
	}
	pairs, _, err := s.Get(ctx, o.host.layout.CurrentVersion())
	if err != nil {
		return keys.Pair{}, err
	}
	return pairs[0], nil
}

// pendingUpdate compares the host's version with current_version. err is the error of reading the latter.
func pendingUpdate(local string, current keys.Pair, err error) (code int, message string) {
	version := keys.DecodeVersion(current.Value)
	unclear := unknown
	if local == "" {
		unclear = unknownNewHost
	}
	switch rule := keys.ValidVersion(version); {
	case err != nil:
		return unclear, fmt.Sprintf("cannot read current_version: %v", err)
	case !current.Exists():
		return unknownNewHost, "current_version is not set"
	case rule != "":
		return unclear, fmt.Sprintf("current_version is %q: it %s", version, rule)
	case local == version:
		return upToDate, "this host has " + version
	case local == "":
		return updatePending, fmt.Sprintf("current_version is %s, and this host has no version yet", version)
	}
	return updatePending, fmt.Sprintf("current_version is %s, and this host has %s", version, local)
}

type currentVersionOptions struct{ jorcOptions }

func newCurrentVersion() *cobra.Command {
	o := &currentVersionOptions{}
	cmd := &cobra.Command{
		Use:   "current-version",
		Short: "Print current_version, or None if it is not set",
		Args:  cli.NoArgs,
		RunE:  o.runE(o.run),
	}
	o.bindKeys(cmd.Flags())
	return cmd
}

func (o *currentVersionOptions) run(ctx context.Context, out io.Writer, _ []string) error {
	current, err := o.readCurrentVersion(ctx)
	if err != nil {
		return err
	}
	version := "None"
	if current.Exists() {
		version = keys.DecodeVersion(current.Value)
	}
	_, err = fmt.Fprintln(out, version)
	return err
}

type localVersionOptions struct{ jorcOptions }

func newLocalVersion() *cobra.Command {
	o := &localVersionOptions{}
	cmd := &cobra.Command{
		Use:   "local-version [VERSION]",
		Short: "Print or set the version that this host has",
		Long:  "Print the version in the version file, or an empty line if there is no such file. With VERSION, write it first.",
		Args:  cli.Args(cobra.MaximumNArgs(1)),
		RunE:  o.runE(o.run),
	}
	o.bindConsul(cmd.Flags()) // without effect: scripts pass these flags to all commands
	o.host.bindVersionFile(cmd.Flags())
	return cmd
}

func (o *localVersionOptions) run(_ context.Context, out io.Writer, args []string) error {
	file := agent.File(o.host.versionFile)
	for _, version := range args {
		if rule := keys.ValidVersion(version); rule != "" {
			return cli.FlagErrorf("version %q: %s", version, rule)
		}
		if err := file.SetVersion(version); err != nil {
			return err
		}
	}
	version, err := file.Version()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, version)
	return err
}

type hostDataOptions struct{ jorcOptions }

func newHostData() *cobra.Command {
	o := &hostDataOptions{}
	cmd := &cobra.Command{
		Use:   "host-data " + keys.ConfigState + "|" + keys.ConfigVersion,
		Short: "Print the settings that apply to this host, as JSON",
		Long: "Print the settings of the fleet, the role and the host as one JSON object, named by the last part of their keys. A\n" +
			"setting of the host takes precedence over that of its role, and that over the global one.",
		Args:      cli.Args(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{keys.ConfigState, keys.ConfigVersion},
		RunE:      o.runE(o.run),
	}
	o.bindKeys(cmd.Flags())
	o.host.bindName(cmd.Flags(), "n")
	o.host.bindRole(cmd.Flags())
	return cmd
}

func (o *hostDataOptions) run(ctx context.Context, out io.Writer, args []string) error {
	s, err := o.open()
	if err != nil {
		return err
	}
	var scopes [][]keys.Pair
	for _, place := range o.places() {
		prefix := o.host.layout.Config(args[0], place)
		pairs, meta, err := s.List(ctx, prefix)
		if err != nil {
			return err
		}
		if err := checkComplete(meta.Filtered, prefix, fmt.Sprintf("key_prefix %q { policy = %q }", prefix, "list")); err != nil {
			return err
		}
		scopes = append(scopes, pairs)
	}
	return json.NewEncoder(out).Encode(mergeSettings(scopes))
}

// places returns the scopes that have settings of the host, the most general first.
func (o *hostDataOptions) places() []fleet.Place {
	places := []fleet.Place{{Scope: fleet.ScopeGlobal}}
	if o.host.role != "" {
		places = append(places, fleet.Place{Scope: fleet.ScopeRole, Name: o.host.role})
	}
	return append(places, fleet.Place{Scope: fleet.ScopeHost, Name: o.host.name})
}

// mergeSettings returns the values by the last part of their keys. Later scopes take precedence.
func mergeSettings(scopes [][]keys.Pair) map[string]string {
	settings := map[string]string{}
	for _, pairs := range scopes {
		for _, p := range pairs {
			settings[p.Key[strings.LastIndex(p.Key, "/")+1:]] = string(p.Value)
		}
	}
	return settings
}

type pingOptions struct{ jorcOptions }

func newPing() *cobra.Command {
	o := &pingOptions{}
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Exit with 0 if Consul answers and has a leader, and with 1 if not",
		Args:  cli.NoArgs,
		RunE:  o.runE(o.run),
	}
	o.bindConsul(cmd.Flags())
	return cmd
}

func (o *pingOptions) run(ctx context.Context, out io.Writer, _ []string) error {
	o.consul.RetryFor = -1 // the caller retries
	s, err := o.open()
	if err != nil {
		return err
	}
	leader, err := s.Leader(ctx)
	switch {
	case err != nil:
		return err
	case leader == "":
		return fmt.Errorf("consul at %s has no leader", s.Address())
	}
	_, err = fmt.Fprintf(out, "consul at %s answers, its leader is %s\n", s.Address(), leader)
	return err
}
