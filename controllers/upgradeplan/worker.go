// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Worker reconciles the plans of a store for a manager, and logs what each pass changed. Between the passes of a term it
// caches each plan and its fleet. It is safe for concurrent passes over different plans.
type Worker struct {
	Store planstore.Store
	Now   func() time.Time
	Log   logr.Logger
	// Observer is called after each pass, unless the pass was interrupted by the end of its context. It may be nil.
	Observer Observer
	// FullReadInterval is the least time between two full reads of a fleet because of changes that nothing explains. Zero means
	// a millisecond for each key, 30 seconds at most.
	FullReadInterval time.Duration

	mu     sync.Mutex
	states map[string]termState // by plan
	seen   map[string]*seenLedger
}

// termState is the state of a plan in the term of a session.
type termState struct {
	session string
	*planState
}

// Plans returns the names of all plans, also of those that cannot be read.
func (w *Worker) Plans(ctx context.Context) ([]string, error) {
	return planstore.Plans{Store: w.Store}.Names(ctx)
}

// Reconcile makes one pass over a plan. It reads what changed since the last one.
func (w *Worker) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	plan := request.Plan
	p := w.state(request.Session, plan)
	changes, err := p.planChanges(ctx, w.Store, request.Changes)
	if err != nil {
		return reconcile.Result{}, err
	}
	if p.idle(changes, w.Now()) {
		return reconcile.Result{RequeueAt: p.dueAt()}, nil
	}
	r := Reconciler{Store: planstore.UncancelableStore{Store: w.Store}, Session: request.Session, Now: w.Now, Log: w.Log}
	begun := w.Now()
	result, err := r.reconcile(ctx, p, changes)
	if w.Observer != nil && ctx.Err() == nil {
		w.observe(plan, begun, result, err)
	}
	if result.Written.Writes > 0 {
		w.Log.Info("reconciled", "plan", plan, "phase", result.Status.Phase, "starts", result.Starts,
			"hosts", status.Line(result.Status), "written", result.Written.String())
	}
	if _, gone := errors.AsType[*planstore.NotFoundError](err); gone {
		w.forget(plan)
		return reconcile.Result{}, err
	}
	if _, invalid := errors.AsType[*planstore.InvalidPlanError](err); invalid {
		return reconcile.Result{Watches: []store.Watch{plansWatch()}}, err
	}
	if result.Assessment == nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAt: p.dueAt(), Watches: Watches(result.Assessment)}, err
}

// state returns the state of a plan in this term.
func (w *Worker) state(session, plan string) *planState {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.states[plan]; ok && s.session == session {
		return s.planState
	}
	if w.states == nil {
		w.states, w.seen = map[string]termState{}, map[string]*seenLedger{}
	}
	if w.seen[plan] == nil {
		w.seen[plan] = &seenLedger{}
	}
	p := newPlanState(w.Store, plan, stateOptions{fullReadInterval: w.FullReadInterval, seen: w.seen[plan], now: w.Now})
	w.states[plan] = termState{session, p}
	return p
}

func (w *Worker) forget(plan string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.states, plan)
}

// Observer is called after each pass of a worker, also after one that failed, by several goroutines at once.
type Observer interface {
	Reconciled(p Pass)
}

// Pass is one pass over a plan, as far as it came.
type Pass struct {
	Plan string
	// Version is the version that the plan carries out. Version and Status are empty if the plan could not be read.
	Version string
	Status  v1alpha1.UpgradePlanStatus
	// Roles are all roles of the plan. The status has the first of them only.
	Roles []v1alpha1.RoleStatus
	// Failed are the hosts that count and have failed.
	Failed []string
	// Agents counts the agents of each version. The version is empty if an agent does not report it.
	Agents map[string]int
	// Starts is the number of hosts that were granted, Transactions that of applied and Conflicts that of refused transactions.
	Starts, Transactions, Conflicts int
	Begun                           time.Time
	Took                            time.Duration
	// Err is a *NotFoundError when the plan does not exist.
	Err error
}

// observe tells the observer of a pass that ends now.
func (w *Worker) observe(plan string, begun time.Time, r Result, err error) {
	p := Pass{Plan: plan, Status: r.Status, Starts: r.Starts, Transactions: r.Written.Transactions, Conflicts: r.Conflicts,
		Begun: begun, Took: w.Now().Sub(begun), Err: err}
	if r.Assessment != nil {
		p.Version = r.Decision.Version
		p.Roles = r.Status.Roles
		if r.Status.RolesOmitted > 0 {
			p.Roles = status.Roles(&r.Decision)
		}
		p.Failed, p.Agents = failed(&r.Decision), agents(r.Assessment.Fleet.Hosts)
	}
	w.Observer.Reconciled(p)
}

// agents counts the agents of each version.
func agents(hosts []fleet.Host) map[string]int {
	counts := map[string]int{}
	for i := range hosts {
		if h := &hosts[i]; h.Agent() {
			counts[h.AgentVersion()]++
		}
	}
	return counts
}

func failed(d *rollout.Decision) []string {
	var hosts []string
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Counts && v.State == rollout.Failed {
			hosts = append(hosts, v.Host)
		}
	}
	return hosts
}
