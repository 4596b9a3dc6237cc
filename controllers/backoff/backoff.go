// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package backoff

import (
	"context"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Sleep returns after d, or with the context's error when the context ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// New returns delays that begin with first and double up to most. Its Step method returns the next delay with a random
// addition of up to jitter times the delay, so that clients of an overloaded server do not all come back at once. Assign a
// new one to begin again.
func New(first, most time.Duration, jitter float64) wait.Backoff {
	return wait.Backoff{Duration: first, Factor: 2, Jitter: jitter, Steps: math.MaxInt, Cap: most}
}
