// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// followGap is the least time between two looks of a Follower at the same tree.
	followGap = 500 * time.Millisecond
	// followRetry is how long a Follower waits after a look that failed.
	followRetry = 2 * time.Second
	// followAll is about how often it reads everything: see memory for what can hide until then.
	followAll = 5 * time.Minute
)

// Follower looks at a plan and its fleet for those who only watch. It writes nothing, needs no lock, and as a worker does,
// reads only what has changed since its last look.
type Follower struct {
	Store Store
	Plan  string
	Now   func() time.Time
	// Failed is told of each look that failed and of each watch that did, by several goroutines at once; what follows is
	// tried again.
	Failed func(error)
}

// Follow tells seen what there is: first at once, and then whenever something has changed or time has changed a verdict.
// Observations are not changed after that, and may be kept. It ends with the context, without an error; with the error of
// seen; and when the plan is gone or cannot be read, with *NotFoundError or *Invalid.
func (f *Follower) Follow(ctx context.Context, seen func(*Observation) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bells := store.NewWatchSet(f.Store, store.WatchSetOptions{MinInterval: followGap, Failed: func(_ store.WatchTarget, err error) { f.Failed(err) }})
	defer bells.Stop()
	m := &memory{ages: true}
	status := store.WatchKeys(keys.Plan(f.Plan).Status())
	rang, readAll := store.Changes{All: true}, f.Now().Add(followAll)
	for {
		o, err := f.look(ctx, m, rang)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, new(*NotFoundError)), errors.As(err, new(*InvalidPlanError)):
			return err
		case err != nil:
			f.Failed(err)
			m.forget()
		default:
			if err := seen(o); err != nil {
				return err
			}
			bells.SetWatches(ctx, append(o.Watched(), status))
		}
		var ok bool
		if rang, ok = bells.Wait(ctx, f.patience(m, err)); !ok {
			return nil
		}
		delete(rang.At, status.Target) // read in any case
		if now := f.Now(); err != nil || !now.Before(readAll) {
			rang.All, readAll = true, now.Add(followAll)
		}
	}
}

// patience is how long the next look may wait.
func (f *Follower) patience(m *memory, err error) time.Duration {
	if err != nil {
		return followRetry
	}
	if m.wake.IsZero() {
		return followAll
	}
	return min(max(m.wake.Sub(f.Now()), followGap), followAll)
}

func (f *Follower) look(ctx context.Context, m *memory, rang store.Changes) (*Observation, error) {
	if err := m.refresh(ctx, f.Store, f.Plan); err != nil {
		return nil, err
	}
	o, err := m.observe(ctx, f.Store, f.Plan, f.Now(), rang)
	if err != nil {
		return nil, err
	}
	m.rely(o, o)
	return o, nil
}

// refresh reads what the controller alone writes of a plan, and does not ring: its ledger and its status.
func (m *memory) refresh(ctx context.Context, s store.Reader, plan string) error {
	if m.last == nil {
		return nil
	}
	k := keys.Plan(plan)
	pairs, _, err := s.Get(ctx, k.Ledger(), k.Status())
	if err != nil {
		return err
	}
	next := *m.last
	next.ledger, next.status = pairs[0], pairs[1]
	carried := *next.Plan
	carried.Status = decodeStatus(next.status)
	next.Plan, m.last = &carried, &next
	if next.Raw.Ledger, err = keys.DecodeLedger(next.ledger); err != nil {
		m.forget() // the look at all that follows tells what is wrong
	}
	return nil
}
