// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"sync"
	"time"
)

// Changes are the targets that may have changed since the last read.
type Changes struct {
	// All says that everything may have changed.
	All bool
	// At holds the targets that may have changed, with the last known state of each.
	At map[WatchTarget]WatchIndex
}

// Add notes a change.
func (c *Changes) Add(target WatchTarget, at WatchIndex) {
	if c.At == nil {
		c.At = map[WatchTarget]WatchIndex{}
	}
	c.At[target] = at
}

// WatchSetOptions say how a WatchSet works. The zero value works.
type WatchSetOptions struct {
	// MinInterval is the least time between two reports of one target that its reader can use. 0 means no limit.
	MinInterval time.Duration
	// Failed is called with each failure, and Changed after each change, by several goroutines at once. Both may be nil.
	Failed  func(WatchTarget, error)
	Changed func()
}

// WatchSet watches a changing set of targets for one reader. One goroutine at a time may call SetWatches, Wait, Take and Stop.
type WatchSet struct {
	store   Watcher
	options WatchSetOptions

	active  map[Watch]context.CancelFunc
	running sync.WaitGroup
	fired   chan struct{}

	mu      sync.Mutex
	changes Changes
}

// NewWatchSet returns a set that watches nothing yet.
func NewWatchSet(w Watcher, o WatchSetOptions) *WatchSet {
	return &WatchSet{store: w, options: o, active: map[Watch]context.CancelFunc{}, fired: make(chan struct{}, 1)}
}

// SetWatches starts the watches that are not active yet, until the context ends, and ends all others. A new watch reports one
// change: something may have changed before it began.
func (s *WatchSet) SetWatches(ctx context.Context, watches []Watch) {
	wanted := make(map[Watch]bool, len(watches))
	for _, w := range watches {
		wanted[w] = true
		if s.active[w] == nil {
			s.start(ctx, w)
		}
	}
	for w, stop := range s.active {
		if !wanted[w] {
			stop()
			delete(s.active, w)
		}
	}
}

// start starts a watch. Both intervals are lower bounds: a watch says what its target is worth, and the set says what its
// reader can use. So the longer one applies. The shorter one would let a target that is expensive to follow be polled at the
// pace of a fast reader, or a slow reader be woken at the pace of one target.
func (s *WatchSet) start(ctx context.Context, w Watch) {
	watching, stop := context.WithCancel(ctx)
	s.active[w] = stop
	var failed func(error)
	if s.options.Failed != nil {
		failed = func(err error) { s.options.Failed(w.Target, err) }
	}
	run := Watch{Target: w.Target, MinInterval: max(w.MinInterval, s.options.MinInterval)}
	s.running.Go(func() {
		run.Run(watching, s.store, failed, func(at WatchIndex) { s.notify(w.Target, at) })
	})
}

func (s *WatchSet) notify(target WatchTarget, at WatchIndex) {
	s.mu.Lock()
	s.changes.Add(target, at)
	s.mu.Unlock()
	select {
	case s.fired <- struct{}{}:
	default: // a reader that has not come yet finds both
	}
	if s.options.Changed != nil {
		s.options.Changed()
	}
}

// Take returns what has changed since the last call.
func (s *WatchSet) Take() Changes {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := s.changes
	s.changes = Changes{}
	return changes
}

// Wait waits for a change, at most for the given time (negative: without a limit), and returns what has changed since the
// last call. It returns false when the context has ended.
func (s *WatchSet) Wait(ctx context.Context, atMost time.Duration) (Changes, bool) {
	var timeout <-chan time.Time
	if atMost >= 0 {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-s.fired:
	case <-timeout:
	case <-ctx.Done():
		return Changes{}, false
	}
	return s.Take(), true
}

// Stop ends all watches and returns when their goroutines have ended.
func (s *WatchSet) Stop() {
	for w, stop := range s.active {
		stop()
		delete(s.active, w)
	}
	s.running.Wait()
}
