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

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

type updateOwnInfoOptions struct {
	jorcOptions
	version string
}

func newUpdateOwnInfo() *cobra.Command {
	o := &updateOwnInfoOptions{}
	cmd := &cobra.Command{
		Use:   "update-own-info",
		Short: "Record the version that this host has",
		Long: "Record that this host has reached its version, and delete its records of other versions, in one transaction. Write\n" +
			"nothing if the records are correct, or if the host has no version. The command writes no report of an agent, so the\n" +
			"controller treats the host as a legacy host.",
		Args: cli.NoArgs,
		RunE: o.runE(o.run),
	}
	o.bindKeys(cmd.Flags())
	o.host.bindName(cmd.Flags(), "n")
	o.host.bindVersionFile(cmd.Flags())
	cmd.Flags().StringVar(&o.version, "version", "", "version to record (default: the one in the version file)")
	cmd.Flags().StringVar(&o.host.layout.Records, "running-versions", "", "tree of the hosts' records "+
		"(default running/versions, or running_version if only that tree has records)")
	return cmd
}

func (o *updateOwnInfoOptions) run(ctx context.Context, _ io.Writer, _ []string) error {
	version := o.version
	if version == "" {
		local, err := agent.File(o.host.versionFile).Version()
		if err != nil || local == "" {
			return err
		}
		version = local
	}
	if rule := keys.ValidVersion(version); rule != "" {
		return cli.FlagErrorf("--version %q: %s", version, rule)
	}
	s, err := o.open()
	if err != nil {
		return err
	}
	return record(ctx, s, o.host.layout, version, o.host.name, time.Now())
}

// recordStore is what record needs of a store.
type recordStore interface {
	Names(ctx context.Context, prefix string) ([]string, store.Meta, error)
	Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error)
	Txn(ctx context.Context, ops []store.Op) (store.Result, error)
}

// record writes the host's record of the version, and deletes its other records.
func record(ctx context.Context, s recordStore, l keys.Layout, version, host string, now time.Time) error {
	l, versions, err := recordedVersions(ctx, s, l)
	if err != nil {
		return err
	}
	own := l.Record(version, host)
	names := []string{own}
	for _, v := range versions {
		if v != version && keys.ValidSegment(v) {
			names = append(names, l.Record(v, host))
		}
	}
	pairs, _, err := s.Get(ctx, names...)
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

// recordedVersions returns the versions that any host is recorded under, and the layout of their tree. If the layout names
// no tree, it is the old tree if only that one has records. The controller reads both.
func recordedVersions(ctx context.Context, s recordStore, l keys.Layout) (keys.Layout, []string, error) {
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
			return found, versions, checkComplete(meta.Filtered, found.RecordTree(), rule)
		}
	}
	return l, nil, nil
}

// The default TTLs of the checks, as in puppet-rjil.
const (
	puppetTTL     = 24 * time.Hour
	validationTTL = time.Hour
)

// checkResult is the state of a check of Consul.
type checkResult struct {
	check, status string
	// ttl is how long the state stays valid.
	ttl time.Duration
}

// newCheckResult converts an exit code. The kind is puppet or validation for the check of the node, or with the suffix
// _service for that of the service. A failure is a warning of the node, which does not take its services out, and critical for
// the service.
func newCheckResult(kind string, code int) (checkResult, error) {
	name, service := strings.CutSuffix(strings.ReplaceAll(kind, "-", "_"), "_service")
	r := checkResult{check: name, status: consul.Passing, ttl: validationTTL}
	passes := code == 0
	switch name {
	case "puppet": // with --detailed-exitcodes, 2 means changes
		r.ttl = puppetTTL
		passes = passes || code == 2
	case "validation":
	default:
		return checkResult{}, fmt.Errorf("status type %q: must be puppet, puppet_service, validation or validation_service", kind)
	}
	if !passes {
		r.status = consul.Warning
	}
	if service {
		r.check = "service:" + name
		if !passes {
			r.status = consul.Critical
		}
	}
	return r, nil
}

type updateOwnStatusOptions struct {
	jorcOptions
	ttl      time.Duration
	minusOne bool
}

