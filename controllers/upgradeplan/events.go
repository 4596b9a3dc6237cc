// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// corrected are the keys of a drift that the changes mend. What somebody else wrote and the plan lets stand is none.
func corrected(drift []diff.Change, changes diff.Changes) []string {
	if len(drift) == 0 {
		return nil
	}
	mended := make(map[string]bool, len(changes.List))
	for _, c := range changes.List {
		mended[c.Key()] = true
	}
	var found []string
	for _, c := range drift {
		if mended[c.Key()] {
			found = append(found, c.Key())
		}
	}
	return found
}

// number gives events their numbers, and counts them in the ledger.
func number(events []fleet.Event, l *fleet.Ledger) []fleet.Event {
	for i := range events {
		l.Events++
		events[i].Number = l.Events
	}
	return events
}

// eventOps write the events, each over the one that is so much older.
func eventOps(plan string, events []fleet.Event) []store.Op {
	ops := make([]store.Op, len(events))
	for i, e := range events {
		ops[i] = store.Op{Verb: store.Set, Key: keys.Plan(plan).Event(e.Number), Value: keys.EncodeEvent(e)}
	}
	return ops
}

// tell logs events that were written.
func (r *Reconciler) tell(plan string, events []fleet.Event) {
	for _, e := range events {
		r.Log.Info(e.Message, "plan", plan, "event", e.Reason, "type", e.Type, "object", e.Object)
	}
}
