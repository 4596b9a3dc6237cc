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
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Reconciler brings the keys of a plan's fleet to what its rules give. It writes only while Session holds the lock.
type Reconciler struct {
	Store Store
	// Session is the one that holds keys.Leader; every transaction checks it.
	Session string
	Now     func() time.Time
	Log     logr.Logger

	// approve is asked before the changes of an observation are written; its error ends the pass, and so does a conflict
	// then. Nil: all are.
	approve func(*Observation) error
}

// Result is what a pass did and where it left the plan.
type Result struct {
	// Observation is the last one; its decision has been carried out.
	*Observation
	Status  v1alpha1.UpgradePlanStatus
	Written store.Committed
	// Starts are the hosts that the pass released.
	Starts int
}

// maxConflicts bounds how often a pass begins again because something moved under it.
const maxConflicts = 10

// Reconcile makes one pass: it observes, decides, and writes the difference, until there is none or the free slots are
// filled. It writes nothing when nothing must change. A conflict is news: it looks again. Losing the lock, and a store
// that does not answer, are errors; what was written before stands, and the next pass goes on from there.
func (r *Reconciler) Reconcile(ctx context.Context, name string) (Result, error) {
	var result Result
	var before *Observation
	conflicts := 0
	for round := 0; ; {
		o, err := observeAfter(ctx, r.Store, name, r.Now(), before)
		if err != nil {
			return result, err
		}
		if r.approve != nil {
			if err := r.approve(o); err != nil {
				return result, err
			}
		}
		written, err := r.commit(ctx, o, &result)
		result.Written.Transactions += written.Transactions
		result.Written.Writes += written.Writes
		conflict := (*store.Conflict)(nil)
		switch {
		case errors.As(err, &conflict) && conflict.FailedKey(keys.Leader):
			return result, &LostLock{err}
		case errors.As(err, &conflict) && conflicts < maxConflicts && r.approve == nil:
			conflicts++
			before = nil
			r.Log.V(1).Info("something moved: looking again", "plan", name, "what", conflict.Error())
			continue
		case err != nil:
			return result, err
		}
		result.Starts += o.Decision.Starts()
		before = o
		if round++; !o.Decision.Unfinished() || round == maxRounds {
			return result, nil
		}
	}
}

// LostLock says that the lock of the one writer is no longer ours.
type LostLock struct{ Err error }

func (e *LostLock) Error() string { return fmt.Sprintf("the lock is lost: %v", e.Err) }
func (e *LostLock) Unwrap() error { return e.Err }

// commit writes what the observation's decision asks for, and the status that tells of it.
func (r *Reconciler) commit(ctx context.Context, o *Observation, result *Result) (store.Committed, error) {
	changes := o.Changes()
	result.Observation = o
	result.Status = status.Of(&o.Decision, o.Plan.Status, o.Plan.Generation, o.Now)
	c := store.Commit{
		Fence: store.Fence{
			Session:   r.Session,
			Unchanged: []keys.Pair{o.spec, o.control, o.Raw.Current, o.epoch},
			Ledger:    o.ledger,
		},
		Changes: changes,
		Ledger:  o.Decision.Ledger,
		Last:    slices.Concat(r.haltOp(o), r.statusOp(o, result.Status)),
	}
	if o.Decision.Switch {
		c.Ledger.Version = o.Plan.Spec.Version
	}
	if o.Decision.Frozen {
		if o.Decision.Gate == rollout.ObservationIncomplete { // what cannot be read is not to be overwritten
			return store.Committed{}, nil
		}
		c.Ledger = o.Raw.Ledger
	}
	if changes.Empty() && len(c.Last) == 0 && reflect.DeepEqual(c.Ledger, o.Raw.Ledger) {
		return store.Committed{}, nil
	}
	written, err := c.Run(ctx, r.Store)
	if err == nil {
		if o.Decision.Halt != nil {
			r.Log.Info("halted", "plan", o.Plan.Name, "why", o.Decision.Halt.Reason)
		}
		r.Log.V(1).Info("committed", "plan", o.Plan.Name, "what", written.String(), "starts", o.Decision.Starts())
	}
	return written, err
}

// haltOp records a halt in the transaction of the decision by which it is seen. The fence checks, in the same transaction,
// that control is still as it was read: no order of an operator is overwritten.
func (r *Reconciler) haltOp(o *Observation) []store.Op {
	if o.Decision.Halt == nil {
		return nil
	}
	control := o.Control
	control.Halt = o.Decision.Halt
	return []store.Op{{Verb: store.CAS, Key: o.control.Key, Index: o.control.ModifyIndex, Value: keys.EncodeControl(control)}}
}

// statusOp writes the status if it differs from the one that is stored.
func (r *Reconciler) statusOp(o *Observation, s v1alpha1.UpgradePlanStatus) []store.Op {
	data, err := json.Marshal(s)
	if err != nil || bytes.Equal(data, o.status.Value) || len(data) > maxStatus {
		return nil
	}
	return []store.Op{{Verb: store.Set, Key: keys.Plan(o.Plan.Name).Status(), Value: data}}
}

// maxStatus bounds the status in a transaction; a fleet of so many roles goes without.
const maxStatus = store.MaxBytes / 4
