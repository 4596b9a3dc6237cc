// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const (
	demoFrom, demoTo = "2026.10", "2026.11"
	// How often agents look and the plan is reconciled, and about how long the upgrade of a host takes.
	demoPoll  = 100 * time.Millisecond
	demoStep  = 400 * time.Millisecond
	demoTable = "  %-13s %5s %6s  %s\n"
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

// demoRoles are a fleet of 40 hosts.
func demoRoles() []struct {
	name  string
	hosts int
} {
	return []struct {
		name  string
		hosts int
	}{{"controller", 5}, {"compute", 24}, {"stmon", 5}, {"stmonleader", 1}, {"stmonwithosd", 5}}
}

func demoHosts() []string {
	var hosts []string
	for _, role := range demoRoles() {
		for i := range role.hosts {
			hosts = append(hosts, fmt.Sprintf("%s%d", role.name, i+1))
		}
	}
	return hosts
}

func (c *cli) demo() *cobra.Command {
	var onConsul bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a fleet of 40 hosts upgrade by the rules",
		Long: "Upgrades a fleet of 40 hosts in five roles by the rules of python-jiocloud's README: with the real reconciler and\n" +
			"the real agents' code, on a store in memory. With --consul it starts a Consul on free loopback ports and an\n" +
			"upgrade-agent process for each host, and ends all of them. The Consul on the PATH is taken (or the one that\n" +
			"$UPGRADE_TEST_CONSUL names), and the upgrade-agent beside upgradectl, else the one on the PATH.",
		Args: noArgs,
	}
	cmd.Flags().BoolVar(&onConsul, "consul", false, "with a real Consul, and a process for each agent")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		d := &demo{cli: c, out: c.Out}
		if onConsul {
			return d.onConsul(ctx)
		}
		d.store = memory.New(time.Now)
		return d.run(ctx, d.inMemory)
	})
	return cmd
}

// demo is one upgrade of a fleet.
type demo struct {
	*cli
	out   interface{ Write([]byte) (int, error) }
	store store.Store
	// busiest is the largest number of hosts in flight at once that was seen, by role.
	busiest map[string]int
	// controllersLeft is how many controllers were not upgraded when the first compute was released; -1: none was yet.
	controllersLeft int
}

// run sets the fleet up, applies the plan, and reconciles until it is complete. Agents start their work and return; they
// end with the context, and wait says when they have.
func (d *demo) run(ctx context.Context, agents func(ctx context.Context) (wait func(), err error)) error {
	d.busiest, d.controllersLeft = map[string]int{}, -1
	fmt.Fprintf(d.out, "A fleet of %d hosts at version %s, and this plan:\n\n%s\n", len(demoHosts()), demoFrom, demoPlan)
	if err := d.set(ctx, keys.Layout{}.CurrentVersion(), demoFrom); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wait, err := agents(ctx)
	if err != nil {
		return err
	}
	defer func() { stop(); wait() }()
	if err := d.awaitHosts(ctx); err != nil {
		return err
	}
	documents, err := manifest.Decode("demo", []byte(demoPlan))
	if err != nil {
		return err
	}
	plans := upgradeplan.Plans{Store: d.store}
	if err := d.cli.store(ctx, plans, documents, false); err != nil {
		return err
	}
	began := time.Now()
	if err := d.reconcile(ctx, documents[0].Plan.Name); err != nil {
		return err
	}
	return d.summary(ctx, time.Since(began))
}

func (d *demo) set(ctx context.Context, key, value string) error {
	_, err := d.store.Txn(ctx, []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}})
	return err
}

// awaitHosts waits until all agents have reported.
func (d *demo) awaitHosts(ctx context.Context) error {
	for {
		found, _, err := d.store.Keys(ctx, keys.Layout{}.ReportTree())
		if err != nil || len(found) == len(demoHosts()) {
			return err
		}
		if err := pause(ctx, demoPoll); err != nil {
			return err
		}
	}
}

func (d *demo) reconcile(ctx context.Context, plan string) (err error) {
	lease, err := leaderelection.TryAcquire(ctx, d.store, keys.Leader, "upgradectl demo", leaderelection.Options{Kind: leaderelection.KindCLI})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	show := d.progress(true)
	defer show.close()
	r := upgradeplan.Reconciler{Store: d.store, Session: lease.Session(), Now: d.Now, Log: d.log()}
	for {
		result, err := r.Reconcile(lease.Context(), plan) //nolint:contextcheck // the lease ends with ctx, or before
		if err != nil {
			return err
		}
		d.watch(&result.Decision)
		show.show(plan, result.Status)
		if result.Decision.Complete {
			return nil
		}
		if err := pause(ctx, demoPoll); err != nil {
			return err
		}
	}
}

// watch keeps what the summary tells.
func (d *demo) watch(decision *rollout.Decision) {
	inFlight, controllersLeft, computes := map[string]int{}, 0, 0
	for _, v := range decision.Verdicts {
		if v.InFlight {
			inFlight[v.Group]++
		}
		if v.Role == "controller" && !v.Complete {
			controllersLeft++
		}
		if v.Role == "compute" && v.Reason == v1alpha1.ReasonStarting {
			computes++
		}
		if v.Reason == v1alpha1.ReasonStarting && !d.ErrTerminal {
			d.say("%s: %s", v.Host, v.Message)
		}
	}
	for group, n := range inFlight {
		d.busiest[group] = max(d.busiest[group], n)
	}
	if computes > 0 && d.controllersLeft < 0 {
		d.controllersLeft = controllersLeft
	}
}

// summary says what was seen, and fails when it was not what the rules say.
func (d *demo) summary(ctx context.Context, took time.Duration) error {
	o, err := upgradeplan.Observe(ctx, d.store, "fleet", d.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "All %d hosts reached %s in %s. The most that were in flight at once:\n\n", len(o.Decision.Verdicts), demoTo,
		took.Round(100*time.Millisecond))
	fmt.Fprintf(d.out, demoTable, "GROUP", "LIMIT", "HIGHEST", "")
	broken := d.controllersLeft != 0
	for _, group := range []struct {
		name, note string
		limit      int
	}{
		{"controller", "", 1},
		{"compute", fmt.Sprintf("%d controllers were left when the first began", d.controllersLeft), 3},
		{"cephmon", "stmon, stmonleader and stmonwithosd together", 1},
	} {
		highest := d.busiest[group.name]
		broken = broken || highest > group.limit
		fmt.Fprintf(d.out, demoTable, group.name, fmt.Sprint(group.limit), fmt.Sprint(highest), group.note)
	}
	if broken {
		return errors.New("the rules were broken")
	}
	return nil
}

// inMemory runs the agents' code in this process.
func (d *demo) inMemory(ctx context.Context) (func(), error) {
	var group sync.WaitGroup
	for i, host := range demoHosts() {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		version := &agent.Memory{}
		if err := version.SetVersion(demoFrom); err != nil {
			return nil, err
		}
		a, err := agent.New(agent.Options{Host: host, Store: d.store, Version: version, Clock: agent.SystemClock{},
			Random: random.Float64, Interval: demoPoll, Jitter: demoPoll / 2,
			Step: func(ctx context.Context, _ agent.Change) (string, error) {
				return "", pause(ctx, demoStep/2+time.Duration(random.Float64()*float64(demoStep)))
			}})
		if err != nil {
			return nil, err
		}
		group.Go(func() { a.Run(ctx) })
	}
	return group.Wait, nil
}
