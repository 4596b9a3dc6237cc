// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"bytes"
	"cmp"
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
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
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
	Written fleetstore.Committed
	// Starts are the hosts that the pass released, and Conflicts how often something moved under it.
	Starts, Conflicts int
}

// maxConflicts bounds how often a pass begins again because something moved under it.
const maxConflicts = 10

// Reconcile makes one pass: it observes, decides, and writes the difference, until there is none or the free slots are
// filled. It writes nothing when nothing must change. A conflict is news: it looks again. Losing the lock, and a store
// that does not answer, are errors; what was written before stands, and the next pass goes on from there.
func (r *Reconciler) Reconcile(ctx context.Context, name string) (Result, error) {
	return r.reconcile(ctx, name, &memory{}, store.Changes{All: true})
}

// reconcile makes a pass that begins with what is remembered and what rang since, and leaves its own memory.
func (r *Reconciler) reconcile(ctx context.Context, name string, m *memory, rang store.Changes) (Result, error) {
	var result Result
	for round := 0; ; {
		o, err := m.observe(ctx, r.Store, name, r.Now(), rang)
		if err != nil {
			m.lost()
			return result, r.refuse(ctx, name, err)
		}
		rang = store.Changes{}
		if r.approve != nil {
			if err := r.approve(o); err != nil {
				return result, err
			}
		}
		written, err := r.commit(ctx, o, m, &result)
		result.Written.Transactions += written.Transactions
		result.Written.Writes += written.Writes
		conflict := (*store.ConflictError)(nil)
		switch {
		case errors.As(err, &conflict) && conflict.FailedKey(keys.Leader):
			m.lost()
			return result, leaderelection.CheckFence(err, keys.Leader)
		case errors.As(err, &conflict) && result.Conflicts < maxConflicts && r.approve == nil:
			result.Conflicts++
			m.refused(o, written)
			r.Log.V(1).Info("something moved: looking again", "plan", name, "what", conflict.Error())
			continue
		case err != nil:
			m.lost()
			return result, err
		}
		m.keep(o, written, result.Status)
		result.Starts += o.Decision.Starts()
		if round++; !o.Decision.NeedsAnotherPass() || round == maxRounds {
			return result, nil
		}
	}
}

// commit writes what the observation's decision asks for, and the status that tells of it. The status alone has to wait
// until a moment after it was written alone the last time.
func (r *Reconciler) commit(ctx context.Context, o *Observation, m *memory, result *Result) (fleetstore.Committed, error) {
	changes := o.Changes()
	m.toldAt = time.Time{}
	result.Observation = o
	result.Status = status.Of(&o.Decision, o.Plan.Status, o.Plan.Generation, o.Now)
	c := fleetstore.Commit{
		Fence: fleetstore.Fence{
			Session:   r.Session,
			Unchanged: []keys.Pair{o.spec, o.control, o.Raw.Current, o.epoch},
			Ledger:    o.ledger,
		},
		Changes: changes,
		Ledger:  o.Decision.Ledger,
		Last:    slices.Concat(r.controlOp(o), r.statusOp(o, result.Status)),
	}
	if o.Decision.Switch {
		c.Ledger.Version = o.Plan.Spec.Version
	}
	if o.Decision.ReadOnly {
		if o.Decision.Gate.Reason == v1alpha1.ReasonObservationIncomplete { // what cannot be read is not to be overwritten
			return fleetstore.Committed{}, nil
		}
		c.Ledger = o.Raw.Ledger
	}
	if changes.Empty() && !o.Decision.UpdatesControl() && reflect.DeepEqual(c.Ledger, o.Raw.Ledger) {
		if len(c.Last) == 0 || !m.mayTell(o.Now) {
			return fleetstore.Committed{}, nil
		}
	}
	events := number(status.Events(&o.Decision, o.Plan.Status, result.Status, corrected(o.Drift, changes), o.Now), &c.Ledger)
	c.Last = append(c.Last, eventOps(o.Plan.Name, events)...)
	written, err := c.Run(ctx, r.Store)
	if err == nil {
		r.tell(o.Plan.Name, events)
		r.Log.V(1).Info("committed", "plan", o.Plan.Name, "what", written.String(), "starts", o.Decision.Starts())
	}
	return written, err
}

// controlOp records a halt, or a rollback, in the transaction of the decision by which it is seen. The fence checks, in the
// same transaction, that control is still as it was read: no order of an operator is overwritten.
func (r *Reconciler) controlOp(o *Observation) []store.Op {
	if !o.Decision.UpdatesControl() {
		return nil
	}
	control := o.Control
	control.Halt = cmp.Or(o.Decision.Halt, control.Halt)
	if pin := o.Decision.Rollback; pin != nil {
		pinned := *pin
		pinned.Digest = o.pin.digest
		control.Pin = &pinned
	}
	return []store.Op{{Verb: store.CAS, Key: o.control.Key, Index: o.control.ModifyIndex, Value: keys.EncodeControl(control)}}
}

// statusOp writes the status if it differs from the one that is stored.
func (r *Reconciler) statusOp(o *Observation, s v1alpha1.UpgradePlanStatus) []store.Op {
	data := encodeStatus(s)
	if bytes.Equal(data, o.status.Value) || len(data) > maxStatus {
		return nil
	}
	return []store.Op{{Verb: store.Set, Key: o.status.Key, Value: data}}
}

func encodeStatus(s v1alpha1.UpgradePlanStatus) []byte {
	data, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("upgradeplan: a status cannot be encoded: %v", err)) // strings, numbers and times only
	}
	return data
}

// maxStatus bounds the status in a transaction; a fleet of so many roles goes without.
const maxStatus = store.MaxBytes / 4
