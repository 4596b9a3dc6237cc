// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Sizes of the chart, in pixels.
const (
	chartWidth = 1100
	chartLeft  = 180
	chartRight = 30
	chartTop   = 96
	laneHeight = 11
	hillHeight = 60 // of a role that has more in flight than can be shown one by one
	roleGap    = 16
	maxLanes   = 16
	maxBars    = 1500
)

// style has the colours in the light and in the dark. Failures differ by a pattern too.
const style = `
svg { background: #ffffff; font-family: system-ui, sans-serif; font-size: 12px; }
text { fill: #1b1f24; } .dim { fill: #57606a; }
.title { font-size: 16px; font-weight: 600; } .right { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: #d0d7de; stroke-width: 1; } .row { fill: #f6f8fa; } .bar { fill: #0969da; } .hill { fill: #0969da; }
.failed { fill: url(#failed); stroke: #bc4c00; stroke-width: 1; } .hatch { fill: #ffffff; } .line { stroke: #bc4c00; stroke-width: 2.5; }
.shut { fill: #8c959f; fill-opacity: 0.28; } .trip { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 5 3; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; }
text { fill: #e6edf3; } .dim { fill: #9198a1; }
.grid { stroke: #30363d; } .row { fill: #161b22; } .bar { fill: #58a6ff; } .hill { fill: #58a6ff; }
.failed { stroke: #f0883e; } .hatch { fill: #0d1117; } .line { stroke: #f0883e; }
.shut { fill: #6e7681; fill-opacity: 0.35; } .trip { stroke: #f0883e; }
}
`

// SVG is the outcome as a Gantt chart: one file without scripts, in colours that follow the reader's. A role has a row: in it,
// each host a bar; of roles with many hosts in flight, how many there were. Title is above it.
func (o *Outcome) SVG(title string) []byte {
	c := chart{out: o, rows: o.rows()}
	c.height = chartTop
	for _, r := range c.rows {
		c.height += r.height + roleGap
	}
	c.height += 30
	c.open(title)
	c.axis()
	c.each(c.ground)
	for _, p := range o.Shut {
		c.printf(`<rect class="shut" x="%.1f" y="%d" width="%.1f" height="%d"><title>the windows are closed from %s to %s</title></rect>`,
			c.x(p.Start), chartTop, max(c.x(p.End)-c.x(p.Start), 1), c.height-chartTop-30, minute(p.Start), minute(p.End))
	}
	c.each(c.row)
	if !o.Trip.IsZero() {
		x := c.x(o.Trip)
		c.printf(`<line class="trip" x1="%.1f" x2="%.1f" y1="%d" y2="%d"><title>%s</title></line>`, x, x, chartTop-4, c.height-30,
			escaped(o.Tripped))
	}
	c.legend()
	c.printf("</svg>")
	return []byte(c.b.String())
}

// row is a role of the chart: bars in lanes, or a hill.
type row struct {
	role   RoleOutcome
	runs   []*HostRun
	lanes  []int // parallel to runs
	hill   bool  // there are too many for lanes
	height int
}

// rows are the roles of which hosts were released, in order.
func (o *Outcome) rows() []row {
	byRole := map[string][]*HostRun{}
	for i := range o.Runs {
		byRole[o.Runs[i].Role] = append(byRole[o.Runs[i].Role], &o.Runs[i])
	}
	var rows []row
	for _, role := range o.Roles {
		r := row{role: role, runs: byRole[role.Name], height: hillHeight}
		if r.hill = role.Peak > maxLanes || len(r.runs) > maxBars; !r.hill {
			r.toLanes(o.End)
		}
		rows = append(rows, r)
	}
	return rows
}

// toLanes gives each run the first lane that is free.
func (r *row) toLanes(end time.Time) {
	slices.SortStableFunc(r.runs, func(a, b *HostRun) int {
		return cmp.Or(a.from().Compare(b.from()), fleet.CompareNatural(a.Host, b.Host))
	})
	var free []time.Time
	for _, run := range r.runs {
		lane := slices.IndexFunc(free, func(t time.Time) bool { return !t.After(run.from()) })
		if lane < 0 {
			lane = len(free)
			free = append(free, time.Time{})
		}
		free[lane] = run.until(end)
		r.lanes = append(r.lanes, lane)
	}
	r.height = max(2, len(free)) * laneHeight
}

