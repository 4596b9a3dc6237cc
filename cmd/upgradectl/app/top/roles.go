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

// The narrowest and the widest bar, in columns. The narrowest has room for each state.
const (
	minBar = 10
	maxBar = 40
)

// share is what a state has of a bar: the mark tells it from the others without colour too.
type share struct {
	ink   ink
	mark  string
	word  string
	count int
}

// shares are the states of hosts that count, in the order in which a bar shows them.
func shares(c *v1alpha1.HostCounts) []share {
	return []share{
		{good, "█", "upgraded", c.Upgraded},
		{busy, "▓", "upgrading", c.Upgrading},
		{bad, "!", "failed", c.Failed},
		{kept, "▒", "held", c.Held},
		{faint, "░", "pending", c.Pending},
	}
}

// bar is the shares in so many columns. A state that any host is in has one at least, at the cost of the largest.
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

// columns are the widths of what stands in the rows of roles, by all of them.
type columns struct {
	name, bar, flight int
	counts            [5]int // 0: no role has such a host
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

// flightText is how many hosts are in flight, and how many may be.
func flightText(r *v1alpha1.RoleStatus) string {
	if r.Limit == nil {
		return fmt.Sprintf("%d in flight", r.InFlight)
	}
	return fmt.Sprintf("%d/%d in flight", r.InFlight, *r.Limit)
}

// row is a role but for what blocks it.
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

// width is how wide a row is.
func (c columns) width() int {
	w := c.name + 1 + c.bar + 2 + c.flight
	for _, n := range c.counts {
		if n > 0 {
			w += n + 2
		}
	}
	return w
}

// roles are the rows of all roles. What blocks one stands at the end of its row, and where it is cut there and room is left,
// below it.
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

// legend says what the marks mean.
func legend() line {
	l := line{{strong, "ROLES"}}
	for _, s := range shares(&v1alpha1.HostCounts{}) {
		l = append(l, span{plain, "  "}, span{s.ink, s.mark}, span{plain, " " + s.word})
	}
	return l
}
