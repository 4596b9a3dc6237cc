// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diff compares the keys that exist with those that should, and says what must change.
package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Entry is one key: as it exists, or as it should.
type Entry struct {
	Key   string
	Value string
	// Flags of the pair. Other flags alone are no difference, unless the existing ones are 0: then they are unknown,
	// and are written once.
	Flags uint64
	// Index is the ModifyIndex of an existing key; 0 in what should be.
	Index uint64
	// Rank orders changes: sets in ascending rank, then deletes in descending rank.
	Rank int
	// Renew asks to write the key even if it says the same.
	Renew bool
}

// KeySet is a set of keys, each once, in the order in which they shall be written.
type KeySet []Entry

// Op is what a change does to a key.
type Op string

// The operations.
const (
	Set    Op = "set"
	Delete Op = "delete"
)

// Change is what must happen to one key. From is what was seen of it, Index 0 if it did not exist; To is what it shall
// be.
type Change struct {
	Op   Op
	From Entry
	To   Entry
}

// Key is the key that changes.
func (c Change) Key() string {
	if c.Op == Delete {
		return c.From.Key
	}
	return c.To.Key
}

// Changes is all that must happen, in order.
type Changes struct {
	List []Change
	// Tree, if not empty, is a prefix: all changes below it, and Atomic, are applied in one transaction in which the
	// whole tree is deleted first.
	Tree string
	// Atomic are keys outside of Tree that change in that same transaction.
	Atomic []string
}

// Empty says that nothing must change.
func (c Changes) Empty() bool { return len(c.List) == 0 }

// Compute says what must change for actual to become desired. Neither is modified.
func Compute(actual, desired KeySet) Changes {
	existing := make(map[string]int, len(actual))
	for i, e := range actual {
		existing[e.Key] = i
	}
	wanted := make([]bool, len(actual))
	var changes Changes
	for _, to := range desired {
		i, ok := existing[to.Key]
		if !ok {
			changes.List = append(changes.List, Change{Op: Set, To: to})
			continue
		}
		wanted[i] = true
		if differ(actual[i], to) {
			changes.List = append(changes.List, Change{Op: Set, From: actual[i], To: to})
		}
	}
	for i, from := range actual {
		if !wanted[i] {
			changes.List = append(changes.List, Change{Op: Delete, From: from})
		}
	}
	slices.SortStableFunc(changes.List, func(a, b Change) int { return cmp.Compare(a.order(), b.order()) })
	return changes
}

func differ(from, to Entry) bool {
	return from.Value != to.Value || from.Flags == 0 && to.Flags != 0 || to.Renew
}

// order puts sets before deletes; a later rank is set later and deleted earlier.
func (c Change) order() int {
	if c.Op == Delete {
		return 1<<16 - c.From.Rank
	}
	return c.To.Rank
}

// String is the changes as a unified diff would show them: two lines a key, without context.
func (c Changes) String() string {
	var b strings.Builder
	for _, change := range c.List {
		if change.From.Index != 0 {
			fmt.Fprintf(&b, "-%s = %s\n", change.From.Key, change.From.Value)
		}
		if change.Op == Set {
			fmt.Fprintf(&b, "+%s = %s%s\n", change.To.Key, change.To.Value, change.note())
		}
	}
	return b.String()
}

func (c Change) note() string {
	if c.From.Index == 0 || c.From.Value != c.To.Value {
		return ""
	}
	return " (written anew)"
}

// JSON is the form in which changes are printed as JSON or YAML.
type JSON struct {
	Op    Op     `json:"op"`
	Key   string `json:"key"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Index uint64 `json:"modifyIndex,omitempty"`
}

// JSON lists the changes in order.
func (c Changes) JSON() []JSON {
	out := make([]JSON, 0, len(c.List))
	for _, change := range c.List {
		out = append(out, JSON{Op: change.Op, Key: change.Key(), From: change.From.Value, To: change.To.Value,
			Index: change.From.Index})
	}
	return out
}
