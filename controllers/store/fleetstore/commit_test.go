// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// txns records transactions. It refuses those that set the key refused.
type txns struct {
	refused string
	written []string // the keys that each transaction set
}

func (t *txns) MaxOps() int { return 64 }

func (t *txns) Txn(_ context.Context, ops []store.Op) (store.Result, error) {
	if err := store.CheckOps(ops, t.MaxOps()); err != nil {
		return store.Result{}, err
	}
	var names []string
	for _, op := range ops {
		if op.Key == t.refused {
			return store.Result{}, errors.New("refused")
		}
		if op.Verb == store.Set {
			names = append(names, op.Key)
		}
	}
	t.written = append(t.written, strings.Join(names, " "))
	return store.NewResult(ops, func(string) uint64 { return uint64(len(t.written)) }), nil
}

func set(key string, size int) store.Op {
	return store.Op{Verb: store.Set, Key: key, Value: make([]byte, size)}
}

func TestCommit_LeavesOutWhatDoesNotFit(t *testing.T) {
	for name, tt := range map[string]struct {
		status, events int
		want           string
	}{
		"all fits":               {10, 10, "halt status event"},
		"a large status":         {store.MaxBytes, 10, "halt event"},
		"large events":           {10, store.MaxBytes, "halt"},
		"both together too much": {store.MaxBytes / 2, store.MaxBytes / 2, "halt event"},
	} {
		s := &txns{}
		c := fleetstore.Commit{Fence: fleetstore.Fence{Session: "s", Ledger: keys.Pair{Key: "ledger"}}, Last: []store.Op{set("halt", 10)},
			Optional: [][]store.Op{{set("status", tt.status)}, {set("event", tt.events)}}}
		if _, err := c.Run(t.Context(), s); err != nil || len(s.written) != 1 || s.written[0] != tt.want {
			t.Errorf("%s: %v, %q, want %q", name, err, s.written, tt.want)
		}
	}
}

// Changes that the store refuses do not keep a stop from being written.
func TestCommit_WritesAStopWithoutItsChanges(t *testing.T) {
	s := &txns{refused: "grant"}
	var changes diff.Changes
	changes.List = append(changes.List, diff.Change{Op: diff.Set, To: diff.Entry{Key: "grant", Value: "x"}})
	c := fleetstore.Commit{Fence: fleetstore.Fence{Session: "s", Ledger: keys.Pair{Key: "ledger"}}, Changes: changes,
		Last: []store.Op{set("halt", 10)}}
	done, err := c.Run(t.Context(), s)
	if err == nil || len(s.written) != 1 || s.written[0] != "halt" || done.Index["halt"] == 0 {
		t.Errorf("%v, %q, %+v", err, s.written, done)
	}
}
