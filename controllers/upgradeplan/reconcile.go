// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/cache"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// Reconciler makes passes over plans. It writes only while Session holds the lock.
type Reconciler struct {
	Store planstore.Store
	// Session is the session that holds keys.Leader. Every transaction checks it.
	Session string
	Now     func() time.Time
	Log     logr.Logger

	// approve is called before the changes of an assessment are written. Its error ends the pass, and so does a conflict then.
	// Nil approves all.
	approve func(*pass.Assessment) error
}

// Result is what a pass did and the state in which it left the plan.
type Result struct {
	// Assessment is the last one; its decision has been carried out.
	*pass.Assessment
	Status  v1alpha1.UpgradePlanStatus
	Written fleetstore.Committed
	// Starts is the number of hosts that the pass granted. Conflicts is the number of refused transactions.
	Starts, Conflicts int
}

// maxConflicts bounds how often a pass starts again after a conflict.
const maxConflicts = 10

// Reconcile makes one pass: it reads, decides and writes what the decision changes, until nothing is left or the free slots
// are filled. After a conflict it reads again. It returns an error when the lock is lost or the store does not answer. What was
// written before stands, and the next pass continues from there.
func (r *Reconciler) Reconcile(ctx context.Context, name string) (Result, error) {
	return r.reconcile(ctx, newPlanState(r.Store, name, stateOptions{now: r.Now}), store.Changes{All: true})
}

// reconcile makes a pass that starts with the state that the last one left, and with what changed since.
func (r *Reconciler) reconcile(ctx context.Context, p *planState, changed store.Changes) (Result, error) {
	var result Result
	request := cache.Request{Changed: changed}
	err := pass.Run(func() (*rollout.Decision, error) {
		if err := r.step(ctx, p, request, &result); err != nil {
			return nil, err
		}
		request = cache.Request{Verify: true}
		return &result.Decision, nil
	})
	return result, err
}

// step decides once and writes what the decision changes. After a conflict it decides again.
func (r *Reconciler) step(ctx context.Context, p *planState, request cache.Request, result *Result) error {
	for {
		request.Now = r.Now()
		o, err := p.observe(ctx, request)
		if err != nil {
			p.cache.Reset()
			return r.refuse(ctx, p, err)
		}
		if r.approve != nil {
			if err := r.approve(o.Assessment); err != nil {
				return err
			}
		}
		result.Assessment = o.Assessment
		result.Status = status.Of(&o.Decision, o.Plan.Status, o.Plan.Generation, o.Now)
		if auditFirst(o.Assessment) {
			r.auditRead(ctx, &p.audit, o.Assessment)
		}
		written, err := r.commit(ctx, o, result.Status, &p.status)
		result.Written.Transactions += written.Transactions
		result.Written.Writes += written.Writes
		if err == nil {
			p.applied(o.Assessment, written, result.Status)
			result.Starts += o.Decision.Starts()
			r.auditRead(ctx, &p.audit, o.Assessment)
			return nil
		}
		err = leaderelection.CheckFence(err, keys.Leader)
		conflict, ok := errors.AsType[*store.ConflictError](err)
		if !ok || errors.Is(err, leaderelection.ErrLost) || result.Conflicts == maxConflicts || r.approve != nil {
			p.cache.Reset()
			return err
		}
		result.Conflicts++
		p.cache.Applied(o.Changes(), written)
		p.cache.Invalidate()
		r.Log.V(1).Info("conflict; reading again", "plan", p.reader.Plan, "conflict", conflict.Error())
		request = cache.Request{}
	}
}

