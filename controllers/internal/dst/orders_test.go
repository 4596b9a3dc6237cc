// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// operator runs one command. When it has ended, the scheduler calls end with its error.
func (w *world) operator(what string, run func(context.Context, planstore.Plans, *process) error, end func(error)) {
	w.operators++
	number := w.operators
	p := w.newProcess(fmt.Sprintf("operator#%d", number))
	w.note(p.name, what, "")
	w.running.Go(func() {
		// No two commands end at the same moment.
		ctx, cancel := context.WithTimeout(p.ctx, time.Minute+time.Duration(number)*time.Millisecond)
		defer cancel()
		err := run(ctx, planstore.Plans{Store: port{p}}, p)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = append(w.ended, ended{number, line{time.Since(w.begun), p.name, what, "done"}, err, end})
	})
}

// ended is a command that has ended.
type ended struct {
	number int
	line   line
	err    error
	end    func(error)
}

// settle waits until every process waits, and notes which commands have ended, in the order of their ends.
func (w *world) settle() {
	synctest.Wait()
	w.mu.Lock()
	all := w.ended
	w.ended = nil
	w.mu.Unlock()
	slices.SortFunc(all, func(a, b ended) int {
		return cmp.Or(cmp.Compare(a.line.at, b.line.at), cmp.Compare(a.number, b.number))
	})
	for _, e := range all {
		if e.err != nil {
			e.line.done = e.err.Error()
		}
		w.add(e.line)
		if e.end != nil {
			e.end(e.err)
		}
	}
}

// apply stores a plan, or commits it to the branch from which it comes.
func (w *world) apply(r rules) {
	if w.scenario.Git && w.branch.commits > 0 {
		w.push(r)
		return
	}
	stops := w.referee.lifts("aborted", "fleet")
	w.operator("apply version "+r.Version, func(ctx context.Context, p planstore.Plans, _ *process) error {
		_, _, err := p.Apply(ctx, r.plan(), false)
		return err
	}, stops)
}

// editPlan applies a plan with other rules, or another version.
func (w *world) editPlan(r *rand.Rand) {
	plan := w.scenario.Plan.clone()
	plan.Version = []string{"2", "2", "3", "4", "1"}[r.IntN(5)]
	plan.Global = 1 + r.IntN(3)
	for _, role := range slices.Sorted(maps.Keys(plan.Roles)) {
		plan.Roles[role] = 1 + r.IntN(3)
	}
	plan.Paused = r.IntN(8) == 0
	if plan.MaxFailed >= 0 {
		plan.MaxFailed = r.IntN(5) - 1
	}
	w.apply(plan)
}

// order gives one of the orders of operators.
func (w *world) order(r *rand.Rand) {
	m := w.machines[r.IntN(len(w.machines))]
	if i := slices.IndexFunc(w.machines, (*machine).changes); i >= 0 && r.IntN(2) == 0 { // operators mostly care for hosts that change
		m = w.machines[i]
	}
	if w.starting != nil && !w.starting.truth.gone {
		m = w.starting
	}
	by := fleet.Pause{By: "operator", Reason: "simulated"}
	place := fleet.Place{Scope: fleet.ScopeHost, Name: m.name}
	if r.IntN(3) == 0 {
		place = fleet.Place{Scope: fleet.ScopeRole, Name: m.role}
	}
	ref := w.referee
	switch r.IntN(13) {
	case 0, 1:
		w.pause()
	case 2, 3:
		w.resume(false)
	case 4:
		w.operator("abort", func(ctx context.Context, p planstore.Plans, me *process) error {
			by.Time = me.now()
			_, err := p.Abort(ctx, planName, by)
			return err
		}, ref.stopping("fleet", "aborted"))
	case 5:
		w.undo()
	case 6, 7:
		w.operator("hold "+place.String(), func(ctx context.Context, p planstore.Plans, me *process) error {
			_, err := planstore.Holds{Store: p.Store}.Set(ctx, place, fleet.Hold{Owner: "operator", Time: me.now()})
			return err
		}, ref.stopping(place.String(), "hold"))
	case 8:
		w.unhold(place)
	case 9:
		w.operator("promote", func(ctx context.Context, p planstore.Plans, me *process) error {
			by.Time = me.now()
			_, err := p.Promote(ctx, planName, by, r.IntN(3) == 0)
			return err
		}, nil)
	case 10:
		w.forget(m, false)
	case 11:
		w.operator("set aside "+m.name, func(ctx context.Context, p planstore.Plans, me *process) error {
			by.Time = me.now()
			_, err := p.SetAside(ctx, planName, []string{m.name}, by)
			return err
		}, nil)
	case 12:
		w.retry(place)
	}
}

