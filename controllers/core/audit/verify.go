// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"errors"
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// maxWhat bounds the sentence of an entry, and maxReason the reason of an order, in bytes. maxWord bounds other words.
const (
	maxWhat   = 1 << 10
	maxReason = 1 << 10
	maxWord   = 128
)

// ErrNoLog says that a plan has no audit log.
var ErrNoLog = errors.New("there is no audit log: no controller wrote one, or it was erased")

// FaultError is the first fault of an audit log.
type FaultError struct {
	Number uint64
	What   string
}

func (e *FaultError) Error() string { return fmt.Sprintf("entry %d %s", e.Number, e.What) }

func padded(number uint64) string { return fmt.Sprintf("%08d", number) }

// DecodeHead decodes the head of a log. A missing key is an error.
func DecodeHead(p keys.Pair) (Head, error) { return keys.DecodeObject[Head](p) }

// Decode decodes the entries of a log in the order of their keys. It skips the head, and what cannot be decoded.
func Decode(plan string, pairs []keys.Pair) []Entry {
	var entries []Entry
	for _, p := range pairs {
		if e, err := decodeEntry(p); err == nil && p.Key != HeadKey(plan) {
			entries = append(entries, e)
		}
	}
	return entries
}

func decodeEntry(p keys.Pair) (Entry, error) {
	e, err := keys.DecodeObject[Entry](p)
	e.Plan, e.Kind = keys.Text(e.Plan, maxWord), Kind(keys.Text(string(e.Kind), maxWord))
	e.What, e.Reason = keys.Text(e.What, 2*maxWhat), keys.Text(e.Reason, 2*maxReason)
	e.By, e.Accessor = keys.Text(e.By, maxWord), keys.Text(e.Accessor, maxWord)
	e.Previous, e.Hash = keys.Text(e.Previous, maxWord), keys.Text(e.Hash, maxWord)
	return e, err
}

// Verify checks the log of a plan from all pairs below its tree: no entry is missing, changed or in another place, and the
// last one is that of the head. It returns the entries up to the first fault. The error is ErrNoLog or a *FaultError.
func Verify(plan string, pairs []keys.Pair) ([]Entry, error) {
	if len(pairs) == 0 {
		return nil, ErrNoLog
	}
	stored := make(map[string]keys.Pair, len(pairs))
	for _, p := range pairs {
		stored[p.Key] = p
	}
	head, err := DecodeHead(stored[HeadKey(plan)])
	if err != nil {
		return nil, &FaultError{0, "is not known to be the last: " + keys.Text(err.Error(), maxWhat)}
	}
	delete(stored, HeadKey(plan))
	entries := []Entry{}
	first := max(head.Number, MaxEntries) - MaxEntries + 1
	for n := first; n <= head.Number; n++ {
		p := stored[EntryKey(plan, n)]
		delete(stored, p.Key)
		if !p.Exists() {
			return entries, &FaultError{n, "is missing"}
		}
		e, err := decodeEntry(p)
		if err != nil {
			return entries, &FaultError{n, "cannot be read: " + keys.Text(err.Error(), maxWhat)}
		}
		if what := fault(e, p, plan, n, entries); what != "" {
			return entries, &FaultError{n, what}
		}
		entries = append(entries, e)
	}
	if last := len(entries) - 1; last < 0 || entries[last].Hash != head.Hash {
		return entries, &FaultError{head.Number, "does not have the hash that the head names"}
	}
	for _, p := range pairs { // in the order of their keys
		if _, left := stored[p.Key]; left {
			return entries, &FaultError{head.Number, "should be the last, but there is also " + keys.Text(p.Key, maxWhat)}
		}
	}
	for _, e := range entries {
		if e.Kind == LogChanged {
			return entries, &FaultError{e.Number, "says that the controller found a change: " + e.What}
		}
	}
	return entries, nil
}

// fault says what is wrong with an entry after the entries before it. Empty means nothing.
func fault(e Entry, p keys.Pair, plan string, number uint64, before []Entry) string {
	hash, ok := sum(p.Value)
	switch {
	case !ok || hash != e.Hash:
		return "was changed: its hash is not that of its content"
	case e.Number != number || e.Plan != plan:
		return fmt.Sprintf("is that of number %d of plan %s", e.Number, e.Plan)
	case number == 1 && e.Previous != "", len(before) > 0 && e.Previous != before[len(before)-1].Hash:
		return "does not follow the entry before it: its previous hash is another one"
	}
	return ""
}
