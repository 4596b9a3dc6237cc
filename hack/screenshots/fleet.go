// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	planName    = "fleet"
	versionFrom = "2026.10"
	// The share of the fleet that is upgraded when the terminal is recorded, and when the dashboard is photographed.
	recordFrom, pictureFrom = 0.12, 0.5
	// The interval of agents, the minimum duration of an upgrade, and the interval at which conditions are polled.
	interval = time.Second
	step     = 3 * time.Second
	poll     = 200 * time.Millisecond
)

// hosts returns the names of the fleet: about 300 hosts in six roles.
func hosts() []string {
	var all []string
	for _, role := range []struct {
		name string
		n    int
	}{{"compute", 160}, {"db", 9}, {"mon", 5}, {"network", 12}, {"osd", 50}, {"web", 64}} {
		for i := range role.n {
			all = append(all, fmt.Sprintf("%s%d", role.name, i+1))
		}
	}
	return all
}

// startFleet runs an agent for each host until the context ends. The function wait returns when all have ended.
func startFleet(ctx context.Context, s agent.Store) (wait func(), err error) {
	var group sync.WaitGroup
	for i, host := range hosts() {
		version := &agent.MemoryVersion{}
		if err := version.SetVersion(versionFrom); err != nil {
			return nil, err
		}
		random := rand.New(rand.NewPCG(1, uint64(i)))
		a, err := agent.New(agent.Options{Host: host, Store: s, Version: version, Clock: agent.SystemClock{},
			Random: random.Float64, Interval: interval, Jitter: interval, Step: upgrade(random)})
		if err != nil {
			return nil, err
		}
		group.Go(func() { a.Run(ctx) })
	}
	return group.Wait, nil
}

// upgrade takes some time, and fails on two hosts.
func upgrade(random *rand.Rand) agent.Step {
	return func(ctx context.Context, c agent.Change) (string, error) {
		if err := pause(ctx, step+time.Duration(random.Float64()*float64(step))); err != nil {
			return "", err
		}
		if slices.Contains([]string{"osd3", "compute7"}, c.Host) {
			return "E: write error: no space left on device", errors.New("exit status 100")
		}
		return "", nil
	}
}

// pause waits for d, or until the context ends, and then returns its error.
func pause(ctx context.Context, d time.Duration) error { return agent.SystemClock{}.Sleep(ctx, d) }

// until polls a condition until it is true.
func until(ctx context.Context, holds func() (bool, error)) error {
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
}

// awaitReports waits until all hosts have reported.
func awaitReports(ctx context.Context, s store.Store) error {
	return until(ctx, func() (bool, error) {
		found, _, err := s.Keys(ctx, keys.Layout{}.ReportTree())
		return len(found) == len(hosts()), err
	})
}

// awaitUpgraded waits until a share of the fleet is upgraded.
func awaitUpgraded(ctx context.Context, s store.Store, part float64) error {
	return until(ctx, func() (bool, error) {
		o, err := planstore.Observe(ctx, s, planName, time.Now())
		if err != nil {
			return false, err
		}
		upgraded := 0
		for _, v := range o.Decision.Verdicts {
			if v.Complete {
				upgraded++
			}
		}
		return float64(upgraded) >= part*float64(len(hosts())), nil
	})
}
