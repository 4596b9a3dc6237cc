// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Request asks for a sync. Its ID is told in the status once the sync has been made.
type Request struct {
	ID   string    `json:"id"`
	By   string    `json:"by,omitempty"`
	Time time.Time `json:"time"`
}

// Ring asks the controller that leads for a sync of a source. It needs no lock.
func Ring(ctx context.Context, w store.Writer, source string, r Request) error {
	data, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("gitsync: a request cannot be encoded: %v", err)) // strings and a time
	}
	_, err = w.Txn(ctx, []store.Op{{Verb: store.Set, Key: keys.Request(source), Value: data}})
	return err
}

// requestOf is the id of a request; empty: there is none.
func requestOf(p keys.Pair) string {
	var r Request
	if json.Unmarshal(p.Value, &r) != nil {
		return string(p.Value) // what somebody wrote by hand is a request all the same
	}
	return r.ID
}
