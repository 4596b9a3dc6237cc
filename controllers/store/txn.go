// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
)

// CheckOps returns what is wrong with a transaction before anything is sent. Every implementation of Store calls it. It
// requires a session where a verb uses one: Consul lets check-session with an empty session pass on a key without a lock.
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

// NewResult returns the result of an applied transaction. Index returns the index of a key after its last write. Keys that a
// later operation of the same transaction removed are left out.
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
