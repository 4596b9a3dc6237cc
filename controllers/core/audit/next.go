// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

const (
	// MaxNext is the number of entries that one pass adds. The last one stands for all others.
	MaxNext = 16
	// maxSeen bounds the orders that the head lists one by one. One digest covers all others.
	maxSeen = 256
)

// Next returns the entries that the log needs to cover a state, and the head after them. It returns no entries if the log covers
// the state. Noted are entries about the log itself, which come first: only their kind and sentence are used.
func (h Head) Next(s State, now time.Time, noted ...Entry) ([]Entry, Head) {
	changes := slices.Clone(noted)
	if h.Number == 0 {
		changes = append(changes, Entry{Kind: Begin, What: "the audit log begins"})
	}
	next := Head{Number: h.Number, Hash: h.Hash}
	if s.Spec.Exists() {
		changes = append(changes, h.changes(&s, &next)...)
	} else if len(h.Seen) > 0 {
		changes = append(changes, Entry{Kind: Delete, What: "deleted the plan"})
	}
	if len(changes) > MaxNext {
		rest := changes[MaxNext-1:]
		changes = append(changes[:MaxNext-1:MaxNext-1], Entry{Kind: rest[0].Kind, Index: rest[0].Index,
			What: fmt.Sprintf("%d more changes, the first: %s", len(rest), rest[0].What)})
	}
	for i := range changes {
		e := &changes[i]
		next.Number++
		e.Number, e.Time, e.Plan, e.Previous = next.Number, now.UTC().Truncate(time.Second), s.Plan, next.Hash
		e.What = keys.Text(e.What, maxWhat)
		e.Encode()
		next.Hash = e.Hash
	}
	return changes, next
}

// changes returns entries, without numbers and hashes, for the differences between a log and a state, and notes in the next head
// what the log covers then.
func (h Head) changes(s *State, next *Head) []Entry {
	all, unknown := s.orders()
	next.Control, next.Seen = s.Control.ModifyIndex, h.kept(unknown)
	differ := h.ended(all, unknown, s.Control.ModifyIndex)
	for _, o := range fold(all) {
		if h.Seen[o.name] != o.digest {
			differ = append(differ, o)
		}
		next.Seen[o.name] = o.digest
	}
	entries := group(differ)
	if h.Control != 0 && next.Control != 0 && h.Control != next.Control &&
		!slices.ContainsFunc(differ, func(o order) bool { return o.index == next.Control }) {
		entries = append(entries, Entry{Kind: Control, What: "wrote the orders again, without a difference", Index: next.Control})
	}
	return entries
}

// fold replaces the orders that the head does not list by one that has a digest of all of them.
func fold(all []order) []order {
	if len(all) <= maxSeen {
		return all
	}
	rest := all[maxSeen-1:]
	digests := make([]string, len(rest))
	for i, o := range rest {
		digests[i] = o.name + " " + o.digest
	}
	return append(slices.Clone(all[:maxSeen-1]), newOrder(nameMore, Control, digests, claim{}, "there are %d more orders", len(rest)))
}

// covers reports whether an order of the head belongs to one of the classes.
func covers(classes []string, name string) bool {
	class, _, _ := strings.Cut(name, "/")
	switch class {
	case nameSpec, nameWentBack, nameMore:
		return false
	case classHold:
		return slices.Contains(classes, classHold)
	}
	return slices.Contains(classes, control)
}

// kept returns the digests of the orders that a state does not cover.
func (h Head) kept(unknown []string) map[string]string {
	seen := map[string]string{}
	for name, digest := range h.Seen {
		if covers(unknown, name) {
			seen[name] = digest
		}
	}
	return seen
}

// ended returns the orders of the head that are gone. The end of a stop has the claim of a new order to resume.
func (h Head) ended(all []order, unknown []string, index uint64) []order {
	var ending claim
	present := make(map[string]bool, len(all))
	for _, o := range all {
		present[o.name] = true
		if o.kind == Resume && h.Seen[o.name] != o.digest {
			ending = o.claim
		}
	}
	var gone []order
	for _, name := range slices.Sorted(maps.Keys(h.Seen)) {
		if present[name] || covers(unknown, name) || name == nameMore || name == nameWentBack {
			continue
		}
		o := end(name)
		if o.kind == Resume {
			o.claim = ending
		}
		if o.kind != Unhold {
			o.index = index
		}
		gone = append(gone, o)
	}
	return gone
}

// group makes one entry of all orders of the same kind, sentence and claim. It lists their subjects.
func group(orders []order) []Entry {
	type key struct {
		kind Kind
		what string
		claim
	}
	at := map[key]int{}
	var entries []Entry
	var subjects [][]string
	for _, o := range orders {
		i, found := at[key{o.kind, o.what, o.claim}]
		if !found {
			i = len(entries)
			at[key{o.kind, o.what, o.claim}] = i
			entries = append(entries, Entry{Kind: o.kind, What: o.what, By: o.by, Reason: o.reason, Accessor: o.accessor})
			subjects = append(subjects, nil)
		}
		entries[i].Index = max(entries[i].Index, o.index)
		if o.subject != "" {
			subjects[i] = append(subjects[i], o.subject)
		}
	}
	for i, names := range subjects {
		if len(names) > 0 {
			entries[i].What += " " + wording.First(names, maxNames)
		}
	}
	return entries
}
