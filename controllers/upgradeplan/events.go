// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// corrected returns the keys of a drift that the changes correct. A drift that the plan keeps is not among them.
func corrected(drift []diff.Change, changes diff.Changes) []string {
	if len(drift) == 0 {
		return nil
	}
	corrects := make(map[string]bool, len(changes.List))
	for _, c := range changes.List {
		corrects[c.Key()] = true
	}
	var found []string
	for _, c := range drift {
		if corrects[c.Key()] {
			found = append(found, c.Key())
		}
	}
	return found
}

// number numbers events, and counts them in the ledger.
func number(events []fleet.Event, l *fleet.Ledger) []fleet.Event {
	for i := range events {
		l.Events++
		events[i].Number = l.Events
	}
	return events
}

// eventOps returns the operations that write events. Each overwrites the oldest one.
func eventOps(plan string, events []fleet.Event) []store.Op {
	ops := make([]store.Op, len(events))
	for i, e := range events {
		ops[i] = store.Op{Verb: store.Set, Key: keys.Plan(plan).Event(e.Number), Value: keys.EncodeEvent(e)}
	}
	return ops
}

// logEvents logs events that were written.
func (r *Reconciler) logEvents(plan string, events []fleet.Event) {
	for _, e := range events {
		r.Log.Info(e.Message, "plan", plan, "event", e.Reason, "type", e.Type, "object", e.Object)
	}
}
