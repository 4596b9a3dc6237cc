// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/runner"
)

const (
	demoFrom, demoTo = "2026.10", "2026.11"
	// demoPoll is the interval of the agents and of the passes, and demoStep about the time that the upgrade of a host takes.
	demoPoll = 100 * time.Millisecond
	demoStep = 400 * time.Millisecond
)

// demoPlan has the rules of python-jiocloud's README.
const demoPlan = `apiVersion: upgrade.jiocloud.com/v1alpha1
kind: UpgradePlan
metadata:
  name: fleet
spec:
  version: "` + demoTo + `"
  instructions:
    rollingRules:
      global: 1            # one at a time of each role …
      roles: {compute: 3}  # … but three computes
    roleOrder:
      compute: controller  # computes after all controllers
    groupMappings:
      cephmon: stmon.*     # three kinds of ceph monitors count as one
`

// demoHosts returns the names of a fleet of 40 hosts.
func demoHosts() []string {
	var hosts []string
	for _, role := range []struct {
		name  string
		hosts int
	}{{"controller", 5}, {"compute", 24}, {"stmon", 5}, {"stmonleader", 1}, {"stmonwithosd", 5}} {
		for i := range role.hosts {
			hosts = append(hosts, fmt.Sprintf("%s%d", role.name, i+1))
		}
	}
	return hosts
}

type demoOptions struct {
	*factory
	withoutArgs
	consul bool
}

func newCmdDemo(f *factory, runF func(context.Context, *demoOptions) error) *cobra.Command {
	o := &demoOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Upgrade a demo fleet of 40 hosts by the rules",
		Long: "Upgrades a fleet of 40 hosts in five roles by the rules of python-jiocloud's README: with the real reconciler and\n" +
			"the real code of the agent, on a store in memory. --consul starts a Consul on free loopback ports and an\n" +
			"upgrade-agent process for each host, and ends all of them. It uses the Consul on the PATH (or the one that\n" +
			"$UPGRADE_TEST_CONSUL names), and the upgrade-agent beside upgradectl, else the one on the PATH.",
		Args: cli.NoArgs,
		RunE: runE(f, o, runDemo, runF),
	}
	cmd.Flags().BoolVar(&o.consul, "consul", false, "use a real Consul, and a process for each agent")
	return cmd
}

func runDemo(ctx context.Context, o *demoOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.consul {
		return demoOnConsul(ctx, o.factory)
	}
	d := newDemo(o.factory, memory.New(time.Now))
	return d.run(ctx, d.agentsInMemory)
}

// demo is one upgrade of the demo fleet.
type demo struct {
	*factory
	store store.Store
	stats demoStats
}

// newDemo returns a demo on s, with a factory whose store is s.
func newDemo(f *factory, s store.Store) *demo {
	own := *f
	own.store = func() (store.Store, error) { return s, nil }
	return &demo{factory: &own, store: s, stats: newDemoStats()}
}

// run sets up the fleet, applies the plan, and reconciles until it is complete. The function agents starts the agents, which
// end with their context, and returns a function that waits for their end.
func (d *demo) run(ctx context.Context, agents func(ctx context.Context) (wait func(), err error)) error {
	fmt.Fprintf(d.Out, "A fleet of %d hosts at version %s, and this plan:\n\n%s\n", len(demoHosts()), demoFrom, demoPlan)
	current := store.Op{Verb: store.Set, Key: keys.Layout{}.CurrentVersion(), Value: []byte(demoFrom)}
	if _, err := d.store.Txn(ctx, []store.Op{current}); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wait, err := agents(ctx)
	if err != nil {
		return err
	}
	defer func() { stop(); wait() }()
	if err := poll(ctx, demoPoll, d.allReported); err != nil {
		return err
	}
	documents, err := manifest.Decode("demo", []byte(demoPlan))
	if err != nil {
		return err
	}
	if err := storePlans(ctx, d.factory, documents, false); err != nil {
		return err
	}
	start := time.Now()
	if err := d.reconcile(ctx, documents[0].Plan.Name); err != nil {
		return err
	}
	return d.stats.summarize(d.Out, time.Since(start))
}

// allReported reports whether each agent has reported.
func (d *demo) allReported(ctx context.Context) (bool, error) {
	found, _, err := d.store.Keys(ctx, keys.Layout{}.ReportTree())
	return len(found) == len(demoHosts()), err
}

func (d *demo) reconcile(ctx context.Context, plan string) error {
	w := &runWatcher{factory: d.factory, plan: plan, live: true, each: func(o *pass.Assessment) {
		starts := d.stats.observe(&o.Decision)
		if d.ErrTerminal {
			return
		}
		for _, v := range starts {
			d.say("%s: %s", v.Host, v.Message)
		}
	}}
	defer w.close()
	r := runner.Runner{Store: d.store, Plan: plan, Holder: "upgradectl demo", Now: d.Now, Log: d.log(), UntilComplete: true,
		Interval: demoPoll, Observer: w}
	_, err := r.Run(ctx)
	return err
}

// agentsInMemory runs the agents in this process.
func (d *demo) agentsInMemory(ctx context.Context) (func(), error) {
	var group sync.WaitGroup
	for i, host := range demoHosts() {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		version := &agent.MemoryVersion{}
		if err := version.SetVersion(demoFrom); err != nil {
			return nil, err
		}
		a, err := agent.New(agent.Options{Host: host, Store: d.store, Version: version, Clock: agent.SystemClock{},
			Random: random.Float64, Interval: demoPoll, Jitter: demoPoll / 2,
			Step: func(ctx context.Context, _ agent.Change) (string, error) {
				return "", backoff.Sleep(ctx, demoStep/2+time.Duration(random.Float64()*float64(demoStep)))
			}})
		if err != nil {
			return nil, err
		}
		group.Go(func() { a.Run(ctx) })
	}
	return group.Wait, nil
}
