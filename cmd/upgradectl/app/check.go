// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
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
	o.format = cli.BindOutput(set, asText, cli.JSON, cli.YAML)
	return cmd
}

func (o *checkOptions) complete([]string) error {
	if o.as.Value == roleAgent && o.host == "" {
		return cli.FlagErrorf("--as agent needs --host")
	}
	return nil
}

// checkResult is what check -o json prints.
type checkResult struct {
	Problems int                `json:"problems"`
	Warnings int                `json:"warnings"`
	Checks   []diagnose.Finding `json:"checks"`
}

func runCheck(ctx context.Context, o *checkOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	result := checkResult{Checks: o.check(ctx, s)}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	for _, f := range result.Checks {
		switch f.Level {
		case diagnose.Problem:
			result.Problems++
		case diagnose.Warning:
			result.Warnings++
		}
	}
	if err := o.print(result); err != nil {
		return err
	}
	if result.Problems > 0 || o.strict && result.Warnings > 0 {
		return &cli.ExitError{Code: cli.ExitFailed}
	}
	return nil
}

func (o *checkOptions) print(result checkResult) error {
	if o.format.Value != asText {
		return cli.Print(o.Out, o.format.Value, result)
	}
	rows := make([][]string, 0, len(result.Checks))
	for _, f := range result.Checks {
		text := f.Message
		if f.Action != "" {
			text += "; " + f.Action
		}
		rows = append(rows, []string{string(f.Level), f.Check, text})
	}
	if err := cli.WriteTable(o.Out, "", []string{"LEVEL", "CHECK", "RESULT"}, rows); err != nil {
		return err
	}
	o.say("%s, %s", cli.Plural(result.Problems, "problem"), cli.Plural(result.Warnings, "warning"))
	return nil
}

// check makes all checks. A failure to read is a finding.
func (o *checkOptions) check(ctx context.Context, s store.Store) []diagnose.Finding {
	var found []diagnose.Finding
	if i, ok := s.(store.Inspector); ok {
		c := readConsul(ctx, i, o)
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

// readConsul reads the facts about Consul.
func readConsul(ctx context.Context, i store.Inspector, o *checkOptions) diagnose.Consul {
	c := diagnose.Consul{}
	if s, ok := i.(interface{ Address() string }); ok {
		c.Address = s.Address()
	}
	if c.Leader, c.LeaderErr = i.Leader(ctx); c.LeaderErr != nil {
		return c
	}
	c.Servers, c.ServersErr = i.Servers(ctx)
	c.Agent, c.AgentErr = i.Agent(ctx)
	before := o.Now()
	at, err := i.Clock(ctx)
	if c.OffsetErr = err; err == nil {
		c.Offset = at.Sub(before.Add(o.Now().Sub(before) / 2))
	}
	return c
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
		finding, enabled := checkRights(ctx, i, &r, node != "")
		found = append(found, finding)
		if !enabled {
			break
		}
	}
	return found
}

// checkRights asks Consul about the rules of a role. Without the name of the node, it leaves out those about sessions.
func checkRights(ctx context.Context, i store.Inspector, r *diagnose.Rights, nodeKnown bool) (f diagnose.Finding, enabled bool) {
	var rules []diagnose.Rule
	var accesses []store.Access
	sessions := true
	for _, rule := range r.Rules {
		if rule.Access.Resource == "session" && !nodeKnown {
			sessions = false
			continue
		}
		rules, accesses = append(rules, rule), append(accesses, rule.Access)
	}
	allowed, err := i.Authorize(ctx, accesses)
	switch {
	case err != nil:
		f = diagnose.Finding{Level: diagnose.Unknown, Check: "acl", Message: fmt.Sprintf("the rights of the token are unknown: %v", err)}
		if _, denied := errors.AsType[*store.ForbiddenError](err); denied {
			f.Level, f.Action = diagnose.Problem, "replace the token"
		}
		return f, false
	case allowed == nil:
		return diagnose.Finding{Level: diagnose.Warning, Check: "acl", Message: "ACLs are disabled: every client of Consul can grant hosts",
			Action: "enable ACLs, and create a token for each role"}, false
	}
	r.Rules, r.Allowed = rules, allowed
	f = r.Check()
	if !sessions && f.Level == diagnose.OK && !strings.Contains(f.Message, "may not") {
		f.Level, f.Action = diagnose.Unknown, "give the node of its Consul agent with --node"
		f.Message += ", except perhaps to write sessions"
	}
	return f, true
}
