// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// sight is what was seen at one moment. It is not changed; its pages are made when they are asked for, once each.
type sight struct {
	id string
	at time.Time
	// plans are all that can be read; of a plan's own feed, plan and events are given instead.
	plans  []*v1alpha1.UpgradePlan
	plan   *upgradeplan.Observation
	events []fleet.Event
	leader *leaderelection.LockHeldError
	// err is why there is nothing to see, or, when there is, why nothing newer can be seen.
	err error

	mu    sync.Mutex
	pages map[string]*page
}

// page is the one of that name, made by make unless it was before.
func (s *sight) page(name string, render func(*sight) *page) *page {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pages[name]; p != nil {
		return p
	}
	p := render(s)
	if s.pages == nil {
		s.pages = map[string]*page{}
	}
	s.pages[name] = p
	return p
}

// past is what is kept of a sight when there is another.
func (s *sight) past() *sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &sight{id: s.id, pages: maps.Clone(s.pages)}
}

// empty says that there is nothing to see.
func (s *sight) empty() bool { return s.plan == nil && s.plans == nil }

// stale is the sight when nothing newer can be seen.
func (s *sight) stale(id string, err error) *sight {
	return &sight{id: id, at: s.at, plans: s.plans, plan: s.plan, events: s.events, leader: s.leader, err: err}
}

// retryAfter is the pause after something could not be read.
const retryAfter = 5 * time.Second

// readPlan follows a plan for its feed.
func (d *Dashboard) readPlan(name string) func(context.Context, func(*sight)) {
	return func(ctx context.Context, put func(*sight)) {
		r := reader{Dashboard: d, put: put, last: &sight{}}
		for ctx.Err() == nil {
			f := upgradeplan.Follower{Store: d.options.Store, Plan: name, Now: d.options.Now, Failed: r.failed}
			err := f.Follow(ctx, func(o *upgradeplan.Observation) error { return r.see(ctx, name, o) })
			if ctx.Err() != nil {
				return
			}
			r.show(func(*sight) *sight { return &sight{err: err, at: d.options.Now()} })
			pause(ctx, retryAfter)
		}
	}
}

// reader turns what is read for one feed into sights.
type reader struct {
	*Dashboard
	put func(*sight)

	mu   sync.Mutex
	last *sight
}

// show puts what becomes of the last sight.
func (r *reader) show(next func(last *sight) *sight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = next(r.last)
	r.last.id = r.number()
	r.put(r.last)
}

func (r *reader) failed(err error) {
	r.options.Log.V(1).Info("it is not seen what changes", "why", err.Error())
	r.show(func(last *sight) *sight { return last.stale("", err) })
}

func (r *reader) see(ctx context.Context, name string, o *upgradeplan.Observation) error {
	events, err := r.readEvents(ctx, name, o)
	if err != nil && ctx.Err() == nil {
		r.failed(err)
		return nil
	}
	leader, err := leaderelection.LockHolder(ctx, r.options.Store, keys.Leader)
	if err != nil && ctx.Err() == nil {
		r.failed(err)
		return nil
	}
	r.show(func(*sight) *sight { return &sight{at: o.Now, plan: o, events: events, leader: leader} })
	return nil
}

// readEvents reads the events of a plan, unless none has been written since.
func (r *reader) readEvents(ctx context.Context, name string, o *upgradeplan.Observation) ([]fleet.Event, error) {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last.plan != nil && last.plan.Raw.Ledger.Events == o.Raw.Ledger.Events {
		return last.events, nil
	}
	return upgradeplan.Plans{Store: r.options.Store}.Events(ctx, name)
}

// plansGap is the least time between two looks at all plans.
const plansGap = time.Second

// readPlans looks at the plans and their status, as the controller last wrote it.
func (d *Dashboard) readPlans(ctx context.Context, put func(*sight)) {
	r := reader{Dashboard: d, put: put, last: &sight{}}
	bells := store.NewWatchSet(d.options.Store, store.WatchSetOptions{MinInterval: plansGap,
		Failed: func(_ store.WatchTarget, err error) { r.failed(err) }})
	defer bells.Stop()
	for ok := true; ok; {
		wait := resync
		if err := r.seePlans(ctx); err != nil {
			r.failed(err)
			wait = retryAfter
		}
		bells.SetWatches(ctx, []store.Watch{store.WatchKeys(keys.Plans)})
		_, ok = bells.Wait(ctx, wait)
	}
}

// seePlans shows the plans that can be read, with what is wrong with others.
func (r *reader) seePlans(ctx context.Context) error {
	plans, invalid := upgradeplan.Plans{Store: r.options.Store}.List(ctx)
	if _, ok := errors.AsType[*upgradeplan.InvalidPlanError](invalid); invalid != nil && !ok {
		return invalid
	}
	leader, err := leaderelection.LockHolder(ctx, r.options.Store, keys.Leader)
	if err != nil {
		return err
	}
	slices.SortFunc(plans, func(a, b *v1alpha1.UpgradePlan) int { return fleet.CompareNatural(a.Name, b.Name) })
	r.show(func(*sight) *sight {
		return &sight{at: r.options.Now(), plans: append([]*v1alpha1.UpgradePlan{}, plans...), leader: leader, err: invalid}
	})
	return nil
}

// resync is how long the plans are not looked at when nothing rings.
const resync = 5 * time.Minute

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
