// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
)

// MaxWait is how long one Wait lasts at most when nothing changes. Consul counts a blocking query whose client is gone as a
// connection until its wait ends, which is up to a sixteenth later: within 45 s.
const MaxWait = 42 * time.Second

// TargetKind is the kind of a watch target.
type TargetKind uint8

const (
	// KeyTree is all keys that begin with a prefix: of a/b both a/b/c and a/bc.
	KeyTree TargetKind = iota
	// FlatKeyTree is a KeyTree whose prefix ends in a slash, with many keys directly below it. A store may wait for the prefix
	// without its slash, which transfers less. That also wakes for a/bc when the prefix is a/b/.
	FlatKeyTree
	// Checks is what Unhealthy returns. A watch may also fire for checks that pass.
	Checks
	// Nodes is what Nodes returns. A watch does not fire for checks.
	Nodes
)

// WatchTarget is what a watch observes.
type WatchTarget struct {
	Kind TargetKind
	// Prefix of the keys. Empty for Checks and Nodes.
	Prefix string
}

// String is the target for logs.
func (t WatchTarget) String() string {
	switch t.Kind {
	case Checks:
		return "checks"
	case Nodes:
		return "nodes"
	default:
		return t.Prefix
	}
}

// WatchIndex is the state of a target at one moment.
type WatchIndex struct {
	// Index is never 0. It grows with each change of the target. It may also grow, or go backwards, without a change.
	Index uint64
	// Empty says that no key has the prefix. Then the index may grow with every write to the store.
	Empty bool
}

// Watcher waits for changes.
type Watcher interface {
	// Wait returns when the index of the target is above the given one: at once for 0, and after atMost or MaxWait in any
	// case. So a return does not promise a change. What is transferred grows with the names directly below the prefix a/b/ (for
	// a FlatKeyTree it does not grow), and never with what is below those names.
	Wait(ctx context.Context, target WatchTarget, index uint64, atMost time.Duration) (WatchIndex, error)
}

// Watch is a target, with how often it is worth a look.
type Watch struct {
	Target WatchTarget
	// MinInterval is the least time between two reports, two of which may follow each other at once. 0 means no limit.
	MinInterval time.Duration
}

// WatchKeys is a watch on the keys that begin with a prefix.
func WatchKeys(prefix string) Watch { return Watch{Target: WatchTarget{Prefix: prefix}} }

// The pauses of Watch.Run after a failure, to which up to as much again is added at random: Consul may be overloaded.
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// Run calls changed with the state of the target: once as soon as it watches, and then whenever something may have changed,
// until the context ends. Changes within MinInterval are reported as one. Run calls failed, if it is not nil, with each
// failure, and tries again. It follows the rules of Consul's blocking queries: after a failure, and after an index that went
// backwards, it begins again at 0.
func (w Watch) Run(ctx context.Context, s Watcher, failed func(error), changed func(WatchIndex)) {
	limit := rate.NewLimiter(rate.Inf, 2)
	if w.MinInterval > 0 {
		limit = rate.NewLimiter(rate.Every(w.MinInterval), 2)
	}
	var last WatchIndex
	delay := backoff.New(firstBackoff, maxBackoff, 1)
	for limit.Wait(ctx) == nil {
		now, err := s.Wait(ctx, w.Target, last.Index, MaxWait)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if failed != nil {
				failed(err)
			}
			last = WatchIndex{}
			if backoff.Sleep(ctx, delay.Step()) != nil {
				return
			}
			continue
		}
		delay = backoff.New(firstBackoff, maxBackoff, 1)
		// If there was no key and there is none, a key outside the prefix changed.
		if now.Index != last.Index && (last.Index == 0 || !now.Empty || !last.Empty) {
			changed(now)
		}
		switch {
		case now.Index == last.Index: // an unchanged index says nothing about Empty
			continue
		case now.Index < last.Index:
			now.Index = 0
		}
		last = now
	}
}
