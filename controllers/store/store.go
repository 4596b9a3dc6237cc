// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// Limits of one transaction.
const (
	// MaxOps is how many operations a transaction may have. A Consul before 1.14 accepts 64: see Writer.MaxOps.
	MaxOps = 128
	// MaxBytes is our own limit on the keys and values of one transaction. Consul's limit is 512 KiB of JSON.
	MaxBytes = 256 << 10
)

// Store reads and writes keys, and reads the catalog. Every method stops with its context, and takes no longer than the time
// that the implementation documents. Errors are *UnavailableError, *ForbiddenError or, for a refused transaction,
// *ConflictError.
type Store interface {
	Reader
	Writer
	Sessions
	Watcher
}

// Reader reads keys and the catalog.
type Reader interface {
	// List returns all pairs below prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]keys.Pair, Meta, error)
	// Keys returns all keys below prefix, sorted.
	Keys(ctx context.Context, prefix string, hints ...ReadHint) ([]string, Meta, error)
	// Get reads the keys in one transaction, so that all values are of the same moment. It returns one pair for each key, in
	// the given order. A missing key has ModifyIndex 0. More than MaxOps keys are read in several transactions.
	Get(ctx context.Context, key ...string) ([]keys.Pair, Meta, error)
	Catalog
}

// ReadHint tells a store what may make a read cheaper. It does not change the result.
type ReadHint uint8

// ExpectFew says that few keys are expected. Consul then compresses its answer. For many keys that takes longer than the
// transfer of the bytes that it saves.
const ExpectFew ReadHint = 1

// Writer applies transactions.
type Writer interface {
	// Txn applies all operations or none.
	Txn(ctx context.Context, ops []Op) (Result, error)
	// MaxOps is how many operations one transaction may have. The server's version decides, so it may fall after New.
	MaxOps() int
}

// Sessions are leases that expire without renewal. They fence the writes of the leader.
type Sessions interface {
	// CreateSession creates a session.
	CreateSession(ctx context.Context, o SessionOptions) (id string, err error)
	// RenewSession extends a session by its ttl. The error is ErrSessionGone if it has expired.
	RenewSession(ctx context.Context, id string) error
	// DestroySession ends a session and releases its locks. It returns no error if the session does not exist.
	DestroySession(ctx context.Context, id string) error
}

// SessionOptions say what a new session is.
type SessionOptions struct {
	// Name is the readable name of the session.
	Name string
	// TTL is how long the session lasts without renewal, from 10 s to 24 h.
	TTL time.Duration
	// DeleteKeys says that the end of the session deletes the keys that it locks. By default they stay, and are unlocked.
	DeleteKeys bool
}

// ErrSessionGone is returned for a session that has expired or was destroyed.
var ErrSessionGone = errors.New("the session has expired or was destroyed")

// Meta describes the result of a read.
type Meta struct {
	// Index is the store's index of the last change: below the prefix, or in the store. Get, which is a transaction, returns
	// the highest ModifyIndex of its pairs.
	Index uint64
	// Filtered is true if the store says that ACLs hid something.
	Filtered bool
}

// Verb is what an operation does.
type Verb uint8

// The verbs.
const (
	// Set writes Value and Flags.
	Set Verb = iota
	// CAS writes Value and Flags if the key's ModifyIndex is Index. Index 0 means that the key must not exist.
	CAS
	// Delete removes the key if it exists.
	Delete
	// DeleteCAS removes the key if its ModifyIndex is Index. A missing key passes.
	DeleteCAS
	// DeleteTree removes all keys that begin with Key.
	DeleteTree
	// CheckIndex passes if the key exists with ModifyIndex Index.
	CheckIndex
	// CheckNotExists passes if the key does not exist.
	CheckNotExists
	// CheckSession passes if Session holds the lock of the key.
	CheckSession
	// Lock writes Value and Flags and locks the key with Session, if no other session holds the lock.
	Lock
	// Unlock writes Value and Flags and releases the lock, if Session holds it.
	Unlock
)

// String is the verb as Consul spells it.
func (v Verb) String() string {
	return [...]string{"set", "cas", "delete", "delete-cas", "delete-tree", "check-index", "check-not-exists",
		"check-session", "lock", "unlock"}[v]
}

// Writes says whether the verb can change a key.
func (v Verb) Writes() bool {
	switch v {
	case CheckIndex, CheckNotExists, CheckSession:
		return false
	}
	return true
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

// Result describes a transaction that was applied.
type Result struct {
	// Index is the highest index in ModifyIndex. That is the index of the transaction, unless the transaction changed no value.
	// It is 0 if no key was written: the store does not return an index for removals.
	Index uint64
	// ModifyIndex is the index of each written key after the transaction. A key that was set to the value that it had keeps its
	// index.
	ModifyIndex map[string]uint64
}

// ConflictError says that a transaction was refused, and that nothing of it was applied. It is expected: read and compute
// again.
type ConflictError struct {
	// Failed are the operations that did not pass.
	Failed []FailedOp
}

// FailedOp is an operation that did not pass.
type FailedOp struct {
	// Index is its place in the transaction.
	Index int
	Op    Op
	// What is the store's message.
	What string
}

func (e *ConflictError) Error() string {
	parts := make([]string, 0, len(e.Failed))
	for _, f := range e.Failed {
		parts = append(parts, fmt.Sprintf("%s %s: %s", f.Op.Verb, f.Op.Key, f.What))
	}
	return "refused, nothing was written: " + strings.Join(parts, "; ")
}

// FailedKey says whether an operation on key did not pass.
func (e *ConflictError) FailedKey(key string) bool {
	return slices.ContainsFunc(e.Failed, func(f FailedOp) bool { return f.Op.Key == key })
}

// ForbiddenError says that an ACL denies a request.
type ForbiddenError struct {
	// Key is the key or prefix of the request, or what else it was about.
	Key string
	// Policy is the ACL rule that allows the request.
	Policy string
	// UnknownToken names the origin of a token that the store does not know, such as a file. Empty means that the token is known.
	UnknownToken string
	Err          error
}

func (e *ForbiddenError) Error() string {
	if e.UnknownToken != "" {
		return fmt.Sprintf("permission denied on %s: the token of %s has expired, was revoked, or never existed: replace it (%v)",
			e.Key, e.UnknownToken, e.Err)
	}
	return fmt.Sprintf("permission denied on %s: the token needs %s (%v)", e.Key, e.Policy, e.Err)
}

func (e *ForbiddenError) Unwrap() error { return e.Err }

// TooLargeError says that an answer was not read because it would take too much memory.
type TooLargeError struct {
	// What is the prefix of the keys, or what else was read.
	What string
	Err  error
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s cannot be read: %v: delete what does not belong there", e.What, e.Err)
}

func (e *TooLargeError) Unwrap() error { return e.Err }

// UnavailableError says that the store did not answer, or has no leader. A write may or may not have been applied.
type UnavailableError struct {
	Address string
	Err     error
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("consul at %s: %v", e.Address, e.Err) }

func (e *UnavailableError) Unwrap() error { return e.Err }

// Credential is a token or a certificate of a client of the store that expires.
type Credential struct {
	// Kind is token, login (the token of a login) or certificate.
	Kind string
	// Begin and End are when it was made and when it expires.
	Begin, End time.Time
}
