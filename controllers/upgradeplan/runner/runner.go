// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// Observer sees how a plan is carried out. The runner calls it from one goroutine.
type Observer interface {
	// Waiting is called once for each command that holds the lock while the runner waits for it.
	Waiting(holder *leaderelection.LockHeldError)
	// Following is called when a controller holds the lock, before the runner follows it.
	Following(leader *leaderelection.LockHeldError)
	// Observed is called with what each pass saw, and with the status that follows from it.
	Observed(o *pass.Assessment, s v1alpha1.UpgradePlanStatus)
	// Retrying is called with an error after which the runner tries again.
	Retrying(err error)
}

// Runner carries out one plan.
type Runner struct {
	Store store.Store
	Plan  string
	// Holder is the text by which others see who holds the lock.
	Holder string
	Now    func() time.Time
	Log    logr.Logger
	// UntilComplete makes passes until the plan is complete or cannot go on. Without it, Run makes one pass.
	UntilComplete bool
	// Interval is the time between two passes. It must be above 0.
	Interval time.Duration
	// LockTimeout bounds the wait for a lock that another command holds.
	LockTimeout time.Duration
	// Prepare is called once, when it is clear who writes and before the first pass. Nil means nothing to prepare.
	Prepare  func(context.Context) error
	Observer Observer
}

// Outcome is where Run left the plan.
type Outcome struct {
	Status v1alpha1.UpgradePlanStatus
	// Result is the result of the last pass. Nil means that a controller carried out the plan.
	Result *upgradeplan.Result
}

// errNoLeader reports that the controller that the runner followed has given up the lock.
var errNoLeader = errors.New("the leader has given up the lock")

// Run carries out the plan: by passes of its own, or by following the controller that leads. The outcome is nil when there is
// nothing to report but the error.
func (r *Runner) Run(ctx context.Context) (*Outcome, error) {
	for prepare := r.Prepare; ; prepare = nil {
		lease, leader, err := Acquire(ctx, r.Store, r.Holder, r.LockTimeout, r.Observer.Waiting)
		switch {
		case err != nil:
			return nil, err
		case leader == nil:
			return r.lead(lease, prepare) //nolint:contextcheck // the context of the lease is derived from ctx
		}
		r.Observer.Following(leader)
		if prepare != nil {
			if err := prepare(ctx); err != nil {
				return nil, err
			}
		}
		if outcome, err := r.follow(ctx, r.leaderExists); !errors.Is(err, errNoLeader) {
			return outcome, err
		}
	}
}

// Await waits until the plan is complete or cannot go on. It takes no lock: another process makes the passes.
func (r *Runner) Await(ctx context.Context) error {
	_, err := r.follow(ctx, nil)
	return err
}

// lead makes passes while the lease lasts, and releases it.
func (r *Runner) lead(lease *leaderelection.Lease, prepare func(context.Context) error) (outcome *Outcome, err error) {
	defer func() { err = errors.Join(err, lease.Release()) }()
	ctx := lease.Context()
	if prepare != nil {
		if err := prepare(ctx); err != nil {
			return nil, err
		}
	}
	reconciler := upgradeplan.Reconciler{Store: r.Store, Session: lease.Session(), Now: r.Now, Log: r.Log}
	err = r.poll(ctx, func(ctx context.Context) (done bool, err error) {
		result, err := reconciler.Reconcile(ctx, r.Plan)
		if _, away := errors.AsType[*store.UnavailableError](err); away && r.UntilComplete && ctx.Err() == nil {
			r.Observer.Retrying(err) // the lease bounds how long this goes on
			return false, nil
		}
		if err != nil {
			return false, err
		}
		r.Observer.Observed(result.Assessment, result.Status)
		done, err = Terminal(result.Status, &result.Decision)
		if done || !r.UntilComplete {
			outcome = &Outcome{Status: result.Status, Result: &result}
			return true, nil
		}
		return false, err
	})
	return outcome, err
}

// follow observes the plan until it is complete or cannot go on, or without UntilComplete until nothing is left for one pass.
// It calls check, which may be nil, after each observation.
func (r *Runner) follow(ctx context.Context, check func(context.Context) error) (outcome *Outcome, err error) {
	err = r.poll(ctx, func(ctx context.Context) (done bool, err error) {
		o, err := planstore.Observe(ctx, r.Store, r.Plan, r.Now())
		if err != nil {
			return false, err
		}
		now := describe.Status(o)
		r.Observer.Observed(o, now)
		if r.UntilComplete {
			done, err = Terminal(now, &o.Decision)
		} else {
			done = !o.Decision.NeedsAnotherPass() && o.Changes().Empty()
		}
		if done {
			outcome = &Outcome{Status: now}
		}
		if err == nil && !done && check != nil {
			err = check(ctx)
		}
		return done, err
	})
	return outcome, err
}

func (r *Runner) leaderExists(ctx context.Context) error {
	held, err := leaderelection.LockHolder(ctx, r.Store, keys.Leader)
	if err == nil && held == nil {
		return errNoLeader
	}
	return err
}

// poll calls pass every interval until it returns true or an error. When the context ends, the error is its cause.
func (r *Runner) poll(ctx context.Context, pass wait.ConditionWithContextFunc) error {
	err := wait.PollUntilContextCancel(ctx, r.Interval, true, pass)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Terminal returns true if a plan is complete, and an error if it cannot go on until an operator acts.
func Terminal(s v1alpha1.UpgradePlanStatus, d *rollout.Decision) (complete bool, err error) {
	switch {
	case s.Phase == v1alpha1.PhaseComplete:
		return true, nil
	case s.Phase == v1alpha1.PhaseStalled:
		stalled := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled)
		return false, fmt.Errorf("the rollout has stalled: %s: %s", stalled.Message, status.Line(s))
	case stopped(s.Phase) && s.Hosts.InFlight <= s.Hosts.Failed:
		return false, fmt.Errorf("%s: %s", d.Gate.Message, status.Line(s))
	}
	return false, nil
}

// stopped reports whether an operator or the failure budget stops the plan.
func stopped(phase v1alpha1.Phase) bool {
	return phase == v1alpha1.PhasePaused || phase == v1alpha1.PhaseAborted || phase == v1alpha1.PhaseHalted
}
