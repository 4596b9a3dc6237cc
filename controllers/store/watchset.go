// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// WatchSet are prefixes that are watched for one who waits for any of them. Hang and Wait are called by that one alone.
type WatchSet struct {
	store Watcher
	// minGap is that of bells that name none; failed is told of each failure.
	minGap time.Duration
	failed func(error)

	on      map[WatchTarget]context.CancelFunc
	running sync.WaitGroup
	rings   chan struct{}

	mu   sync.Mutex
	rang ChangedPrefixes
}

// NewWatchSet has none yet. MinGap is the least time between two rings of a bell that names none; failed is told of each
// failure, by several goroutines at once.
func NewWatchSet(w Watcher, minGap time.Duration, failed func(error)) *WatchSet {
	return &WatchSet{store: w, minGap: minGap, failed: failed, on: map[WatchTarget]context.CancelFunc{}, rings: make(chan struct{}, 1)}
}

// SetTargets hangs the bells that do not hang yet, until the context ends, and takes down the others. A new bell rings once:
// something may have changed before it was watched.
func (b *WatchSet) SetTargets(ctx context.Context, bells []WatchTarget) {
	wanted := make(map[WatchTarget]bool, len(bells))
	for _, bell := range bells {
		wanted[bell] = true
		if b.on[bell] != nil {
			continue
		}
		watched, stop := context.WithCancel(ctx)
		b.on[bell] = stop
		b.running.Go(func() {
			o := WatchOptions{MinGap: cmp.Or(bell.MinGap, b.minGap), Failed: b.failed}
			Watch(watched, b.store, bell.Prefix, o, func(m WatchIndex) { b.notify(bell.Prefix, m) })
		})
	}
	for bell, stop := range b.on {
		if !wanted[bell] {
			stop()
			delete(b.on, bell)
		}
	}
}

func (b *WatchSet) notify(prefix string, m WatchIndex) {
	b.mu.Lock()
	b.rang.Add(prefix, m)
	b.mu.Unlock()
	select {
	case b.rings <- struct{}{}:
	default: // it rings already
	}
}

// Wait waits for a ring, or for so long (negative: for no time in particular), and returns what has rung since the last
// call. False: the context has ended.
func (b *WatchSet) Wait(ctx context.Context, atMost time.Duration) (ChangedPrefixes, bool) {
	var alarm <-chan time.Time
	if atMost >= 0 {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-b.rings:
	case <-alarm:
	case <-ctx.Done():
		return ChangedPrefixes{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rang := b.rang
	b.rang = ChangedPrefixes{}
	return rang, true
}

// Stop takes all bells down and returns when none is watched any more.
func (b *WatchSet) Stop() {
	for bell, stop := range b.on {
		stop()
		delete(b.on, bell)
	}
	b.running.Wait()
}
