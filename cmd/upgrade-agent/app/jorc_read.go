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

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

// nein is the exit code of check-puppet for a no.
const nein exitStatus = 9

func newCheckPuppet() *cobra.Command {
	j := &jorc{}
	var verbose bool
	cmd := &cobra.Command{
		Use:   "check-puppet",
		Short: "Exit with 0 when this host may run Puppet now, with 9 when not",
		Long: "Looks up enable_puppet of the host, its role and the fleet, and the pauses and holds on them. Exits with 0 when\n" +
			"Puppet may run, with 9 when not, and with 1 when that cannot be told.",
		Args: asUsage(cobra.NoArgs),
	}
	j.bindKeys(cmd.Flags())
	j.bindHost(cmd.Flags())
	j.bindRole(cmd.Flags())
	j.bindVersionFile(cmd.Flags())
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say why")
	cmd.RunE = j.run(func(ctx context.Context, out io.Writer, _ []string) error {
		s, err := j.open()
		if err != nil {
			return err
		}
		a, err := agent.New(agent.Options{Host: j.host, Role: j.role, Layout: j.layout, Store: s,
			Version: agent.File(j.versionFile), Clock: agent.SystemClock{}})
		if err != nil {
			return usageError{err}
		}
		observed, verdict, err := a.Look(ctx)
		if err != nil {
			return err
		}
		answer := scriptPermission(observed, verdict)
		if verbose {
			fmt.Fprintln(out, answer.Message)
		}
		if !answer.Allowed {
			return nein
		}
		return nil
	})
	return cmd
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

// What pending-update exits with.
const (
	updatePending exitStatus = 0
	upToDate      exitStatus = 1
	cannotTell    exitStatus = 2
	cannotTellNew exitStatus = 3
)

func newPendingUpdate() *cobra.Command {
	j := &jorc{}
	cmd := &cobra.Command{
		Use:   "pending-update",
		Short: "Exit with 0 when current_version is not this host's version, with 1 when it is",
		Long: "Exits with 0 when current_version is not the version that this host has, with 1 when it is. With 2 when that\n" +
			"cannot be told, and with 3 when it cannot be told and the host has no version yet, or there is no current_version.\n" +
			"It does not say whether the host may change: check-puppet does.",
		Args: asUsage(cobra.NoArgs),
	}
	j.bindKeys(cmd.Flags())
	j.bindVersionFile(cmd.Flags())
	cmd.RunE = j.run(func(ctx context.Context, out io.Writer, _ []string) error {
		local, err := agent.File(j.versionFile).Version()
		if err != nil {
			fmt.Fprintln(out, err)
			return cannotTell
		}
		current, err := j.current(ctx)
		code, says := pendingUpdate(local, current, err)
		fmt.Fprintln(out, says)
		if code == updatePending {
			return nil
		}
		return code
	})
	return cmd
}

// current reads current_version.
func (j *jorc) current(ctx context.Context) (keys.Pair, error) {
	s, err := j.open()
	if err != nil {
		return keys.Pair{}, err
	}
	pairs, _, err := s.Get(ctx, j.layout.CurrentVersion())
	if err != nil {
		return keys.Pair{}, err
	}
	return pairs[0], nil
}

// pendingUpdate compares the host's version with current_version, which was read with err.
func pendingUpdate(local string, current keys.Pair, err error) (exitStatus, string) {
	version := keys.DecodeVersion(current.Value)
	unknown := cannotTell
	if local == "" {
		unknown = cannotTellNew
	}
	switch wrong := keys.ValidVersion(version); {
	case err != nil:
		return unknown, fmt.Sprintf("current_version cannot be read: %v", err)
	case !current.Exists():
		return cannotTellNew, "there is no current_version"
	case wrong != "":
		return unknown, fmt.Sprintf("current_version is %q: it %s", version, wrong)
	case local == version:
		return upToDate, "this host has " + version
	case local == "":
		return updatePending, fmt.Sprintf("current_version is %s, and this host has no version yet", version)
	}
	return updatePending, fmt.Sprintf("current_version is %s, and this host has %s", version, local)
}

func newCurrentVersion() *cobra.Command {
	j := &jorc{}
	cmd := &cobra.Command{
		Use:   "current-version",
		Short: "Print the version that all hosts trend towards; None: there is none",
		Args:  asUsage(cobra.NoArgs),
	}
	j.bindKeys(cmd.Flags())
	cmd.RunE = j.run(func(ctx context.Context, out io.Writer, _ []string) error {
		current, err := j.current(ctx)
		if err != nil {
			return err
		}
		version := "None"
		if current.Exists() {
			version = keys.DecodeVersion(current.Value)
		}
		_, err = fmt.Fprintln(out, version)
		return err
	})
	return cmd
}

func newLocalVersion() *cobra.Command {
	j := &jorc{}
	cmd := &cobra.Command{
		Use:   "local-version [VERSION]",
		Short: "Print the version that this host has, or set it",
		Long:  "Prints the version in the version file, or an empty line when there is no such file. With VERSION, writes it there first.",
		Args:  asUsage(cobra.MaximumNArgs(1)),
	}
	j.bindConsul(cmd.Flags()) // they are of no use here, and scripts give them to all commands
	j.bindVersionFile(cmd.Flags())
	cmd.RunE = j.run(func(_ context.Context, out io.Writer, args []string) error {
		file := agent.File(j.versionFile)
		for _, version := range args {
			if wrong := keys.ValidVersion(version); wrong != "" {
				return usageError{fmt.Errorf("version %q: %s", version, wrong)}
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
	})
	return cmd
}

func newHostData() *cobra.Command {
	j := &jorc{}
	cmd := &cobra.Command{
		Use:   "host-data " + keys.ConfigState + "|" + keys.ConfigVersion,
		Short: "Print the settings that hold for this host, as JSON",
		Long: "Prints the settings below global, the role and the host, as one JSON object by the last part of their keys. Where one\n" +
			"is set at several scopes, that of the host goes before that of its role, and that before the global one.",
		Args:      asUsage(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{keys.ConfigState, keys.ConfigVersion},
	}
	j.bindKeys(cmd.Flags())
	j.bindHost(cmd.Flags())
	j.bindRole(cmd.Flags())
	cmd.RunE = j.run(func(ctx context.Context, out io.Writer, args []string) error {
		s, err := j.open()
		if err != nil {
			return err
		}
		var scopes [][]keys.Pair
		for _, at := range j.places() {
			prefix := j.layout.Config(args[0], at)
			pairs, meta, err := s.List(ctx, prefix)
			if err != nil {
				return err
			}
			if err := visible(meta.Filtered, prefix, fmt.Sprintf("key_prefix %q { policy = %q }", prefix, "list")); err != nil {
				return err
			}
			scopes = append(scopes, pairs)
		}
		return json.NewEncoder(out).Encode(settings(scopes))
	})
	return cmd
}

// places are where settings of the host stand, the most general first.
func (j *jorc) places() []fleet.Place {
	places := []fleet.Place{{Scope: fleet.ScopeGlobal}}
	if j.role != "" {
		places = append(places, fleet.Place{Scope: fleet.ScopeRole, Name: j.role})
	}
	return append(places, fleet.Place{Scope: fleet.ScopeHost, Name: j.host})
}

// settings are the values by the last part of their keys; those of later scopes go before those of earlier ones.
func settings(scopes [][]keys.Pair) map[string]string {
	all := map[string]string{}
	for _, pairs := range scopes {
		for _, p := range pairs {
			all[p.Key[strings.LastIndex(p.Key, "/")+1:]] = string(p.Value)
		}
	}
	return all
}

func newPing() *cobra.Command {
	j := &jorc{}
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Exit with 0 when Consul answers and has a leader, with 1 when not",
		Args:  asUsage(cobra.NoArgs),
	}
	j.bindConsul(cmd.Flags())
	cmd.RunE = j.run(func(ctx context.Context, out io.Writer, _ []string) error {
		j.consul.RetryFor = -1 // whoever pings does so again
		s, err := j.open()
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
		_, err = fmt.Fprintf(out, "consul at %s answers, %s leads\n", s.Address(), leader)
		return err
	})
	return cmd
}
