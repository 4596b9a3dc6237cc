// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// faultKind is what can happen.
type faultKind uint8

const (
	noFault faultKind = iota
	// These happen to the next call.
	loseReply
	failCall
	throttleCall
	delayCall
	// These happen to processes and hosts.
	outage
	killController
	bootController
	pauseController
	clockController
	lateCommit
	killHost
	bootHost
	pauseHost
	clockHost
	failUpgrade
	maintainHost
	failCheck
	reinstallHost
	joinHost
	leaveHost
	renameHost
	copyHost
	renewAgent
	// These are done by operators and others.
	orderPlan
	stopAlone
	editPlan
	undoPlan
	attackRecords
	unblockPlan
	changeKeys
	saveBackup
	restoreBackup
)

var kindNames = map[faultKind]string{loseReply: "lose a reply", failCall: "fail a call", throttleCall: "answer 429", delayCall: "delay a call",
	outage: "outage", killController: "kill a controller", bootController: "boot a controller", pauseController: "pause a controller",
	clockController: "set a controller's clock", lateCommit: "delay a commit until another controller leads", killHost: "kill an agent", bootHost: "boot an agent", pauseHost: "pause an agent",
	clockHost: "set a host's clock", failUpgrade: "fail upgrades", maintainHost: "begin or end maintenance", failCheck: "a check fails or passes", reinstallHost: "reinstall a host", joinHost: "join", leaveHost: "leave",
	renameHost: "rename", copyHost: "a second machine of the same name", renewAgent: "upgrade the agent itself", orderPlan: "order", stopAlone: "pause the plan while no controller acts", editPlan: "edit the plan", undoPlan: "undo", attackRecords: "write records with a stolen token", unblockPlan: "end what blocks the plan", changeKeys: "change keys", saveBackup: "save a backup", restoreBackup: "restore the backup"}

// moment is what an event waits for.
type moment uint8

const (
	atOnce moment = iota
	// atStart is when the transaction by which an agent starts is on its way, and atCommit one that grants.
	atStart
	atCommit
)

// maxArmed is after how many steps an event does not wait any longer.
const maxArmed = 400

// event is one fault, at a step or at the first moment after it. Rand decides its details.
type event struct {
	Step int
	Kind faultKind
	Rand uint64
	At   moment
}

func (e event) String() string {
	return fmt.Sprintf("step %d%s: %s (%x)", e.Step, [...]string{"", ", at a start", ", at a commit"}[e.At], kindNames[e.Kind], e.Rand)
}

// due says whether an event happens now. It may delay the transaction that it waits for, so that the event comes before it.
func (w *world) due(e event) bool {
	w.starting = nil
	if e.At == atOnce || w.steps > e.Step+maxArmed {
		return true
	}
	found := w.waiting(e.At)
	if found != nil && e.At == atStart {
		w.starting = found.process.machine
	}
	if found != nil && e.Rand%2 == 0 {
		found.notBefore = time.Now().Add(time.Duration(1+e.Rand%97) * time.Second)
		found.process.disturbed = found.notBefore
	}
	return found != nil
}

// waiting is the first transaction of a moment that is on its way. Nil means none.
func (w *world) waiting(at moment) (found *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.parked {
		if !c.orphan && c.grants(at) && (found == nil || c.process.name < found.process.name) {
			found = c
		}
	}
	return found
}

// grants says whether the call is a transaction of a moment.
func (c *call) grants(at moment) bool {
	return slices.ContainsFunc(c.ops, func(op store.Op) bool {
		of := c.process.leads && op.Verb == store.CAS
		if at == atStart {
			of = c.process.machine != nil && op.Verb == store.CheckIndex
		}
		return of && strings.HasPrefix(op.Key, keys.Layout{}.GrantTree())
	})
}

// weights say how often each kind comes.
var weights = []struct {
	kind   faultKind
	weight int
}{
	{loseReply, 12}, {failCall, 8}, {throttleCall, 5}, {delayCall, 12}, {outage, 1},
	{killController, 3}, {bootController, 6}, {pauseController, 2}, {clockController, 1}, {lateCommit, 9},
	{killHost, 6}, {bootHost, 12}, {pauseHost, 3}, {clockHost, 2}, {failUpgrade, 3}, {maintainHost, 3}, {failCheck, 3},
	{reinstallHost, 2}, {joinHost, 2}, {leaveHost, 1}, {renameHost, 1}, {copyHost, 4},
	{orderPlan, 10}, {stopAlone, 2}, {editPlan, 6}, {unblockPlan, 6}, {changeKeys, 2},
}

