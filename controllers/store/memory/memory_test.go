// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New(time.Now) })
}

func TestConformance_ThroughAPool(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := memory.New(time.Now)
		pool := store.NewWatchPool(s, store.PoolQueries)
		t.Cleanup(pool.Close)
		return store.PooledStore{Store: s, Pool: pool}
	})
}

func TestCatalog(t *testing.T) {
	storetest.Catalog(t, func(*testing.T) (store.Store, storetest.Registry) {
		s := memory.New(time.Now)
		return s, registry{s}
	})
}

// registry is the catalog of a store.
type registry struct{ store *memory.Store }

func (r registry) Register(_ testing.TB, node, service string, checks ...fleet.Check) {
	r.store.SetServiceChecks(node, service, checks...)
}

func (r registry) Deregister(t testing.TB, node string) {
	names, _, err := r.store.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.store.SetNodes(slices.DeleteFunc(names, func(name string) bool { return name == node })...)
}

func TestSessionExpires(t *testing.T) {
	now := time.Unix(1_782_000_000, 0)
	s := memory.New(func() time.Time { return now })
	storetest.Expiry(t, s, func(d time.Duration) { now = now.Add(d) })
	if passed := now.Sub(time.Unix(1_782_000_000, 0)); passed != 20*time.Second {
		t.Errorf("expired after %s, Consul takes twice the TTL", passed)
	}
}

func TestWait_WakesWhenASessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(time.Now)
		session, err := s.CreateSession(t.Context(), store.SessionOptions{Name: "test", TTL: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Lock, Key: "a", Session: session}}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		before, err := s.Wait(t.Context(), store.WatchTarget{Prefix: "a"}, 0, store.MaxWait)
		if err != nil {
			t.Fatal(err)
		}
		after, err := s.Wait(t.Context(), store.WatchTarget{Prefix: "a"}, before.Index, store.MaxWait)
		if err != nil || after.Index <= before.Index || time.Since(begun) != 20*time.Second {
			t.Errorf("%+v, and %s later %+v (%v)", before, time.Since(begun), after, err)
		}
		last, err := s.Wait(t.Context(), store.WatchTarget{Prefix: "a"}, after.Index, store.MaxWait)
		if err != nil || last != after || time.Since(begun) != 20*time.Second+store.MaxWait {
			t.Errorf("%+v, and %s later %+v (%v), although nothing changed", after, time.Since(begun), last, err)
		}
	})
}

func TestWait_WakesForTheCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(time.Now)
		for _, step := range []struct {
			target store.TargetKind
			change func()
		}{
			{store.Nodes, func() { s.SetNodes("web1", "web2") }},
			{store.Checks, func() { s.SetChecks("web1", fleet.Check{ID: "disk", Status: fleet.Warning}) }},
			{store.Checks, func() { s.SetServiceChecks("web1", "http", fleet.Check{ID: "port", Status: fleet.Critical}) }},
			{store.Checks, func() { s.SetChecks("web1") }},
			{store.Nodes, func() { s.SetChecks("web3") }},
			{store.Checks, func() { s.SetNodes("web2") }},
		} {
			begun := time.Now()
			before, err := s.Wait(t.Context(), store.WatchTarget{Kind: step.target}, 0, store.MaxWait)
			if err != nil {
				t.Fatal(err)
			}
			woken := make(chan store.WatchIndex, 1)
			go func() {
				mark, err := s.Wait(t.Context(), store.WatchTarget{Kind: step.target}, before.Index, store.MaxWait)
				if err != nil {
					t.Error(err)
				}
				woken <- mark
			}()
			synctest.Wait() // it waits
			step.change()
			if mark := <-woken; mark.Index <= before.Index || mark.Empty || time.Since(begun) != 0 {
				t.Errorf("%s: %+v, and %s later %+v", store.WatchTarget{Kind: step.target}, before, time.Since(begun), mark)
			}
		}
	})
}

func TestRestore_IndexesGoBackAndWaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(time.Now)
		set := func(key, value string) uint64 {
			t.Helper()
			result, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}})
			if err != nil {
				t.Fatal(err)
			}
			return result.Index
		}
		get := func(key string) (string, uint64) {
			t.Helper()
			pairs, _, err := s.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			return string(pairs[0].Value), pairs[0].ModifyIndex
		}
		first := set("a", "1")
		backup := s.Snapshot()
		second := set("a", "2")
		set("b", "1")
		woken := make(chan store.WatchIndex, 1)
		go func() {
			at, err := s.Wait(t.Context(), store.WatchTarget{Prefix: "a"}, second, store.MaxWait)
			if err != nil {
				t.Error(err)
			}
			woken <- at
		}()
		synctest.Wait()
		begun := time.Now()
		s.Restore(backup)
		if at := <-woken; at.Index != first || time.Since(begun) != 0 {
			t.Errorf("the wait ended after %s with %+v, want index %d", time.Since(begun), at, first)
		}
		if value, index := get("a"); value != "1" || index != first {
			t.Errorf("a is %q at %d after the restore, want 1 at %d", value, index, first)
		}
		if _, index := get("b"); index != 0 {
			t.Error("b exists after the restore")
		}
		if third := set("a", "3"); third <= second {
			t.Errorf("the index of the first write after the restore is %d, not above %d", third, second)
		}
	})
}
