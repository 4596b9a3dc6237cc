// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store is what the controllers need of a key-value store with transactions, sessions and indexes, as Consul
// has them. store/consul and store/memory implement it; one conformance suite judges both.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// Limits of one transaction.
const (
	// MaxOps is how many operations a transaction may have (64 on a Consul before 1.14: see Store.MaxOps).
	MaxOps = 128
	// MaxBytes is our own bound on the keys and values of one transaction; Consul's is 512 KiB of JSON.
	MaxBytes = 256 << 10
)

// Store reads and writes keys, and reads the catalog. Every method takes a context and stops with it. None waits longer
// than the bounded time that the implementation documents. Errors are *UnavailableError, *ForbiddenError or, for a refused
// transaction, *ConflictError.
type Store interface {
	Reader
	Writer
	Sessions
	Watcher
}

// ReadHint tells a store about a read what may make it cheaper. It does not change what is returned.
type ReadHint uint8

// ExpectFew says that few keys are expected. Consul then compresses its answer, which would take longer than it saves for many.
const ExpectFew ReadHint = 1

// Reader reads keys and the catalog.
type Reader interface {
	// List returns all pairs below prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]keys.Pair, Meta, error)
	// Keys returns all keys below prefix, sorted.
	Keys(ctx context.Context, prefix string, hints ...ReadHint) ([]string, Meta, error)
	// Get reads the keys in one transaction, so that all are of one moment. It returns one pair for each key, in the order
	// asked. A missing key has ModifyIndex 0. More than MaxOps keys are read in several transactions.
	Get(ctx context.Context, key ...string) ([]keys.Pair, Meta, error)
	Catalog
}

// Writer applies transactions.
type Writer interface {
	// Txn applies all operations or none.
	Txn(ctx context.Context, ops []Op) (Result, error)
	// MaxOps is how many operations one transaction may have.
	MaxOps() int
}

// Sessions are leases that expire unless renewed: the fence of the one writer.
type Sessions interface {
	// CreateSession makes a session that expires when it is not renewed for ttl (10 s to 24 h).
	CreateSession(ctx context.Context, name string, ttl time.Duration) (id string, err error)
	// RenewSession extends it; ErrSessionGone when it has expired.
	RenewSession(ctx context.Context, id string) error
	// DestroySession ends it and releases what it locks. Ending one that is gone is no error.
	DestroySession(ctx context.Context, id string) error
}

// ErrSessionGone is returned for a session that has expired or was destroyed.
var ErrSessionGone = errors.New("session is gone")

// Meta is what a read says of itself.
type Meta struct {
	// Index is the store's index of the read: of what changed last below the prefix, or in the store. Get, which is a
	// transaction, tells the highest ModifyIndex of its pairs.
	Index uint64
	// Filtered is true when the store says that ACLs hid something.
	Filtered bool
}

// Verb is what an operation does.
type Verb uint8

// The verbs.
const (
	// Set writes Value and Flags.
	Set Verb = iota
	// CAS writes them if the key's ModifyIndex is Index (0: if the key does not exist).
	CAS
	// Delete removes the key if it is there.
	Delete
	// DeleteCAS removes it if its ModifyIndex is Index; a missing key passes.
	DeleteCAS
	// DeleteTree removes all keys below Key.
	DeleteTree
	// CheckIndex passes if the key exists with ModifyIndex Index.
	CheckIndex
	// CheckNotExists passes if the key does not exist.
	CheckNotExists
	// CheckSession passes if the key is locked by Session.
	CheckSession
	// Lock writes Value and Flags and locks the key with Session, if no other session holds it.
	Lock
	// Unlock releases the key if Session holds it, and writes Value and Flags.
	Unlock
)

// String is the verb as Consul spells it.
func (v Verb) String() string {
	return [...]string{"set", "cas", "delete", "delete-cas", "delete-tree", "check-index", "check-not-exists",
		"check-session", "lock", "unlock"}[v]
}

// Op is one operation of a transaction.
type Op struct {
	Verb    Verb
	Key     string
	Value   []byte
	Flags   uint64
	Index   uint64
	Session string
}

// Result is what a transaction that was applied says.
type Result struct {
	// Index is the highest of ModifyIndex: that at which the transaction was applied, unless it changed no value. 0 when
	// it wrote none (removals have no index that the store tells).
	Index uint64
	// ModifyIndex holds the index of each key after the transaction, by key, for the operations that write one. A key
	// that was set to what it already was keeps its own.
	ModifyIndex map[string]uint64
}

// ConflictError says that a transaction was refused and nothing of it applied. It is news, not a failure: read again and
// compute again.
type ConflictError struct {
	// Failed are the operations that did not pass, with the store's words.
	Failed []FailedOp
}

// FailedOp is an operation that did not pass. Index is its place in the transaction.
type FailedOp struct {
	Index int
	Op    Op
	What  string
}

func (e *ConflictError) Error() string {
	parts := make([]string, 0, len(e.Failed))
	for _, f := range e.Failed {
		parts = append(parts, fmt.Sprintf("%s %s: %s", f.Op.Verb, f.Op.Key, f.What))
	}
	return "refused, nothing was written: " + strings.Join(parts, "; ")
}

// Failed says whether the operation on key was among those that did not pass.
func (e *ConflictError) FailedKey(key string) bool {
	for _, f := range e.Failed {
		if f.Op.Key == key {
			return true
		}
	}
	return false
}

// ForbiddenError says that the token may not do it.
type ForbiddenError struct {
	// Key or prefix that was asked for.
	Key string
	// Policy is the rule that would allow it.
	Policy string
	Err    error
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("permission denied on %s: the token needs %s (%v)", e.Key, e.Policy, e.Err)
}

func (e *ForbiddenError) Unwrap() error { return e.Err }

// UnavailableError says that the store did not answer, or has no leader. A write may or may not have been applied.
type UnavailableError struct {
	Address string
	Err     error
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("consul at %s: %v", e.Address, e.Err) }

func (e *UnavailableError) Unwrap() error { return e.Err }