// newEvents makes the faults of a scenario: up to one each 25 steps.
func newEvents(r *rand.Rand, steps int) []event {
	total := 0
	var enabled []int
	for i, w := range weights { // each scenario has some kinds only, so that all faults do not hide each other
		if r.IntN(3) > 0 {
			enabled = append(enabled, i)
			total += w.weight
		}
	}
	var events []event
	most := 25 << r.IntN(4)
	for step := r.IntN(most); step < steps && total > 0; step += 1 + r.IntN(most) {
		pick := r.IntN(total)
		for _, i := range enabled {
			if pick -= weights[i].weight; pick < 0 {
				e := event{step, weights[i].kind, r.Uint64(), []moment{atOnce, atOnce, atStart, atCommit}[r.IntN(4)]}
				if e.Kind == lateCommit {
					e.At = atCommit
				}
				events = append(events, e)
				break
			}
		}
	}
	return events
}

// withRestores adds up to three backups, each saved while an agent starts, and restored later.
func withRestores(r *rand.Rand, events []event, steps int) []event {
	for range 1 + r.IntN(3) {
		saved := r.IntN(steps / 2)
		restored := saved + []int{20 + r.IntN(200), 500 + r.IntN(1000)}[r.IntN(2)]
		events = append(events, event{saved, saveBackup, r.Uint64(), atStart}, event{saved + 20 + r.IntN(200), editPlan, r.Uint64(), atOnce},
			event{restored, restoreBackup, r.Uint64(), atOnce})
	}
	return sorted(events)
}

// withFailures adds upgrades that fail, edits, and orders to go back.
func withFailures(r *rand.Rand, events []event, steps int) []event {
	for range r.IntN(6) {
		events = append(events, event{r.IntN(steps), undoPlan, r.Uint64(), atStart}, event{r.IntN(steps), editPlan, r.Uint64(), atOnce})
	}
	for step := r.IntN(100); step < steps; step += 1 + r.IntN(100) {
		events = append(events, event{step, failUpgrade, r.Uint64(), atOnce})
	}
	return sorted(events)
}

// withOutages adds hosts in maintenance, and failing checks.
func withOutages(r *rand.Rand, events []event, steps int) []event {
	for step := r.IntN(200); step < steps; step += 1 + r.IntN(200) {
		events = append(events, event{step, []faultKind{maintainHost, failCheck}[r.IntN(2)], r.Uint64(), atOnce})
	}
	return sorted(events)
}

func sorted(events []event) []event {
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.Step, b.Step) })
	return events
}

// inject makes an event happen.
func (w *world) inject(e event) {
	r := rand.New(rand.NewPCG(e.Rand, 3))
	switch e.Kind {
	case loseReply, failCall, throttleCall, delayCall:
		w.next = append(w.next, e.Kind)
	case outage:
		for range 5 + r.IntN(40) {
			w.next = append(w.next, throttleCall)
		}
		w.note("fault", "outage", "")
	case killController, bootController, pauseController, clockController:
		w.injectController(e.Kind, w.controllers[r.IntN(len(w.controllers))], r)
	case lateCommit:
		w.lateCommit(r)
	case killHost, bootHost, pauseHost, clockHost, failUpgrade, maintainHost, failCheck, reinstallHost, leaveHost, renameHost, copyHost:
		w.injectHost(e.Kind, w.machines[r.IntN(len(w.machines))], r)
	case joinHost:
		w.join(r)
	case renewAgent:
		w.renewAgent()
	case orderPlan:
		w.order(r)
	case stopAlone:
		w.stopAlone(r)
	case editPlan:
		w.editPlan(r)
	case undoPlan:
		w.undo()
	case attackRecords:
		w.attack(r)
	case unblockPlan:
		w.unblock()
	case changeKeys:
		w.changeKeys(r)
	case saveBackup:
		backup := w.store.Snapshot()
		w.backup = &backup
		w.note("fault", "save a backup", "")
	case restoreBackup:
		w.restore(r)
	}
}

func (w *world) injectController(kind faultKind, c *controller, r *rand.Rand) {
	name := kindNames[kind]
	switch {
	case kind == bootController:
		if c.process != nil {
			return
		}
		c.boot()
	case c.process == nil:
		return
	case kind == killController:
		c.kill()
	case kind == pauseController:
		d := time.Duration(5+r.IntN(300)) * time.Second
		c.process.pausedUntil = time.Now().Add(d)
		name += " for " + d.String()
	case kind == clockController:
		c.kill()
		c.offset, c.world.clockSet = wrongClock(r), true
		c.boot()
		name += ": " + c.offset.String()
	}
	w.note("fault", c.name+": "+name, "")
}

