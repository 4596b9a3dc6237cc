// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package windows says whether the windows of a plan are open at a time, and when that changes.
package maintenance

import (
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// State is what holds at a time.
type State struct {
	Open bool
	// Next is when that changes; while it is open, when it may at the earliest. Zero: never, as far as can be told.
	Next time.Time
	// Why says in words what closes it.
	Why string
}

// At finds the state at a time. Windows that cannot be read are closed: when in doubt, nobody starts.
func At(w v1alpha1.Windows, now time.Time) State {
	allow, err := parse("allow", w.Allow)
	if err != nil {
		return State{Why: err.Error()}
	}
	deny, err := parse("deny", w.Deny)
	if err != nil {
		return State{Why: err.Error()}
	}
	if len(allow) == 0 && len(deny) == 0 {
		return State{Open: true}
	}
	s := set{allow, deny}
	until, why := s.closed(now)
	if why != "" {
		return State{Why: why, Next: s.opening(until)}
	}
	return State{Open: true, Next: s.mayClose(now)}
}

type set struct{ allow, deny []opening }

// opening is a window and what to call it.
type opening struct {
	schedule.Window
	name string
}

func parse(list string, windows []v1alpha1.Window) ([]opening, error) {
	var out []opening
	for i, w := range windows {
		name := fmt.Sprintf("windows.%s[%d]", list, i)
		parsed, err := schedule.Parse(w)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", name, err)
		}
		out = append(out, opening{parsed, name})
	}
	return out, nil
}

// closed says why it is closed at a time (empty: it is open), and the earliest time at which that may be over; zero: never.
func (s set) closed(t time.Time) (until time.Time, why string) {
	for _, d := range s.deny {
		if end, ok := d.openUntil(t); ok && end.After(until) {
			until, why = end, d.name+" denies it until "+end.UTC().Format(time.RFC3339)
		}
	}
	if why != "" || len(s.allow) == 0 {
		return until, why
	}
	for _, a := range s.allow {
		if _, ok := a.openUntil(t); ok {
			return time.Time{}, ""
		}
		until = earlier(until, a.next(t))
	}
	return until, "no window of windows.allow is open"
}

// maxSteps bounds the search for a time that is allowed and not denied; each step goes past a whole window.
const maxSteps = 1000

// opening is the first time from t on when it is open; zero: none was found.
func (s set) opening(t time.Time) time.Time {
	for range maxSteps {
		if t.IsZero() {
			break
		}
		until, why := s.closed(t)
		if why == "" {
			return t
		}
		t = until
	}
	return time.Time{}
}

// mayClose is the earliest time after t, when it is open, at which it may not be any more.
func (s set) mayClose(t time.Time) time.Time {
	var first, last time.Time
	for _, d := range s.deny {
		first = earlier(first, d.next(t))
	}
	for _, a := range s.allow {
		if end, ok := a.openUntil(t); ok && end.After(last) {
			last = end
		}
	}
	return earlier(first, last)
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// next is the first time after t at which the window opens; zero: never.
//
// Between two changes of the clock, the clock on the wall and the time that passes run together. At a change, what the
// wall skips opens at that moment, and what it shows again opens again.
func (o opening) next(t time.Time) time.Time {
	for {
		t = t.In(o.Zone)
		_, change := t.ZoneBounds()
		wall, ok := o.Next(onWall(t, offset(t)))
		if !ok {
			return time.Time{}
		}
		if at := wall.Add(-offset(t)); change.IsZero() || at.Before(change) {
			return at
		}
		before, after := offset(t), offset(change.In(o.Zone))
		skipped, ok := o.Next(onWall(change, min(before, after)).Add(-time.Second))
		if ok && !skipped.After(onWall(change, after)) {
			return change.UTC()
		}
		t = change
	}
}

// openUntil says whether the window is open at t, and until when.
func (o opening) openUntil(t time.Time) (end time.Time, ok bool) {
	since := t.Add(-o.Duration)
	opened := func(after time.Time) bool { n := o.next(after); return !n.IsZero() && !n.After(t) }
	if !opened(since) {
		return time.Time{}, false
	}
	// Of all openings after since, the last one: between low and high, the one that opens is halved down to a minute.
	for low, high := since, t; ; {
		if high.Sub(low) <= time.Minute {
			return o.next(low).Add(o.Duration).UTC(), true
		}
		if middle := low.Add(high.Sub(low) / 2); opened(middle) {
			low = middle
		} else {
			high = middle
		}
	}
}

// offset is what the zone of t adds to UTC then.
func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// onWall is what a clock with that offset shows at t, written as if it were UTC.
func onWall(t time.Time, offset time.Duration) time.Time { return t.UTC().Add(offset) }