// commit writes what the decision changes, and the status. A status alone may have to wait for its limit.
func (r *Reconciler) commit(ctx context.Context, o observed, now v1alpha1.UpgradePlanStatus, limit *statusLimit) (
	fleetstore.Committed, error) {
	limit.due = time.Time{}
	orders := slices.Concat(controlOp(o.Assessment), fleetHoldOps(o.Assessment))
	c := fleetstore.Commit{
		Fence: fleetstore.Fence{
			Session:   r.Session,
			Unchanged: []keys.Pair{o.Own.Spec, o.Own.Control, o.Keys.Current, o.Own.HoldEpoch},
			Ledger:    o.Own.Ledger,
		},
		Changes: o.Changes(),
		Ledger:  o.Decision.Ledger,
		Last:    orders,
	}
	newStatus := statusOp(o.Own.Status, now)
	if o.Decision.Switch {
		c.Ledger.Version = o.Plan.Spec.Version
	}
	if o.Decision.ReadOnly {
		if o.Decision.Gate.Reason == v1alpha1.ReasonObservationIncomplete { // do not overwrite what cannot be read
			return fleetstore.Committed{}, nil
		}
		c.Ledger = o.Keys.Ledger
	}
	if c.Changes.Empty() && len(orders) == 0 && !ledgerDue(o.Assessment, c.Ledger) {
		if len(newStatus) == 0 || !limit.allow(o.Now) {
			return fleetstore.Committed{}, nil
		}
	}
	events := number(status.Events(&o.Decision, o.Plan.Status, now, corrected(o.drift, c.Changes), o.Now), &c.Ledger)
	c.Optional = [][]store.Op{newStatus, eventOps(o.Plan.Name, events)}
	written, err := c.Run(ctx, r.Store)
	if err == nil {
		r.logEvents(o.Plan.Name, events)
		r.Log.V(1).Info("committed", "plan", o.Plan.Name, "what", written.String(), "starts", o.Decision.Starts())
	}
	return written, err
}

// ledgerDue reports whether the ledger has to be written even if nothing else is. Watermarks alone wait until they are due.
func ledgerDue(a *pass.Assessment, l fleet.Ledger) bool {
	if due := a.Decision.WatermarksDue; !due.IsZero() && !due.After(a.Now) {
		return true
	}
	l.Watermarks = a.Keys.Ledger.Watermarks
	return !reflect.DeepEqual(l, a.Keys.Ledger)
}

// controlOp records a halt or a rollback together with what else the decision changes. The fence checks, in the same
// transaction, that control is as it was read: it overwrites no order of an operator.
func controlOp(a *pass.Assessment) []store.Op {
	if !a.Decision.UpdatesControl() {
		return nil
	}
	control := pass.Control(a.Control, &a.Decision, a.Digest)
	stored := a.Own.Control
	return []store.Op{{Verb: store.CAS, Key: stored.Key, Index: stored.ModifyIndex, Value: keys.EncodeControl(control)},
		planstore.NotifyWatches(stored)}
}

// fleetHoldOps write or remove the hold on the fleet, and move the epoch of holds, so that no agent starts by an earlier read.
func fleetHoldOps(a *pass.Assessment) []store.Op {
	if a.Decision.ReadOnly || a.Decision.FleetHold == a.Fleet.Hold {
		return nil
	}
	stored := a.Keys.Hold(a.Layout.HoldFleet())
	op := store.Op{Verb: store.DeleteCAS, Key: stored.Key, Index: stored.ModifyIndex}
	if hold := a.Decision.FleetHold; hold != nil {
		op = store.Op{Verb: store.CAS, Key: stored.Key, Index: stored.ModifyIndex, Value: keys.EncodeHold(*hold)}
	}
	return []store.Op{op, planstore.MoveEpoch(a.Own.HoldEpoch)}
}

// statusOp writes the status if it differs from the stored one.
func statusOp(stored keys.Pair, s v1alpha1.UpgradePlanStatus) []store.Op {
	data := encodeStatus(s)
	if bytes.Equal(data, stored.Value) || len(data) > maxStatus {
		return nil
	}
	return []store.Op{{Verb: store.Set, Key: stored.Key, Value: data}}
}

func encodeStatus(s v1alpha1.UpgradePlanStatus) []byte {
	data, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("upgradeplan: a status cannot be encoded: %v", err)) // strings, numbers and times only
	}
	return data
}

// maxStatus bounds the status in a transaction. A fleet whose roles need more has no stored status.
const maxStatus = store.MaxBytes / 4