// lateCommit kills the leader while a commit that grants is on its way. The commit arrives when another controller leads, or the
// same one again. Meanwhile a host that was upgraded has an old version again, so that the next leader grants another host.
func (w *world) lateCommit(r *rand.Rand) {
	commit := w.waiting(atCommit)
	i := slices.IndexFunc(w.controllers, func(c *controller) bool { return commit != nil && c.process == commit.process })
	if i < 0 {
		return
	}
	d := time.Duration(45+r.IntN(120)) * time.Second
	commit.notBefore, commit.late = time.Now().Add(d), true
	w.note("fault", w.controllers[i].name+": killed, and its commit arrives after "+d.String(), "")
	w.controllers[i].kill()
	w.controllers[i].boot()
	for _, m := range w.machines {
		if !m.truth.gone && !m.legacy && !m.old && m.truth.running == "" && m.disk.version != "1" && m.disk.version != "" && r.IntN(2) == 0 {
			m.downgrade()
			return
		}
	}
}

// wrongClock is wrong by seconds, hours or years, or right. The process then starts again: while it runs, Go compares times by the
// monotonic clock, which a simulation cannot keep while it steps the other one.
func wrongClock(r *rand.Rand) time.Duration {
	d := []time.Duration{0, 10 * time.Second, 3 * time.Hour, 3 * 365 * 24 * time.Hour}[r.IntN(4)]
	if r.IntN(2) == 0 {
		return -d
	}
	return d
}

func (w *world) injectHost(kind faultKind, m *machine, r *rand.Rand) {
	name := kindNames[kind]
	switch {
	case m.truth.gone:
		return
	case kind == bootHost:
		if m.process != nil {
			return
		}
		m.boot()
	case kind == failUpgrade:
		m.failures = 1 + r.IntN(3)
	case kind == copyHost:
		w.copyMachine(m)
		return
	case kind == maintainHost:
		m.maintained = toggled(m.maintained)
		m.setChecks()
	case kind == failCheck:
		m.unwell = toggled(m.unwell)
		m.setChecks()
	case kind == reinstallHost:
		m.reinstall([]string{"", "1", "1"}[r.IntN(3)])
		name += " at " + m.disk.version
	case kind == leaveHost || kind == renameHost:
		if len(w.machines) < 3 {
			return
		}
		m.kill()
		m.truth.gone, m.truth.running = true, ""
		m.maintained, m.unwell = time.Time{}, time.Time{}
		m.setChecks()
		if kind == renameHost {
			w.addMachine(machine{name: fmt.Sprint(m.role, 50+len(w.machines)), legacy: m.legacy}, m.disk.version)
		}
	case m.process == nil:
		return
	case kind == killHost:
		m.kill()
	case kind == pauseHost:
		d := time.Duration(5+r.IntN(600)) * time.Second
		m.process.pausedUntil = time.Now().Add(d)
		name += " for " + d.String()
	case kind == clockHost:
		m.kill()
		m.offset = wrongClock(r)
		m.boot()
		name += ": " + m.offset.String()
	}
	w.note("fault", m.name+": "+name, "")
}

// toggled is now if the time is zero, and else zero.
func toggled(since time.Time) time.Time {
	if since.IsZero() {
		return time.Now()
	}
	return time.Time{}
}

// reinstall replaces the disk. The host forgets everything.
func (m *machine) reinstall(version string) {
	m.kill()
	m.install(version)
	m.world.byHand[version] = true
	before := m.truth // it stays set aside: its name is
	m.truth = truth{seen: before.seen, seenAt: before.seenAt, reinstalled: true, startedAt: before.startedAt, rollout: before.rollout,
		attempts: before.attempts, aside: before.aside}
	m.boot()
}

// downgrade gives the host an old version again, by hand.
func (m *machine) downgrade() {
	m.world.note("fault", m.name+" has version 1 again", "")
	m.kill()
	m.disk.version = "1"
	m.world.byHand["1"] = true
	m.boot()
}

func (w *world) addMachine(m machine, version string) *machine {
	m.world, m.role = w, fleet.RoleOf(m.name)
	m.install(version)
	w.machines = append(w.machines, &m)
	m.boot()
	return &m
}