func newUpdateOwnStatus() *cobra.Command {
	o := &updateOwnStatusOptions{}
	cmd := &cobra.Command{
		Use:   "update-own-status puppet|puppet_service|validation|validation_service EXIT-CODE",
		Short: "Set the check of Puppet or of the validation in Consul",
		Long: "Set the TTL check puppet or validation of the local Consul agent, or that of the service of this name, from the exit\n" +
			"code of Puppet (0 and 2 pass) or of the validation (0 passes). A failure is a warning of the node, and critical for\n" +
			"the service. A missing check of the node is registered. The check of a service must exist.",
		Args:      cli.Args(cobra.RangeArgs(1, 2)),
		ValidArgs: []cobra.Completion{"puppet", "puppet_service", "validation", "validation_service"},
		RunE:      o.runE(o.run),
	}
	o.bindConsul(cmd.Flags())
	o.host.bindName(cmd.Flags(), "n") // without effect: jorc accepted it
	cmd.Flags().DurationVar(&o.ttl, "ttl", 0, "how long a status is valid, for a check that is registered "+
		"(default: 24h for puppet, 1h for validation)")
	cmd.Flags().BoolVarP(&o.minusOne, "minus-one", "1", false, "the exit code is -1")
	_ = cmd.Flags().MarkHidden("minus-one") // it exists, because -1 looks like a flag
	return cmd
}

func (o *updateOwnStatusOptions) run(ctx context.Context, _ io.Writer, args []string) error {
	if o.minusOne {
		args = append(args, "-1")
	}
	if len(args) != 2 {
		return cli.FlagErrorf("need a status type and an exit code, got %s", wording.Count(len(args), "argument"))
	}
	code, err := strconv.Atoi(args[1])
	if err != nil {
		return cli.FlagErrorf("exit code %q: must be an integer", args[1])
	}
	result, err := newCheckResult(args[0], code)
	if err != nil {
		return cli.FlagError(err)
	}
	s, err := o.open()
	if err != nil {
		return err
	}
	err = s.SetCheck(ctx, result.check, cmp.Or(o.ttl, result.ttl), result.status, fmt.Sprintf("exit code %d", code))
	if errors.Is(err, consul.ErrNoCheck) {
		return fmt.Errorf("%w: register its service with a check that has a ttl", err)
	}
	return err
}

// maxExitCode is the highest exit code.
const maxExitCode = 255

type localHealthOptions struct {
	jorcOptions
	verbose bool
}

func newLocalHealth() *cobra.Command {
	o := &localHealthOptions{}
	cmd := &cobra.Command{
		Use:   "local-health",
		Short: "Exit with the number of failing checks of this host",
		Long: "Exit with the number of failing checks of this host's node, 255 at most. A warning of puppet or validation counts as\n" +
			"a failure. Exit with 1 also if the checks are unknown.",
		Args: cli.NoArgs,
		RunE: o.runE(o.run),
	}
	o.bindConsul(cmd.Flags())
	o.host.bindName(cmd.Flags(), "n")
	cmd.Flags().Lookup("hostname").Usage = "name of this host's node in Consul (default: the full name of this host)"
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "print the failing checks and their output")
	return cmd
}

func (o *localHealthOptions) run(ctx context.Context, out io.Writer, _ []string) error {
	s, err := o.open()
	if err != nil {
		return err
	}
	checks, meta, err := s.NodeChecks(ctx, o.host.name)
	if err != nil {
		return err
	}
	rule := fmt.Sprintf("node %q { policy = %q } and service_prefix %q { policy = %[2]q }", o.host.name, "read", "")
	if err := checkComplete(meta.Filtered, "the checks of node "+o.host.name, rule); err != nil {
		return err
	}
	if len(checks) == 0 {
		return fmt.Errorf("consul has no check of a node %s: --hostname must be its name in Consul, and the token needs %s",
			o.host.name, rule)
	}
	failing := slices.DeleteFunc(checks, func(c consul.NodeCheck) bool {
		return !fleet.Check{ID: c.ID, Status: fleet.CheckStatus(c.Status)}.Fails()
	})
	if o.verbose {
		for _, c := range failing {
			fmt.Fprintf(out, "%s: %s\n", c.Name, c.Output)
		}
	}
	return exitCode(min(len(failing), maxExitCode))
}
