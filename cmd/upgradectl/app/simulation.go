// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

const (
	// simulateFor bounds the virtual time of a simulation.
	simulateFor = 366 * 24 * time.Hour
	// For fleets of up to smallFleet hosts there are defaultSeeds simulations with steps of a second.
	smallFleet   = 2000
	defaultSeeds = 20
	// For fleets above bigFleet hosts the simulations run one after another, since each takes much memory.
	bigFleet = 20_000
	// bigMemory is the memory limit for them, in bytes.
	bigMemory = 400 << 20
)

// simulation can be run with any seed.
type simulation struct {
	plan    *v1alpha1.UpgradePlan
	hosts   int
	options simulate.Options
	seed    uint64
	seeds   int
	begin   func(simulate.Options) *simulate.Simulation
}

// newSimulation reads the fleet, and chooses what the flags leave open.
func newSimulation(ctx context.Context, o *simulateOptions, plan *v1alpha1.UpgradePlan) (*simulation, error) {
	s := &simulation{plan: plan, options: o.parsed, seed: o.seed, seeds: o.seeds}
	var err error
	if s.options.Plan, err = planstore.Compile(plan); err != nil {
		return nil, err
	}
	if err := s.readFleet(ctx, o); err != nil {
		return nil, err
	}
	if len(o.durations) == 0 {
		o.say("assuming that each host takes %s: --duration sets another duration", simulate.FormatDuration(simulate.DefaultDuration))
	}
	s.setDefaults()
	return s, nil
}

// readFleet reads the hosts from the file, else from Consul.
func (s *simulation) readFleet(ctx context.Context, o *simulateOptions) error {
	if o.hosts != "" {
		hosts, err := readHostsFile(o.factory, o.hosts)
		if err != nil {
			return cli.Usage(err)
		}
		s.hosts, s.options.Hosts = len(hosts), hosts
		s.begin = simulate.NewIdle
		return nil
	}
	st, err := o.store()
	if err != nil {
		return err
	}
	seen, err := planstore.ObserveAs(ctx, st, s.plan, o.Now())
	if err != nil {
		return err
	}
	warnIncomplete(o.factory, seen.Fleet.Incomplete)
	s.hosts, s.begin = len(seen.Fleet.Hosts), func(with simulate.Options) *simulate.Simulation {
		return simulate.From(seen, with)
	}
	return nil
}

// setDefaults sets the step and the number of seeds if the flags leave them open.
func (s *simulation) setDefaults() {
	shortest, random := s.options.Duration.Mean, s.options.Failures > 0 || s.options.Duration.Spread > 0
	for _, span := range s.options.Roles {
		shortest, random = min(shortest, span.Mean), random || span.Spread > 0
	}
	small := s.hosts <= smallFleet
	if s.options.Gap == 0 {
		s.options.Gap = time.Second
		if !small {
			s.options.Gap = max(time.Second, min(time.Minute, shortest/5))
		}
	}
	if s.seeds == 0 {
		s.seeds = 1
		if small && random {
			s.seeds = defaultSeeds
		}
	}
}

// run simulates with each seed. The details are those of the first seed.
func (s *simulation) run(ctx context.Context) (*Simulated, error) {
	outcomes := make([]simulate.Outcome, s.seeds)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	if s.hosts > bigFleet {
		group.SetLimit(1)
		debug.SetMemoryLimit(bigMemory) // makes the garbage collector run sooner
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
				outcomes[i].Runs, outcomes[i].Waves = nil, nil // the output only counts these outcomes
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return newSimulated(s.plan, outcomes), nil
}

// parseDurations reads the values of --duration: one for all roles, and others for single roles.
func parseDurations(texts []string) (all simulate.Span, roles map[string]simulate.Span, err error) {
	all, roles = simulate.Span{Mean: simulate.DefaultDuration}, map[string]simulate.Span{}
	for _, text := range texts {
		role, value, ofRole := strings.Cut(text, "=")
		if !ofRole {
			value = text
		}
		span, err := parseSpan(value)
		switch {
		case err != nil:
			return all, nil, cli.FlagErrorf("--duration %q: %w", text, err)
		case ofRole && !keys.ValidSegment(role):
			return all, nil, cli.FlagErrorf("--duration %q: %q is not a valid role name", text, role)
		case ofRole:
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
		span.Spread, err = parsePercent(spread)
	}
	return span, err
}

// parsePercent reads 1% as 0.01.
func parsePercent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	p, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(p >= 0 && p <= 100) {
		return 0, fmt.Errorf("%q must be a percentage from 0%% to 100%%", text)
	}
	return p / 100, nil
}