// from is when it took its slot, as far as that is known.
func (r *HostRun) from() time.Time {
	if r.Released.IsZero() {
		return r.Began
	}
	return r.Released
}

// until is when it gave its slot back, or kept it for another run: at the end, when it did neither.
func (r *HostRun) until(end time.Time) time.Time {
	switch {
	case !r.Ended.IsZero() && !r.Failed:
		return r.Ended
	case !r.Again.IsZero():
		return latest(r.Ended, r.Again)
	}
	return end
}

// chart is a chart that is being drawn.
type chart struct {
	out    *Outcome
	rows   []row
	height int
	b      strings.Builder
}

func (c *chart) printf(format string, args ...any) { fmt.Fprintf(&c.b, format+"\n", args...) }

// x is where a time stands. What began before the start stands at its left edge.
func (c *chart) x(t time.Time) float64 {
	total := max(c.out.Took(), time.Second)
	at := min(max(t.Sub(c.out.Start), 0), total)
	return chartLeft + float64(at)/float64(total)*(chartWidth-chartLeft-chartRight)
}

func (c *chart) open(title string) {
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		chartWidth, c.height, chartWidth, c.height, escaped(title))
	c.printf("<style>%s</style>", style)
	c.printf(`<defs><pattern id="failed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
		`<rect class="hatch" width="6" height="6"/><line class="line" y2="6"/></pattern></defs>`)
	c.printf(`<text class="title" x="12" y="26">%s</text>`, escaped(title))
	c.printf(`<text class="dim" x="12" y="46">%s</text>`, escaped(c.out.summary()))
}

// summary is the line below the title.
func (o *Outcome) summary() string {
	text := fmt.Sprintf("%d of %d hosts upgraded, from %s to %s (%s)", o.Upgraded, o.Total, minute(o.Start), minute(o.End), Short(o.Took()))
	switch {
	case o.Rollback != nil:
		text += fmt.Sprintf(", %s at %s: %d are there", o.Rollback, Short(o.Rollback.Time.Sub(o.Start)), o.Rollback.Back)
	case !o.Trip.IsZero():
		text += ", halted at " + Short(o.Trip.Sub(o.Start))
	case !o.Complete:
		text += ", not complete"
	}
	return text
}

func minute(t time.Time) string { return t.Format("Mon 2006-01-02 15:04 MST") }

// axis has a line each so many minutes, not too many of them.
func (c *chart) axis() {
	step := tick(c.out.Took())
	for at := time.Duration(0); at <= c.out.Took(); at += step {
		x := c.x(c.out.Start.Add(at))
		c.printf(`<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x, x, chartTop, c.height-30)
		c.printf(`<text class="dim middle" x="%.1f" y="%d">%s</text>`, x, chartTop-8, Short(at))
	}
}

// tick is the time between two lines of an axis.
func tick(total time.Duration) time.Duration {
	const most = 12
	for _, step := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour} {
		if total/step <= most {
			return step
		}
	}
	const day = 24 * time.Hour
	step := day
	for total/step > most {
		step += day
	}
	return step
}

// each draws something of each row at its place.
func (c *chart) each(draw func(r row, y int)) {
	y := chartTop + roleGap/2
	for _, r := range c.rows {
		draw(r, y)
		y += r.height + roleGap
	}
}

func (c *chart) ground(r row, y int) {
	c.printf(`<rect class="row" x="%d" y="%d" width="%d" height="%d"/>`, chartLeft, y, chartWidth-chartLeft-chartRight, r.height)
}

