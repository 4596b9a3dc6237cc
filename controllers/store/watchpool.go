// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"slices"
	"sync"
	"time"
)

// PoolQueries is how many blocking queries the watches of a controller share.
const PoolQueries = 44

const (
	// turnGoal is how late a change is noticed at most while watches take turns, as long as minTurn allows it.
	turnGoal = 10 * time.Second
	// minTurn is the shortest wait of a turn. It bounds how many requests the turns make.
	minTurn = 250 * time.Millisecond
	// firstTurn is the first wait for a target. A query waits for as long as the number of targets has not grown: a controller
	// that has just started does not know yet how many there are, and no query can be ended early: Consul counts it until its
	// wait ends.
	firstTurn = time.Second
	// reservedQueries are the queries that answer at once (for the index 0) even while all others wait.
	reservedQueries = 4
	// sharedWaits is from how many waits on a target takes no turns: all plans wait for the same keys that orders move.
	sharedWaits = 8
)

// Turns says how n targets share a number of blocking queries.
type Turns struct {
	Targets, Queries int
	// Wait is how long each query waits for a change. While each target has a query of its own, that is MaxWait.
	Wait time.Duration
}

// ShareQueries returns how a WatchPool with a number of queries watches targets.
func ShareQueries(targets, queries int) Turns {
	t := Turns{Targets: targets, Queries: queries - reservedQueries, Wait: MaxWait}
	if !t.Needed() {
		return t
	}
	t.Wait = max(turnGoal*time.Duration(t.Queries)/time.Duration(targets), minTurn)
	return t
}

// Needed reports whether there are fewer queries than targets.
func (t Turns) Needed() bool { return t.Targets > t.Queries }

// Delay is how late a change is noticed at most. Zero means at once.
func (t Turns) Delay() time.Duration {
	if !t.Needed() {
		return 0
	}
	others := t.Targets - t.Queries // targets that wait for their turn while a query waits for each of the first
	return t.Wait * time.Duration((others+t.Queries-1)/t.Queries)
}

// WatchPool is a Watcher that answers any number of waits with a bounded number of blocking queries of another Watcher. Waits
// for the same target share a query. If there are more targets than queries, the targets take turns: a query waits for each of
// them in order, for a part of turnGoal. A change between two turns is found at the next one.
//
// A target that many wait for takes no turns: its query waits until a change.
//
// A query that nothing waits for any more goes on until its wait ends, because it uses a connection of Consul until then.
type WatchPool struct {
	store   Watcher
	queries int

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu sync.Mutex
	// targets are those that something waits for. reads are the waits for the index 0 that no query has begun to answer.
	targets map[WatchTarget]*poolTarget
	reads   map[WatchTarget]*poolTarget
	// readQueue and waitQueue are what has no query. active counts the queries, and waiting those of them that wait for a change.
	readQueue, waitQueue []*poolTarget
	active, waiting      int
	// most is the highest number of targets so far, since the time grown.
	most  int
	grown time.Time
}

// PooledStore is a store whose waits share the queries of a pool.
type PooledStore struct {
	Store
	Pool *WatchPool
}

// Wait implements Watcher.
func (s PooledStore) Wait(ctx context.Context, target WatchTarget, index uint64, atMost time.Duration) (WatchIndex, error) {
	return s.Pool.Wait(ctx, target, index, atMost)
}

// poolTarget is a target with what waits for it.
type poolTarget struct {
	target WatchTarget
	// at is the newest known state. Zero means that it is unknown, and is to be read at once.
	at      WatchIndex
	waits   map[*poolWait]struct{}
	running bool
}

// poolWait is one call of Wait.
type poolWait struct {
	index  uint64
	answer chan poolAnswer
}

type poolAnswer struct {
	at  WatchIndex
	err error
}

