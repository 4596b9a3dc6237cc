// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// lookEvery is the interval of agents and legacy hosts, to which agents add up to lookJitter.
const (
	lookEvery  = 50 * time.Second
	lookJitter = 20 * time.Second
)

// machine is a host: its disk, and what really happens on it.
type machine struct {
	world *world
	name  string
	role  string
	// id is its machine id. A reinstalled machine has a new one.
	id string
	// double says that there are two machines of its name, or were. copied says that it is the second one.
	double, copied bool
	// booted is when it was switched on.
	booted time.Time
	// legacy says that it runs maybe-upgrade.sh, and old that it runs an agent of the release before grants.
	legacy, old bool
	disk        disk
	// process is nil while the machine is off.
	process *process
	starts  int
	// offset is how wrong its clock is.
	offset time.Duration
	// failures is how many of the next attempts fail. If the host is broken, all fail.
	failures int
	broken   bool
	// maintained and unwell are since when its node is in maintenance, and a check of it critical. Zero means not.
	maintained, unwell time.Time

	truth truth
}

// disk is what survives a restart.
type disk struct {
	version string
	memory  *agent.Remembered
	unsent  *agent.Unsent
}

// install gives the machine a new disk, with another machine id.
func (m *machine) install(version string) {
	m.world.installed++
	m.id = fmt.Sprintf("%032x", m.world.installed)
	m.disk = disk{version: version}
}

// setChecks sets the checks of the node.
func (m *machine) setChecks() {
	var checks []fleet.Check
	if !m.maintained.IsZero() {
		checks = append(checks, fleet.Check{ID: fleet.NodeMaintenance, Status: fleet.Critical})
	}
	if !m.unwell.IsZero() {
		checks = append(checks, fleet.Check{ID: "disk", Status: fleet.Critical})
	}
	m.world.store.SetChecks(m.name, checks...)
}

func (w *world) machine(name string) *machine {
	for _, m := range w.machines {
		if m.name == name {
			return m
		}
	}
	return nil
}

// boot starts the agent, or cron.
func (m *machine) boot() {
	if m.process != nil {
		return
	}
	m.starts++
	m.booted = time.Now()
	name := m.name
	if m.copied {
		name += " (copy)"
	}
	p := m.world.newProcess(fmt.Sprintf("%s#%d", name, m.starts))
	p.machine, m.process = m, p
	p.offset.Store(int64(m.offset))
	random := m.world.randomFor(p.name)
	m.world.running.Go(func() {
		if m.legacy {
			m.cron(p, random)
			return
		}
		a, err := agent.New(m.agentOptions(p, random))
		if err != nil {
			panic(err)
		}
		a.Run(p.ctx)
	})
}

func (m *machine) agentOptions(p *process, random *rand.Rand) agent.Options {
	o := agent.Options{Host: m.name, Layout: keys.Layout{Records: m.world.scenario.Records[m.name]}, Store: port{p}, Version: versionFile{p}, Spool: spool{p}, Memory: memoryFile{p}, Machine: machineID(m.id), Clock: clock{p},
		Random: random.Float64, Interval: lookEvery, Jitter: lookJitter, Log: logr.Discard(),
		Step: func(ctx context.Context, c agent.Change) (string, error) { return m.upgrade(ctx, p, random, c.To) }}
	if m.old {
		o.Machine = nil
	}
	m.world.seams.agent(&o)
	return o
}

// changes says that a change of its version runs.
func (m *machine) changes() bool { return m.truth.running != "" && !m.truth.gone }

// kill turns the machine off.
func (m *machine) kill() {
	if m.process == nil {
		return
	}
	m.process.kill()
	m.process = nil
}

// upgrade takes a while, and may fail.
func (m *machine) upgrade(ctx context.Context, p *process, random *rand.Rand, version string) (string, error) {
	if err := p.disk(ctx, "run the upgrade to "+version); err != nil {
		return "", err
	}
	m.begins()
	most := m.world.scenario.StepSeconds // none takes less than a tenth of the others: the plan would halt
	took := time.Duration(5+most/6+random.IntN(most)) * time.Second
	if err := backoff.Sleep(ctx, took); err != nil {
		return "", err
	}
	if err := p.disk(ctx, "end the upgrade to "+version); err != nil { // in its turn: faults change the machine too
		return "", err
	}
	back := m.world.scenario.OneWay && !m.world.quiet && version < m.disk.version
	if m.failures > 0 || m.broken || back {
		m.failures = max(m.failures-1, 0)
		m.truth.trying = false
		return "broken package", errors.New("exit status 1")
	}
	return "", nil
}

// cron is a legacy host: it obeys its keys alone.
func (m *machine) cron(p *process, random *rand.Rand) {
	for wait := time.Duration(0); backoff.Sleep(p.ctx, wait+time.Duration(random.Int64N(int64(lookJitter)))) == nil; wait = lookEvery {
		if m.disk.version != "" {
			m.updateOwnInfo(p)
		}
		l := keys.Layout{}
		version := l.CurrentVersion()
		pairs, _, err := port{p}.Get(p.ctx, version, l.EnableHost(m.name), l.EnableRole(m.role), l.EnableGlobal(),
			l.PauseHost(m.name), l.PauseRole(m.role), l.PauseGlobal())
		if err != nil || !pairs[0].Exists() {
			continue
		}
		if string(pairs[0].Value) == m.disk.version { // the change that it began, if any, is not to be done any more
			m.truth.running = ""
			continue
		}
		if !permittedLegacy(pairs) {
			m.truth.running = "" // nor is one that failed
			continue
		}
		to := string(pairs[0].Value)
		m.world.referee.legacyStart(m, to)
		if _, err := m.upgrade(p.ctx, p, random, to); err != nil {
			continue
		}
		if p.disk(p.ctx, "version "+to) != nil {
			continue
		}
		m.disk.version = to
		m.world.referee.reached(m, to)
		m.updateOwnInfo(p)
	}
}

