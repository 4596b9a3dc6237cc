// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	shared "github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/gantt"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const (
	asSVG = "svg"
	// simulateFor is how far a simulation looks ahead.
	simulateFor = 366 * 24 * time.Hour
	// Of fleets up to smallFleet hosts a simulation is repeated defaultSeeds times, and goes second by second.
	smallFleet   = 2000
	defaultSeeds = 20
	// bigFleet is from how many hosts on simulations run one after another, for the memory that they take.
	bigFleet = 20_000
	// bigMemory is about how much memory they are to take, in bytes.
	bigMemory = 400 << 20
	// maxSeeds bounds what is run.
	maxSeeds = 10_000
)

// simulating is what the flags of simulate say.
type simulating struct {
	files       files
	hosts       string
	durations   []string
	fail, start string
	seed        uint64
	seeds       int
	step        time.Duration
	promote     bool
}

func (c *cli) simulate() *cobra.Command {
	var o simulating
	from := &choice{"consul", []string{"consul"}}
	cmd := &cobra.Command{
		Use:   "simulate -f FILE",
		Short: "Foresee a rollout: how long it takes, in which waves, and what would stop it",
		Long: "Carries a plan out in virtual time: by the very decisions that a controller makes, over the fleet as it stands in\n" +
			"Consul, or over the hosts of a file. Nothing is written. How long a host takes, and how many fail, is what the flags\n" +
			"say. The hosts of a wave are released before the first of them has ended.\n\n" +
			"--hosts reads a line for each host, its name and if need be its version (# begins a comment), or what\n" +
			"`get hosts -o json` printed.\n\n" +
			"-o json prints {apiVersion, kind: Simulation, plan, version, start, end, took, complete, stands, hosts {total,\n" +
			"upgraded, failed}, seeds {count, complete, tripped, p50, p95}, windows {inside, shut}, trip {time, after, message},\n" +
			"rollback {time, after, revision, version, back, complete}, roles, waves}; -o svg a Gantt chart.",
		Example: "  upgradectl simulate -f plan.yaml --duration 'compute=30m±20%' --duration 5m --fail 1%\n" +
			"  upgradectl simulate -f plan.yaml --hosts hosts.txt --start 2026-11-28T02:00:00Z -o svg >plan.svg",
		Args: noArgs,
	}
	o.files.bind(cmd.Flags())
	cmd.Flags().Var(from, "from", "where the hosts are taken from, unless --hosts names a file: consul")
	cmd.Flags().StringVar(&o.hosts, "hosts", "", "a file with the hosts, or - for standard input")
	completeFlag(cmd, "hosts", shared.AnyFile)
	cmd.Flags().StringSliceVar(&o.durations, "duration", nil, "how long a host takes from its release to its report, of all roles "+
		"or of one: 10m, 'compute=5m±20%' (default "+simulate.FormatDuration(simulate.DefaultDuration)+")")
	cmd.Flags().StringVar(&o.fail, "fail", "0%", "the share of upgrades that fail")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "what the random durations and failures begin with")
	cmd.Flags().IntVar(&o.seeds, "seeds", 0, fmt.Sprintf("how many seeds are tried, from --seed on, for p50 and p95; 0: %d where "+
		"something is random and the fleet has up to %d hosts, else 1", defaultSeeds, smallFleet))
	cmd.Flags().StringVar(&o.start, "start", "", "when it begins: a time (2026-11-28T02:00:00Z) or a duration from now; default: now")
	cmd.Flags().DurationVar(&o.step, "step", 0, "the least time between two passes of the controller; 0: a second, of more than "+
		fmt.Sprint(smallFleet)+" hosts a fifth of the shortest duration, at most a minute")
	cmd.Flags().BoolVar(&o.promote, "promote", false, "promote canaries as soon as they are complete, where the plan leaves "+
		"that to an operator")
	format := output(cmd.Flags(), asTable, asJSON, asSVG)
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		documents, err := c.read(o.files)
		if err != nil {
			return err
		}
		if len(documents) > 1 {
			return usagef("-f holds %d plans: simulate takes one at a time", len(documents))
		}
		plan := documents[0].Plan
		v1alpha1.SetDefaults(plan)
		s, err := c.prepare(ctx, plan, &o)
		if err != nil {
			return err
		}
		found, err := s.run(ctx)
		if err != nil {
			return err
		}
		switch format.value {
		case asJSON:
			return c.print(asJSON, found)
		case asSVG:
			_, err := c.Out.Write(gantt.SVG(found.outcome, fmt.Sprintf("upgradeplan/%s to %s", plan.Name, plan.Spec.Version)))
			return err
		}
		return c.buffered(func(w io.Writer) error { return found.write(w) })
	})
	return cmd
}

// simulation is one that can be run with any seed.
type simulation struct {
	plan    *v1alpha1.UpgradePlan
	hosts   int
	options simulate.Options
	seed    uint64
	seeds   int
	begin   func(simulate.Options) *simulate.Simulation
}