// undo carries out the last complete revision in place of the spec.
func (w *world) undo() {
	lifted := w.referee.lifts("aborted", "fleet")
	w.operator("undo", func(ctx context.Context, p planstore.Plans, me *process) error {
		by := fleet.Pause{By: "operator", Reason: "simulated", Time: me.now()}
		_, err := p.Undo(ctx, planName, planstore.Undo{Pause: by, Policy: fleet.PinRollback})
		return err
	}, lifted)
}

func (w *world) pause() {
	w.operator("pause", func(ctx context.Context, p planstore.Plans, me *process) error {
		_, err := p.SetPause(ctx, planName, &fleet.Pause{By: "operator", Reason: "simulated", Time: me.now(), Kind: fleet.PausedByOperator})
		return err
	}, w.referee.stopping("fleet", "pause"))
}

// stopAlone lets an operator pause the plan while no controller acts.
func (w *world) stopAlone(r *rand.Rand) {
	d := time.Duration(60+r.IntN(200)) * time.Second
	for _, c := range w.controllers {
		if c.process != nil {
			c.process.pausedUntil = time.Now().Add(d)
		}
	}
	w.note("fault", "pause all controllers for "+d.String(), "")
	w.pause()
}

func (w *world) resume(accept bool) {
	lifted := w.referee.lifts("", "fleet")
	w.operator(fmt.Sprintf("resume (accept-restored: %t)", accept), func(ctx context.Context, p planstore.Plans, me *process) error {
		_, err := p.Resume(ctx, planName, planstore.Resumption{Pause: fleet.Pause{By: "operator", Time: me.now()}, AcceptRestored: accept})
		return err
	}, lifted)
}

func (w *world) unhold(place fleet.Place) {
	lifted := w.referee.lifts("", place.String())
	w.operator("unhold "+place.String(), func(ctx context.Context, p planstore.Plans, _ *process) error {
		_, err := planstore.Holds{Store: p.Store}.Unhold(ctx, place)
		return err
	}, lifted)
}

func (w *world) retry(places ...fleet.Place) {
	w.operator("retry", func(ctx context.Context, p planstore.Plans, me *process) error {
		_, err := p.Retry(ctx, planName, places, fleet.Pause{By: "operator", Time: me.now()})
		return err
	}, nil)
}

func (w *world) forget(m *machine, force bool) {
	lifted := w.referee.lifts("hold", "host/"+m.name)
	w.operator("forget "+m.name, func(ctx context.Context, p planstore.Plans, me *process) error {
		_, err := p.Forget(ctx, planstore.ForgetOptions{Plan: planName, Host: m.name, Force: force, Now: me.now()})
		return err
	}, lifted)
}

// stopping returns what to do when an order to stop has returned: from then on no host may start, if nothing has lifted it since it
// was given.
func (r *referee) stopping(place, what string) func(error) {
	given, restored := r.lifted[place], r.restored
	if r.lifting[place] > 0 { // the plan may be stopped already, so that this order writes nothing, and then be resumed
		return nil
	}
	return func(err error) {
		if err == nil && r.lifted[place] == given && r.lifting[place] == 0 && r.restored.Equal(restored) {
			r.stops[place] = &stop{what: what, at: time.Now()}
		}
	}
}

// lifts notes that an order which ends stops was given: all stops of a place, or those of a kind. The order may be applied at any
// time from now on, also if it seems to have failed.
func (r *referee) lifts(kind, place string) func(error) {
	if stop := r.stops[place]; stop != nil && (kind == "" || stop.what == kind) {
		delete(r.stops, place)
	}
	r.lifted[place]++
	r.lifting[place]++
	return func(error) { r.lifting[place]-- }
}

// recoveryRounds is how often operators do something about what blocks the plan.
const recoveryRounds = 12

