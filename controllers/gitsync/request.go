// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Request asks for a sync. When the sync is done, Status.HandledRequest has its ID.
type Request struct {
	ID   string    `json:"id"`
	By   string    `json:"by,omitempty"`
	Time time.Time `json:"time"`
	// Accept is a commit that may be applied although it does not descend from the one that was applied last. It counts for the
	// sync that handles the request. Empty means none.
	Accept string `json:"accept,omitempty"`
}

// RequestSync asks the leader to sync a source. It needs no lock.
func RequestSync(ctx context.Context, w store.Writer, source string, r Request) error {
	_, err := w.Txn(ctx, []store.Op{{Verb: store.Set, Key: keys.Request(source), Value: keys.EncodeObject(r)}})
	return err
}

// decodeRequest returns a request. An empty ID means no request.
func decodeRequest(p keys.Pair) Request {
	var r Request
	if json.Unmarshal(p.Value, &r) != nil {
		return Request{ID: string(p.Value)} // a value that was written by hand is a request, too
	}
	return r
}
