// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// slowStore counts the queries that wait, as Consul counts connections: also those whose client has gone.
type slowStore struct {
	store.Store
	mu   sync.Mutex
	made queryCounts
	fail error
}

// queryCounts are the queries that wait now, the most that waited at a time, and all that were made.
type queryCounts struct{ waiting, most, asks int }

func (s *slowStore) counts() queryCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made
}

func (s *slowStore) Wait(ctx context.Context, target store.WatchTarget, index uint64, atMost time.Duration) (store.WatchIndex, error) {
	s.mu.Lock()
	s.made.waiting++
	s.made.asks++
	s.made.most = max(s.made.most, s.made.waiting)
	err := s.fail
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.made.waiting--
	}()
	if err != nil {
		return store.WatchIndex{}, err
	}
	return s.Store.Wait(ctx, target, index, atMost)
}

// pooled is a pool over a store, and what its watches reported.
type pooled struct {
	*testing.T
	store *slowStore
	pool  *store.WatchPool

	mu    sync.Mutex
	fired map[store.WatchTarget]time.Time
}

func newPooled(t *testing.T, queries int) *pooled {
	p := &pooled{T: t, store: &slowStore{Store: memory.New(time.Now)}, fired: map[store.WatchTarget]time.Time{}}
	p.pool = store.NewWatchPool(p.store, queries)
	return p
}

// watch watches the trees of n fleets until the context ends.
func (p *pooled) watch(ctx context.Context, n int) (stop func()) {
	var watching sync.WaitGroup
	for i := range n {
		w := store.WatchKeys(fmt.Sprintf("fleet%d/", i))
		p.put(i, "0")
		watching.Go(func() {
			w.Run(ctx, p.pool, nil, func(store.WatchIndex) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.fired[w.Target] = time.Now()
			})
		})
	}
	return watching.Wait
}

func (p *pooled) put(i int, value string) {
	p.Helper()
	op := store.Op{Verb: store.Set, Key: fmt.Sprintf("fleet%d/key", i), Value: []byte(value)}
	if _, err := p.store.Txn(p.Context(), []store.Op{op}); err != nil {
		p.Fatal(err)
	}
}

func (p *pooled) reported(i int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fired[store.WatchTarget{Prefix: fmt.Sprintf("fleet%d/", i)}]
}

// However many targets there are, the queries are bounded, and no change is reported later than the pool says.
func TestWatchPool_BoundsQueriesAndDelay(t *testing.T) {
	for _, n := range []int{1, 36, 100, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPooled(t, 40)
				ctx, cancel := context.WithCancel(t.Context())
				stopped := p.watch(ctx, n)
				defer func() { cancel(); stopped(); p.pool.Close() }()
				<-time.After(5 * time.Minute) // the first turns are over
				turns := p.pool.Turns()
				if turns.Targets != n || turns.Needed() != (n > 36) {
					t.Fatalf("%+v", turns)
				}
				for i := range 20 {
					<-time.After(777 * time.Millisecond)
					host, begun := i*7919%n, time.Now()
					p.put(host, fmt.Sprint("changed ", i))
					<-time.After(turns.Delay() + time.Second)
					synctest.Wait()
					if got := p.reported(host); got.Before(begun) || got.Sub(begun) > turns.Delay()+time.Second/4 {
						t.Errorf("a change was reported after %s, want %s at most", got.Sub(begun), turns.Delay())
					}
				}
				if p.store.counts().most > 40 {
					t.Errorf("%d queries at a time, want 40 at most", p.store.counts().most)
				}
			})
		})
	}
}

// A change of a target that many wait for is noticed within half a second, also while the others take turns: all plans wait for the keys that orders move.
func TestWatchPool_NoticesSharedTargetsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(t, 40)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := p.watch(ctx, 1000)
		var sharing sync.WaitGroup
		for range 50 {
			sharing.Go(func() { store.WatchKeys("fleet0/").Run(ctx, p.pool, nil, func(store.WatchIndex) {}) })
		}
		defer func() { cancel(); stopped(); sharing.Wait(); p.pool.Close() }()
		<-time.After(5 * time.Minute)
		for i := range 10 {
			<-time.After(7 * time.Second)
			begun := time.Now()
			p.put(0, fmt.Sprint("changed ", i))
			<-time.After(time.Second)
			synctest.Wait()
			if got := p.reported(0).Sub(begun); got < 0 || got > time.Second/2 {
				t.Errorf("a change was reported after %s", got)
			}
		}
	})
}

// In turns, each of the 36 queries makes four requests a second at most. Without turns, a target in which nothing changes costs a
// request each MaxWait.
func TestWatchPool_BoundsRequests(t *testing.T) {
	for _, tt := range []struct{ targets, most int }{{1, 25}, {36, 36 * 25}, {1000, 1000 + 600*4*36}, {2000, 2000 + 600*4*36}} {
		if testing.Short() && tt.targets > 36 {
			continue // the simulated ten minutes take seconds
		}
		synctest.Test(t, func(t *testing.T) {
			p := newPooled(t, 40)
			ctx, cancel := context.WithCancel(t.Context())
			stopped := p.watch(ctx, tt.targets)
			defer func() { cancel(); stopped(); p.pool.Close() }()
			<-time.After(10 * time.Minute)
			synctest.Wait()
			if p.store.counts().asks > tt.most {
				t.Errorf("%d targets: %d requests in 10 minutes, want %d at most", tt.targets, p.store.counts().asks, tt.most)
			}
		})
	}
}

