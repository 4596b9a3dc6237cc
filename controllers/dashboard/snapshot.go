// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// snapshot has the data of one moment. It is immutable, except that each page is rendered once, when it is first requested.
type snapshot struct {
	id string
	at time.Time
	// plans are set in the feed of the list of plans, plan and events in the feed of a plan.
	plans  []*v1alpha1.UpgradePlan
	plan   *pass.Assessment
	events []fleet.Event
	leader *leaderelection.LockHeldError
	// err says why there is no data, or why there is no newer data. Nil means that the data is current.
	err error

	pages *pages
}

// pages are the rendered pages of a snapshot, by name.
type pages struct {
	mu     sync.Mutex
	byName map[string]*page
}

// page returns the page of that name. It renders the page on the first call.
func (s *snapshot) page(name string, render func(*snapshot) *page) *page {
	s.pages.mu.Lock()
	defer s.pages.mu.Unlock()
	p := s.pages.byName[name]
	if p == nil {
		p = render(s)
		s.pages.byName[name] = p
	}
	return p
}

// get returns a rendered page. Nil means that the page has not been rendered.
func (p *pages) get(name string) *page {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[name]
}

// pagesOnly returns a snapshot that has only the rendered pages, for comparisons with later ones. A stream may still render one.
func (s *snapshot) pagesOnly() *snapshot { return &snapshot{id: s.id, pages: s.pages} }

// empty reports whether the snapshot has no data.
func (s *snapshot) empty() bool { return s.plan == nil && s.plans == nil }

// withError returns the same data with the reason why no newer data is available.
func (s *snapshot) withError(err error) *snapshot {
	return &snapshot{at: s.at, plans: s.plans, plan: s.plan, events: s.events, leader: s.leader, err: err}
}

// retryAfter is the delay after a failed read.
const retryAfter = 5 * time.Second

// followPlan returns a function that publishes snapshots of a plan until its context ends.
func (d *Dashboard) followPlan(name string) func(context.Context, func(*snapshot)) {
	return func(ctx context.Context, put func(*snapshot)) {
		r := reader{Dashboard: d, publish: put, last: &snapshot{}}
		for ctx.Err() == nil {
			f := upgradeplan.Follower{Store: d.options.Store, Plan: name, Now: d.options.Now, Failed: r.failed}
			err := f.Follow(ctx, func(o *pass.Assessment) error { return r.observed(ctx, name, o) })
			if ctx.Err() != nil {
				return
			}
			r.update(func(*snapshot) *snapshot { return &snapshot{err: err, at: d.options.Now()} })
			_ = backoff.Sleep(ctx, retryAfter) // the loop checks the context
		}
	}
}

// reader publishes the snapshots of one feed.
type reader struct {
	*Dashboard
	publish func(*snapshot)

	mu   sync.Mutex
	last *snapshot
}

// update publishes the snapshot that next returns for the last one.
func (r *reader) update(next func(last *snapshot) *snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = next(r.last)
	r.last.id, r.last.pages = r.nextID(), &pages{byName: map[string]*page{}}
	r.publish(r.last)
}

func (r *reader) failed(err error) {
	r.options.Log.V(1).Info("read failed; showing old data", "reason", err.Error())
	r.update(func(last *snapshot) *snapshot { return last.withError(err) })
}

// observed publishes an assessment. If what it adds to the assessment cannot be read, the follower tries again.
func (r *reader) observed(ctx context.Context, name string, o *pass.Assessment) error {
	events, err := r.readEvents(ctx, name, o)
	if err != nil {
		return &upgradeplan.RetryError{Err: err}
	}
	leader, err := leaderelection.LockHolder(ctx, r.options.Store, keys.Leader)
	if err != nil {
		return &upgradeplan.RetryError{Err: err}
	}
	r.update(func(*snapshot) *snapshot { return &snapshot{at: o.Now, plan: o, events: events, leader: leader} })
	return nil
}

// readEvents returns the events of a plan. It reads them only if the ledger counts new ones.
func (r *reader) readEvents(ctx context.Context, name string, o *pass.Assessment) ([]fleet.Event, error) {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last.plan != nil && last.plan.Keys.Ledger.Events == o.Keys.Ledger.Events {
		return last.events, nil
	}
	return planstore.Plans{Store: r.options.Store}.Events(ctx, name)
}

// plansMinInterval is the minimum interval between two reads of the plans.
const plansMinInterval = time.Second

// followPlans publishes snapshots of all plans and their stored status until the context ends.
func (d *Dashboard) followPlans(ctx context.Context, put func(*snapshot)) {
	r := reader{Dashboard: d, publish: put, last: &snapshot{}}
	watches := store.NewWatchSet(d.options.Store, store.WatchSetOptions{MinInterval: plansMinInterval,
		Failed: func(_ store.WatchTarget, err error) { r.failed(err) }})
	defer watches.Stop()
	for ok := true; ok; {
		wait := resync
		if err := r.readAll(ctx); err != nil {
			r.failed(err)
			wait = retryAfter
		}
		watches.SetWatches(ctx, []store.Watch{store.WatchKeys(keys.Plans)})
		_, ok = watches.Wait(ctx, wait)
	}
}

// readAll publishes all valid plans, with the errors of invalid ones.
func (r *reader) readAll(ctx context.Context) error {
	plans, invalid := planstore.Plans{Store: r.options.Store}.List(ctx)
	if _, ok := errors.AsType[*planstore.InvalidPlanError](invalid); invalid != nil && !ok {
		return invalid
	}
	leader, err := leaderelection.LockHolder(ctx, r.options.Store, keys.Leader)
	if err != nil {
		return err
	}
	slices.SortFunc(plans, func(a, b *v1alpha1.UpgradePlan) int { return fleet.CompareNatural(a.Name, b.Name) })
	r.update(func(*snapshot) *snapshot {
		return &snapshot{at: r.options.Now(), plans: append([]*v1alpha1.UpgradePlan{}, plans...), leader: leader, err: invalid}
	})
	return nil
}

// resync is the interval between two reads of the plans without a watch event.
const resync = 5 * time.Minute
