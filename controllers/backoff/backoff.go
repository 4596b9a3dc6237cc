// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package backoff

import (
	"context"
	"math"
	"math/rand/v2"
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

// Delays are the pauses between attempts. Assign new ones to begin again.
type Delays struct {
	doubling wait.Backoff
	jitter   float64
}

// New returns delays that begin with first and double up to most. Each has a random addition of up to jitter times the delay,
// so that clients of an overloaded server do not all come back at once.
func New(first, most time.Duration, jitter float64) Delays {
	return Delays{wait.Backoff{Duration: first, Factor: 2, Steps: math.MaxInt, Cap: most}, jitter}
}

// Step returns the next delay.
func (d *Delays) Step() time.Duration { return Jitter(d.doubling.Step(), d.jitter) }

// Jitter returns d with an addition of up to most times d, which follows from the nanosecond of the call. A random source that
// goroutines share would follow from their order as well, so that a run in virtual time would not repeat exactly.
func Jitter(d time.Duration, most float64) time.Duration {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	return d + time.Duration(random.Float64()*most*float64(d))
}
