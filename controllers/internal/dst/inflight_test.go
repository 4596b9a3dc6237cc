// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"context"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

// decision is when a controller decided a grant, in the time of the simulation, and what it granted.
type decision struct {
	machine *machine
	grant   *fleet.Grant
	at      time.Time
	// by is the controller.
	by *process
}

// slots checks a grant against hosts that take a slot although they do not run: those that soak, and those in maintenance. The limit
// for running hosts is checked when a host starts. One that has failed takes its slot already.
func (r *referee) slots(d decision) {
	if !r.restored.IsZero() || d.machine.truth.running != "" && d.machine.truth.from != "" {
		return
	}
	running, soaking, down := 0, 0, 0
	for _, o := range r.world.machines {
		switch {
		case o == d.machine || o.role != d.machine.role || o.truth.gone || o.legacy || o.double || o.disk.version == "" || r.newcomers[o.name] || r.gaveUp(o):
		case o.truth.running != "" && o.truth.from != "" && !o.truth.unseen || r.isGranted(o, d.grant):
			running++
		case r.soaks(o, d):
			soaking++
		case r.world.scenario.Plan.AlsoCount && !o.maintained.IsZero() && d.at.Sub(o.maintained) > late:
			down++
		}
	}
	limit := r.roleLimit(r.specsSince(time.Now()), d.machine.role)
	switch {
	case running+soaking+down < limit:
	case soaking > 0:
		r.violate("soak", "%s was granted while %d hosts of %s ran and %d soaked, the limit is %d", d.machine.name, running, d.machine.role, soaking, limit)
	case down > 0:
		r.violate("maintenance", "%s was granted while %d hosts of %s ran and %d were in maintenance, the limit is %d", d.machine.name, running,
			d.machine.role, down, limit)
	}
}

// soaks says that a host has reached the version of a grant in the same rollout, for less than minReadySeconds. A controller whose
// clock is set measures another time, which nothing in the store can correct.
func (r *referee) soaks(o *machine, d decision) bool {
	minReady := time.Duration(r.world.scenario.Plan.MinReadySeconds) * time.Second
	return minReady > 0 && !r.world.clockSet && o.disk.version == d.grant.Version && o.truth.finished == d.grant.Rollout && d.at.Sub(o.truth.seenAt) < minReady
}

// isGranted says that a host has a grant of the same rollout, which it has not used.
func (r *referee) isGranted(o *machine, by *fleet.Grant) bool {
	g := keys.DecodeGrant(r.get(r.layout.Grant(o.name)))
	return g != nil && g.Rollout == by.Rollout && o.disk.version != g.Version
}

// unhealthy checks a grant against healthGate.maxUnhealthy.
func (r *referee) unhealthy(d decision) {
	if r.world.scenario.Plan.MaxUnhealthy < 0 || !r.restored.IsZero() {
		return
	}
	n := 0
	for _, o := range r.world.machines {
		if !o.truth.gone && !o.double && o.truth.seen != "" && !o.unwell.IsZero() && o.maintained.IsZero() && d.at.Sub(o.unwell) > late {
			n++
		}
	}
	if most := r.world.scenario.Plan.MaxUnhealthy; n > most {
		r.violate("health", "%s was granted while %d hosts were unhealthy for %s, maxUnhealthy is %d", d.machine.name, n, late, most)
	}
}

// budget checks a grant against failurePolicy.maxFailed: hosts that failed in this rollout, long ago and after the last resume.
func (r *referee) budget(d decision) {
	n := 0
	for _, o := range r.world.machines {
		f := o.truth.failed
		if !o.truth.gone && !o.double && !r.held(o) && f.rollout == d.grant.Rollout && f.rollout != 0 && f.at.After(r.resumed) && f.at.After(r.restored) && d.by.noticed(f.at, d.at) {
			n++
		}
	}
	if most := r.maxFailed(d.grant.Version); n > most {
		r.violate("budget", "%s was granted although %d hosts have failed, maxFailed is %d", d.machine.name, n, most)
	}
}

// held says that there is a hold on a host or its role.
func (r *referee) held(m *machine) bool {
	return r.get(r.layout.HoldHost(m.name)).Exists() || r.get(r.layout.HoldRole(m.role)).Exists()
}

