// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/legacy"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// legacyInterval is the time between two passes of python-jiocloud's `upgrade --retry`.
const legacyInterval = 15 * time.Second

// managedByAnnotation is the annotation by which other tools mark the plans that they manage.
const managedByAnnotation = v1alpha1.Group + "/managed-by"

type upgradeOptions struct {
	*factory
	passFlags
	force        forceFlag
	version      string
	instructions string
	noop         bool
}

func newCmdUpgrade(f *factory, runF func(context.Context, *upgradeOptions) error) *cobra.Command {
	o := &upgradeOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "upgrade VERSION",
		Short: "Upgrade the fleet to a version, by python-jiocloud's instructions",
		Long: "Edits the fleet's only plan, or creates one named fleet, and carries it out. What --instructions leaves out comes\n" +
			"from /etc/jio-upgrade.json, else from /etc/jiocloud-upgrade.json, else from the plan.\n" +
			"The command ends a pause that global-disable-puppet set. --verbose prints the status and the grants of each pass.\n\n" +
			"The command refuses to choose among several plans, and to change a plan that Git manages.",
		Example:           "  upgradectl upgrade 2.1 --instructions '{\"rolling_rules\": {\"global\": 1}}' --retry",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: f.completeArgs(completeVersions),
		RunE:              runE(f, o, runUpgrade, runF),
	}
	cmd.Flags().StringVar(&o.instructions, "instructions", "",
		"JSON with rolling_rules, role_order (or role_dependencies) and group_mappings")
	cmd.Flags().BoolVarP(&o.untilComplete, "retry", "r", false, "make passes until all hosts are upgraded")
	cmd.Flags().BoolVar(&o.noop, "noop", false, "print the keys that would change, and write nothing")
	o.force.bind(cmd.Flags())
	o.passFlags.bind(cmd, legacyInterval)
	return cmd
}

func (o *upgradeOptions) complete(args []string) error {
	o.version = args[0]
	if problem := names.Version(o.version); problem != "" {
		return cli.Usagef("version %q: %s", o.version, problem)
	}
	if o.instructions != "" && !isJSON(o.instructions) {
		return cli.Usagef("--instructions: must be a JSON object such as {\"rolling_rules\": {\"global\": 1}}")
	}
	return o.check()
}

func runUpgrade(ctx context.Context, o *upgradeOptions) error {
	in, err := readInstructions(o)
	if err != nil {
		return err
	}
	s, err := o.store()
	if err != nil {
		return err
	}
	plan, err := upgradedPlan(ctx, o, in)
	if err != nil {
		return err
	}
	if err := o.force.check(ctx, o.factory, plan.Name, o.noop); err != nil {
		return err
	}
	if o.noop {
		return preview(ctx, o.factory, s, plan, true, colorFlag{})
	}
	r := newRunner(o.factory, s, plan.Name, o.passFlags, func(ctx context.Context) error {
		plan, err := upgradedPlan(ctx, o, in) // it may have changed during the wait for the lock
		if err != nil {
			return err
		}
		if err := storePlans(ctx, o.factory, []manifest.Document{{Plan: plan}}, false); err != nil {
			return err
		}
		return endLegacyPause(ctx, o.factory, plan.Name)
	})
	var each func(*pass.Assessment)
	if o.flags.verbose {
		each = func(seen *pass.Assessment) { sayPass(o.factory, seen) }
	}
	if err := carryOut(ctx, o.factory, r, each); err != nil {
		return err
	}
	if o.untilComplete {
		o.say("no hosts left to upgrade")
	}
	return nil
}

// readInstructions reads the instructions of the flag. What they leave out comes from the first of the legacy files.
func readInstructions(o *upgradeOptions) (v1alpha1.Instructions, error) {
	var in, file v1alpha1.Instructions
	var err error
	if o.instructions != "" {
		if in, err = parseInstructions(o.factory, o.instructions); err != nil {
			return in, err
		}
	}
	for _, path := range o.LegacyFiles {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		o.say("missing instructions are taken from %s", path)
		if file, err = parseInstructions(o.factory, path); err != nil {
			return in, err
		}
		break
	}
	legacy.Merge(&in, file)
	return in, nil
}

// upgradedPlan returns the fleet's plan with the version and the instructions in it.
func upgradedPlan(ctx context.Context, o *upgradeOptions, in v1alpha1.Instructions) (*v1alpha1.UpgradePlan, error) {
	all, err := candidates(ctx, o.factory)
	if err != nil {
		return nil, err
	}
	if len(all) > 1 {
		return nil, cli.Usagef("there are several plans (%s): edit one of them and apply it", joinNames(all))
	}
	if len(all) == 0 {
		plan := legacy.NewPlan(o.version, in)
		plan.Spec.Keys.Prefix, plan.Spec.Keys.RunningVersions = o.flags.layout.Prefix, o.flags.layout.Records
		return plan, nil
	}
	plan := all[0]
	if by := plan.Annotations[managedByAnnotation]; by != "" {
		return nil, cli.Usagef("upgradeplan/%s is managed by %s: change the version there", plan.Name, cli.OneLine(by))
	}
	legacy.Upgrade(plan, o.version, in)
	return plan, nil
}

// endLegacyPause ends a pause that global-disable-puppet set, and warns of any other.
func endLegacyPause(ctx context.Context, f *factory, plan string) error {
	plans, err := f.plans()
	if err != nil {
		return err
	}
	p, err := plans.Pause(ctx, plan)
	switch {
	case err != nil || p == nil:
		return err
	case p.Kind != fleet.PausedByDisablePuppet:
		f.warn("the plan is paused by %s: no host starts before `upgradectl rollout resume %s`",
			cmp.Or(cli.OneLine(p.By), "an unknown operator"), plan)
		return nil
	}
	f.say("ending the pause that global-disable-puppet set")
	_, err = plans.SetPause(ctx, plan, nil)
	return err
}

// sayPass prints the status that a pass saw, and the hosts that it granted.
func sayPass(f *factory, o *pass.Assessment) {
	d := o.Present()
	_ = writeSets(f.Err, status.HostListsOf(&d)) // best effort: stderr may be closed
	var hosts, roles []string
	for i := range o.Decision.Verdicts {
		if v := &o.Decision.Verdicts[i]; v.Reason == v1alpha1.ReasonStarting {
			hosts = append(hosts, v.Host)
		}
	}
	for _, r := range o.Decision.Roles {
		if r.Enable {
			roles = append(roles, r.Name)
		}
	}
	f.say("granted hosts: %s; enabled roles: %s", cmp.Or(strings.Join(hosts, ", "), "none"), cmp.Or(strings.Join(roles, ", "), "none"))
}