// NewWatchPool returns a pool that hangs at most a number of blocking queries. Close ends it.
func NewWatchPool(w Watcher, queries int) *WatchPool {
	p := &WatchPool{store: w, queries: queries, targets: map[WatchTarget]*poolTarget{}, reads: map[WatchTarget]*poolTarget{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close ends all queries and returns when their goroutines have ended. No Wait may be called after it.
func (p *WatchPool) Close() {
	p.cancel()
	p.running.Wait()
}

// Turns returns how the targets of this moment share the queries.
func (p *WatchPool) Turns() Turns {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ShareQueries(len(p.targets), p.queries)
}

// Wait implements Watcher.
func (p *WatchPool) Wait(ctx context.Context, target WatchTarget, index uint64, atMost time.Duration) (WatchIndex, error) {
	timeout := time.NewTimer(min(max(atMost, 0), MaxWait))
	defer timeout.Stop()
	expired := timeout.C
	if index == 0 {
		expired = nil // an answer comes at once
	}
	w := &poolWait{index: index, answer: make(chan poolAnswer, 1)}
	defer p.leave(w, p.join(w, target))
	select {
	case a := <-w.answer:
		return a.at, a.err
	case <-expired:
		return WatchIndex{Index: index}, nil
	case <-ctx.Done():
		return WatchIndex{}, ctx.Err()
	}
}

// join adds a wait. It is answered at once if a newer state than its index is known.
func (p *WatchPool) join(w *poolWait, target WatchTarget) *poolTarget {
	p.mu.Lock()
	defer p.mu.Unlock()
	set, queue := p.targets, &p.waitQueue
	if w.index == 0 {
		set, queue = p.reads, &p.readQueue
	}
	t := set[target]
	if t == nil {
		t = &poolTarget{target: target, at: WatchIndex{Index: w.index}, waits: map[*poolWait]struct{}{}}
		set[target] = t
		*queue = append(*queue, t)
		if len(p.targets) > p.most {
			p.most, p.grown = len(p.targets), time.Now()
		}
	}
	if w.index < t.at.Index {
		w.answer <- poolAnswer{at: t.at}
		return t
	}
	if !t.running {
		t.at.Index = w.index
	}
	t.waits[w] = struct{}{}
	if len(t.waits) == sharedWaits && !t.running && w.index != 0 {
		p.waitQueue = slices.DeleteFunc(p.waitQueue, func(queued *poolTarget) bool { return queued == t })
		p.waitQueue = slices.Insert(p.waitQueue, 0, t)
	}
	p.startQuery()
	return t
}

func (p *WatchPool) leave(w *poolWait, t *poolTarget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(t.waits, w)
}

// startQuery starts a goroutine if a query is free. It ends when nothing is left to ask.
func (p *WatchPool) startQuery() {
	if p.active == p.queries || p.ctx.Err() != nil {
		return
	}
	p.active++
	p.running.Go(func() {
		for p.query() {
		}
	})
}

// query makes one query. It returns false if there is none to make.
func (p *WatchPool) query() bool {
	t, wait := p.next()
	if t == nil {
		return false
	}
	at, err := p.store.Wait(p.ctx, t.target, t.at.Index, wait)
	p.answered(t, at, err)
	return true
}

// next takes a target from the queues. If there is none, it ends the goroutine.
func (p *WatchPool) next() (*poolTarget, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() == nil {
		if t := p.takeRead(); t != nil {
			return t, MaxWait
		}
		if t := p.takeWait(); t != nil {
			longest := ShareQueries(len(p.targets), p.queries).Wait
			if len(t.waits) >= sharedWaits {
				longest = MaxWait
			}
			return t, min(max(time.Since(p.grown), firstTurn), longest)
		}
	}
	p.active--
	return nil, 0
}

func (p *WatchPool) takeRead() *poolTarget {
	if len(p.readQueue) == 0 {
		return nil
	}
	t := p.readQueue[0]
	p.readQueue = p.readQueue[1:]
	delete(p.reads, t.target) // a later read needs a later query
	return t
}

// takeWait takes the first target that something waits for, while a query for it is free.
func (p *WatchPool) takeWait() *poolTarget {
	for len(p.waitQueue) > 0 && p.waiting < p.queries-reservedQueries {
		t := p.waitQueue[0]
		p.waitQueue = p.waitQueue[1:]
		if len(t.waits) == 0 {
			delete(p.targets, t.target)
			continue
		}
		p.waiting++
		t.running = true
		return t
	}
	return nil
}

// answered answers the waits for a target, and queues it again if some go on.
func (p *WatchPool) answered(t *poolTarget, at WatchIndex, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.at = at
	for w := range t.waits {
		if err != nil || w.index != at.Index {
			w.answer <- poolAnswer{at, err}
			delete(t.waits, w)
		}
	}
	if !t.running { // a read
		return
	}
	p.waiting--
	t.running = false
	if len(t.waits) == 0 {
		delete(p.targets, t.target)
		return
	}
	if len(t.waits) >= sharedWaits {
		p.waitQueue = slices.Insert(p.waitQueue, 0, t)
		return
	}
	p.waitQueue = append(p.waitQueue, t)
}
