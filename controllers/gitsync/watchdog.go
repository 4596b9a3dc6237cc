// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"fmt"
	"sync"
	"time"
)

// watchdog knows the work that must end by a certain time. The zero value is ready to use.
type watchdog struct {
	mu   sync.Mutex
	work map[*deadline]struct{}
}

// deadline is when work must have ended.
type deadline struct {
	what string
	time time.Time
}

// begin notes the start of work. The function that it returns notes its end.
func (w *watchdog) begin(what string, until time.Time) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.work == nil {
		w.work = map[*deadline]struct{}{}
	}
	d := &deadline{what, until}
	w.work[d] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.work, d)
	}
}

// check returns an error if work has not ended by its time.
func (w *watchdog) check(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.work {
		if now.After(d.time) {
			return fmt.Errorf("the %s must have ended at %s, and has not", d.what, d.time.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
