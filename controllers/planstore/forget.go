// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// goneAfter is how long a host must have been silent to count as gone.
const goneAfter = time.Hour

// HostActiveError says that a host to be forgotten may be alive.
type HostActiveError struct{ Host, Why string }

func (e *HostActiveError) Error() string {
	return fmt.Sprintf("host %q may not be gone: %s", e.Host, e.Why)
}

// Forgotten is what Forget did.
type Forgotten struct {
	// Removed are the removed keys, sorted. None means that the store held nothing of the host.
	Removed []string
	// OwnPause is an operator's own pause key on the host, which stays. Empty means none.
	OwnPause string
}

// ForgetOptions say which host to forget.
type ForgetOptions struct {
	// Plan is the plan of its fleet. Empty means the fleet of Layout.
	Plan   string
	Layout keys.Layout
	Host   string
	// Force forgets the host even if it is in flight or has just reported.
	Force bool
	Now   time.Time
}

// Forget removes all keys of a host that is gone, in one transaction: its records of all versions, its report, its started
// marker, its enable key and its hold. It returns a *HostActiveError if the host is in flight or has reported within an hour,
// unless forced. After a report in between it reads again.
func (p Plans) Forget(ctx context.Context, f ForgetOptions) (did Forgotten, err error) {
	err = store.RetryOnConflict(ctx, func() error {
		did, err = p.forget(ctx, f)
		return err
	})
	return did, err
}

func (p Plans) forget(ctx context.Context, f ForgetOptions) (Forgotten, error) {
	o, err := p.look(ctx, f)
	if err != nil {
		return Forgotten{}, err
	}
	l, at := o.Layout, fleet.Place{Scope: fleet.ScopeHost, Name: f.Host}
	records := o.RecordsOf(f.Host)
	own := []string{l.Record(o.Fleet.Current.Name, f.Host), l.Report(f.Host), l.Started(f.Host), l.EnableHost(f.Host),
		l.Hold(at), l.Pause(at), l.HoldEpoch()}
	if slices.Contains(records, own[0]) || o.Fleet.Current.Index == 0 {
		own = own[1:]
	}
	pairs, _, err := p.Store.Get(ctx, append(records, own...)...)
	if err != nil {
		return Forgotten{}, err
	}
	if why := activity(o, f, pairs[:len(records)]); why != "" && !f.Force {
		return Forgotten{}, &HostActiveError{f.Host, why}
	}
	return p.remove(ctx, pairs, l.Pause(at))
}

func (p Plans) look(ctx context.Context, f ForgetOptions) (*pass.Assessment, error) {
	if f.Plan == "" {
		return ObserveFleet(ctx, p.Store, f.Layout, f.Now)
	}
	return Observe(ctx, p.Store, f.Plan, f.Now)
}

// activity says why a host may not be gone. Empty means that it is.
func activity(o *pass.Assessment, f ForgetOptions, records []keys.Pair) string {
	if o.Fleet.Incomplete != "" {
		return "its state is unknown: " + o.Fleet.Incomplete
	}
	present := o.Present()
	for i := range present.Verdicts {
		if v := &present.Verdicts[i]; v.Host == f.Host && v.InFlight {
			return "it is in flight: " + v.Message
		}
	}
	var last lastWrite
	if h, ok := o.Fleet.Host(f.Host); ok && h.Report != nil {
		last.add(h.ReportIndex, h.Report.Time)
	}
	for _, r := range records {
		last.add(r.ModifyIndex, keys.DecodeTime(r.Value))
	}
	return last.activity(o.Fleet.Ledger.Watermarks.Valid(o.Fleet.Index, f.Now), f.Now)
}

// lastWrite is what a host wrote last: its highest index, and the latest time in it, of the host's clock.
type lastWrite struct {
	index uint64
	time  time.Time
}

func (w *lastWrite) add(index uint64, t time.Time) {
	w.index = max(w.index, index)
	if t.After(w.time) {
		w.time = t
	}
}

// activity says why a host may not be gone. The controller dates its last write. The host's own time, which may be wrong, counts
// only if the controller has not dated that.
func (w *lastWrite) activity(marks fleet.Watermarks, now time.Time) string {
	since := now.Add(-goneAfter)
	seen, dated := marks.Seen(w.index)
	unseen := marks.Unseen(w.index)
	switch {
	case dated && !seen.After(since):
		return ""
	case unseen.After(since):
		return fmt.Sprintf("it has reported after %s, less than an hour ago", unseen.Format(time.RFC3339))
	case w.time.After(now):
		return fmt.Sprintf("its clock is ahead (it reported at %s), and the controller has not dated its last report",
			w.time.UTC().Format(time.RFC3339))
	case w.time.After(since):
		return fmt.Sprintf("it has reported at %s, less than an hour ago", w.time.UTC().Format(time.RFC3339))
	}
	return ""
}

// remove removes the keys that exist, and checks that the others do not. The pairs end with the pause key and the hold epoch.
// The store refuses the transaction of a host with more records than fit.
func (p Plans) remove(ctx context.Context, pairs []keys.Pair, pauseKey string) (Forgotten, error) {
	var did Forgotten
	var ops []store.Op
	epoch := pairs[len(pairs)-1]
	for _, pair := range pairs[:len(pairs)-1] {
		switch {
		case pair.Key == pauseKey && pair.Exists() && !keys.OfHold(pair):
			did.OwnPause = pair.Key
		case pair.Exists():
			ops = append(ops, store.Op{Verb: store.CheckIndex, Key: pair.Key, Index: pair.ModifyIndex},
				store.Op{Verb: store.Delete, Key: pair.Key})
			did.Removed = append(did.Removed, pair.Key)
		default:
			ops = append(ops, store.Op{Verb: store.CheckNotExists, Key: pair.Key})
		}
	}
	if len(did.Removed) == 0 {
		return did, nil
	}
	slices.Sort(did.Removed)
	_, err := p.Store.Txn(ctx, append(ops, MoveEpoch(epoch)))
	return did, err
}
