// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// conflictBackoff is how often RetryOnConflict tries, and the delays between the attempts. The other writer is an operator's
// command or a pass, which take milliseconds.
func conflictBackoff() wait.Backoff {
	return wait.Backoff{Steps: 5, Duration: 5 * time.Millisecond, Factor: 3, Jitter: 1}
}

// RetryOnConflict calls fn, which reads and then writes what follows from it, until fn returns no *ConflictError, five times
// at most. It returns the last error of fn, or the context's error if the context ends between two calls. A failed
// CheckSession is final: no retry brings a lost lock back.
func RetryOnConflict(ctx context.Context, fn func() error) error {
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, conflictBackoff(), func(context.Context) (bool, error) {
		last = fn()
		if conflict, ok := errors.AsType[*ConflictError](last); ok && !conflict.lostSession() {
			return false, nil
		}
		return true, last
	})
	if last != nil && !errors.Is(err, ctx.Err()) {
		return last
	}
	return err
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
