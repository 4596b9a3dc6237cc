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
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/legacy"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	// largeRole is from how many hosts on a role has a percentage as its limit, and largeFleet a fleet for its failed hosts.
	largeRole  = 20
	largeFleet = 100
)

type initOptions struct {
	*factory
	name, version, file string
	force               bool
}

func newCmdInit(f *factory, runF func(context.Context, *initOptions) error) *cobra.Command {
	o := &initOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a first plan for the hosts that are in Consul",
		Long: "Reads the roles, hosts and versions of a fleet from Consul, and writes a plan with careful limits: one host of each role\n" +
			"at a time, 5% of roles with 20 hosts or more, and a halt when more than one host fails, or 1% of 100 hosts or more.\n" +
			"The version is the one that the fleet has, so storing the plan upgrades nothing. The command changes nothing in Consul.",
		Example: "  upgradectl init                        # to standard output\n" +
			"  upgradectl init -f plan.yaml\n" +
			"  upgradectl init --prefix eu --name eu -f eu.yaml",
		Args: cli.NoArgs,
		RunE: runE(f, o, runInit, runF),
	}
	cmd.Flags().StringVar(&o.name, "name", legacy.DefaultPlan, "name of the plan")
	cmd.Flags().StringVar(&o.version, "version", "", "version of the plan (default: current_version, or that of most hosts)")
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", "file to write; an existing one is kept")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the file")
	return cmd
}

func (o *initOptions) complete([]string) error {
	if o.force && o.file == "" {
		return cli.FlagErrorf("--force needs -f")
	}
	return nil
}

func runInit(ctx context.Context, o *initOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	if err := o.checkNoPlan(ctx); err != nil {
		return err
	}
	seen, err := planstore.ObserveFleet(ctx, s, o.flags.layout, o.Now())
	if err != nil {
		return err
	}
	warnIncomplete(o.factory, seen.Fleet.Incomplete)
	if len(seen.Fleet.Hosts) == 0 {
		return fmt.Errorf("there is no host in Consul below the key prefix %q: start upgrade-agent on the hosts, or let them record their "+
			"version below %s", o.flags.layout.Prefix, o.flags.layout.RecordTree())
	}
	text, err := o.firstPlan(seen)
	if err != nil {
		return err
	}
	if err := o.write(text); err != nil {
		return err
	}
	file := cmp.Or(o.file, "plan.yaml")
	if o.file == "" {
		o.say("save it as %s, then:", file)
	} else {
		o.say("wrote %s; next:", file)
	}
	o.say("  upgradectl simulate -f %s   # how a rollout would go\n  upgradectl diff -f %[1]s       # what would change in Consul\n"+
		"  upgradectl apply -f %[1]s      # store it; to upgrade, change spec.version and apply it again", file)
	return nil
}

// checkNoPlan returns an error if the fleet has a plan already.
func (o *initOptions) checkNoPlan(ctx context.Context) error {
	plans, err := o.plans()
	if err != nil {
		return err
	}
	all, err := plans.List(ctx)
	for _, plan := range all {
		if plan.Spec.Keys.Prefix == o.flags.layout.Prefix {
			return fmt.Errorf("the fleet has the plan %s already: change it with upgradectl edit %[1]s, or give --prefix", plan.Name)
		}
	}
	return err
}

// firstPlan returns a plan for a fleet as YAML.
func (o *initOptions) firstPlan(seen *pass.Assessment) ([]byte, error) {
	version := cmp.Or(o.version, versionOf(seen))
	if version == "" {
		return nil, cli.FlagErrorf("no host has a version yet: give the first one with --version")
	}
	plan, about := planFor(seen)
	plan.Name, plan.Spec.Version = o.name, version
	plan.Spec.Keys.Prefix, plan.Spec.Keys.RunningVersions = o.flags.layout.Prefix, o.flags.layout.Records
	if problems := validation.ValidateUpgradePlan(plan); len(problems) > 0 {
		return nil, cli.Usage(problems.ToAggregate())
	}
	text, err := manifest.Encode(plan)
	return append([]byte(about), text...), err
}

// versionOf returns current_version, or the version that most hosts have. Empty means none.
func versionOf(seen *pass.Assessment) string {
	most := describe.Version{Name: seen.Fleet.Current.Name}
	if most.Name != "" {
		return most.Name
	}
	hosts := map[string]int{}
	for i := range seen.Fleet.Hosts {
		version := seen.Fleet.Hosts[i].Version()
		if hosts[version]++; version != "" && hosts[version] > most.Hosts {
			most = describe.Version{Name: version, Hosts: hosts[version]}
		}
	}
	return most.Name
}

// planFor returns a plan with limits for the roles of a fleet, and a comment that says why.
func planFor(seen *pass.Assessment) (plan *v1alpha1.UpgradePlan, about string) {
	count := func(n int) *intstr.IntOrString { return new(intstr.FromInt32(int32(n))) }
	plan = legacy.NewPlan("", v1alpha1.Instructions{RollingRules: v1alpha1.RollingRules{Global: count(1)}})
	var comment strings.Builder
	fmt.Fprintf(&comment, "# A first plan for %s of this fleet. upgradectl explain shows all fields.\n",
		wording.Count(len(seen.Fleet.Hosts), "host"))
	counted := 0
	for _, role := range describe.Roles(seen) {
		if !keys.ValidRole(role.Name) { // such hosts count as those without a role
			continue
		}
		counted += role.Total
		limit := "1 at a time"
		if role.Total >= largeRole {
			if plan.Spec.Instructions.RollingRules.Roles == nil {
				plan.Spec.Instructions.RollingRules.Roles = map[string]intstr.IntOrString{}
			}
			plan.Spec.Instructions.RollingRules.Roles[role.Name] = intstr.FromString("5%")
			limit = "5% at a time"
		}
		fmt.Fprintf(&comment, "#   %s: %s, %s\n", role.Name, wording.Count(role.Total, "host"), limit)
	}
	if without := len(seen.Fleet.Hosts) - counted; without > 0 {
		fmt.Fprintf(&comment, "#   %s without a role, never granted: see spec.hosts.rolePattern\n", wording.Count(without, "host"))
	}
	failed := count(1)
	if len(seen.Fleet.Hosts) >= largeFleet {
		failed = new(intstr.FromString("1%"))
	}
	plan.Spec.FailurePolicy = v1alpha1.FailurePolicy{MaxFailed: failed, OnExceeded: v1alpha1.HaltOnFailure}
	return plan, comment.String()
}

// write writes the plan to the file, or to standard output.
func (o *initOptions) write(text []byte) error {
	if o.file == "" {
		_, err := o.Out.Write(text)
		return err
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(o.file, mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; --force replaces it", o.file)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
