// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/gantt"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

const (
	// asSVG is the format of the Gantt chart.
	asSVG = "svg"
	// fromConsul is the only value of --from.
	fromConsul = "consul"
	// maxSeeds bounds --seeds.
	maxSeeds = 10_000
)

type simulateOptions struct {
	*factory
	withoutArgs
	files        files
	from, format *cli.Choice
	hosts        string
	durations    []string
	fail, start  string
	seed         uint64
	seeds        int
	step         time.Duration
	promote      bool
	// parsed has what the flags say, without the plan and its hosts.
	parsed simulate.Options
}

func newCmdSimulate(f *factory, runF func(context.Context, *simulateOptions) error) *cobra.Command {
	o := &simulateOptions{factory: f, from: cli.NewChoice(fromConsul)}
	cmd := &cobra.Command{
		Use:   "simulate -f FILE",
		Short: "Simulate a rollout: how long it takes, in which waves, and what would stop it",
		Long: "Carries out a plan in virtual time, by the decisions that a controller makes, on the fleet in Consul or on the hosts\n" +
			"of a file. It writes nothing. The flags give the duration of an upgrade and the share that fails.\n" +
			"The hosts of a wave are granted before the first of them has finished.\n\n" +
			"--hosts reads one host on each line, its name and optionally its version (# starts a comment), or the output of\n" +
			"`get hosts -o json`.\n\n" +
			"-o json prints {apiVersion, kind: Simulation, plan, version, start, end, duration, complete, blockedBy,\n" +
			"hosts {total, upgraded, failed}, seeds {count, complete, failureBudgetExceeded, p50, p95},\n" +
			"windows {inside, closedWindows}, failureBudgetExceeded {time, after, message},\n" +
			"rollback {time, after, revision, version, upgraded, complete}, roles, waves}; -o svg prints a Gantt chart.",
		Example: "  upgradectl simulate -f plan.yaml --duration 'compute=30m±20%' --duration 5m --fail 1%\n" +
			"  upgradectl simulate -f plan.yaml --hosts hosts.txt --start 2026-11-28T02:00:00Z -o svg >plan.svg",
		Args: cli.NoArgs,
		RunE: runE(f, o, runSimulate, runF),
	}
	o.files.bind(cmd.Flags())
	o.bind(cmd.Flags())
	completeFlag(cmd, "hosts", flags.AnyFile)
	o.format = cli.BindOutput(cmd.Flags(), cli.Table, cli.JSON, asSVG)
	return cmd
}

func (o *simulateOptions) bind(set *pflag.FlagSet) {
	set.Var(o.from, "from", "source of the hosts, unless --hosts names a file: consul")
	set.StringVar(&o.hosts, "hosts", "", "file with the hosts, or - for standard input")
	set.StringSliceVar(&o.durations, "duration", nil, "time from the grant of a host to its report, for all roles or for one: "+
		"10m, 'compute=5m±20%' (default "+simulate.FormatDuration(simulate.DefaultDuration)+")")
	set.StringVar(&o.fail, "fail", "0%", "share of upgrades that fail")
	set.Uint64Var(&o.seed, "seed", 1, "random seed")
	set.IntVar(&o.seeds, "seeds", 0, fmt.Sprintf("number of seeds for p50 and p95, from --seed on; 0 means %d if durations or failures "+
		"are random and the fleet has up to %d hosts, else 1", defaultSeeds, smallFleet))
	set.StringVar(&o.start, "start", "", "start of the rollout: a time (2026-11-28T02:00:00Z) or a duration from now; default: now")
	set.DurationVar(&o.step, "step", 0, fmt.Sprintf("minimum time between two passes of the controller; 0 means a second, and for more "+
		"than %d hosts a fifth of the shortest duration, at most a minute", smallFleet))
	set.BoolVar(&o.promote, "promote", false, "promote canaries as soon as they are complete, if the plan leaves that to an operator")
}

func (o *simulateOptions) complete(args []string) (err error) {
	o.parsed = simulate.Options{Start: o.Now(), Gap: o.step, Promote: o.promote, Quiet: true}
	if o.parsed.Duration, o.parsed.Roles, err = parseDurations(o.durations); err != nil {
		return err
	}
	if o.parsed.Failures, err = parsePercent(o.fail); err != nil {
		return cli.FlagErrorf("--fail %q: %w", o.fail, err)
	}
	if o.start != "" {
		if o.parsed.Start, err = parseTime(o.start, o.Now()); err != nil {
			return cli.FlagErrorf("--start %q: %w", o.start, err)
		}
	}
	if o.step < 0 || o.seeds < 0 || o.seeds > maxSeeds {
		return cli.FlagErrorf("--step must not be negative, and --seeds must be from 0 to %d", maxSeeds)
	}
	return o.withoutArgs.complete(args)
}

func runSimulate(ctx context.Context, o *simulateOptions) error {
	plan, err := readOnePlan(o.factory, o.files, "simulate")
	if err != nil {
		return err
	}
	v1alpha1.SetDefaults(plan)
	s, err := newSimulation(ctx, o, plan)
	if err != nil {
		return err
	}
	found, err := s.run(ctx)
	if err != nil {
		return err
	}
	switch o.format.Value {
	case cli.JSON:
		return cli.Print(o.Out, cli.JSON, found)
	case asSVG:
		_, err := o.Out.Write(gantt.SVG(found.outcome, fmt.Sprintf("upgradeplan/%s to %s", plan.Name, plan.Spec.Version)))
		return err
	}
	return cli.Buffered(o.Out, func(w io.Writer) error { return found.write(w) })
}