// permittedLegacy is what jorc check_puppet says: pairs are current_version, three settings and three pauses.
func permittedLegacy(pairs []keys.Pair) bool {
	for _, p := range pairs[4:] {
		if p.Exists() {
			if keys.DecodePause(p) {
				return false
			}
			break
		}
	}
	for _, p := range pairs[1:4] {
		if p.Exists() {
			return string(p.Value) != "False"
		}
	}
	return true
}

// updateOwnInfo records the version of a legacy host, and deletes its other records, as jorc update_own_info does.
func (m *machine) updateOwnInfo(p *process) {
	l := keys.Layout{Records: m.world.scenario.Records[m.name]}
	ops := []store.Op{{Verb: store.Set, Key: l.Record(m.disk.version, m.name), Value: strconv.AppendInt(nil, p.now().Unix(), 10)}}
	for _, version := range versions() {
		if version != m.disk.version {
			ops = append(ops, store.Op{Verb: store.Delete, Key: l.Record(version, m.name)})
		}
	}
	_, _ = port{p}.Txn(p.ctx, ops)
}

// versions are all that plans name.
func versions() []string { return []string{"1", "2", "3", "4"} }

// disk is a moment at which a process that writes to its disk may be interrupted.
func (p *process) disk(ctx context.Context, what string) error {
	return p.wait(ctx, &call{op: "disk", what: what, do: func() error { return nil }})
}

type machineID string

func (id machineID) ID() (string, error) { return string(id), nil }

type versionFile struct{ process *process }

func (f versionFile) Version() (string, error) { return f.process.machine.disk.version, nil }

func (f versionFile) SetVersion(version string) error {
	if err := f.process.disk(f.process.ctx, "version "+version); err != nil {
		return err
	}
	m := f.process.machine
	m.disk.version = version
	m.world.referee.reached(m, version)
	return nil
}

type memoryFile struct{ process *process }

func (f memoryFile) Load() (agent.Remembered, bool, error) {
	if m := f.process.machine.disk.memory; m != nil {
		return *m, true, nil
	}
	return agent.Remembered{}, false, nil
}

func (f memoryFile) Save(m agent.Remembered) error {
	if err := f.process.disk(f.process.ctx, fmt.Sprintf("remember rollout %d, grant %s", m.Rollout, m.Grant)); err != nil {
		return err
	}
	f.process.machine.disk.memory = &m
	return nil
}

type spool struct{ process *process }

func (s spool) Load() (agent.Unsent, bool, error) {
	if u := s.process.machine.disk.unsent; u != nil {
		return *u, true, nil
	}
	return agent.Unsent{}, false, nil
}

func (s spool) Save(u agent.Unsent) error {
	if err := s.process.disk(s.process.ctx, "spool "+string(u.Report.Phase)+" "+u.Report.Version); err != nil {
		return err
	}
	s.process.machine.disk.unsent = &u
	return nil
}

func (s spool) Clear() error {
	if s.process.dead.Load() {
		return errKilled
	}
	s.process.machine.disk.unsent = nil
	return nil
}

// clock is the clock of a process, which may be wrong.
type clock struct{ process *process }

func (c clock) Now() time.Time { return c.process.now() }

func (c clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := backoff.Sleep(ctx, d); err != nil {
		return err
	}
	return ctx.Err()
}

// controller is a machine that runs a controller.
type controller struct {
	world   *world
	name    string
	process *process
	starts  int
	// offset is how wrong its clock is.
	offset time.Duration
}

func (c *controller) boot() {
	if c.process != nil {
		return
	}
	c.starts++
	p := c.world.newProcess(fmt.Sprintf("%s#%d", c.name, c.starts))
	p.leads, c.process = true, p
	p.offset.Store(int64(c.offset))
	pool := store.NewWatchPool(port{p}, store.PoolQueries)
	s := store.PooledStore{Store: port{p}, Pool: pool}
	m := &manager.Manager{Store: s, LeaseStore: port{p}, Holder: "upgrade-controller on " + p.name, Log: logr.Discard(),
		Reconciler: reconciler{&upgradeplan.Worker{Store: s, Now: p.now, Log: logr.Discard()}, p}}
	if c.world.scenario.Git {
		m.Runners = append(m.Runners, syncer{p})
	}
	c.world.running.Go(func() {
		m.Run(p.ctx)
		pool.Close()
	})
}

// reconciler translates times between the clock of a controller and that of the simulation, by which its timers run.
type reconciler struct {
	*upgradeplan.Worker
	process *process
}

func (r reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.Worker.Reconcile(ctx, request)
	switch {
	case r.process.world.seams.sleepy:
		result.RequeueAt = time.Time{}
	case !result.RequeueAt.IsZero():
		result.RequeueAt = result.RequeueAt.Add(-time.Duration(r.process.offset.Load()))
	}
	return result, err
}

func (c *controller) kill() {
	if c.process == nil {
		return
	}
	c.process.kill()
	c.process = nil
}

// randomFor is the randomness of one process.
func (w *world) randomFor(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(w.scenario.Seed, h.Sum64()))
}

// startedByHost is a marker that the host itself wrote for a version.
func startedByHost(s *fleet.Started, version string) bool {
	return s != nil && s.By == "" && s.Version == version
}