// recover ends all faults, and lets operators end what blocks the plan. Then the plan must complete.
func (w *world) recover() {
	w.quiet, w.next = true, nil
	for _, c := range w.controllers {
		if c.process != nil {
			c.process.pausedUntil = time.Time{}
		}
		if c.offset != 0 {
			c.offset = 0
			c.kill()
		}
		c.boot()
	}
	for _, m := range w.machines {
		if m.copied && !m.truth.gone {
			w.removeCopy(m)
		}
		m.failures = 0
		m.maintained, m.unwell = time.Time{}, time.Time{}
		m.setChecks()
		if m.process != nil {
			m.process.pausedUntil = time.Time{}
		}
		if m.offset != 0 {
			m.offset = 0
			m.kill()
		}
		if !m.truth.gone {
			m.boot()
		}
	}
	w.note("world", "the faults end", "")
	why := ""
	for range recoveryRounds {
		w.unblock()
		until := time.Now().Add(30 * time.Minute)
		for time.Now().Before(until) && w.referee.ok() {
			for range 50 {
				w.step()
			}
			if why = w.incomplete(); why == "" {
				w.referee.completed = true
				w.replaceLedger()
				return
			}
		}
		if !w.referee.ok() {
			return
		}
	}
	w.referee.violate("convergence", "not complete long after the last fault: %s", why)
}

// replaceLedger does what docs/how-to/troubleshoot.md says about a ledger that is gone: an operator applies the plan again. Then the
// controller goes on soon: a host that came back at an old version meanwhile is granted.
func (w *world) replaceLedger() {
	m, plan := w.machines[0], keys.Plan(planName)
	stored, err := planstore.DecodePlan(planName, w.referee.get(plan.Spec()))
	rules := w.scenario.Plan // a new ledger knows no promotion, and soaks begin again
	simple := w.scenario.Seed%2 == 0 && rules.Canaries == 0 && rules.MinReadySeconds == 0 && !rules.Windows && w.scenario.Broken == ""
	if !simple || err != nil || m.truth.gone || m.legacy || m.old || m.double || m.disk.version != stored.Spec.Version || m.disk.version == "1" ||
		w.referee.held(m) || w.referee.asides[m.name] != (fleet.SetAside{}) || w.referee.get(keys.Layout{}.HoldFleet()).Exists() {
		return
	}
	if _, err := w.store.Txn(context.Background(), []store.Op{{Verb: store.Delete, Key: plan.Ledger()}}); err != nil {
		panic(err)
	}
	w.note("fault", "the ledger is deleted", "")
	m.downgrade()
	w.pass(40 * time.Second)
	w.operator("apply the same plan", func(ctx context.Context, p planstore.Plans, _ *process) error {
		_, _, err := p.Apply(ctx, stored, false)
		return err
	}, nil)
	w.pass(2 * time.Minute)
	if m.disk.version == "1" && m.truth.running == "" && !w.referee.get(keys.Layout{}.Grant(m.name)).Exists() {
		w.referee.violate("late", "%s is not granted 2m after the plan was applied again", m.name)
	}
}

// pass lets processes run for a while.
func (w *world) pass(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until) && w.referee.ok(); {
		w.step()
	}
}

// unblock gives the orders that status asks for.
func (w *world) unblock() {
	w.deleteInvented()
	o, err := planstore.Observe(context.Background(), w.store, planName, time.Now())
	if err != nil {
		w.apply(w.scenario.Plan)
		return
	}
	w.note("world", "the plan is blocked by", string(o.Decision.Gate.Reason)+" "+o.Decision.Gate.Message)
	if o.Plan.Spec.Paused {
		plan := w.scenario.Plan.clone()
		plan.Version = o.Plan.Spec.Version
		w.apply(plan)
	}
	w.endVanished(o.Plan.Spec.Version)
	for _, h := range o.Fleet.Hosts {
		if m := w.machine(h.Name); m == nil { // a stolen token invented it
			w.forget(&machine{name: h.Name}, true)
		} else if m.truth.gone {
			w.forget(m, true)
		}
		if h.Hold != nil {
			place := fleet.Place{Scope: h.HoldScope, Name: h.Name}
			if h.HoldScope == fleet.ScopeRole {
				place.Name = h.HoldRole
			}
			w.unhold(place)
		}
	}
	control, err := keys.DecodeControl(w.referee.get(keys.Plan(planName).Control()))
	reason := o.Decision.Gate.Reason
	stopped := err != nil || control.Pause != nil || control.Halt != nil || control.Abort != nil
	if stopped || w.quiet || reason == v1alpha1.ReasonStoreWentBack || reason == v1alpha1.ReasonFleetShrank {
		w.resume(reason == v1alpha1.ReasonStoreWentBack)
	}
	w.unblockFailed(o.Decision.Verdicts)
	if o.Decision.Canary != nil {
		by := fleet.Pause{By: "operator", Time: time.Now()}
		w.operator("promote", func(ctx context.Context, p planstore.Plans, _ *process) error {
			_, err := p.Promote(ctx, planName, by, w.scenario.Broken != "")
			return err
		}, nil)
	}
}

