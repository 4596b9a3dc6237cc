// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// Of the interval of the watch and that of the set, the longer one applies.
func TestWatchSet_LongerIntervalApplies(t *testing.T) {
	for _, tt := range []struct{ watch, set, want time.Duration }{
		{0, 0, 0},
		{10 * time.Second, time.Second, 10 * time.Second},
		{time.Second, 10 * time.Second, 10 * time.Second},
		{0, 10 * time.Second, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := memory.New(time.Now)
			set := store.NewWatchSet(s, store.WatchSetOptions{MinInterval: tt.set})
			defer set.Stop()
			watch := store.WatchKeys("a/")
			watch.MinInterval = tt.watch
			set.SetWatches(t.Context(), []store.Watch{watch})
			var last time.Time
			for i := range 10 {
				if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: "a/1", Value: fmt.Append(nil, i)}}); err != nil {
					t.Fatal(err)
				}
				if _, ok := set.Wait(t.Context(), -1); !ok {
					t.Fatal("the context has ended")
				}
				if gap := time.Since(last); i > 3 && gap != tt.want { // the first ones may follow each other at once
					t.Errorf("%s and %s: a report after %s, want %s", tt.watch, tt.set, gap, tt.want)
				}
				last = time.Now()
				synctest.Wait()
			}
		})
	}
}

func TestWatchSet_SetWatchesReplacesWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(time.Now)
		write := func(key string) {
			t.Helper()
			if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: key, Value: fmt.Append(nil, time.Now())}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		var fired atomic.Int64 // each watch reports from its own goroutine
		set := store.NewWatchSet(s, store.WatchSetOptions{Changed: func() { fired.Add(1) }})
		defer set.Stop()
		set.SetWatches(t.Context(), []store.Watch{store.WatchKeys("a/"), store.WatchKeys("b/")})
		synctest.Wait()
		if changes := set.Take(); len(changes.At) != 2 || fired.Load() != 2 {
			t.Errorf("a new watch reports once: %+v, %d reports", changes, fired.Load())
		}
		set.SetWatches(t.Context(), []store.Watch{store.WatchKeys("b/")})
		write("a/1")
		write("b/1")
		changes := set.Take()
		if _, ok := changes.At[store.WatchTarget{Prefix: "b/"}]; !ok || len(changes.At) != 1 || fired.Load() != 3 {
			t.Errorf("only b/ is watched: %+v, %d reports", changes, fired.Load())
		}
		if changes, ok := set.Wait(t.Context(), time.Minute); !ok || len(changes.At) > 1 {
			t.Errorf("nothing changed: %+v %t", changes, ok)
		}
	})
}
