// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"sync"
	"time"
)

// feed shares the snapshots of one reader between all viewers. It reads while it has viewers, and for linger after that.
type feed struct {
	// read publishes snapshots until the context ends.
	read   func(ctx context.Context, put func(*snapshot))
	linger time.Duration

	mu      sync.Mutex
	viewers int
	stop    context.CancelFunc // nil if no reader is running
	idle    *time.Timer
	last    *snapshot
	past    []*snapshot   // older snapshots, with their pages only
	changed chan struct{} // closed when last is replaced
}

// join keeps the feed reading until leave is called.
func (f *feed) join(ctx context.Context, running *sync.WaitGroup) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.viewers++
	if f.idle != nil {
		f.idle.Stop()
		f.idle = nil
	}
	if f.stop == nil {
		ctx, f.stop = context.WithCancel(ctx)
		f.last, f.past, f.changed = nil, nil, make(chan struct{})
		running.Go(func() { f.read(ctx, func(s *snapshot) { f.publish(ctx, s) }) })
	}
	return sync.OnceFunc(f.leave)
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.viewers--; f.viewers > 0 {
		return
	}
	f.idle = time.AfterFunc(f.linger, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.viewers == 0 && f.stop != nil {
			f.stop()
			f.stop = nil
		}
	})
}

// stopUnwatched stops the reader of a feed that has no viewers. It reports whether the feed has none.
func (f *feed) stopUnwatched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.viewers > 0 {
		return false
	}
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
	return true
}

// publish makes a snapshot the last one and wakes all viewers. It drops the snapshot if its reader has been stopped.
func (f *feed) publish(ctx context.Context, s *snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if f.last != nil {
		f.past = append(f.past, f.last.pagesOnly())
		f.past = f.past[max(0, len(f.past)-maxPast):]
	}
	f.last = s
	close(f.changed)
	f.changed = make(chan struct{})
}

// maxPast is how many old snapshots are kept to compute changes. Clients that show an older one get a full page.
const maxPast = 4

// pageAt returns the page of a name in the snapshot of an ID. Nil means that the snapshot is too old.
func (f *feed) pageAt(id, name string) *page {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.past {
		if s.id == id {
			return s.pages.get(name)
		}
	}
	if f.last != nil && f.last.id == id {
		return f.last.pages.get(name)
	}
	return nil
}

// next waits for a snapshot other than old. It returns nil after the timeout or when the context ends.
func (f *feed) next(ctx context.Context, old *snapshot, timeout time.Duration) *snapshot {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		f.mu.Lock()
		last, changed := f.last, f.changed
		f.mu.Unlock()
		if last != nil && last != old {
			return last
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