// endVanished removes the order of roles from the plan if a role has no hosts any more, for which others would wait.
func (w *world) endVanished(version string) {
	for _, before := range w.scenario.Plan.Order {
		if !slices.ContainsFunc(w.machines, func(m *machine) bool { return m.role == before[0] && !m.truth.gone }) {
			w.scenario.Plan.Order = nil
			plan := w.scenario.Plan.clone()
			plan.Version = version
			w.apply(plan)
			return
		}
	}
}

// unblockFailed sets aside failed hosts whose slots others need, at the end all of them, and lets them try again when no other host needs a slot. A broken
// host stays aside.
func (w *world) unblockFailed(verdicts []rollout.Verdict) {
	var failed, broken []string
	var aside []fleet.Place
	needed := false
	for _, v := range verdicts {
		needed = needed || v.Reason == v1alpha1.ReasonNoFreeSlot
		m := w.machine(v.Host)
		isBroken := m != nil && m.broken
		switch {
		case v.Reason == v1alpha1.ReasonSetAside && !isBroken:
			aside = append(aside, fleet.Place{Scope: fleet.ScopeHost, Name: v.Host})
		case v.State == rollout.Failed && v.Reason != v1alpha1.ReasonSetAside && isBroken:
			broken = append(broken, v.Host)
		case v.State == rollout.Failed && v.Reason != v1alpha1.ReasonSetAside:
			failed = append(failed, v.Host)
		}
	}
	if needed || w.quiet {
		broken = append(broken, failed...)
	}
	if len(broken) > 0 {
		w.operator(fmt.Sprint("set aside ", broken), func(ctx context.Context, p planstore.Plans, me *process) error {
			_, err := p.SetAside(ctx, planName, broken, fleet.Pause{By: "operator", Time: me.now()})
			return err
		}, nil)
	}
	if len(aside) > 0 && !needed {
		w.retry(aside...)
	}
}

// incomplete says why the plan is not complete. Empty means that it is, and that all hosts really have its version.
func (w *world) incomplete() string {
	o, err := planstore.Observe(context.Background(), w.store, planName, time.Now())
	if err != nil {
		return err.Error()
	}
	if o.Decision.Gate.Reason == v1alpha1.ReasonNoHosts && !slices.ContainsFunc(w.machines, func(m *machine) bool { return !m.truth.gone }) {
		return "" // all hosts have left
	}
	broken := w.machine(w.scenario.Broken)
	if !o.Decision.Complete && (broken == nil || broken.truth.gone || !broken.broken || broken.disk.version == o.Decision.Version) {
		why := string(o.Decision.Gate.Reason) + " " + o.Decision.Gate.Message
		for _, v := range o.Decision.Verdicts {
			if v.Reason != v1alpha1.ReasonAtVersion {
				why += fmt.Sprintf("; %s %s: %s", v.Host, v.Reason, v.Message)
			}
		}
		return why
	}
	for _, m := range w.machines {
		unknown := m.legacy && m.disk.version == "" && m.truth.seen == "" // it records nothing, and no key enables it
		if !m.truth.gone && !m.broken && !unknown && m.disk.version != o.Decision.Version {
			return fmt.Sprintf("complete: %t, and %s is at %q", o.Decision.Complete, m.name, m.disk.version)
		}
	}
	return ""
}