// prepare reads the fleet, and what the flags say.
func (c *cli) prepare(ctx context.Context, plan *v1alpha1.UpgradePlan, o *simulating) (*simulation, error) {
	s := &simulation{plan: plan, seed: o.seed, seeds: o.seeds}
	compiled, err := upgradeplan.Compile(plan)
	if err != nil {
		return nil, err
	}
	s.options = simulate.Options{Plan: compiled, Start: c.Now(), Gap: o.step, Promote: o.promote, Quiet: true}
	if s.options.Duration, s.options.Roles, err = spans(o.durations); err != nil {
		return nil, err
	}
	if s.options.Failures, err = percent(o.fail); err != nil {
		return nil, flagError{fmt.Errorf("--fail %q: %w", o.fail, err)}
	}
	if o.start != "" {
		if s.options.Start, err = moment(o.start, c.Now()); err != nil {
			return nil, flagError{fmt.Errorf("--start %q: %w", o.start, err)}
		}
	}
	if o.step < 0 || o.seeds < 0 || o.seeds > maxSeeds {
		return nil, flagError{fmt.Errorf("--step must not be negative, and --seeds be from 0 to %d", maxSeeds)}
	}
	if err := c.populate(ctx, s, o.hosts); err != nil {
		return nil, err
	}
	if len(o.durations) == 0 {
		c.say("each host is taken to need %s: --duration says otherwise", simulate.FormatDuration(simulate.DefaultDuration))
	}
	s.choose()
	return s, nil
}

// populate finds the hosts: in the file, else in Consul.
func (c *cli) populate(ctx context.Context, s *simulation, file string) error {
	if file != "" {
		hosts, err := c.readHosts(file)
		if err != nil {
			return usageError{err}
		}
		s.hosts, s.options.Hosts = len(hosts), hosts
		s.begin = simulate.NewIdle
		return nil
	}
	_, store, err := c.plans()
	if err != nil {
		return err
	}
	o, err := upgradeplan.ObserveAs(ctx, store, s.plan, c.Now())
	if err != nil {
		return err
	}
	c.warnIncomplete(o.Fleet.Incomplete)
	s.hosts, s.begin = len(o.Fleet.Hosts), o.Simulate
	return nil
}

// choose fills in what the flags left open.
func (s *simulation) choose() {
	shortest, random := s.options.Duration.Mean, s.options.Failures > 0 || s.options.Duration.Spread > 0
	for _, span := range s.options.Roles {
		shortest, random = min(shortest, span.Mean), random || span.Spread > 0
	}
	small := s.hosts <= smallFleet
	if s.options.Gap == 0 {
		if s.options.Gap = time.Second; !small {
			s.options.Gap = max(time.Second, min(time.Minute, shortest/5))
		}
	}
	if s.seeds == 0 {
		if s.seeds = 1; small && random {
			s.seeds = defaultSeeds
		}
	}
}

// run simulates with each seed. What is told in full is the first.
func (s *simulation) run(ctx context.Context) (*Simulated, error) {
	outcomes := make([]simulate.Outcome, s.seeds)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	if s.hosts > bigFleet {
		group.SetLimit(1)
		debug.SetMemoryLimit(bigMemory) // garbage is collected sooner when it is reached
	}
	for i := range s.seeds {
		group.Go(func() error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			o := s.options
			o.Rand = rand.New(rand.NewPCG(s.seed+uint64(i), 0))
			outcomes[i] = s.begin(o).Run(simulateFor)
			if i > 0 {
				outcomes[i].Runs, outcomes[i].Waves = nil, nil // only counted
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return simulated(s.plan, outcomes), nil
}

// spans reads what --duration says: one for all roles, others for some.
func spans(texts []string) (all simulate.Span, roles map[string]simulate.Span, err error) {
	all, roles = simulate.Span{Mean: simulate.DefaultDuration}, map[string]simulate.Span{}
	for _, text := range texts {
		role, value, of := strings.Cut(text, "=")
		if !of {
			value = text
		}
		span, err := parseSpan(value)
		switch {
		case err != nil:
			return all, nil, flagError{fmt.Errorf("--duration %q: %w", text, err)}
		case of && !keys.ValidSegment(role):
			return all, nil, flagError{fmt.Errorf("--duration %q: %q is no name of a role", text, role)}
		case of:
			roles[role] = span
		default:
			all = span
		}
	}
	return all, roles, nil
}

func parseSpan(text string) (simulate.Span, error) {
	mean, spread, varied := strings.Cut(strings.Replace(text, "+-", "±", 1), "±")
	d, err := time.ParseDuration(mean)
	if err != nil || d <= 0 {
		return simulate.Span{}, fmt.Errorf("must be a duration above 0 such as 5m, 5m±20%% or compute=5m±20%%")
	}
	span := simulate.Span{Mean: d}
	if varied {
		span.Spread, err = percent(spread)
	}
	return span, err
}

// percent reads 1% as 0.01.
func percent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	var p float64
	if n, err := fmt.Sscanf(number+"\n", "%g\n", &p); !ok || err != nil || n != 1 || p < 0 || p > 100 {
		return 0, fmt.Errorf("%q must be a percentage from 0%% to 100%%", text)
	}
	return p / 100, nil
}

// moment is the time that a flag says: a duration from now, or a time.
func moment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d).Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("must be a duration such as 48h, or a time such as 2026-03-06T14:00:00Z")
	}
	return at, nil
}
