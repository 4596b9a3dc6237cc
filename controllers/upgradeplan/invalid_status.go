// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// refuse writes an invalid plan's problem to its status, in one fenced transaction, if the status does not say it already. It
// returns the problem, joined with the error of the write.
func (r *Reconciler) refuse(ctx context.Context, p *planState, problem error) error {
	name := p.reader.Plan
	if _, gone := errors.AsType[*planstore.NotFoundError](problem); gone {
		r.auditDeleted(ctx, &p.audit, name)
	}
	if _, invalid := errors.AsType[*planstore.InvalidPlanError](problem); !invalid {
		return problem
	}
	k := keys.Plan(name)
	pairs, _, err := r.Store.Get(ctx, k.Spec(), k.Ledger(), k.Status(), k.Control())
	if err != nil {
		return errors.Join(problem, err)
	}
	spec, ledger, old := pairs[0], pairs[1], pairs[2]
	if spec.Exists() {
		r.audit(ctx, &p.audit, audit.State{Plan: name, Spec: spec, Control: pairs[3]})
	}
	l, err := keys.DecodeLedger(ledger)
	if err != nil || !spec.Exists() { // without a ledger nothing may be written; apply creates one
		return problem
	}
	before := planstore.DecodeStatus(old)
	now := status.Invalid(before, generationOf(spec.Value), v1alpha1.ReasonInvalid, problem.Error(), r.Now())
	if bytes.Equal(encodeStatus(now), old.Value) {
		return problem
	}
	events := number(status.InvalidEvents(before, now, r.Now()), &l)
	fence := fleetstore.Fence{Session: r.Session, Unchanged: []keys.Pair{spec}, Ledger: ledger}
	c := fleetstore.Commit{Fence: fence, Ledger: l,
		Optional: [][]store.Op{{{Verb: store.Set, Key: k.Status(), Value: encodeStatus(now)}}, eventOps(name, events)}}
	if _, err := c.Run(ctx, r.Store); err != nil {
		return errors.Join(problem, err)
	}
	r.logEvents(name, events)
	return problem
}

// generationOf returns the generation of a stored plan, also of one that is invalid. Zero means none.
func generationOf(value []byte) int64 {
	var plan struct {
		Metadata struct {
			Generation int64 `json:"generation"`
		} `json:"metadata"`
	}
	if json.Unmarshal(value, &plan) != nil {
		return 0
	}
	return plan.Metadata.Generation
}
