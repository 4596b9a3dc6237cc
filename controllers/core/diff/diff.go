// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Entry is one key, either as it exists or as it should be.
type Entry struct {
	Key   string
	Value string
	// Flags of the pair. Flags that differ are no change on their own, unless the existing flags are 0. Zero means
	// unknown, and the flags are written once.
	Flags uint64
	// Index is the ModifyIndex of an existing key. It is 0 in a desired entry.
	Index uint64
	// Rank orders changes: sets by ascending rank, then deletes by descending rank.
	Rank int
	// Renew asks to write the key even if its value is unchanged.
	Renew bool
}

// KeySet is a set of keys without duplicates, in the order in which they are written.
type KeySet []Entry

// Op is what a change does to a key.
type Op string

// The operations.
const (
	Set    Op = "set"
	Delete Op = "delete"
)

// Change is one operation on one key. From is the key as it was read; its Index is 0 if the key did not exist. To is
// the desired entry, and is zero for a delete.
type Change struct {
	Op   Op
	From Entry
	To   Entry
}

// Key returns the key that changes.
func (c Change) Key() string {
	if c.Op == Delete {
		return c.From.Key
	}
	return c.To.Key
}

// Changes is an ordered list of changes.
type Changes struct {
	List []Change
	// Trees are prefixes. If there are any, one transaction deletes everything below them and then applies the changes below
	// them together with those of Atomic.
	Trees []string
	// Atomic lists keys outside of Trees that change in the same transaction.
	Atomic []string
}

// Replaces reports whether a key is below one of the trees that are deleted.
func (c Changes) Replaces(key string) bool {
	return slices.ContainsFunc(c.Trees, func(tree string) bool { return strings.HasPrefix(key, tree) })
}

// Empty reports whether there is nothing to change.
func (c Changes) Empty() bool { return len(c.List) == 0 }

// Compute returns the changes that turn actual into desired. It modifies neither.
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

// order sorts sets before deletes. A higher rank is set later and deleted earlier.
func (c Change) order() int {
	if c.Op == Delete {
		return 1<<16 - c.From.Rank
	}
	return c.To.Rank
}

// String renders the changes as a unified diff without context: at most two lines for each key.
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
	return " (rewritten)"
}

// JSON is one change as it is printed in JSON and YAML.
type JSON struct {
	Op    Op     `json:"op"`
	Key   string `json:"key"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Index uint64 `json:"modifyIndex,omitempty"`
}

// JSON returns the changes in order.
func (c Changes) JSON() []JSON {
	out := make([]JSON, 0, len(c.List))
	for _, change := range c.List {
		out = append(out, JSON{Op: change.Op, Key: change.Key(), From: change.From.Value, To: change.To.Value,
			Index: change.From.Index})
	}
	return out
}
