// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// MaxEntries is the number of entries of a plan that are stored. A new entry removes the one that is MaxEntries older.
const MaxEntries = 4096

// Kind says what an entry is about.
type Kind string

// The kinds of entries.
const (
	// Begin is the first entry of a log.
	Begin Kind = "Begin"
	// Spec is a plan that was stored, and Delete one that was deleted.
	Spec   Kind = "Spec"
	Delete Kind = "Delete"
	Pause  Kind = "Pause"
	// Resume ends a pause, a halt or an abort.
	Resume Kind = "Resume"
	Halt   Kind = "Halt"
	Abort  Kind = "Abort"
	// Pin carries out an earlier revision, after an undo or a rollback.
	Pin             Kind = "Pin"
	Unpin           Kind = "Unpin"
	OverrideWindows Kind = "OverrideWindows"
	Promote         Kind = "Promote"
	SetAside        Kind = "SetAside"
	Retry           Kind = "Retry"
	// Accept goes on with a fleet that shrank or grew, or with a restored store.
	Accept Kind = "Accept"
	Hold   Kind = "Hold"
	Unhold Kind = "Unhold"
	// Control is any other change of the orders.
	Control Kind = "Control"
	// StoreWentBack says that the store was restored from a backup. The entries after the backup are in the log of the controller.
	StoreWentBack Kind = "StoreWentBack"
	// LogChanged says that another writer changed the head of the log.
	LogChanged Kind = "LogChanged"
)

// Entry is an entry of the audit log. Its hash must remain the last field: see Sum.
type Entry struct {
	// Number counts the entries of a plan, from 1.
	Number uint64 `json:"number"`
	// Time is when the controller saw the change, by its own clock.
	Time time.Time `json:"time"`
	Plan string    `json:"plan"`
	Kind Kind      `json:"kind"`
	// What is a sentence about the change.
	What string `json:"what"`
	// By, Reason and Accessor are those of the order: what its writer says. Empty means unknown.
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Accessor string `json:"accessor,omitempty"`
	// Index is the ModifyIndex of the key that changed. Zero means that the key is gone, or that there is none.
	Index uint64 `json:"index,omitempty"`
	// Previous is the hash of the entry before. Empty in the first entry of a plan.
	Previous string `json:"previous,omitempty"`
	// Hash is the SHA-256 of the stored entry without this member, in hexadecimal.
	Hash string `json:"hash,omitempty"`
}

// Head is the end of an audit log, and what it covers.
type Head struct {
	// Number and Hash are those of the last entry. Zero means that there is none.
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
	// Control is the ModifyIndex of the orders that the log covers.
	Control uint64 `json:"control,omitempty"`
	// Seen are the digests of the orders that the log covers, by name.
	Seen map[string]string `json:"seen,omitempty"`
}

const root = "upgrade.jiocloud.com/audit/"

// Tree is the prefix of the audit log of a plan.
func Tree(plan string) string { return root + plan + "/" }

// HeadKey is the key of the head of the log of a plan.
func HeadKey(plan string) string { return Tree(plan) + "head" }

// EntryKey is the key of the entry with that number.
func EntryKey(plan string, number uint64) string { return Tree(plan) + padded(number) }

// The members that Encode puts around the hash of an entry, which is the last one.
const (
	beforeHash = `,"hash":"`
	afterHash  = `"}`
)

// Encode encodes the value of an entry with its hash.
func (e *Entry) Encode() []byte {
	e.Hash = ""
	e.Hash = digest(keys.EncodeObject(*e))
	return keys.EncodeObject(*e)
}

// Encode encodes the value of the head.
func (h Head) Encode() []byte { return keys.EncodeObject(h) }

// sum returns the hash that a stored entry should have, and whether it has the hash at its end.
func sum(value []byte) (hash string, ok bool) {
	text := string(value)
	at := strings.LastIndex(text, beforeHash)
	if at < 0 || !strings.HasSuffix(text, afterHash) || len(text) != at+len(beforeHash)+hex.EncodedLen(sha256.Size)+len(afterHash) {
		return "", false
	}
	return digest([]byte(text[:at] + "}")), true
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