// maxFailed is that of the spec which has a version: the stored one, or the pinned revision. A rollback goes by the stricter of both.
func (r *referee) maxFailed(version string) int {
	of := func(key string) (spec v1alpha1.UpgradePlanSpec, most int) {
		plan, err := planstore.DecodePlan(planName, r.get(key))
		if err != nil || plan.Spec.FailurePolicy.MaxFailed == nil {
			return plan.Spec, unlimited
		}
		return plan.Spec, plan.Spec.FailurePolicy.MaxFailed.IntValue()
	}
	spec, most := of(keys.Plan(planName).Spec())
	control, err := keys.DecodeControl(r.get(keys.Plan(planName).Control()))
	if err != nil || control.Pin == nil {
		return most
	}
	pinned, earlier := of(keys.Plan(planName).Revision(control.Pin.Revision))
	switch {
	case spec.Version == version && pinned.Version == version:
		return max(most, earlier)
	case spec.Version == version:
		return most
	case control.Pin.Policy == fleet.PinRollback:
		return min(most, earlier)
	}
	return earlier
}

// unexplained checks a halt because hosts reached the version without a grant, or too fast. In a world in which no other program
// changes hosts to that version, there is no such host.
func (r *referee) unexplained(halt *fleet.Halt) {
	if halt == nil || halt.Cause != string(v1alpha1.ReasonUnexplainedUpgrade) || !r.restored.IsZero() {
		return
	}
	doubled := slices.ContainsFunc(r.world.machines, func(m *machine) bool { return m.double })
	if !doubled && !r.world.byHand[halt.Version] {
		r.violate("unexplained", "the plan was halted although grants explain all changes to %s: %s", halt.Version, halt.Reason)
	}
}

// invented says that there are records of hosts which do not exist.
func (r *referee) invented() bool {
	pairs, _, err := r.world.store.List(context.Background(), keys.RunningVersions)
	if err != nil {
		panic(err)
	}
	return slices.ContainsFunc(pairs, func(p keys.Pair) bool {
		_, host, ok := r.layout.RecordTrees().Cut(p.Key)
		return ok && r.world.machine(host) == nil
	})
}

// accepted is how many invented hosts may count in any role. An operator who accepts a fleet that has grown accepts a number of hosts
// without a report, which the ledger keeps.
func (r *referee) accepted() int {
	if !r.grown {
		return 0
	}
	ledger, err := keys.DecodeLedger(r.get(keys.Plan(planName).Ledger()))
	if err != nil {
		return 0
	}
	return ledger.Base.Legacy
}

// roleLimit is the highest limit of a role. Percentages are of all machines that the role has ever had, and of
// the hosts that an operator has accepted.
func (r *referee) roleLimit(specs []v1alpha1.UpgradePlanSpec, role string) int {
	hosts := r.accepted()
	for _, m := range r.world.machines {
		if m.role == role && !m.copied {
			hosts++
		}
	}
	limit := 0
	for _, spec := range specs {
		rules, of := spec.Instructions.RollingRules, unlimited
		if n, ok := rules.Roles[role]; ok {
			of = n.IntValue()
		} else if rules.Global != nil {
			n, percent, err := v1alpha1.ParseLimit(*rules.Global)
			if err != nil {
				panic(err)
			}
			if of = n; percent {
				of = max(1, hosts*n/100)
			}
		}
		limit = max(limit, of)
	}
	return limit
}

// knownAfter is after what time two machines of one name must have noticed each other, if nothing disturbs them.
const knownAfter = 30 * time.Minute

// duplicate checks that neither of two machines of one name starts a change once they know each other.
func (r *referee) duplicate(m *machine, marker fleet.Started) {
	for _, o := range r.world.machines {
		if o == m || o.name != m.name || o.process == nil || m.process == nil {
			continue
		}
		since := m.booted
		for _, t := range []time.Time{o.booted, m.process.pausedUntil, o.process.pausedUntil, r.restored} {
			if t.After(since) {
				since = t
			}
		}
		if time.Since(since) > knownAfter {
			r.violate("duplicate", "%s started %s while another machine of its name had run for %s", m.name, marker.Version,
				time.Since(since).Round(time.Second))
		}
	}
}
