// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

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

// goneAfter is how long a host must have been silent to be taken for gone.
const goneAfter = time.Hour

// HostActiveError says that a host that was to be forgotten may well be alive.
type HostActiveError struct{ Host, Why string }

func (e *HostActiveError) Error() string {
	return fmt.Sprintf("host %q may not be gone: %s", e.Host, e.Why)
}

// Forgotten is what Forget did.
type Forgotten struct {
	// Removed are the keys that were removed, sorted; none: nothing was known of the host.
	Removed []string
	// OwnPause is an operator's own pause key on the host, which stays; empty: there is none.
	OwnPause string
}

// ForgetOptions says which host is to be forgotten.
type ForgetOptions struct {
	// Plan is the one whose fleet it is of; empty: there is none, and Layout says where its keys are.
	Plan   string
	Layout keys.Layout
	Host   string
	// Force forgets it even if it is in flight or has just reported.
	Force bool
	Now   time.Time
}

// Forget removes all that is kept of a host that is gone, in one transaction: its records of all versions, its report, its
// started mark, its enable key and its hold. Unless forced, it refuses with *HostActiveError when the host is in flight or has
// reported within an hour; a report that comes in between makes it look again.
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
		return "that cannot be told: " + o.Fleet.Incomplete
	}
	present := o.Present()
	for i := range present.Verdicts {
		if v := &present.Verdicts[i]; v.Host == f.Host && v.InFlight {
			return "it is in flight: " + v.Message
		}
	}
	var last time.Time
	if h, ok := o.Fleet.Host(f.Host); ok && h.Report != nil {
		last = h.Report.Time
	}
	for _, r := range records {
		if t := keys.DecodeTime(r.Value); t.After(last) {
			last = t
		}
	}
	if last.After(f.Now.Add(-goneAfter)) {
		return fmt.Sprintf("it has reported at %s, less than an hour ago", last.UTC().Format(time.RFC3339))
	}
	return ""
}

// remove removes what exists of the keys, and checks that the others do not exist. The pairs end with the pause key and
// the epoch of holds. It is one transaction: that of a host under more versions than fit is refused by the store.
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
	_, err := p.Store.Txn(ctx, append(ops, bump(epoch)))
	return did, err
}
