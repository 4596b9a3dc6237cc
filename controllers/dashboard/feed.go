// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"sync"
	"time"
)

// feed is what one reader of Consul has seen, for all who look at it: it reads while somebody does, and a while longer.
type feed struct {
	// read tells what it sees until the context ends.
	read   func(ctx context.Context, put func(*sight))
	linger time.Duration

	mu      sync.Mutex
	users   int
	stop    context.CancelFunc // nil: nobody reads
	idle    *time.Timer
	last    *sight
	past    []*sight      // the ones before, of which only the pages are kept
	changed chan struct{} // closed when there is another than last
}

// join keeps the feed reading until leave is called.
func (f *feed) join(ctx context.Context, running *sync.WaitGroup) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users++
	if f.idle != nil {
		f.idle.Stop()
		f.idle = nil
	}
	if f.stop == nil {
		ctx, f.stop = context.WithCancel(ctx)
		f.last, f.past, f.changed = nil, nil, make(chan struct{})
		running.Go(func() { f.read(ctx, func(s *sight) { f.put(ctx, s) }) })
	}
	return sync.OnceFunc(f.leave)
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users > 0 {
		return
	}
	f.idle = time.AfterFunc(f.linger, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.users == 0 && f.stop != nil {
			f.stop()
			f.stop = nil
		}
	})
}

// unused says that nobody looks, and nothing is read.
func (f *feed) unused() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users == 0 && f.stop == nil
}

// put shows a sight to all who wait; one that comes late, from a reader that was stopped, to nobody.
func (f *feed) put(ctx context.Context, s *sight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if f.last != nil {
		f.past = append(f.past, f.last.past())
		f.past = f.past[max(0, len(f.past)-maxPast):]
	}
	f.last = s
	close(f.changed)
	f.changed = make(chan struct{})
}

// maxPast is how many sights back a page may be that is told only what differs.
const maxPast = 4

// shown is the page of that name as the sight of that id had it; nil: that is not known any more.
func (f *feed) shown(id, name string) *page {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.past {
		if s.id == id {
			return s.pages[name]
		}
	}
	if f.last != nil && f.last.id == id {
		return f.last.past().pages[name]
	}
	return nil
}

// next waits for a sight that is another than the given one, or for beat to end. Nil: there is none until then.
func (f *feed) next(ctx context.Context, than *sight, beat time.Duration) *sight {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	for {
		f.mu.Lock()
		last, changed := f.last, f.changed
		f.mu.Unlock()
		if last != nil && last != than {
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