func (c *chart) row(r row, y int) {
	c.printf(`<text class="right" x="%d" y="%d">%s</text>`, chartLeft-10, y+12, escaped(shortened(r.role.Name)))
	detail := fmt.Sprintf("%d hosts, %d at once", r.role.Total, r.role.Peak)
	c.printf(`<text class="dim right" x="%d" y="%d">%s</text>`, chartLeft-10, y+26, detail)
	if r.hill {
		c.hill(r, y)
		return
	}
	for i, run := range r.runs {
		class, text := "bar", fmt.Sprintf("%s: %s", run.Host, cmp.Or(run.Why, "in flight at the start"))
		from, until := run.from(), run.until(c.out.End)
		if run.Failed {
			class, text = "failed", text+"; it fails, and keeps its slot"
		}
		c.printf(`<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"><title>%s (%s to %s)</title></rect>`, class, c.x(from),
			y+r.lanes[i]*laneHeight+1, max(c.x(until)-c.x(from)-1, 1), laneHeight-2, escaped(text), Short(from.Sub(c.out.Start)),
			Short(until.Sub(c.out.Start)))
	}
}

// maxName is how much of a role's name is shown.
const maxName = 20

func shortened(name string) string {
	if len(name) > maxName {
		return name[:maxName-1] + "…"
	}
	return name
}

// hill shows how many hosts of a role hold a slot over time, and those of them that have failed.
func (c *chart) hill(r row, y int) {
	c.slope("hill", r, y, func(*HostRun) (time.Time, bool) { return time.Time{}, true })
	c.slope("failed", r, y, func(run *HostRun) (time.Time, bool) { return run.Ended, run.Failed })
	c.printf(`<text class="dim" x="%d" y="%d">%d</text>`, chartWidth-chartRight+3, y+10, r.role.Peak)
}

// slope draws the number of those runs that are chosen, each from the time at which it is chosen, but not before it began.
func (c *chart) slope(class string, r row, y int, choose func(*HostRun) (since time.Time, ok bool)) {
	type step struct {
		at time.Time
		by int
	}
	var steps []step
	for _, run := range r.runs {
		if since, ok := choose(run); ok {
			steps = append(steps, step{latest(run.from(), since), 1}, step{run.until(c.out.End), -1})
		}
	}
	if len(steps) == 0 {
		return
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	bottom, n := float64(y+r.height), 0
	height := func() float64 { return bottom - float64(n)/float64(max(r.role.Peak, 1))*float64(r.height-4) }
	path := fmt.Sprintf("M%.1f %.1f", c.x(steps[0].at), bottom)
	half := func(t time.Time) int { return int(2 * c.x(t)) } // no finer than can be seen
	for i, s := range steps {
		n += s.by
		if i+1 == len(steps) || half(steps[i+1].at) != half(s.at) {
			path += fmt.Sprintf("H%.1fV%.1f", c.x(s.at), height())
		}
	}
	c.printf(`<path class="%s" d="%sZ"><title>%s: %d at once at most</title></path>`, class, path, escaped(r.role.Name), r.role.Peak)
}

// legend says what is what, as far as it is there.
func (c *chart) legend() {
	x, y := chartLeft, c.height-20
	entry := func(class, text string, shown bool) {
		if shown {
			c.printf(`<rect class="%s" x="%d" y="%d" width="14" height="11"/>`, class, x, y)
			c.printf(`<text class="dim" x="%d" y="%d">%s</text>`, x+20, y+10, text)
			x += 60 + 7*len(text)
		}
	}
	failed := slices.ContainsFunc(c.out.Runs, func(r HostRun) bool { return r.Failed })
	entry("bar", "in flight", true)
	entry("failed", "failed, keeps its slot", failed)
	entry("shut", "the windows are closed", len(c.out.Shut) > 0)
	if !c.out.Trip.IsZero() {
		c.printf(`<line class="trip" x1="%d" x2="%d" y1="%d" y2="%d"/>`, x, x+14, y+6, y+6)
		c.printf(`<text class="dim" x="%d" y="%d">the failure budget is exceeded</text>`, x+20, y+10)
	}
}

// escaped is a text as XML has it.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// Short is a duration as people write it, to the second, and from an hour on to the minute: 12m30s, 30m, 1h5m.
func Short(d time.Duration) string {
	unit := time.Second
	if d >= time.Hour {
		unit = time.Minute
	}
	text := d.Round(unit).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
