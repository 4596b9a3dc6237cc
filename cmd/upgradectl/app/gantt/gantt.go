// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gantt

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

// Sizes of the chart, in pixels.
const (
	chartWidth = 1100
	chartLeft  = 180
	chartRight = 30
	chartTop   = 96
	laneHeight = 11
	areaHeight = 60 // height of a role with too many hosts in flight to draw one by one
	roleGap    = 16
	maxLanes   = 16
	maxBars    = 1500
)

// style holds the colors of the light and the dark scheme. Failures also differ by a pattern.
const style = `
svg { background: #ffffff; font-family: system-ui, sans-serif; font-size: 12px; }
text { fill: #1b1f24; } .dim { fill: #57606a; }
.title { font-size: 16px; font-weight: 600; } .right { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: #d0d7de; stroke-width: 1; } .row { fill: #f6f8fa; } .bar { fill: #0969da; } .area { fill: #0969da; }
.failed { fill: url(#failed); stroke: #bc4c00; stroke-width: 1; } .hatch { fill: #ffffff; } .line { stroke: #bc4c00; stroke-width: 2.5; }
.closed { fill: #8c959f; fill-opacity: 0.28; } .budget { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 5 3; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; }
text { fill: #e6edf3; } .dim { fill: #9198a1; }
.grid { stroke: #30363d; } .row { fill: #161b22; } .bar { fill: #58a6ff; } .area { fill: #58a6ff; }
.failed { stroke: #f0883e; } .hatch { fill: #0d1117; } .line { stroke: #f0883e; }
.closed { fill: #6e7681; fill-opacity: 0.35; } .budget { stroke: #f0883e; }
}
`

// SVG draws the outcome of a simulation as a Gantt chart with a title: one file without scripts, in the color scheme of the
// reader. Each role is a row. In it each host is a bar, or, with many hosts in flight, an area shows their number.
func SVG(o *simulate.Outcome, title string) []byte {
	c := chart{out: o, rows: rowsOf(o)}
	c.height = chartTop
	for _, r := range c.rows {
		c.height += r.height + roleGap
	}
	c.height += 30
	c.open(title)
	c.axis()
	c.each(c.background)
	for _, p := range o.ClosedWindows {
		c.printf(`<rect class="closed" x="%.1f" y="%d" width="%.1f" height="%d"><title>windows closed from %s to %s</title></rect>`,
			c.x(p.Start), chartTop, max(c.x(p.End)-c.x(p.Start), 1), c.height-chartTop-30, minute(p.Start), minute(p.End))
	}
	c.each(c.row)
	if !o.FailureBudgetExceededAt.IsZero() {
		x := c.x(o.FailureBudgetExceededAt)
		c.printf(`<line class="budget" x1="%.1f" x2="%.1f" y1="%d" y2="%d"><title>%s</title></line>`, x, x, chartTop-4, c.height-30,
			escaped(o.FailureBudgetMessage))
	}
	c.legend()
	c.printf("</svg>")
	return []byte(c.b.String())
}

// row is one role: bars in lanes, or an area.
type row struct {
	role   simulate.RoleOutcome
	runs   []*simulate.HostRun
	lanes  []int // parallel to runs
	area   bool  // too many hosts for lanes
	height int
}

// rowsOf returns a row for each role of the outcome, in order.
func rowsOf(o *simulate.Outcome) []row {
	byRole := map[string][]*simulate.HostRun{}
	for i := range o.Runs {
		byRole[o.Runs[i].Role] = append(byRole[o.Runs[i].Role], &o.Runs[i])
	}
	var rows []row
	for _, role := range o.Roles {
		r := row{role: role, runs: byRole[role.Name], height: areaHeight}
		r.area = role.Peak > maxLanes || len(r.runs) > maxBars
		if !r.area {
			r.assignLanes(o.End)
		}
		rows = append(rows, r)
	}
	return rows
}

