// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

func endedContext(h harness) {
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	_, _, listed := h.List(ctx, "")
	_, _, named := h.Keys(ctx, "")
	_, _, got := h.Get(ctx, "a")
	_, written := h.Txn(ctx, []store.Op{{Verb: store.Set, Key: "a"}})
	_, made := h.CreateSession(ctx, store.SessionOptions{Name: "test", TTL: 10 * time.Second})
	for call, err := range map[string]error{
		"List": listed, "Keys": named, "Get": got, "Txn": written, "CreateSession": made,
		"RenewSession": h.RenewSession(ctx, unknownSession), "DestroySession": h.DestroySession(ctx, unknownSession),
	} {
		if !errors.Is(err, context.Canceled) {
			h.Errorf("%s: %v, want %v", call, err, context.Canceled)
		}
	}
	h.wantKeys("")
}

// concurrent has four writers increment one counter by compare-and-set.
func concurrent(h harness) {
	const writers, rounds = 4, 20
	h.set("n", "0")
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for done := 0; done < rounds; {
				pairs, _, err := h.Get(h.Context(), "n")
				if err != nil {
					h.Error(err)
					return
				}
				n, err := strconv.Atoi(string(pairs[0].Value))
				if err != nil {
					h.Error(err)
					return
				}
				_, err = h.Txn(h.Context(), []store.Op{{Verb: store.CAS, Key: "n", Index: pairs[0].ModifyIndex,
					Value: strconv.AppendInt(nil, int64(n+1), 10)}})
				if err == nil {
					done++
				} else if _, conflict := errors.AsType[*store.ConflictError](err); !conflict {
					h.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if got := string(h.get("n").Value); got != strconv.Itoa(writers*rounds) {
		h.Errorf("counted to %s, want %d", got, writers*rounds)
	}
}
