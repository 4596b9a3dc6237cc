// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/maintenance"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// The plot's field, in units of its view box.
const (
	plotWidth  = 1000
	plotHeight = 200
	// maxPoints bounds the corners of the curve.
	maxPoints = 400
	// maxSpans bounds the spans in which the windows are closed.
	maxSpans = 200
	ticks    = 4
)

// plot is how many hosts had reached the version at each time since its rollout began. All of it is found in what there
// is now: the times in hosts' reports and records, the windows of the spec, and the events.
type plot struct {
	From, To time.Time
	Total    int
	Reached  int
	// Curve are the points of a polyline, and Area those of the field below it.
	Curve, Area  string
	Shut, Halted []span
	Failed       []mark
	Ticks        []mark
	// Unknown are hosts that have reached it at a time that is not known; they count from the start.
	Unknown int
	Nothing bool
}

// span is a time in which nothing was to start.
type span struct {
	X, W  float64
	Why   string
	start time.Time
}

type mark struct {
	X, Y float64
	Text string
}

func plotOf(o *upgradeplan.Observation, events []fleet.Event) plot {
	var p plot
	reached, failed := p.count(o)
	p.From = began(o, events, reached)
	if p.From.IsZero() || p.Total == 0 {
		p.Nothing = true
		return p
	}
	p.To = o.Now
	if o.Decision.Complete && len(reached) > 0 { // nothing has happened since
		last := reached[len(reached)-1]
		p.To = last.Add(max(last.Sub(p.From)/20, time.Minute))
	}
	if !p.To.After(p.From) {
		p.To = p.From.Add(time.Minute)
	}
	p.draw(reached)
	p.shut(o.Windows())
	p.halts(o, events)
	for _, h := range failed {
		if at := h.Report.Time; at.After(p.From) && !at.After(p.To) {
			done, _ := slices.BinarySearchFunc(reached, at, time.Time.Compare)
			p.Failed = append(p.Failed, mark{p.x(at), p.y(p.Unknown + done), h.Name + " failed at " + stamp(at)})
		}
	}
	for i := range ticks + 1 {
		at := p.From.Add(p.To.Sub(p.From) * time.Duration(i) / ticks)
		p.Ticks = append(p.Ticks, mark{p.x(at), plotHeight, tick(at, p.To.Sub(p.From))})
	}
	return p
}

// count is when the hosts that count have reached the version, sorted, and those that have failed and say so.
func (p *plot) count(o *upgradeplan.Observation) (reached []time.Time, failed []*fleet.Host) {
	for i := range o.Decision.Verdicts {
		v, h := &o.Decision.Verdicts[i], &o.Fleet.Hosts[i]
		if !v.Counts {
			continue
		}
		p.Total++
		switch at := reachedAt(h); {
		case v.State == rollout.Failed && h.Report != nil:
			failed = append(failed, h)
		case v.Base != rollout.Upgraded:
		case at.IsZero() || at.After(o.Now):
			p.Unknown++
		default:
			reached = append(reached, at)
		}
	}
	p.Reached = p.Unknown + len(reached)
	slices.SortFunc(reached, time.Time.Compare)
	return reached, failed
}

// began is when the rollout of the version began: the time of the event that reports the switch. Without that event it is
// when the first host reached the version, or when the first one in flight was granted.
func began(o *upgradeplan.Observation, events []fleet.Event, reached []time.Time) time.Time {
	newest := true
	for _, e := range slices.Backward(events) {
		if v1alpha1.Reason(e.Reason) != v1alpha1.ReasonVersionSwitched {
			continue
		}
		// An older controller stored no version. Then only the newest switch can be the one to the current version.
		if e.Version == o.Decision.Version || e.Version == "" && newest && o.Decision.Current == o.Decision.Version {
			return e.Time
		}
		newest = false
	}
	var first time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if len(reached) > 0 {
		earlier(reached[0])
	}
	for i := range o.Fleet.Hosts {
		if v := &o.Decision.Verdicts[i]; v.GrantedAt > 0 && v.Enable && v.Reason != v1alpha1.ReasonStarting {
			earlier(time.Unix(v.GrantedAt, 0))
		}
	}
	return first
}

