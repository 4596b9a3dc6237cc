// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Request asks for a sync. A later request replaces it, also before it is handled: see Status.Handled.
type Request struct {
	ID   string    `json:"id"`
	By   string    `json:"by,omitempty"`
	Time time.Time `json:"time"`
	// Accept is a commit that may be applied although it does not descend from the one that was applied last. It counts for the
	// sync that handles the request. Empty means none.
	Accept string `json:"accept,omitempty"`
	// Number is higher than those of all earlier requests. Zero means that RequestSync did not store it.
	Number uint64 `json:"number,omitempty"`
}

const (
	// maxRequestText limits the ID of a request and who made it, in bytes. The status keeps both.
	maxRequestText = 256
	// maxRequestNumber is the highest number of a request. RequestSync does not reach it.
	maxRequestNumber = 1 << 53
)

// Requests stores requests.
type Requests interface {
	store.Reader
	store.Writer
}

// PendingAcceptError says that a request was not stored, because one that accepts another commit is not handled yet.
type PendingAcceptError struct {
	Source  string
	Pending Request
}

func (e *PendingAcceptError) Error() string {
	return fmt.Sprintf("source %s: the request of %s at %s to accept %s is not handled yet; wait until `upgradectl describe source %[1]s` "+
		"shows its result, then try again", e.Source, e.Pending.by(), e.Pending.Time.UTC().Format(time.RFC3339), e.Pending.Accept)
}

// RequestSync asks the leader to sync a source. It needs no lock. It returns the request as it is stored: with a number, and with
// the accepted commit of a request that is not handled yet. The error is a *PendingAcceptError if both accept a commit.
func RequestSync(ctx context.Context, s Requests, source string, r Request) (Request, error) {
	var stored Request
	err := store.RetryOnConflict(ctx, func() error {
		pairs, _, err := s.Get(ctx, keys.Source(source), keys.Request(source))
		if err != nil {
			return err
		}
		status, _ := DecodeStatus(pairs[0])
		if stored, err = r.after(decodeRequest(pairs[1]), &status, source); err != nil {
			return err
		}
		_, err = s.Txn(ctx, []store.Op{{Verb: store.CAS, Key: pairs[1].Key, Value: keys.EncodeObject(stored), Index: pairs[1].ModifyIndex}})
		return err
	})
	return stored, err
}

// after returns the request that replaces an earlier one.
func (r Request) after(earlier Request, status *Status, source string) (Request, error) {
	r.Number = max(earlier.Number, status.HandledNumber) + 1
	switch {
	case earlier.Accept == "" || status.Handled(earlier):
		return r, nil
	case r.Accept == "":
		r.By, r.Accept = earlier.by(), earlier.Accept
	case r.Accept != earlier.Accept:
		return r, &PendingAcceptError{source, earlier}
	}
	return r, nil
}

// by returns who made the request.
func (r Request) by() string {
	if r.By == "" {
		return "an operator"
	}
	return r.By
}

// decodeRequest returns a request. An empty ID means no request.
func decodeRequest(p keys.Pair) Request {
	var r Request
	if json.Unmarshal(p.Value, &r) != nil {
		r = Request{ID: string(p.Value)} // a value that was written by hand is a request, too
	}
	r.ID, r.By, r.Accept = keys.Text(r.ID, maxRequestText), keys.Text(r.By, maxRequestText), repository.CommitOf(r.Accept)
	if r.Number > maxRequestNumber {
		r.Number = 0
	}
	return r
}
