// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Fence is what every transaction of a commit insists on, so that nobody writes who has lost the lock, and nothing is
// written that was decided from what has changed since: DESIGN.md, section 5.
type Fence struct {
	// Session must hold the key Leader.
	Session string
	// Unchanged are keys as they were read; one that did not exist must still not exist.
	Unchanged []keys.Pair
	// Ledger is the plan's ledger as it was read: each transaction moves it.
	Ledger keys.Pair
}

// Commit is a set of changes to write.
type Commit struct {
	Fence   Fence
	Changes diff.Changes
	// Ledger is what shall be remembered; its Counter is counted up from the one it has.
	Ledger fleet.Ledger
	// Last is written in the last transaction: what tells of the change.
	Last []store.Op
}

// Committed is what a commit has done, also when it ended with an error.
type Committed struct {
	Transactions, Writes int
	// Index is that of each key, or tree, that was written or removed: its ModifyIndex, or when it was removed. Nil:
	// nothing was.
	Index map[string]uint64
	// Indexes are those at which the transactions were applied, ascending.
	Indexes []uint64
	// Ledger is what the last of them left there.
	Ledger fleet.Ledger
}

// Run writes the changes in as few transactions as the store allows, in order, each of them fenced. An error of type
// *Conflict means that something moved: what was written stands, and the rest is to be computed again.
func (c *Commit) Run(ctx context.Context, w store.Writer) (Committed, error) {
	var done Committed
	batches := c.batches(w.MaxOps())
	for i, batch := range batches {
		if i == len(batches)-1 {
			batch = append(batch, c.Last...)
		}
		ops := append(c.Fence.ops(c.ledgerOp()), batch...)
		result, err := w.Txn(ctx, ops)
		if err != nil {
			return done, err
		}
		c.advance(result)
		done.add(batch, result, c.Fence.Ledger)
		done.Ledger = c.Ledger
	}
	return done, nil
}

// add notes a transaction of these operations beside the fence. It moved the ledger, whose index is its own.
func (done *Committed) add(ops []store.Op, r store.Result, ledger keys.Pair) {
	done.Transactions++
	done.Writes += len(ops)
	done.Indexes = append(done.Indexes, ledger.ModifyIndex)
	if done.Index == nil {
		done.Index = make(map[string]uint64, len(ops)+1)
	}
	done.Index[ledger.Key] = ledger.ModifyIndex
	for _, op := range ops {
		done.Index[op.Key] = cmp.Or(r.ModifyIndex[op.Key], ledger.ModifyIndex)
	}
}

// ops are the checks, then the ledger.
func (f *Fence) ops(ledger store.Op) []store.Op {
	ops := make([]store.Op, 0, store.MaxOps)
	ops = append(ops, store.Op{Verb: store.CheckSession, Key: keys.Leader, Session: f.Session})
	for _, p := range f.Unchanged {
		if p.Exists() {
			ops = append(ops, store.Op{Verb: store.CheckIndex, Key: p.Key, Index: p.ModifyIndex})
		} else {
			ops = append(ops, store.Op{Verb: store.CheckNotExists, Key: p.Key})
		}
	}
	return append(ops, ledger)
}

func (c *Commit) ledgerOp() store.Op {
	c.Ledger.Counter++
	return store.Op{Verb: store.CAS, Key: c.Fence.Ledger.Key, Index: c.Fence.Ledger.ModifyIndex, Value: keys.EncodeLedger(c.Ledger)}
}

// advance makes the next transaction expect what this one wrote.
func (c *Commit) advance(r store.Result) {
	c.Fence.Ledger.ModifyIndex = r.ModifyIndex[c.Fence.Ledger.Key]
	for i := range c.Fence.Unchanged {
		if index, ok := r.ModifyIndex[c.Fence.Unchanged[i].Key]; ok {
			c.Fence.Unchanged[i].ModifyIndex = index
		}
	}
}

// batches cuts the changes so that each fits a transaction, with the fence and what is written last. There is always
// one, for the ledger.
func (c *Commit) batches(maxOps int) [][]store.Op {
	room := maxOps - len(c.Fence.Unchanged) - 2
	var batches [][]store.Op
	var batch []store.Op
	size := 0
	atomic, rest := c.split()
	for _, change := range rest {
		op := opOf(change)
		opSize := len(op.Key) + len(op.Value)
		if len(batch) == room || size+opSize > store.MaxBytes/2 {
			batches, batch, size = append(batches, batch), nil, 0
		}
		batch, size = append(batch, op), size+opSize
	}
	if cut := room - len(c.Last); len(batch) > cut && len(atomic) == 0 { // what is written last goes with the last changes
		batches, batch = append(batches, batch[:cut:cut]), batch[cut:]
	}
	if len(batch) > 0 || len(atomic) == 0 {
		batches = append(batches, batch)
	}
	if len(atomic) > 0 {
		batches = append(batches, atomic)
	}
	return batches
}

// split takes out what must happen in one transaction: the switch of the version. It comes last.
func (c *Commit) split() (atomic []store.Op, rest []diff.Change) {
	if c.Changes.Tree == "" {
		return nil, c.Changes.List
	}
	atomic = append(atomic, store.Op{Verb: store.DeleteTree, Key: c.Changes.Tree})
	for _, change := range c.Changes.List {
		switch key := change.Key(); {
		case strings.HasPrefix(key, c.Changes.Tree):
			if change.Op == diff.Set { // the tree is gone by then
				atomic = append(atomic, store.Op{Verb: store.Set, Key: key, Value: []byte(change.To.Value), Flags: change.To.Flags})
			}
		case slices.Contains(c.Changes.Atomic, key):
			atomic = append(atomic, opOf(change))
		default:
			rest = append(rest, change)
		}
	}
	return atomic, rest
}

// Ops are the operations that make the changes, each a compare-and-set. A tree is not deleted.
func Ops(c diff.Changes) []store.Op {
	ops := make([]store.Op, len(c.List))
	for i, change := range c.List {
		ops[i] = opOf(change)
	}
	return ops
}

func opOf(c diff.Change) store.Op {
	if c.Op == diff.Delete {
		return store.Op{Verb: store.DeleteCAS, Key: c.From.Key, Index: c.From.Index}
	}
	return store.Op{Verb: store.CAS, Key: c.To.Key, Value: []byte(c.To.Value), Flags: c.To.Flags, Index: c.From.Index}
}

// String is for logs.
func (c Committed) String() string {
	return fmt.Sprintf("%d writes in %d transactions", c.Writes, c.Transactions)
}