func (p *plot) x(t time.Time) float64 {
	return plotWidth * min(max(float64(t.Sub(p.From))/float64(p.To.Sub(p.From)), 0), 1)
}

func (p *plot) y(n int) float64 { return plotHeight * (1 - float64(n)/float64(p.Total)) }

// draw makes steps: at each time one more, of many hosts several at once.
func (p *plot) draw(reached []time.Time) {
	var b strings.Builder
	last := p.y(p.Unknown)
	fmt.Fprintf(&b, "0,%.1f", last)
	stride := len(reached)/maxPoints + 1
	for i := stride - 1; i < len(reached); i += stride {
		x, y := p.x(reached[i]), p.y(p.Unknown+i+1)
		fmt.Fprintf(&b, " %.1f,%.1f %.1f,%.1f", x, last, x, y)
		last = y
	}
	last = p.y(p.Reached)
	fmt.Fprintf(&b, " %d,%.1f", plotWidth, last)
	p.Curve = b.String()
	p.Area = fmt.Sprintf("0,%d %s %d,%d", plotHeight, p.Curve, plotWidth, plotHeight)
}

// shut are the times in which no window was open.
func (p *plot) shut(w maintenance.Windows) {
	for at, i := p.From, 0; i < maxSpans && at.Before(p.To); i++ {
		state := w.At(at)
		end := p.To
		if !state.Next.IsZero() && state.Next.Before(end) {
			end = state.Next
		}
		if !state.Open {
			p.Shut = append(p.Shut, p.span(at, end, "outside of the windows: "+state.Why))
		}
		if !end.After(at) {
			return
		}
		at = end
	}
}

func (p *plot) span(from, to time.Time, why string) span {
	return span{p.x(from), max(p.x(to)-p.x(from), 1), fmt.Sprintf("%s to %s: %s", stamp(from), stamp(to), why), from}
}

// halts says whether an event of that reason begins a time in which nothing was to start.
func halts(reason string) bool {
	switch v1alpha1.Reason(reason) {
	case v1alpha1.ReasonPlanPaused, v1alpha1.ReasonAborted, v1alpha1.ReasonFailureBudgetExceeded, v1alpha1.ReasonTooManyUnhealthy,
		v1alpha1.ReasonObservationIncomplete, v1alpha1.ReasonConflict:
		return true
	}
	return false
}

// ends says whether an event of that reason ends one.
func ends(reason string) bool {
	switch v1alpha1.Phase(reason) {
	case v1alpha1.PhaseProgressing, v1alpha1.PhaseComplete, v1alpha1.PhaseStalled:
		return true
	}
	switch v1alpha1.Reason(reason) {
	case v1alpha1.ReasonOutsideWindow, v1alpha1.ReasonAwaitingPromotion, v1alpha1.ReasonRolledBack, v1alpha1.ReasonVersionSwitched:
		return true
	}
	return false
}

// halts are the times in which something but a window stopped all new starts, by the events, and by what stops them now.
func (p *plot) halts(o *upgradeplan.Observation, events []fleet.Event) {
	var since time.Time
	var why string
	end := func(at time.Time) {
		if !since.IsZero() && !at.Before(p.From) { // events tell whole seconds
			p.Halted = append(p.Halted, p.span(maxTime(since, p.From), at, why))
		}
		since = time.Time{}
	}
	for _, e := range events {
		switch {
		case e.Object != "plan":
		case halts(e.Reason):
			end(e.Time)
			since, why = e.Time, e.Message
		case ends(e.Reason):
			end(e.Time)
		}
	}
	if !halts(string(o.Decision.Gate.Reason)) {
		end(o.Now)
		return
	}
	if pause := o.Control.Pause; since.IsZero() && pause != nil {
		since, why = pause.Time, o.Decision.Gate.Message
	}
	end(p.To)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tick is a time below an axis of that length.
func tick(t time.Time, length time.Duration) string {
	switch t = t.UTC(); {
	case length > 48*time.Hour:
		return t.Format("Jan 2 15:04")
	case length > 10*time.Minute:
		return t.Format("15:04")
	}
	return t.Format("15:04:05")
}
