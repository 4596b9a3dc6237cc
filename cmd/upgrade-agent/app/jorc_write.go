// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

func newUpdateOwnInfo() *cobra.Command {
	j := &jorc{}
	var version string
	cmd := &cobra.Command{
		Use:   "update-own-info",
		Short: "Record the version that this host has",
		Long: "Records that this host has reached its version, and removes its records of other versions, in one transaction.\n" +
			"Writes nothing when that is so already, or when the host has no version. No report of an agent is written: a host\n" +
			"that reports so is judged by its record alone.",
		Args: asUsage(cobra.NoArgs),
	}
	j.bindKeys(cmd.Flags())
	j.bindHost(cmd.Flags())
	j.bindVersionFile(cmd.Flags())
	cmd.Flags().StringVar(&version, "version", "", "the version to record (default: that of the version file)")
	cmd.Flags().StringVar(&j.layout.Records, "running-versions", "", "tree in which hosts record their version "+
		"(default running/versions, or running_version when only that one holds records)")
	cmd.RunE = j.run(func(ctx context.Context, _ io.Writer, _ []string) error {
		if version == "" {
			local, err := agent.File(j.versionFile).Version()
			if err != nil || local == "" {
				return err
			}
			version = local
		}
		if wrong := keys.ValidVersion(version); wrong != "" {
			return usageError{fmt.Errorf("--version %q: %s", version, wrong)}
		}
		s, err := j.open()
		if err != nil {
			return err
		}
		return record(ctx, s, j.layout, version, j.host, time.Now())
	})
	return cmd
}

// recorder is what a host records its version with.
type recorder interface {
	Names(ctx context.Context, prefix string) ([]string, store.Meta, error)
	Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error)
	Txn(ctx context.Context, ops []store.Op) (store.Result, error)
}

// record makes the record of the version the host's only one.
func record(ctx context.Context, s recorder, l keys.Layout, version, host string, now time.Time) error {
	l, versions, err := recordedVersions(ctx, s, l)
	if err != nil {
		return err
	}
	own := l.Record(version, host)
	ask := []string{own}
	for _, v := range versions {
		if v != version && keys.ValidSegment(v) {
			ask = append(ask, l.Record(v, host))
		}
	}
	pairs, _, err := s.Get(ctx, ask...)
	if err != nil {
		return err
	}
	var ops []store.Op
	for _, p := range pairs {
		switch {
		case p.Key == own && !p.Exists():
			ops = append(ops, store.Op{Verb: store.Set, Key: own, Value: keys.EncodeTime(now)})
		case p.Key != own && p.Exists():
			ops = append(ops, store.Op{Verb: store.Delete, Key: p.Key})
		}
	}
	_, err = s.Txn(ctx, ops)
	return err
}

// recordedVersions are the versions that any host is recorded under, and where: in the old tree if only that one holds
// records and the layout names none, as the controller finds it.
func recordedVersions(ctx context.Context, s recorder, l keys.Layout) (keys.Layout, []string, error) {
	trees := []string{l.Records}
	if l.Records == "" {
		trees = []string{keys.RunningVersions, keys.RunningVersionsOld}
	}
	for _, tree := range trees {
		found := keys.Layout{Prefix: l.Prefix, Records: tree}
		versions, meta, err := s.Names(ctx, found.RecordTree())
		if err != nil {
			return l, nil, err
		}
		if len(versions) > 0 {
			rule := fmt.Sprintf("key_prefix %q { policy = %q }", found.RecordTree(), "write")
			return found, versions, visible(meta.Filtered, found.RecordTree(), rule)
		}
	}
	return l, nil, nil
}

// The TTLs of checks that are registered here, as puppet-rjil had them.
const (
	puppetTTL     = 24 * time.Hour
	validationTTL = time.Hour
)

// outcome is what an exit code makes of a check.
type outcome struct {
	check, status string
	// ttl is how long that holds.
	ttl time.Duration
}

// outcomeOf is the outcome for a status type of jorc: puppet or validation, of the node or (_service) of the service of
// that name. A failure is a warning of the node, so that it does not take its services out, and critical of the service.
func outcomeOf(kind string, code int) (outcome, error) {
	name, service := strings.CutSuffix(strings.ReplaceAll(kind, "-", "_"), "_service")
	o := outcome{check: name, status: consul.Passing, ttl: validationTTL}
	passes := code == 0
	switch name {
	case "puppet": // --detailed-exitcodes: 2 says that something was changed
		o.ttl = puppetTTL
		passes = passes || code == 2
	case "validation":
	default:
		return outcome{}, fmt.Errorf("status type %q: must be puppet, puppet_service, validation or validation_service", kind)
	}
	if !passes {
		o.status = consul.Warning
	}
	if service {
		o.check = "service:" + name
		if !passes {
			o.status = consul.Critical
		}
	}
	return o, nil
}

