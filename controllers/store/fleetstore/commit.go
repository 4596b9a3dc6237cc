// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Fence is what every transaction of a commit checks: that the controller still holds the lock, and that what the decision
// depends on has not changed. See docs/design/protocol.md, section 5.
type Fence struct {
	// Session must hold the lock of the key keys.Leader.
	Session string
	// Unchanged are keys as they were read. A key that did not exist must still not exist.
	Unchanged []keys.Pair
	// Ledger is the plan's ledger as it was read. Each transaction writes it.
	Ledger keys.Pair
}

// Commit is a set of changes to write.
type Commit struct {
	Fence   Fence
	Changes diff.Changes
	// Ledger is written in each transaction, with a Counter that is higher by one each time.
	Ledger fleet.Ledger
	// Last is written in the last transaction: a halt, a rollback, or the hold on the fleet. If another transaction fails, it is
	// written without the changes, so that nothing keeps a stop from being written.
	Last []store.Op
	// Optional is written in the last transaction as well, as far as there is room: the status, then the events. The first is left
	// out first.
	Optional [][]store.Op
}

// Committed is what a commit wrote, also if it ended with an error.
type Committed struct {
	Transactions, Writes int
	// Index is the index of each key, or tree, that was written or removed: its ModifyIndex, or the index of the removal. Nil
	// means that nothing was written.
	Index map[string]uint64
	// Indexes are the indexes of the transactions, ascending.
	Indexes []uint64
	// Ledger is the ledger after the last transaction.
	Ledger fleet.Ledger
}

// Run writes the changes in order, in as few transactions as the store allows, each of them fenced. After a
// *store.ConflictError the earlier transactions remain, and the rest must be computed again.
func (c *Commit) Run(ctx context.Context, w store.Writer) (Committed, error) {
	var done Committed
	batches := c.batches(w.MaxOps())
	for i, batch := range batches {
		fence := c.Fence.ops(c.ledgerOp())
		if i == len(batches)-1 {
			batch = c.withOptional(fence, slices.Concat(batch, c.Last), w.MaxOps())
		}
		result, err := w.Txn(ctx, append(fence, batch...))
		if err != nil {
			if _, conflict := errors.AsType[*store.ConflictError](err); !conflict { // after a conflict the decision is made again
				c.stop(ctx, w, &done)
			}
			return done, err
		}
		c.advance(result)
		done.add(batch, result, c.Fence.Ledger)
		done.Ledger = c.Ledger
	}
	return done, nil
}

// add notes a transaction with these operations besides the fence. The index of the ledger, which each transaction writes, is
// that of the transaction.
func (c *Committed) add(ops []store.Op, r store.Result, ledger keys.Pair) {
	c.Transactions++
	c.Writes += len(ops)
	c.Indexes = append(c.Indexes, ledger.ModifyIndex)
	if c.Index == nil {
		c.Index = make(map[string]uint64, len(ops)+1)
	}
	c.Index[ledger.Key] = ledger.ModifyIndex
	for _, op := range ops {
		c.Index[op.Key] = cmp.Or(r.ModifyIndex[op.Key], ledger.ModifyIndex)
	}
}

// ops are the checks, followed by the write of the ledger.
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

// advance makes the fence of the next transaction expect what this one wrote.
func (c *Commit) advance(r store.Result) {
	c.Fence.Ledger.ModifyIndex = r.ModifyIndex[c.Fence.Ledger.Key]
	for i := range c.Fence.Unchanged {
		if index, ok := r.ModifyIndex[c.Fence.Unchanged[i].Key]; ok {
			c.Fence.Unchanged[i].ModifyIndex = index
		}
	}
}

// withOptional adds to a batch what fits into a transaction besides the fence.
func (c *Commit) withOptional(fence, batch []store.Op, maxOps int) []store.Op {
	for i := range c.Optional {
		all := slices.Concat(batch, slices.Concat(c.Optional[i:]...))
		if sizeOf(fence)+sizeOf(all) <= store.MaxBytes && len(fence)+len(all) <= maxOps {
			return all
		}
	}
	return batch
}

func sizeOf(ops []store.Op) (size int) {
	for i := range ops {
		size += len(ops[i].Key) + len(ops[i].Value)
	}
	return size
}

// stop writes Last alone after a transaction failed. If that fails too, the error of the first transaction says why.
func (c *Commit) stop(ctx context.Context, w store.Writer, done *Committed) {
	if len(c.Last) == 0 {
		return
	}
	result, err := w.Txn(ctx, append(c.Fence.ops(c.ledgerOp()), c.Last...))
	if err != nil {
		return
	}
	c.advance(result)
	done.add(c.Last, result, c.Fence.Ledger)
	done.Ledger = c.Ledger
}

// batches splits the changes so that each batch fits a transaction together with the fence and, for the last batch, with Last.
// There is at least one batch, for the ledger.
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
	last := len(c.Last)
	for _, ops := range c.Optional {
		last += len(ops)
	}
	if cut := max(room-last, 0); len(batch) > cut && len(atomic) == 0 { // leave room for the end
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

// split separates what must happen in one transaction, the switch of the version, which comes last.
func (c *Commit) split() (atomic []store.Op, rest []diff.Change) {
	if len(c.Changes.Trees) == 0 {
		return nil, c.Changes.List
	}
	for _, tree := range c.Changes.Trees {
		atomic = append(atomic, store.Op{Verb: store.DeleteTree, Key: tree})
	}
	for _, change := range c.Changes.List {
		switch key := change.Key(); {
		case c.Changes.Replaces(key):
			if change.Op == diff.Set { // the operations before remove the whole trees
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

// Ops are the operations that make the changes, each a compare-and-set. The tree of a switch is not removed.
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

// String is a summary for logs.
func (c Committed) String() string {
	return fmt.Sprintf("%d writes in %d transactions", c.Writes, c.Transactions)
}
