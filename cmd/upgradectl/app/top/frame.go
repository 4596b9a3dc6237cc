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

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Window is the part of the terminal that shows a frame.
type Window struct {
	Width, Height int
	// Color allows colors. Without it, a frame has bold text at most.
	Color bool
	// Inline frames are between other lines: they are as high as their content, and have no line about keys.
	Inline bool
	// First is the index of the first role in the window. Above the number of roles, the window shows the last ones.
	First int
}

// Frame returns the picture at a time, in lines that fit the window.
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

// maxHead bounds the lines of a message in the head.
const maxHead = 3

// head returns the lines about the plan as a whole.
func (p *Picture) head(now time.Time, w Window) []line {
	var lines []line
	switch {
	case !p.At.IsZero():
		lines = []line{p.title(w.Width), {{plain, p.statusLine()}}}
	case p.Plan != "":
		lines = []line{{{strong, "upgradeplan/" + p.Plan}}}
	}
	if p.Stop != "" {
		prefix := "stopped: "
		if since := p.stoppedSince(); !since.IsZero() {
			prefix = "stopped for " + cli.Age(since, now) + ": "
		}
		lines = append(lines, sentence(bad, prefix+p.Stop, w)...)
	}
	if p.Outage.Text != "" {
		lines = append(lines, sentence(strong, p.outageText(now), w)...)
	}
	return lines
}

// title returns the line with the plan on the left and the leader on the right.
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
		shown = "what is shown was read " + cli.Age(p.At, now) + " ago"
	}
	return fmt.Sprintf("no answer for %s, %s: %s", cli.Age(p.Outage.Since, now), shown, p.Outage.Text)
}

// sentence wraps a text into lines of the window.
func sentence(i ink, text string, w Window) []line {
	var lines []line
	for _, l := range wrapped(text, w.Width, maxHead) {
		lines = append(lines, line{{i, l}})
	}
	return lines
}

// part is a list under a title, with the room for it.
type part struct {
	title line
	count int
	row   func(i int) line // draws one of count rows
	// least is the number of rows that this part gets before any part gets more.
	least int
	room  int // lines, including the title
	// first is the index of the first row in the window.
	first int
	// tail shows the last rows if not all fit, without a line about the others.
	tail bool
}

// height returns the lines of the whole part.
func (p *part) height() int {
	if p.count == 0 {
		return 0
	}
	return 1 + p.count
}

// shown returns the rows that fit, with the line about the others.
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

// others returns the text about rows outside the window.
func others(above, below int) string {
	switch {
	case above == 0:
		return fmt.Sprintf("… and %d more", below)
	case below == 0:
		return fmt.Sprintf("… and %d above", above)
	}
	return fmt.Sprintf("… and %d above, %d below", above, below)
}

// parts returns the lists with the room for each. It returns airy if there is room for empty lines between them.
func (p *Picture) parts(now time.Time, w Window, used int) (parts []part, airy bool) {
	room := w.Height - used
	if !w.Inline {
		room-- // the line about keys
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

// wants returns the lines of all parts.
func wants(parts []part) int {
	n := 0
	for i := range parts {
		n += parts[i].height()
	}
	return n
}

// allot gives each part its least rows while there is room, and then the rest, the first parts first.
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

// roleList returns the part with the roles, which scrolls.
func (p *Picture) roleList(w Window, long bool) part {
	rows := p.roles(w.Width, long)
	return part{title: legend(), count: len(rows), row: func(i int) line { return rows[i] }, least: 5, first: w.First}
}

// failures returns the part with the hosts that have failed. If long, a message may take two rows.
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

// flights returns the part with the hosts in flight: since when, their phase, and whether their deadline is near.
func (p *Picture) flights(now time.Time) part {
	name, phase := 0, 0
	for i := range p.Flights {
		name, phase = max(name, len(p.Flights[i].Host)), max(phase, len(p.Flights[i].Phase))
	}
	return part{title: line{{strong, fmt.Sprintf("IN FLIGHT %d", len(p.Flights))}}, count: len(p.Flights), least: 3,
		row: func(i int) line { return p.Flights[i].row(now, name, phase) }}
}

// row returns the line of a host, with columns of these widths for the name and the phase.
func (f *Flight) row(now time.Time, name, phase int) line {
	since := "-"
	if !f.Since.IsZero() {
		since = cli.Age(f.Since, now)
	}
	l := line{{plain, "  " + padded(f.Host, name)}, {plain, "  " + padded(since, -5)}}
	if phase > 0 {
		l = append(l, span{busy, "  " + padded(cmp.Or(string(f.Phase), "-"), phase)})
	}
	if f.closing(now) {
		l[0] = span{bad, "! " + padded(f.Host, name)}
		l = append(l, span{bad, "  fails in " + cli.Age(now, f.Due)})
	}
	return append(l, span{plain, "  " + f.Message})
}

// closing reports whether the host is in the last tenth of its time.
func (f *Flight) closing(now time.Time) bool {
	return !f.Due.IsZero() && now.After(f.Due.Add(-f.Due.Sub(f.Since)/10))
}

// sortByAge sorts the longest in flight first.
func sortByAge(flights []Flight) {
	slices.SortStableFunc(flights, func(a, b Flight) int { return a.Since.Compare(b.Since) })
}

// maxEvents bounds the events.
const maxEvents = 10

// events returns the part with the last events, the newest at the bottom.
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
	return line{mark, {faint, padded(cli.Age(e.Time, now), -5) + " ago  "}, {plain, message}}
}
