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
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// The size of the plot, in units of its view box.
const (
	plotWidth  = 1000
	plotHeight = 200
	// maxPoints limits the steps of the curve.
	maxPoints = 400
	// maxSpans limits the spans with closed windows.
	maxSpans = 200
	ticks    = 4
)

// plot shows how many hosts had reached the version at each time since the rollout started. It needs no stored history: it
// uses the times in the hosts' reports and records, the windows of the spec, and the events.
type plot struct {
	From, To time.Time
	Total    int
	Reached  int
	// Curve has the points of a polyline, and Area those of the polygon below it.
	Curve, Area          string
	ClosedWindows, Halts []span
	Failed               []point
	Ticks                []point
	// Unknown counts hosts that reached the version at an unknown time. The curve starts with them.
	Unknown int
	// Nothing means that the rollout has not started.
	Nothing bool
}

// span is a time in which no host could start.
type span struct {
	X, W  float64
	Why   string
	start time.Time
}

type point struct {
	X, Y float64
	Text string
}

func newPlot(o *pass.Assessment, events []fleet.Event) plot {
	var p plot
	reached, failed := p.countHosts(o)
	p.From = rolloutStart(o, events, reached)
	if p.From.IsZero() || p.Total == 0 {
		p.Nothing = true
		return p
	}
	p.To = o.Now
	if o.Decision.Complete && len(reached) > 0 { // the time after completion is not interesting
		last := reached[len(reached)-1]
		p.To = last.Add(max(last.Sub(p.From)/20, time.Minute))
	}
	if !p.To.After(p.From) {
		p.To = p.From.Add(time.Minute)
	}
	p.drawCurve(reached)
	p.addClosedWindows(o.Windows())
	p.addHalts(o, events)
	for _, h := range failed {
		if at := h.Report.Time; at.After(p.From) && !at.After(p.To) {
			done, _ := slices.BinarySearchFunc(reached, at, time.Time.Compare)
			p.Failed = append(p.Failed, point{p.x(at), p.y(p.Unknown + done), h.Name + " failed at " + stamp(at)})
		}
	}
	for i := range ticks + 1 {
		at := p.From.Add(p.To.Sub(p.From) * time.Duration(i) / ticks)
		p.Ticks = append(p.Ticks, point{p.x(at), plotHeight, tick(at, p.To.Sub(p.From))})
	}
	return p
}

// countHosts returns the times at which hosts reached the version, sorted, and the hosts that reported a failure.
func (p *plot) countHosts(o *pass.Assessment) (reached []time.Time, failed []*fleet.Host) {
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

// rolloutStart returns the time of the event that reports the switch to the version. Without that event it is the time when
// the first host reached the version or got its grant. The zero time means that the rollout has not started.
func rolloutStart(o *pass.Assessment, events []fleet.Event, reached []time.Time) time.Time {
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

// drawCurve draws a step for each host, or for several hosts at once if there are many.
func (p *plot) drawCurve(reached []time.Time) {
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

// addClosedWindows adds the spans in which no window was open.
func (p *plot) addClosedWindows(w maintenance.Windows) {
	for at, i := p.From, 0; i < maxSpans && at.Before(p.To); i++ {
		state := w.At(at)
		end := p.To
		if !state.Next.IsZero() && state.Next.Before(end) {
			end = state.Next
		}
		if !state.Open {
			p.ClosedWindows = append(p.ClosedWindows, p.span(at, end, "outside the windows: "+state.Why))
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

// isHaltReason reports whether an event of that reason starts a span in which no host could start.
func isHaltReason(reason string) bool {
	switch v1alpha1.Reason(reason) {
	case v1alpha1.ReasonPlanPaused, v1alpha1.ReasonAborted, v1alpha1.ReasonFailureBudgetExceeded,
		v1alpha1.ReasonUnexplainedUpgrade, v1alpha1.ReasonTooManyUnhealthy,
		v1alpha1.ReasonObservationIncomplete, v1alpha1.ReasonConflict, v1alpha1.ReasonFleetShrank, v1alpha1.ReasonStoreWentBack:
		return true
	}
	return false
}

// endsHalt reports whether an event of that reason ends such a span.
func endsHalt(reason string) bool {
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

// addHalts adds the spans in which something other than a window stopped all new starts. The last span comes from the current gate.
func (p *plot) addHalts(o *pass.Assessment, events []fleet.Event) {
	var since time.Time
	var why string
	end := func(at time.Time) {
		if !since.IsZero() && !at.Before(p.From) { // events have a resolution of one second
			p.Halts = append(p.Halts, p.span(slices.MaxFunc([]time.Time{since, p.From}, time.Time.Compare), at, why))
		}
		since = time.Time{}
	}
	for _, e := range events {
		switch {
		case e.Object != "plan":
		case isHaltReason(e.Reason):
			end(e.Time)
			since, why = e.Time, e.Message
		case endsHalt(e.Reason):
			end(e.Time)
		}
	}
	if !isHaltReason(string(o.Decision.Gate.Reason)) {
		end(o.Now)
		return
	}
	if pause := o.Control.Pause; since.IsZero() && pause != nil {
		since, why = pause.Time, o.Decision.Gate.Message
	}
	end(p.To)
}

// tick formats a time for an axis of that length.
func tick(t time.Time, length time.Duration) string {
	switch t = t.UTC(); {
	case length > 48*time.Hour:
		return t.Format("Jan 2 15:04")
	case length > 10*time.Minute:
		return t.Format("15:04")
	}
	return t.Format("15:04:05")
}
