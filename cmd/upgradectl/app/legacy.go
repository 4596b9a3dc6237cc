// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const (
	// defaultPlan is the name of the plan that upgrade makes when there is none.
	defaultPlan = "fleet"
	// managedBy is the annotation by which a plan says that it comes from Git.
	managedBy = v1alpha1.Group + "/managed-by"
	// legacyInterval is how long `upgrade --retry` waited between two passes.
	legacyInterval = 15 * time.Second
)

var errNoVersion = errors.New("--version is required: the version that all hosts shall reach")

func (c *cli) upgrade() *cobra.Command {
	var instructions string
	var noop bool
	o := carrying{}
	cmd := &cobra.Command{
		Use:   "upgrade VERSION",
		Short: "Bring the fleet to a version, by python-jiocloud's instructions",
		Long: "Edits the fleet's one plan, or makes one named fleet, and carries it out. Instructions are those of --instructions;\n" +
			"what these leave out is taken from /etc/jio-upgrade.json, else /etc/jiocloud-upgrade.json, else from the plan.\n" +
			"A pause that global-disable-puppet set is ended. --verbose tells the status and the releases of each pass.\n\n" +
			"It is refused when there are several plans, and where Git manages the plan.",
		Example: "  upgradectl upgrade 2.1 --instructions '{\"rolling_rules\": {\"global\": 1}}' --retry",
		Args:    args(cobra.ExactArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.versionNames)
	cmd.Flags().StringVar(&instructions, "instructions", "",
		"JSON with rolling_rules, role_order (or role_dependencies) and group_mappings")
	cmd.Flags().BoolVarP(&o.untilComplete, "retry", "r", false, "make passes until all hosts are upgraded")
	cmd.Flags().BoolVar(&noop, "noop", false, "print the keys that would change, and write nothing")
	force := bindForce(cmd.Flags())
	o.bind(cmd, legacyInterval)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		in, err := c.legacyInstructions(instructions)
		if err != nil {
			return err
		}
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		plan, err := c.upgradePlan(ctx, plans, args[0], in)
		if err != nil {
			return err
		}
		if err := c.managed(ctx, plans, plan.Name, *force || noop); err != nil {
			return err
		}
		if noop {
			return c.preview(ctx, s, plan, true)
		}
		o.begin = func(ctx context.Context) error {
			plan, err := c.upgradePlan(ctx, plans, args[0], in) // as it is now: the lock may have been waited for
			if err != nil {
				return err
			}
			if err := c.store(ctx, plans, []manifest.Document{{Plan: plan}}, false); err != nil {
				return err
			}
			return c.endPause(ctx, plans, plan.Name)
		}
		if c.flags.verbose {
			o.each = c.tellPass
		}
		if err := c.carryOut(ctx, s, plan.Name, o); err != nil {
			return err
		}
		if o.untilComplete {
			c.say("no hosts left to upgrade")
		}
		return nil
	})
	return cmd
}

// legacyInstructions are those of the flag, and for each key that they leave out (or leave empty, as the script had it)
// those of the file.
func (c *cli) legacyInstructions(flag string) (v1alpha1.Instructions, error) {
	var in, file v1alpha1.Instructions
	var err error
	if flag != "" {
		if !strings.HasPrefix(strings.TrimSpace(flag), "{") {
			return in, usagef("--instructions: must be a JSON object, as {\"rolling_rules\": {\"global\": 1}}")
		}
		if in, err = c.instructions(flag); err != nil {
			return in, err
		}
	}
	for _, path := range c.LegacyFiles {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		c.say("instructions that are not given are taken from %s", path)
		if file, err = c.instructions(path); err != nil {
			return in, err
		}
		break
	}
	merge(&in, file)
	return in, nil
}

// merge fills in, key by key, what in leaves out.
func merge(in *v1alpha1.Instructions, from v1alpha1.Instructions) {
	if in.RollingRules.Global == nil && len(in.RollingRules.Roles) == 0 {
		in.RollingRules.Global, in.RollingRules.Roles = from.RollingRules.Global, from.RollingRules.Roles
	}
	if in.RollingRules.Fleet == nil {
		in.RollingRules.Fleet = from.RollingRules.Fleet
	}
	if len(in.RoleOrder) == 0 {
		in.RoleOrder = from.RoleOrder
	}
	if len(in.GroupMappings) == 0 {
		in.GroupMappings = from.GroupMappings
	}
}

