// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
)

// MaxWait is how long one Wait lasts at most when nothing changes.
const MaxWait = 5 * time.Minute

// WatchIndex is where a prefix stood when it was looked at.
type WatchIndex struct {
	// Index is never 0. It moves with each change below the prefix, and may move, or go backwards, without one.
	Index uint64
	// Empty says that there is nothing below the prefix. Then the index may move with every write to the store.
	Empty bool
}

// Watcher waits for changes. What is waited for is a prefix of keys: a/b stands for a/b/c as well as for a/bc; or it is
// ChecksTarget or NodesTarget, which are never empty.
type Watcher interface {
	// Wait returns when the index of the prefix is above the given one: at once for 0, when something below it is written
	// or removed, and after MaxWait in any case. A return is no promise that anything changed. What is transferred does
	// not grow with what is below a/b, as long as that is all below a/b/; below a/b/, it grows with the number of a/b/c.
	Wait(ctx context.Context, prefix string, index uint64) (WatchIndex, error)
}

// WatchTarget is a prefix that rings when something below it changes.
type WatchTarget struct {
	Prefix string
	// MinGap is the least time between two rings, two of which may follow each other at once; 0: that of whoever waits.
	MinGap time.Duration
}

// ChangedPrefixes is what may have changed since the last look.
type ChangedPrefixes struct {
	// All says that anything may.
	All bool
	// At are the prefixes below which something may, with where each stood when it rang last.
	At map[string]WatchIndex
}

// Add notes a ring.
func (r *ChangedPrefixes) Add(prefix string, m WatchIndex) {
	if r.At == nil {
		r.At = map[string]WatchIndex{}
	}
	r.At[prefix] = m
}

// WatchOptions say how a prefix is watched.
type WatchOptions struct {
	// MinGap is the least time between two looks, two of which may follow each other at once; 0: none.
	MinGap time.Duration
	// Failed is told of each failure; it may be nil.
	Failed func(error)
}

// The pauses of Watch after a failure, to which up to as much again is added at random: Consul may be overloaded.
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// Watch calls changed, with where the prefix stands, whenever something below it may have changed, first as soon as it
// watches, until the context ends. Changes that follow each other within MinGap are told as one. The rules are those of Consul's blocking
// queries: an index that went backwards, and a failure, begin again at 0.
func Watch(ctx context.Context, w Watcher, prefix string, o WatchOptions, changed func(WatchIndex)) {
	limit := rate.NewLimiter(rate.Inf, 2)
	if o.MinGap > 0 {
		limit = rate.NewLimiter(rate.Every(o.MinGap), 2)
	}
	var last WatchIndex
	delay := backoff.New(firstBackoff, maxBackoff, 1)
	for limit.Wait(ctx) == nil {
		mark, err := w.Wait(ctx, prefix, last.Index)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if o.Failed != nil {
				o.Failed(err)
			}
			last = WatchIndex{}
			if backoff.Sleep(ctx, delay.Step()) != nil {
				return
			}
			continue
		}
		delay = backoff.New(firstBackoff, maxBackoff, 1)
		// Nothing was there and nothing is: it was some other key of the store.
		if mark.Index != last.Index && (last.Index == 0 || !mark.Empty || !last.Empty) {
			changed(mark)
		}
		if mark.Index < last.Index {
			mark.Index = 0
		}
		last = mark
	}
}