// copyMachine switches on a second machine with the name of a host, or switches it off for good.
func (w *world) copyMachine(m *machine) {
	for _, o := range w.machines {
		if o.copied && o.name == m.name && !o.truth.gone {
			w.removeCopy(o)
			return
		}
	}
	if m.legacy || m.old || m.truth.gone || len(w.machines) > 20 {
		return
	}
	w.note("fault", m.name+": a second machine of this name at "+m.disk.version, "")
	c := &machine{world: w, name: m.name, role: m.role, double: true, copied: true}
	m.double = true
	c.install(m.disk.version)
	w.byHand[m.disk.version] = true
	w.machines = append(w.machines, c)
	c.boot()
}

func (w *world) removeCopy(c *machine) {
	w.note("fault", c.name+": the second machine of this name ends", "")
	c.kill()
	c.truth.gone, c.truth.running = true, ""
}

// join adds a host: without a version, or from an old image.
func (w *world) join(r *rand.Rand) {
	if len(w.machines) > 20 {
		return
	}
	role := w.machines[r.IntN(len(w.machines))].role
	m := w.addMachine(machine{name: fmt.Sprint(role, 20+len(w.machines))}, []string{"", "1"}[r.IntN(2)])
	w.byHand[m.disk.version] = true
	w.note("fault", m.name+": join at "+m.disk.version, "")
}

// restore restores the backup of the store, if there is one. Some restores follow a power cut: all hosts start again, and controllers
// come later.
func (w *world) restore(r *rand.Rand) {
	if w.backup == nil {
		return
	}
	if r.IntN(3) > 0 {
		w.powerCut(time.Duration(60+r.IntN(200)) * time.Second)
	}
	w.store.Restore(*w.backup)
	w.referee.storeRestored()
	w.note("fault", "restore the backup", "")
}

// powerCut starts all running processes again. Controllers come after a while.
func (w *world) powerCut(controllers time.Duration) {
	w.note("fault", "a power cut, controllers are back in "+controllers.String(), "")
	for _, m := range w.machines {
		if m.process != nil {
			m.kill()
			m.boot()
		}
	}
	for _, c := range w.controllers {
		if c.process != nil {
			c.kill()
			c.boot()
			c.process.pausedUntil = time.Now().Add(controllers)
		}
	}
}

// changeKeys changes keys as others may, by docs/how-to/troubleshoot.md.
func (w *world) changeKeys(r *rand.Rand) {
	l, plan := keys.Layout{}, keys.Plan(planName)
	m := w.machines[r.IntN(len(w.machines))]
	op := []store.Op{
		{Verb: store.Delete, Key: plan.Status()},
		{Verb: store.Set, Key: plan.Status(), Value: []byte("{")},
		{Verb: store.Delete, Key: l.EnableHost(m.name)},
		{Verb: store.Set, Key: l.EnableHost(m.name), Value: []byte("False")},
		{Verb: store.Delete, Key: l.EnableRole(m.role)},
		{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte("False")},
		{Verb: store.DeleteTree, Key: plan.Events()},
	}[r.IntN(7)]
	if _, err := w.store.Txn(context.Background(), []store.Op{op}); err != nil {
		panic(err)
	}
	w.note("fault", fmt.Sprintf("another writer: %s %s %s", op.Verb, short(op.Key), op.Value), "")
}

// install brings up the fleet and the controllers, and applies the plan.
func (w *world) install() {
	s := w.scenario
	for _, host := range s.Hosts {
		legacy := slices.Contains(s.Legacy, host)
		w.addMachine(machine{name: host, legacy: legacy, old: slices.Contains(s.Old, host), broken: host == s.Broken && !legacy}, "1")
	}
	if _, err := w.store.Txn(context.Background(), []store.Op{{Verb: store.Set, Key: keys.Layout{}.CurrentVersion(), Value: []byte("1")}}); err != nil {
		panic(err)
	}
	for i := range s.Controllers {
		c := &controller{world: w, name: fmt.Sprint("controller", i+1)}
		w.controllers = append(w.controllers, c)
	}
	for range 6 * len(w.machines) { // each host records its version
		w.step()
	}
	if errs := validation.ValidateUpgradePlan(s.Plan.plan()); len(errs) > 0 {
		panic(errs.ToAggregate())
	}
	w.apply(s.Plan)
	for !w.referee.get(keys.Plan(planName).Spec()).Exists() {
		w.step()
	}
	if s.Git {
		w.push(s.Plan)
	}
	for _, c := range w.controllers {
		c.boot()
	}
	w.steps = 0
}