// A first wait is answered at once even while all queries wait for changes of other targets.
func TestWatchPool_AnswersTheFirstWaitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(t, 10)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := p.watch(ctx, 6)
		defer func() { cancel(); stopped(); p.pool.Close() }()
		<-time.After(5 * time.Minute)
		begun := time.Now()
		for _, prefix := range []string{"fleet1/", "other/"} {
			at, err := p.pool.Wait(t.Context(), store.WatchTarget{Prefix: prefix}, 0, store.MaxWait)
			if err != nil || at.Index == 0 || time.Since(begun) != 0 {
				t.Errorf("%s: %+v, %v after %s", prefix, at, err, time.Since(begun))
			}
		}
	})
}

// Several waits for one target share a query. One that knows an older state than the query is answered at once.
func TestWatchPool_SharesQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(t, 10)
		defer p.pool.Close()
		p.put(0, "1")
		target := store.WatchTarget{Prefix: "fleet0/"}
		old, err := p.pool.Wait(t.Context(), target, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		p.put(0, "2")
		now, err := p.pool.Wait(t.Context(), target, old.Index, store.MaxWait)
		if err != nil || now.Index <= old.Index {
			t.Fatalf("%+v after %+v: %v", now, old, err)
		}
		var waiting sync.WaitGroup
		answers := make(chan store.WatchIndex, 20)
		for range 20 {
			waiting.Go(func() {
				at, _ := p.pool.Wait(t.Context(), target, now.Index, store.MaxWait)
				answers <- at
			})
		}
		synctest.Wait()
		if p.store.counts().waiting != 1 {
			t.Errorf("%d queries for one target", p.store.counts().waiting)
		}
		if at, err := p.pool.Wait(t.Context(), target, old.Index, store.MaxWait); err != nil || at != now {
			t.Errorf("a wait for an older state: %+v, %v, want %+v", at, err, now)
		}
		p.put(0, "3")
		waiting.Wait()
		close(answers)
		for at := range answers {
			if at.Index <= now.Index {
				t.Errorf("an answer is %+v, after %+v", at, now)
			}
		}
	})
}

// A query whose waits have ended still uses a connection, until its wait ends. A new wait for the target uses it.
func TestWatchPool_CountsAbandonedQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(t, 14)
		defer p.pool.Close()
		for i := range 100 { // a dashboard that is opened and closed again
			ctx, cancel := context.WithCancel(t.Context())
			p.put(i, "1")
			stopped := p.watch(ctx, 5)
			<-time.After(10 * time.Millisecond)
			cancel()
			stopped()
		}
		if p.store.counts().most > 14 {
			t.Errorf("%d queries at a time", p.store.counts().most)
		}
	})
}

func TestWatchPool_ReturnsErrorsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(t, 10)
		p.store.fail = errors.New("too many connections")
		for _, index := range []uint64{0, 5} {
			if _, err := p.pool.Wait(t.Context(), store.WatchTarget{Prefix: "a/"}, index, store.MaxWait); !errors.Is(err, p.store.fail) {
				t.Errorf("index %d: %v", index, err)
			}
		}
		p.store.fail = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.put(0, "1")
		at, _ := p.pool.Wait(ctx, store.WatchTarget{Prefix: "fleet0/"}, 0, 0)
		if _, err := p.pool.Wait(ctx, store.WatchTarget{Prefix: "fleet0/"}, at.Index, store.MaxWait); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		begun := time.Now()
		if same, err := p.pool.Wait(t.Context(), store.WatchTarget{Prefix: "fleet0/"}, at.Index, time.Second); err != nil ||
			same.Index != at.Index || time.Since(begun) != time.Second {
			t.Errorf("%+v, %v after %s, want %+v after 1s", same, err, time.Since(begun), at)
		}
		p.pool.Close()
	})
}

// changing is a watcher whose target changes once in a minute. It notes for how long each query may wait.
type changing struct{ waits []time.Duration }

func (c *changing) Wait(ctx context.Context, _ store.WatchTarget, index uint64, atMost time.Duration) (store.WatchIndex, error) {
	c.waits = append(c.waits, atMost)
	select {
	case <-time.After(min(atMost, 40*time.Second)):
	case <-ctx.Done():
	}
	if atMost < 40*time.Second {
		return store.WatchIndex{Index: index}, ctx.Err()
	}
	return store.WatchIndex{Index: index + 1}, ctx.Err()
}

// A change does not make the next queries short again: each of them costs an answer of Consul.
func TestWatchPool_WaitsLongAfterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watcher := &changing{}
		pool := store.NewWatchPool(watcher, store.PoolQueries)
		defer pool.Close()
		at := store.WatchIndex{Index: 1}
		for range 3 {
			last := at.Index
			for at.Index == last {
				var err error
				if at, err = pool.Wait(t.Context(), store.WatchTarget{Prefix: "fleet/"}, at.Index, store.MaxWait); err != nil {
					t.Fatal(err)
				}
			}
		}
		short := slices.DeleteFunc(slices.Clone(watcher.waits), func(d time.Duration) bool { return d >= 40*time.Second })
		if len(watcher.waits)-len(short) != 3 || len(short) > 7 {
			t.Errorf("waits of %v, want three long ones and a few short ones at the start", watcher.waits)
		}
	})
}
