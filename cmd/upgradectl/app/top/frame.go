// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Window is where a frame is shown.
type Window struct {
	Width, Height int
	// Color allows colours; without them, a frame is bold at most.
	Color bool
	// Inline frames stand among other lines: they are as high as what they show, and name no keys.
	Inline bool
	// First is how many roles are above the first that is shown; more than there are: the last roles are shown.
	First int
}

// Frame is the picture as the window shows it at a time, in lines no wider and no more than the window has.
func Frame(p Picture, now time.Time, w Window) string {
	lines := p.lines(now, w)
	if !w.Inline {
		for len(lines) < w.Height-1 {
			lines = append(lines, nil)
		}
		lines = append(lines[:max(w.Height-1, 0)], keysHelp())
	}
	lines = lines[:min(len(lines), w.Height)]
	text := make([]string, len(lines))
	for i, l := range lines {
		text[i] = l.fit(w.Width, w.Color)
	}
	return strings.Join(text, "\n")
}

func keysHelp() line {
	return line{{faint, "q quits   ↑ ↓ PgUp PgDn show other roles"}}
}

func (p *Picture) lines(now time.Time, w Window) []line {
	head := p.head(now, w)
	if p.At.IsZero() {
		return head
	}
	parts, airy := p.parts(now, w, len(head))
	lines := head
	for _, part := range parts {
		if airy {
			lines = append(lines, nil)
		}
		lines = append(lines, part.lines()...)
	}
	return lines
}

// maxHead is how many lines a sentence at the head may take.
const maxHead = 3

// head is what is said of the plan as a whole.
func (p *Picture) head(now time.Time, w Window) []line {
	var lines []line
	switch {
	case !p.At.IsZero():
		lines = []line{p.title(w.Width), {{plain, p.statusLine()}}}
	case p.Plan != "":
		lines = []line{{{strong, "upgradeplan/" + p.Plan}}}
	}
	if p.Stop != "" {
		told := "stopped: "
		if since := p.stoppedSince(); !since.IsZero() {
			told = "stopped for " + age(since, now) + ": "
		}
		lines = append(lines, sentence(bad, told+p.Stop, w)...)
	}
	if p.Outage.Text != "" {
		lines = append(lines, sentence(strong, p.outageText(now), w)...)
	}
	return lines
}

// title is the plan at the left and the leader at the right.
func (p *Picture) title(width int) line {
	left := p.heading()
	room := width - ansi.StringWidth(left) - 2
	if p.Leader == "" || room < minBar {
		return line{{strong, left}}
	}
	return line{{strong, left}, {faint, "  " + padded(ansi.Truncate(p.Leader, room, "…"), -room)}}
}

func (p *Picture) outageText(now time.Time) string {
	shown := "nothing has been read yet"
	if !p.At.IsZero() {
		shown = "what is shown was read " + age(p.At, now) + " ago"
	}
	return fmt.Sprintf("no answer for %s, %s: %s", age(p.Outage.Since, now), shown, p.Outage.Text)
}

// sentence is a text in lines of the window.
func sentence(i ink, text string, w Window) []line {
	var lines []line
	for _, l := range wrapped(text, w.Width, maxHead) {
		lines = append(lines, line{{i, l}})
	}
	return lines
}

// age is how long ago a time was, in two units at most; what lies in the future is now.
func age(since, now time.Time) string { return duration.HumanDuration(max(now.Sub(since), 0)) }

// part is a list under its title, and the room that it got.
type part struct {
	title line
	count int
	row   func(i int) line // of count; there may be many, of which few are shown
	// least is how many rows are shown before another part gets more.
	least int
	room  int // in lines, with the title
	// first is how many rows are above those that are shown, and units is what the rows are counted by.
	first int
	// tail says that of what is cut the last rows are shown, and nothing is said of the others.
	tail bool
}

// height is how many lines it wants.
func (p *part) height() int {
	if p.count == 0 {
		return 0
	}
	return 1 + p.count
}

// shown is how many rows there is room for, with the line that tells of the others.
func (p *part) shown() int {
	switch {
	case p.room >= p.height():
		return p.count
	case p.tail:
		return max(p.room-1, 0)
	}
	return max(p.room-2, 0)
}

func (p *part) lines() []line {
	if p.room == 0 {
		return nil
	}
	n := p.shown()
	first := min(p.first, p.count-n)
	if p.tail {
		first = p.count - n
	}
	lines := []line{p.title}
	for i := range n {
		lines = append(lines, p.row(first+i))
	}
	if n < p.count && !p.tail && p.room > 1 {
		lines = append(lines, line{{faint, others(first, p.count-first-n)}})
	}
	return lines
}

// others says how many rows are not shown.
func others(above, below int) string {
	switch {
	case above == 0:
		return fmt.Sprintf("… and %d more", below)
	case below == 0:
		return fmt.Sprintf("… and %d above", above)
	}
	return fmt.Sprintf("… and %d above, %d below", above, below)
}

