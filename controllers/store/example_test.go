// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// A transaction applies all of its operations or none.
func ExampleWriter() {
	ctx := context.Background()
	s := memory.New(time.Now)
	result, err := s.Txn(ctx, []store.Op{
		{Verb: store.CheckNotExists, Key: "started/web1"},
		{Verb: store.Set, Key: "grants/web1", Value: []byte("v2")},
	})
	fmt.Println(result.ModifyIndex["grants/web1"] == result.Index, err)
	pairs, _, err := s.Get(ctx, "grants/web1", "grants/web2")
	fmt.Printf("%s %t %v\n", pairs[0].Value, pairs[1].Exists(), err)
	// Output:
	// true <nil>
	// v2 false <nil>
}

// A compare-and-set is refused if the key has changed since it was read. The error names each operation that did not pass.
func ExampleConflictError() {
	ctx := context.Background()
	s := memory.New(time.Now)
	read, _ := s.Txn(ctx, []store.Op{{Verb: store.Set, Key: "counter", Value: []byte("1")}})
	_, _ = s.Txn(ctx, []store.Op{{Verb: store.Set, Key: "counter", Value: []byte("5")}})

	_, err := s.Txn(ctx, []store.Op{{Verb: store.CAS, Key: "counter", Index: read.Index, Value: []byte("2")}})
	conflict, ok := errors.AsType[*store.ConflictError](err)
	fmt.Println(ok, conflict.FailedKey("counter"))
	fmt.Println(err)
	// Output:
	// true true
	// refused, nothing was written: cas counter: failed to set key "counter", index is stale
}

// A watch set reports each new watch once, and then the changes.
func ExampleWatchSet() {
	ctx := context.Background()
	s := memory.New(time.Now)
	set := store.NewWatchSet(s, store.WatchSetOptions{})
	defer set.Stop()
	set.SetWatches(ctx, []store.Watch{store.WatchKeys("grants/")})
	_, _ = set.Wait(ctx, time.Minute)

	_, _ = s.Txn(ctx, []store.Op{{Verb: store.Set, Key: "grants/web1", Value: []byte("v2")}})
	changes, _ := set.Wait(ctx, time.Minute)
	for target := range changes.At {
		fmt.Println(target)
	}
	// Output:
	// grants/
}
