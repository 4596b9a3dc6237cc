// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/findings"
	"github.com/jiocloud/upgrade-controller/config"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose/fleets"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// roleAgent is the role of an agent. Its rights depend on its host.
const roleAgent = "agent"

type checkOptions struct {
	*factory
	fleetFlag
	as         *cli.Choice
	host, node string
	strict     bool
	format     *cli.Choice
}

func newCmdCheck(f *factory, runF func(context.Context, *checkOptions) error) *cobra.Command {
	o := &checkOptions{factory: f, as: cli.NewChoice("viewer", "operator", "controller", roleAgent)}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check Consul, the rights of the token, controllers, agents and keys",
		Long: "Checks the connection to Consul, its version and limits, what the token may do, the leader, clocks, the versions of\n" +
			"agents, hosts without a role, and keys that cannot be read. Each line is one result, and says what to do. The command\n" +
			"writes nothing.\n\n" +
			"Levels: ok, unknown (it could not be read), warning, problem. Exit codes for monitoring: 0 no problem, 1 a problem, and\n" +
			"with --strict also a warning, 2 wrong usage.\n\n" +
			"The token must have the rights of a viewer, or of the role that --as names; other missing rights are no problem.",
		Example: "  upgradectl check\n  upgradectl check --as controller --node ctl1   # with the token of the controller\n" +
			"  upgradectl check --as agent --host web1        # with the token of an agent",
		Args: cli.NoArgs,
		RunE: runE(f, o, runCheck, runF),
	}
	set := cmd.Flags()
	o.fleetFlag.bind(cmd)
	set.Lookup("plan").Usage = "plan whose fleet is checked (default: those of all plans; without a plan, the keys alone)"
	set.Var(o.as, "as", "role whose rights the token must have: "+cli.OrList(o.as.Allowed()))
	set.StringVar(&o.host, "host", "", "host of the agent whose rights are checked")
	set.StringVar(&o.node, "node", "", "node whose Consul agent the controller uses (default: the one that answers)")
	set.BoolVar(&o.strict, "strict", false, "exit with 1 also for warnings")
	o.format = cli.BindOutput(set, findings.Text, cli.JSON, cli.YAML)
	return cmd
}

func (o *checkOptions) complete([]string) error {
	if o.as.Value == roleAgent && o.host == "" {
		return cli.FlagErrorf("--as agent needs --host")
	}
	return nil
}

func runCheck(ctx context.Context, o *checkOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	result := findings.New(o.check(ctx, s))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := result.Print(o.Out, o.Err, o.format.Value); err != nil {
		return err
	}
	return result.Err(o.strict)
}

// check makes all checks. A failure to read is a finding.
func (o *checkOptions) check(ctx context.Context, s store.Store) []diagnose.Finding {
	var found []diagnose.Finding
	if i, ok := s.(store.Inspector); ok {
		address := ""
		if at, ok := s.(interface{ Address() string }); ok {
			address = at.Address()
		}
		c := diagnose.ReadConsul(ctx, i, address, o.Now)
		checked, answers := diagnose.CheckConsul(&c)
		if found = checked; !answers {
			return found
		}
		found = append(found, o.rights(ctx, i, c.Agent.Node)...)
	}
	plans, plansErr := planstore.Plans{Store: s}.Names(ctx)
	c := fleets.Controllers{Plans: len(plans)}
	c.Running, c.Lock, c.Err = leaderelection.Controllers(ctx, s)
	found = append(found, fleets.CheckControllers(&c)...)
	switch {
	case o.fleet != "":
		plans = []string{o.fleet}
	case plansErr != nil:
		return append(found, fleets.CheckFleet(&fleets.Fleet{Err: plansErr}, nil)...)
	case len(plans) == 0:
		fleet := fleets.Fleet{}
		fleet.Assessment, fleet.Err = planstore.ObserveFleet(ctx, s, o.flags.layout, o.Now())
		return append(found, fleets.CheckFleet(&fleet, c.Running)...)
	}
	for _, plan := range plans {
		fleet := fleets.Fleet{Plan: plan}
		fleet.Assessment, fleet.Err = planstore.Observe(ctx, s, plan, o.Now())
		found = append(found, fleets.CheckFleet(&fleet, c.Running)...)
	}
	return found
}

// rights checks the rights of the token for each role.
func (o *checkOptions) rights(ctx context.Context, i store.Inspector, node string) []diagnose.Finding {
	if o.node != "" {
		node = o.node
	}
	var found []diagnose.Finding
	for _, role := range o.as.Allowed() {
		if role == roleAgent && o.host == "" {
			continue
		}
		subject := diagnose.Subject{Node: node, Prefix: o.flags.layout.Prefix}
		if role == roleAgent {
			subject.Host = o.host
		}
		r := diagnose.Rights{Role: role, Policy: fmt.Sprintf("config/consul/%s.hcl", role), Required: role == o.as.Value,
			Rules: diagnose.Rules(config.Policy(role), subject)}
		finding, enabled := diagnose.CheckRights(ctx, i, r, node != "")
		found = append(found, finding)
		if !enabled {
			break
		}
	}
	return found
}