// parts are the lists with the room that each gets, and whether there is any for a line between them.
func (p *Picture) parts(now time.Time, w Window, used int) (parts []part, airy bool) {
	room := w.Height - used
	if !w.Inline {
		room-- // for the keys
	}
	all := []part{p.roleList(w, true), p.failures(w, true), p.flights(now), p.events(now)}
	wanted := wants(all)
	if wanted > room {
		all[0], all[1] = p.roleList(w, false), p.failures(w, false)
		wanted = wants(all)
	}
	parts = slices.DeleteFunc(all, func(p part) bool { return p.height() == 0 })
	allot(parts, room)
	return parts, wanted+len(parts) <= room
}

// wants is how many lines all parts want.
func wants(parts []part) int {
	n := 0
	for i := range parts {
		n += parts[i].height()
	}
	return n
}

// allot gives each part the least that it needs, as long as there is room, and then all that they want, the first ones first.
func allot(parts []part, room int) {
	for _, full := range []bool{false, true} {
		for i := range parts {
			want := parts[i].height()
			if !full {
				want = min(want, 1+parts[i].least)
			}
			more := max(min(want-parts[i].room, room), 0)
			parts[i].room += more
			room -= more
		}
	}
}

// roleList are the roles, which scroll.
func (p *Picture) roleList(w Window, long bool) part {
	rows := p.roles(w.Width, long)
	return part{title: legend(), count: len(rows), row: func(i int) line { return rows[i] }, least: 5, first: w.First}
}

// failures are the hosts that have failed. Long, what is said of one may take two rows.
func (p *Picture) failures(w Window, long bool) part {
	list, width := p.Status.Failures, 0
	for i := range list {
		width = max(width, len(list[i].Host))
	}
	var rows []line
	for i := range list {
		said := []string{list[i].Message}
		if long {
			said = wrapped(list[i].Message, w.Width-width-4, 2)
		}
		rows = append(rows, line{{bad, "! " + padded(list[i].Host, width)}, {plain, "  " + said[0]}})
		for _, more := range said[1:] {
			rows = append(rows, line{{plain, strings.Repeat(" ", width+4) + more}})
		}
	}
	return part{title: line{{strong, fmt.Sprintf("FAILED %d", p.Status.Hosts.Failed)}}, count: len(rows),
		row: func(i int) line { return rows[i] }, least: 3}
}

// flights are the hosts in flight: for how long, what they say of themselves, and whether their time runs out.
func (p *Picture) flights(now time.Time) part {
	name, phase := 0, 0
	for i := range p.Flights {
		name, phase = max(name, len(p.Flights[i].Host)), max(phase, len(p.Flights[i].Phase))
	}
	return part{title: line{{strong, fmt.Sprintf("IN FLIGHT %d", len(p.Flights))}}, count: len(p.Flights), least: 3,
		row: func(i int) line { return p.Flights[i].row(now, name, phase) }}
}

// row is a host whose name and phase take so many columns.
func (f *Flight) row(now time.Time, name, phase int) line {
	since := "-"
	if !f.Since.IsZero() {
		since = age(f.Since, now)
	}
	l := line{{plain, "  " + padded(f.Host, name)}, {plain, "  " + padded(since, -5)}}
	if phase > 0 {
		l = append(l, span{busy, "  " + padded(cmp.Or(string(f.Phase), "-"), phase)})
	}
	if f.closing(now) {
		l[0] = span{bad, "! " + padded(f.Host, name)}
		l = append(l, span{bad, "  fails in " + duration.HumanDuration(max(f.Due.Sub(now), 0))})
	}
	return append(l, span{plain, "  " + f.Message})
}

// closing says whether the last tenth of its time has begun.
func (f *Flight) closing(now time.Time) bool {
	return !f.Due.IsZero() && now.After(f.Due.Add(-f.Due.Sub(f.Since)/10))
}

// sortByAge puts those first that have been in flight for longest.
func sortByAge(flights []Flight) {
	slices.SortStableFunc(flights, func(a, b Flight) int { return a.Since.Compare(b.Since) })
}

// maxEvents is how many events are shown at most.
const maxEvents = 10

// events are the last ones, the newest below.
func (p *Picture) events(now time.Time) part {
	e := part{title: line{{strong, "EVENTS"}}, least: 2, tail: true}
	if p.Problem != "" {
		e.count, e.row = 1, func(int) line { return line{{bad, "! " + p.Problem}} }
		return e
	}
	last := p.Events[max(0, len(p.Events)-maxEvents):]
	e.count, e.row = len(last), func(i int) line { return eventRow(&last[i], now) }
	return e
}

func eventRow(e *fleet.Event, now time.Time) line {
	mark, message := span{plain, "  "}, e.Message
	if e.Type == fleet.EventWarning {
		mark = span{bad, "! "}
	}
	if host, ok := strings.CutPrefix(e.Object, "host/"); ok && !strings.Contains(message, host) {
		message = e.Object + ": " + message
	}
	return line{mark, {faint, padded(age(e.Time, now), -5) + " ago  "}, {plain, message}}
}
