// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Kinds of errors of Reconcile, for errors.Is. An error that wraps leaderelection.ErrLost ends the leadership. All
// others are retried with a growing delay.
var (
	// ErrGone means that the plan does not exist. It is forgotten.
	ErrGone = errors.New("the plan does not exist")
	// ErrStalled means that a retry is useless until something changes.
	ErrStalled = errors.New("nothing can be done until the plan changes")
)

// Request asks for one pass over a plan.
type Request struct {
	// Session holds the lock: it fences every write.
	Session string
	// Plan is the plan's name.
	Plan string
	// Changes are what may have changed since the last pass: all of it in the first pass of a term, after an error and at a
	// resync.
	Changes store.Changes
}

// Result is what a pass asks of the manager.
type Result struct {
	// RequeueAt is when the next pass is due even if nothing changes. Zero means never.
	RequeueAt time.Time
	// Watches are what the plan depends on. Nil means those of the last pass.
	Watches []store.Watch
}

// Reconciler makes passes over plans. Its methods return soon after their context ends.
type Reconciler interface {
	// Plans returns the names of all plans.
	Plans(ctx context.Context) ([]string, error)
	// Reconcile makes one pass over one plan.
	Reconcile(ctx context.Context, r Request) (Result, error)
}
