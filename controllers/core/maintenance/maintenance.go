// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package maintenance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// Windows are the compiled windows of a plan. The zero value is always open.
type Windows struct {
	// allow has a list of each spec that allows times. One window of each list must be open.
	allow [][]opening
	deny  []opening
	zone  *time.Location
}

// opening is a window and its name in messages.
type opening struct {
	schedule.Window
	name string
}

// State is the state of the windows at a time.
type State struct {
	Open bool
	// Next is when Open changes. While the windows are open it is a lower bound. Zero means that no change is known.
	Next time.Time
	// Why is the sentence that says what closes the windows. Empty means that they are open.
	Why string
}

// Compile prepares windows for At. The function zones resolves the IANA name of a time zone. The error names the window
// and the field.
func Compile(w v1alpha1.Windows, zones func(string) (*time.Location, error)) (Windows, error) {
	allow, err := compile("allow", w.Allow, zones)
	if err != nil {
		return Windows{}, err
	}
	deny, err := compile("deny", w.Deny, zones)
	if err != nil {
		return Windows{}, err
	}
	out := Windows{deny: deny}
	if len(allow) > 0 {
		out.allow = [][]opening{allow}
	}
	compiled := slices.Concat(allow, deny)
	named := func(one v1alpha1.Window) bool { return strings.TrimSpace(one.TimeZone) != "" }
	if i := slices.IndexFunc(slices.Concat(w.Allow, w.Deny), named); i >= 0 {
		out.zone = compiled[i].Zone
	}
	return out, nil
}

func compile(list string, windows []v1alpha1.Window, zones func(string) (*time.Location, error)) ([]opening, error) {
	var out []opening
	for i, w := range windows {
		name := fmt.Sprintf("windows.%s[%d]", list, i)
		parsed, err := schedule.Parse(w, zones)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, opening{parsed, name})
	}
	return out, nil
}

// Zone returns the time zone in which people read the times of the windows: that of the first window that names one, or
// UTC.
func (w Windows) Zone() *time.Location {
	if w.zone == nil {
		return time.UTC
	}
	return w.zone
}

// And returns windows that are open while both are.
func (w Windows) And(other Windows) Windows {
	return Windows{allow: slices.Concat(w.allow, other.allow), deny: slices.Concat(w.deny, other.deny), zone: cmp.Or(w.zone, other.zone)}
}

// At returns the state of the windows at a time.
func (w Windows) At(now time.Time) State {
	if len(w.allow) == 0 && len(w.deny) == 0 {
		return State{Open: true}
	}
	until, why := w.closed(now)
	if why != "" {
		return State{Why: why, Next: w.nextOpening(until)}
	}
	return State{Open: true, Next: w.mayClose(now)}
}

// closed returns why the windows are closed at a time, and the earliest time at which that can end. An empty sentence
// means that they are open. A zero time means never.
func (w Windows) closed(t time.Time) (until time.Time, why string) {
	for _, d := range w.deny {
		if end, ok := d.openUntil(t); ok && end.After(until) {
			until, why = end, d.name+" denies it until "+end.UTC().Format(time.RFC3339)
		}
	}
	if why != "" {
		return until, why
	}
	for _, list := range w.allow {
		if _, open := openUntil(list, t); !open {
			return nextOf(list, t), "no window of windows.allow is open"
		}
	}
	return time.Time{}, ""
}

// openUntil returns until when a window of a list is open that is open at a time. Zero means that none is open.
func openUntil(list []opening, t time.Time) (last time.Time, ok bool) {
	for _, one := range list {
		if end, open := one.openUntil(t); open && end.After(last) {
			last, ok = end, true
		}
	}
	return last, ok
}

// nextOf returns the first time after t at which a window of a list opens. Zero means never.
func nextOf(list []opening, t time.Time) (next time.Time) {
	for _, one := range list {
		next = earlier(next, one.next(t))
	}
	return next
}

// maxSteps bounds the search for a time that is allowed and not denied. Each step skips a whole window.
const maxSteps = 1000

// nextOpening returns the first time from t on when the windows are open. Zero means that none was found.
func (w Windows) nextOpening(t time.Time) time.Time {
	for range maxSteps {
		if t.IsZero() {
			break
		}
		until, why := w.closed(t)
		if why == "" {
			return t
		}
		t = until
	}
	return time.Time{}
}

// mayClose returns the earliest time after t, when the windows are open, at which they may close. Zero means never.
func (w Windows) mayClose(t time.Time) time.Time {
	first := nextOf(w.deny, t)
	for _, list := range w.allow {
		if end, open := openUntil(list, t); open {
			first = earlier(first, end)
		}
	}
	return first
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// next returns the first time after t at which the window opens. Zero means never.
//
// Between two clock changes, wall clock and elapsed time run in parallel. A change that skips times opens the windows of
// these times at once; a change that repeats times opens their windows again.
func (o opening) next(t time.Time) time.Time {
	for {
		t = t.In(o.Zone)
		change := nextChange(t)
		wall, ok := o.Next(wallClock(t, offset(t)))
		if !ok {
			return time.Time{}
		}
		if at := wall.Add(-offset(t)); change.IsZero() || at.Before(change) {
			return at
		}
		before, after := offset(t), offset(change.In(o.Zone))
		skipped, ok := o.Next(wallClock(change, min(before, after)).Add(-time.Second))
		if ok && !skipped.After(wallClock(change, after)) {
			return change.UTC()
		}
		t = change
	}
}

// nextChange returns the next time after t at which the zone of t may change its offset. Zero means never.
func nextChange(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		// In a leap year after those that the time zone database lists, Go takes 365 days for a year: it names the start of December
		// 31 as the end of all times of that day. No zone changes its offset then.
		return t.Add(24 * time.Hour)
	}
	return end
}

// openUntil reports whether the window is open at t, and until when.
func (o opening) openUntil(t time.Time) (end time.Time, ok bool) {
	since := t.Add(-o.Duration)
	opened := func(after time.Time) bool { n := o.next(after); return !n.IsZero() && !n.After(t) }
	if !opened(since) {
		return time.Time{}, false
	}
	// Find the last opening after since by bisection, down to a minute.
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

// offset returns the offset from UTC in the zone of t.
func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// wallClock returns what a clock with that offset shows at t, as a time in UTC.
func wallClock(t time.Time, offset time.Duration) time.Time { return t.UTC().Add(offset) }
