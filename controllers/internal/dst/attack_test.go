// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// attack does what the stolen token of an agent permits: it writes and deletes records of any host. docs/security.md says what
// follows. The limits hold, since agents have reports of their own.
func (w *world) attack(r *rand.Rand) {
	m := w.machines[r.IntN(len(w.machines))]
	var ops []store.Op
	what := ""
	switch r.IntN(6) {
	case 0:
		version := versions()[r.IntN(len(versions()))]
		what, ops = fmt.Sprintf("says that %s is at %s", m.name, version), forge(version, m.name)
	case 1:
		version := keys.DecodeCurrent(w.referee.get(keys.Layout{}.CurrentVersion())).Name
		what = fmt.Sprintf("says that all hosts of %s are at %s", m.role, version)
		for _, o := range w.machines {
			if o.role == m.role {
				ops = append(ops, forge(version, o.name)...)
			}
		}
	case 2, 3, 4:
		role, version := []string{m.role, m.role, m.role, "extra"}[r.IntN(4)], versions()[r.IntN(len(versions()))]
		n := 4 + r.IntN(12)
		what = fmt.Sprintf("invents %d hosts of %s at %s", n, role, version)
		for i := range n {
			ops = append(ops, forge(version, fmt.Sprint(role, 70+i))...)
		}
	case 5:
		what, ops = "deletes all records", []store.Op{{Verb: store.DeleteTree, Key: keys.RunningVersions}}
	}
	w.write(ops)
	w.note("fault", "a stolen token "+what, "")
}

// forge records a host at a version, and at no other one.
func forge(version, host string) []store.Op {
	var l keys.Layout
	ops := []store.Op{{Verb: store.Set, Key: l.Record(version, host), Value: strconv.AppendInt(nil, time.Now().Unix(), 10)}}
	for _, other := range versions() {
		if other != version {
			ops = append(ops, store.Op{Verb: store.Delete, Key: l.Record(other, host)})
		}
	}
	return ops
}

// deleteInvented deletes the records of hosts that do not exist, as operators do after a theft.
func (w *world) deleteInvented() {
	pairs, _, err := w.store.List(context.Background(), keys.RunningVersions)
	if err != nil {
		panic(err)
	}
	var ops []store.Op
	for _, pair := range pairs {
		if _, host, ok := (keys.Layout{}).RecordTrees().Cut(pair.Key); ok && w.machine(host) == nil {
			ops = append(ops, store.Op{Verb: store.Delete, Key: pair.Key})
		}
	}
	w.write(ops)
	if len(ops) > 0 {
		w.note("world", "operators delete the records of hosts that do not exist", "")
	}
}

// write applies operations that no process of the simulation makes.
func (w *world) write(ops []store.Op) {
	for part := range slices.Chunk(ops, w.store.MaxOps()) {
		if _, err := w.store.Txn(context.Background(), part); err != nil {
			panic(err)
		}
	}
}

// withAttacks adds writes by a stolen token.
func withAttacks(r *rand.Rand, events []event, steps int) []event {
	for step := r.IntN(100); step < steps; step += 1 + r.IntN(100) {
		events = append(events, event{step, attackRecords, r.Uint64(), []moment{atOnce, atStart, atCommit}[r.IntN(3)]})
	}
	return sorted(events)
}
