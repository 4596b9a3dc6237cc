// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
)

// conflictAttempts is how often RetryOnConflict tries. The pauses begin with firstConflictPause and triple, because the other
// writer is an operator's command or a pass, which take milliseconds. Up to as much again is added at random.
const (
	conflictAttempts   = 5
	firstConflictPause = 5 * time.Millisecond
)

// RetryOnConflict calls fn, which reads and then writes what follows from it, until fn returns no *ConflictError, five times
// at most. It returns the last error of fn, or the context's error if the context ends between two calls. A failed
// CheckSession is final: no retry brings a lost lock back.
func RetryOnConflict(ctx context.Context, fn func() error) error {
	pause := firstConflictPause
	for attempt := 1; ; attempt++ {
		err := fn()
		conflict, ok := errors.AsType[*ConflictError](err)
		if !ok || conflict.lostSession() || attempt == conflictAttempts {
			return err
		}
		if err := backoff.Sleep(ctx, backoff.Jitter(pause, 1)); err != nil {
			return err
		}
		pause *= 3
	}
}

// lostSession reports whether a session no longer held its lock.
func (e *ConflictError) lostSession() bool {
	for _, f := range e.Failed {
		if f.Op.Verb == CheckSession {
			return true
		}
	}
	return false
}