// assignLanes gives each run the first free lane.
func (r *row) assignLanes(end time.Time) {
	slices.SortStableFunc(r.runs, func(a, b *simulate.HostRun) int {
		return cmp.Or(slotTaken(a).Compare(slotTaken(b)), fleet.CompareNatural(a.Host, b.Host))
	})
	var free []time.Time
	for _, run := range r.runs {
		lane := slices.IndexFunc(free, func(t time.Time) bool { return !t.After(slotTaken(run)) })
		if lane < 0 {
			lane = len(free)
			free = append(free, time.Time{})
		}
		free[lane] = slotFreed(run, end)
		r.lanes = append(r.lanes, lane)
	}
	r.height = max(2, len(free)) * laneHeight
}

// slotTaken returns when the host took its slot. A host in flight at the start took it when it started.
func slotTaken(r *simulate.HostRun) time.Time {
	if r.Granted.IsZero() {
		return r.Started
	}
	return r.Granted
}

// slotFreed returns when the host gave up its slot or kept it for another run, or end if it did neither.
func slotFreed(r *simulate.HostRun, end time.Time) time.Time {
	switch {
	case !r.Ended.IsZero() && !r.Failed:
		return r.Ended
	case !r.GrantedAgain.IsZero():
		return latest(r.Ended, r.GrantedAgain)
	}
	return end
}

// chart is the state of one drawing.
type chart struct {
	out    *simulate.Outcome
	rows   []row
	height int
	b      strings.Builder
}

func (c *chart) printf(format string, args ...any) { fmt.Fprintf(&c.b, format+"\n", args...) }

// x returns the horizontal position of a time. Times before the start are at the left edge.
func (c *chart) x(t time.Time) float64 {
	total := max(c.out.Duration(), time.Second)
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
	c.printf(`<text class="dim" x="12" y="46">%s</text>`, escaped(summary(c.out)))
}

// summary returns the line below the title.
func summary(o *simulate.Outcome) string {
	text := fmt.Sprintf("%d of %d hosts upgraded, from %s to %s (%s)", o.Upgraded, o.Total, minute(o.Start), minute(o.End),
		simulate.FormatDuration(o.Duration()))
	switch {
	case o.Rollback != nil:
		after := simulate.FormatDuration(o.Rollback.Time.Sub(o.Start))
		text += fmt.Sprintf(", %s at %s: %d hosts reached it", o.Rollback, after, o.Rollback.Upgraded)
	case !o.FailureBudgetExceededAt.IsZero():
		text += ", halted at " + simulate.FormatDuration(o.FailureBudgetExceededAt.Sub(o.Start))
	case !o.Complete:
		text += ", not complete"
	}
	return text
}

func minute(t time.Time) string { return t.Format("Mon 2006-01-02 15:04 MST") }

// axis draws the time axis with its grid lines.
func (c *chart) axis() {
	step := tick(c.out.Duration())
	for at := time.Duration(0); at <= c.out.Duration(); at += step {
		x := c.x(c.out.Start.Add(at))
		c.printf(`<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x, x, chartTop, c.height-30)
		c.printf(`<text class="dim middle" x="%.1f" y="%d">%s</text>`, x, chartTop-8, simulate.FormatDuration(at))
	}
}

// tick returns the time between two grid lines, so that there are at most twelve.
func tick(total time.Duration) time.Duration {
	const maxLines = 12
	for _, step := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour} {
		if total/step <= maxLines {
			return step
		}
	}
	const day = 24 * time.Hour
	step := day
	for total/step > maxLines {
		step += day
	}
	return step
}

// each calls draw for each row with its vertical position.
func (c *chart) each(draw func(r row, y int)) {
	y := chartTop + roleGap/2
	for _, r := range c.rows {
		draw(r, y)
		y += r.height + roleGap
	}
}

// background draws the background of a row.
func (c *chart) background(r row, y int) {
	c.printf(`<rect class="row" x="%d" y="%d" width="%d" height="%d"/>`, chartLeft, y, chartWidth-chartLeft-chartRight, r.height)
}

// row draws the label and the content of a row.
func (c *chart) row(r row, y int) {
	c.printf(`<text class="right" x="%d" y="%d">%s</text>`, chartLeft-10, y+12, escaped(shortened(r.role.Name)))
	detail := fmt.Sprintf("%d hosts, %d at once", r.role.Total, r.role.Peak)
	c.printf(`<text class="dim right" x="%d" y="%d">%s</text>`, chartLeft-10, y+26, detail)
	if r.area {
		c.area(r, y)
		return
	}
	for i, run := range r.runs {
		class, text := "bar", fmt.Sprintf("%s: %s", run.Host, cmp.Or(run.Message, "in flight at the start"))
		from, until := slotTaken(run), slotFreed(run, c.out.End)
		if run.Failed {
			class, text = "failed", text+"; failed, keeps its slot"
		}
		c.printf(`<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"><title>%s (%s to %s)</title></rect>`, class, c.x(from),
			y+r.lanes[i]*laneHeight+1, max(c.x(until)-c.x(from)-1, 1), laneHeight-2, escaped(text),
			simulate.FormatDuration(from.Sub(c.out.Start)),
			simulate.FormatDuration(until.Sub(c.out.Start)))
	}
}