// upgradePlan is the fleet's plan with the version and the instructions in it.
func (c *cli) upgradePlan(ctx context.Context, plans upgradeplan.Plans, version string, in v1alpha1.Instructions) (
	*v1alpha1.UpgradePlan, error) {
	if problem := names.Version(version); problem != "" {
		return nil, usagef("version %q: %s", version, problem)
	}
	all, err := c.candidates(ctx, plans)
	if err != nil {
		return nil, err
	}
	plan := &v1alpha1.UpgradePlan{ObjectMeta: metav1.ObjectMeta{Name: defaultPlan}}
	plan.Spec.Keys.Prefix, plan.Spec.Keys.RunningVersions = c.flags.layout.Prefix, c.flags.layout.Records
	switch {
	case len(all) > 1:
		return nil, usagef("there are several plans (%s): edit the one that is meant, and apply it", nameList(all))
	case len(all) == 1:
		plan = all[0]
	}
	if by := plan.Annotations[managedBy]; by != "" {
		return nil, usagef("upgradeplan/%s is managed by %s: change the version there", plan.Name, oneLine(by))
	}
	if plan.Spec.Version != version {
		plan.Spec.Action = v1alpha1.Action{} // what went with the other version
	}
	plan.Spec.Version = version
	merge(&in, plan.Spec.Instructions)
	plan.Spec.Instructions = in
	return plan, nil
}

// endPause ends the pause that global-disable-puppet set, and tells of any other.
func (c *cli) endPause(ctx context.Context, plans upgradeplan.Plans, name string) error {
	p, err := plans.Pause(ctx, name)
	switch {
	case err != nil || p == nil:
		return err
	case p.Kind != fleet.PausedByDisablePuppet:
		c.warn(fmt.Sprintf("the plan is paused by %s: no host is released before `upgradectl rollout resume %s`",
			cmp.Or(oneLine(p.By), "somebody"), name))
		return nil
	}
	c.say("the pause that global-disable-puppet set is ended")
	_, err = plans.SetPause(ctx, name, nil)
	return err
}

// tellPass tells the status that a pass saw and whom it released.
func (c *cli) tellPass(o *upgradeplan.Observation) {
	d := o.Present()
	_ = printSets(c.Err, status.HostListsOf(&d)) // as all talk: when nobody listens, so be it
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
	c.say("released hosts: %s; enabled roles: %s", listOr(hosts, "none"), listOr(roles, "none"))
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

func (c *cli) globalDisablePuppet() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "global-disable-puppet",
		Aliases: []string{"global_disable_puppet"},
		Short:   "Stop Puppet on all hosts: pause the plan, delete all enable_puppet keys, set global to False",
		Long: "Pauses the fleet's plan, if there is one, deletes the tree enable_puppet and sets its global to False, in one\n" +
			"transaction. It needs no lock. Hosts that may have begun keep their slot until they report, or until their deadline.",
		Args: noArgs,
	}
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		plans, _, err := c.plans()
		if err != nil {
			return err
		}
		all, err := c.candidates(ctx, plans)
		if err != nil {
			return err
		}
		if len(all) > 1 {
			return usagef("there are several plans: say by --prefix whose fleet is meant (%s)", nameList(all))
		}
		name, layout := "", c.flags.layout
		if len(all) == 1 {
			name, layout = all[0].Name, upgradeplan.Layout(all[0])
		}
		did, err := plans.DisablePuppet(ctx, name, layout, fleet.Pause{Kind: fleet.PausedByDisablePuppet, By: c.Who,
			Time: c.Now().UTC(), Reason: "global-disable-puppet"})
		if err != nil {
			return err
		}
		if did.Paused {
			fmt.Fprintf(c.Out, "upgradeplan/%s paused\n", name)
		} else if name != "" {
			c.say("upgradeplan/%s was paused before", name)
		}
		fmt.Fprintf(c.Out, "%s deleted, %s set to False\n", layout.EnableTree(), layout.EnableGlobal())
		if len(did.Marked) > 0 {
			c.say("%s may have begun, and keep their slots until they report: %s", plural(len(did.Marked), "host"),
				strings.Join(did.Marked[:min(len(did.Marked), 10)], ", "))
		}
		return nil
	})
	return cmd
}

// fieldErrors is a list of errors, one a line.
func fieldErrors(list field.ErrorList) error {
	lines := make([]error, 0, len(list))
	for _, err := range list {
		lines = append(lines, err)
	}
	return errors.Join(slices.Clip(lines)...)
}
