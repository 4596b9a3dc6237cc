// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
)

// CheckOps says what is wrong with a transaction before anything is sent: too many operations or bytes, an operation
// without key, and one on sessions without a session (Consul lets check-session with an empty one pass on a key that
// nobody locks). Every implementation of Store calls it.
func CheckOps(ops []Op, maxOps int) error {
	if len(ops) > maxOps {
		return fmt.Errorf("a transaction of %d operations: at most %d are allowed", len(ops), maxOps)
	}
	size := 0
	for i, op := range ops {
		switch op.Verb {
		case CheckSession, Lock, Unlock:
			if op.Session == "" {
				return fmt.Errorf("operation %d (%s %s): session is required", i, op.Verb, op.Key)
			}
		}
		if op.Key == "" {
			return fmt.Errorf("operation %d (%s): key is required", i, op.Verb)
		}
		size += len(op.Key) + len(op.Value)
	}
	if size > MaxBytes {
		return fmt.Errorf("a transaction of %d bytes of keys and values: at most %d are allowed", size, MaxBytes)
	}
	return nil
}

// NewResult makes the result of a transaction out of the index that each key had when an operation wrote it. A key that
// a later operation of the same transaction removed is left out.
func NewResult(ops []Op, index func(key string) uint64) Result {
	r := Result{ModifyIndex: make(map[string]uint64, len(ops))}
	for _, op := range ops {
		switch op.Verb {
		case Set, CAS, Lock, Unlock:
			r.ModifyIndex[op.Key] = index(op.Key)
		case Delete, DeleteCAS:
			delete(r.ModifyIndex, op.Key)
		case DeleteTree:
			for key := range r.ModifyIndex {
				if strings.HasPrefix(key, op.Key) {
					delete(r.ModifyIndex, key)
				}
			}
		}
	}
	for _, modified := range r.ModifyIndex {
		r.Index = max(r.Index, modified)
	}
	return r
}

// Writes says whether the verb can change a key.
func (v Verb) Writes() bool {
	switch v {
	case CheckIndex, CheckNotExists, CheckSession:
		return false
	}
	return true
}