// maxName is the length of a role name in the chart.
const maxName = 20

func shortened(name string) string {
	if len(name) > maxName {
		return name[:maxName-1] + "…"
	}
	return name
}

// area draws how many hosts of a role hold a slot over time, and how many of these have failed.
func (c *chart) area(r row, y int) {
	c.curve("area", r, y, func(*simulate.HostRun) (time.Time, bool) { return time.Time{}, true })
	c.curve("failed", r, y, func(run *simulate.HostRun) (time.Time, bool) { return run.Ended, run.Failed })
	c.printf(`<text class="dim" x="%d" y="%d">%d</text>`, chartWidth-chartRight+3, y+10, r.role.Peak)
}

// curve draws the number of chosen runs over time. A run counts from the time that choose returns, but not before it took
// its slot.
func (c *chart) curve(class string, r row, y int, choose func(*simulate.HostRun) (since time.Time, ok bool)) {
	type step struct {
		at time.Time
		by int
	}
	var steps []step
	for _, run := range r.runs {
		if since, ok := choose(run); ok {
			steps = append(steps, step{latest(slotTaken(run), since), 1}, step{slotFreed(run, c.out.End), -1})
		}
	}
	if len(steps) == 0 {
		return
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	bottom, n := float64(y+r.height), 0
	height := func() float64 { return bottom - float64(n)/float64(max(r.role.Peak, 1))*float64(r.height-4) }
	path := fmt.Sprintf("M%.1f %.1f", c.x(steps[0].at), bottom)
	half := func(t time.Time) int { return int(2 * c.x(t)) } // half a pixel is the finest step
	for i, s := range steps {
		n += s.by
		if i+1 == len(steps) || half(steps[i+1].at) != half(s.at) {
			path += fmt.Sprintf("H%.1fV%.1f", c.x(s.at), height())
		}
	}
	c.printf(`<path class="%s" d="%sZ"><title>%s: %d at once</title></path>`, class, path, escaped(r.role.Name), r.role.Peak)
}

// legend draws an entry for each kind of mark in the chart.
func (c *chart) legend() {
	x, y := chartLeft, c.height-20
	entry := func(class, text string, shown bool) {
		if shown {
			c.printf(`<rect class="%s" x="%d" y="%d" width="14" height="11"/>`, class, x, y)
			c.printf(`<text class="dim" x="%d" y="%d">%s</text>`, x+20, y+10, text)
			x += 60 + 7*len(text)
		}
	}
	failed := slices.ContainsFunc(c.out.Runs, func(r simulate.HostRun) bool { return r.Failed })
	entry("bar", "in flight", true)
	entry("failed", "failed, keeps its slot", failed)
	entry("closed", "windows closed", len(c.out.ClosedWindows) > 0)
	if !c.out.FailureBudgetExceededAt.IsZero() {
		c.printf(`<line class="budget" x1="%d" x2="%d" y1="%d" y2="%d"/>`, x, x+14, y+6, y+6)
		c.printf(`<text class="dim" x="%d" y="%d">failure budget exceeded</text>`, x+20, y+10)
	}
}

// escaped returns the text escaped for XML.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder never fails
	return b.String()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