func newUpdateOwnStatus() *cobra.Command {
	j := &jorc{}
	var ttl time.Duration
	var minusOne bool
	cmd := &cobra.Command{
		Use:   "update-own-status puppet|puppet_service|validation|validation_service EXIT-CODE",
		Short: "Tell Consul how Puppet or the validation of this host ended",
		Long: "Sets the TTL check puppet or validation of the Consul agent here, or that of the service of this name, by the exit\n" +
			"code of Puppet (0 and 2 pass) or of the validation (0 passes). A failure is a warning of the node, and critical of the\n" +
			"service. A check of the node that is missing is registered; that of a service must be there, with the service.",
		Args:      asUsage(cobra.RangeArgs(1, 2)),
		ValidArgs: []cobra.Completion{"puppet", "puppet_service", "validation", "validation_service"},
	}
	j.bindConsul(cmd.Flags())
	j.bindHost(cmd.Flags()) // it is of no use here, and jorc took it
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long a status holds, of a check that is registered now "+
		"(default: 24h of puppet, 1h of validation)")
	cmd.Flags().BoolVarP(&minusOne, "minus-one", "1", false, "the exit code is -1")
	_ = cmd.Flags().MarkHidden("minus-one") // it exists: -1 looks like a flag
	cmd.RunE = j.run(func(ctx context.Context, _ io.Writer, args []string) error {
		if minusOne {
			args = append(args, "-1")
		}
		if len(args) != 2 {
			return usageError{fmt.Errorf("give a status type and an exit code: %d arguments were given", len(args))}
		}
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return usageError{fmt.Errorf("exit code %q: must be a whole number", args[1])}
		}
		o, err := outcomeOf(args[0], code)
		if err != nil {
			return usageError{err}
		}
		o.ttl = cmp.Or(ttl, o.ttl)
		s, err := j.open()
		if err != nil {
			return err
		}
		err = s.SetCheck(ctx, o.check, o.ttl, o.status, fmt.Sprintf("exit code %d", code))
		if errors.Is(err, consul.ErrNoCheck) {
			return fmt.Errorf("%w: its service must be registered, with a check that has a ttl", err)
		}
		return err
	})
	return cmd
}

// maxFailures is the highest exit code.
const maxFailures = 255

func newLocalHealth() *cobra.Command {
	j := &jorc{}
	var verbose bool
	cmd := &cobra.Command{
		Use:   "local-health",
		Short: "Exit with the number of checks of this host that fail",
		Long: "Exits with the number of checks of this host's node that fail, 255 at most; a warning of puppet or validation is a\n" +
			"failure. Exits with 1 as well when that cannot be told.",
		Args: asUsage(cobra.NoArgs),
	}
	j.bindConsul(cmd.Flags())
	cmd.Flags().StringVarP(&j.host, "hostname", "n", "", "name of this host's node in Consul (default: the whole name of this host)")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the checks that fail, and what they said")
	cmd.RunE = j.run(func(ctx context.Context, out io.Writer, _ []string) error {
		s, err := j.open()
		if err != nil {
			return err
		}
		checks, meta, err := s.NodeChecks(ctx, j.host)
		if err != nil {
			return err
		}
		rule := fmt.Sprintf("node %q { policy = %q } and service_prefix %q { policy = %[2]q }", j.host, "read", "")
		if err := visible(meta.Filtered, "the checks of node "+j.host, rule); err != nil {
			return err
		}
		if len(checks) == 0 {
			return fmt.Errorf("consul has no check of a node %s: --hostname must be its name there, and the token needs %s", j.host, rule)
		}
		checks = failing(checks)
		if verbose {
			for _, c := range checks {
				fmt.Fprintf(out, "%s: %s\n", c.Name, c.Output)
			}
		}
		if len(checks) > 0 {
			return exitStatus(min(len(checks), maxFailures))
		}
		return nil
	})
	return cmd
}

// failing are those checks that fail.
func failing(checks []consul.NodeCheck) []consul.NodeCheck {
	return slices.DeleteFunc(checks, func(c consul.NodeCheck) bool {
		return !fleet.Check{ID: c.ID, Status: fleet.CheckStatus(c.Status)}.Fails()
	})
}
