// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// The smallest and the largest width of a bar, in columns. The smallest has room for each state.
const (
	minBar = 10
	maxBar = 40
)

// share is the part of a bar for one state. Its mark differs from the others without color too.
type share struct {
	ink   ink
	mark  string
	word  string
	count int
}

// shares returns the states of the hosts that count, in the order of a bar.
func shares(c *v1alpha1.HostCounts) []share {
	return []share{
		{good, "█", "upgraded", c.Upgraded},
		{busy, "▓", "upgrading", c.Upgrading},
		{bad, "!", "failed", c.Failed},
		{bad, "×", "set aside", c.SetAside},
		{kept, "▒", "held", c.Held},
		{faint, "░", "pending", c.Pending},
	}
}

// bar returns the shares in width columns. A state with any host has at least one column, at the cost of the largest.
func bar(parts []share, width int) line {
	total, largest := 0, 0
	for i, p := range parts {
		total += p.count
		if p.count > parts[largest].count {
			largest = i
		}
	}
	if total == 0 {
		return line{{plain, strings.Repeat(" ", width)}}
	}
	sizes, left := make([]int, len(parts)), width
	for i, p := range parts {
		if p.count > 0 {
			sizes[i] = max(width*p.count/total, 1)
		}
		left -= sizes[i]
	}
	sizes[largest] += left
	var l line
	for i, p := range parts {
		if sizes[i] > 0 {
			l = append(l, span{p.ink, strings.Repeat(p.mark, sizes[i])})
		}
	}
	return l
}

// columns are the widths of the columns in the rows of roles.
type columns struct {
	name, bar, flight int
	counts            [6]int // 0 means that no role has a host in the state
}

func (p *Picture) columns(width int) columns {
	c := columns{bar: min(max(width/5, minBar), maxBar)}
	for i := range p.Roles {
		r := &p.Roles[i]
		c.name = max(c.name, ansi.StringWidth(r.Name))
		c.flight = max(c.flight, len(flightText(r)))
		for j, s := range shares(&r.HostCounts) {
			if s.count > 0 {
				c.counts[j] = max(c.counts[j], len(strconv.Itoa(s.count)))
			}
		}
	}
	c.name = min(c.name, max(width/4, minBar))
	return c
}

// flightText returns the number of hosts in flight, and the limit.
func flightText(r *v1alpha1.RoleStatus) string {
	if r.Limit == nil {
		return fmt.Sprintf("%d in flight", r.InFlight)
	}
	return fmt.Sprintf("%d/%d in flight", r.InFlight, *r.Limit)
}

// row returns the line of a role, without what blocks it.
func (c columns) row(r *v1alpha1.RoleStatus) line {
	name := r.Name
	if ansi.StringWidth(name) > c.name {
		name = ansi.Truncate(name, c.name, "…")
	}
	parts := shares(&r.HostCounts)
	l := append(line{{plain, padded(name, c.name) + " "}}, bar(parts, c.bar)...)
	for i, s := range parts {
		switch {
		case c.counts[i] == 0:
		case s.count == 0:
			l = append(l, span{plain, strings.Repeat(" ", c.counts[i]+2)})
		default:
			l = append(l, span{s.ink, " " + padded(strconv.Itoa(s.count), -c.counts[i]) + s.mark})
		}
	}
	return append(l, span{plain, "  " + padded(flightText(r), -c.flight)})
}

// width returns the width of a row.
func (c columns) width() int {
	w := c.name + 1 + c.bar + 2 + c.flight
	for _, n := range c.counts {
		if n > 0 {
			w += n + 2
		}
	}
	return w
}

// roles returns the rows of all roles. What blocks a role is at the end of its row, or below it if it does not fit and there is
// room.
func (p *Picture) roles(width int, long bool) []line {
	c := p.columns(width)
	rest := width - c.width() - 2
	var rows []line
	for i := range p.Roles {
		r := &p.Roles[i]
		row := c.row(r)
		switch {
		case r.BlockedBy == "":
			rows = append(rows, row)
		case long && ansi.StringWidth(r.BlockedBy) > rest:
			rows = append(rows, row, line{{plain, "    "}, {faint, r.BlockedBy}})
		default:
			rows = append(rows, append(row, span{faint, "  " + r.BlockedBy}))
		}
	}
	return rows
}

// legend returns the line that explains the marks.
func legend() line {
	l := line{{strong, "ROLES"}}
	for _, s := range shares(&v1alpha1.HostCounts{}) {
		l = append(l, span{plain, "  "}, span{s.ink, s.mark}, span{plain, " " + s.word})
	}
	return l
}
