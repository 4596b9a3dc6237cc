// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

// ink is the style of a text. Without color, all but strong are plain.
type ink int

const (
	plain ink = iota
	strong
	faint
	good
	busy
	bad
	kept
)

// A span is text in one ink, and a line consists of spans.
type (
	span struct {
		ink  ink
		text string
	}
	line []span
)

// fit returns the line in at most width columns. A line that is cut ends with an ellipsis. Control characters become spaces, so
// that a text from Consul cannot move the cursor.
func (l line) fit(width int, color bool) string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.ink.paint(cli.OneLine(s.text), color))
	}
	return ansi.Truncate(strings.TrimRight(b.String(), " "), width, "…")
}

func (i ink) paint(text string, color bool) string {
	style := lipgloss.NewStyle()
	switch {
	case i == plain || text == "":
		return text
	case i == strong:
		return style.Bold(true).Render(text)
	case !color:
		return text
	case i == faint:
		return style.Faint(true).Render(text)
	case i == good:
		return style.Foreground(lipgloss.Green).Render(text)
	case i == busy:
		return style.Foreground(lipgloss.Cyan).Render(text)
	case i == bad:
		return style.Foreground(lipgloss.Red).Render(text)
	}
	return style.Foreground(lipgloss.Magenta).Render(text)
}

// padded returns the text in at least width columns. A negative width aligns it to the right.
func padded(text string, width int) string {
	gap := strings.Repeat(" ", max(0, max(width, -width)-ansi.StringWidth(text)))
	if width < 0 {
		return gap + text
	}
	return text + gap
}

// wrapped returns the text in lines of at most width columns, and at most that many lines.
func wrapped(text string, width, most int) []string {
	lines := strings.Split(ansi.Wrap(cli.OneLine(text), max(width, 1), ""), "\n")
	if len(lines) > most {
		rest := strings.Join(lines[most-1:], " ")
		lines = append(lines[:most-1], ansi.Truncate(rest, max(width, 1), "…"))
	}
	return lines
}

// indented returns the text in lines of at most width columns, all but the first indented by four columns.
func indented(text string, width int) []string {
	text = cli.OneLine(text)
	first, rest, more := strings.Cut(ansi.Wrap(text, max(width, 1), ""), "\n")
	if !more {
		return []string{first}
	}
	rest = ansi.Wrap(strings.ReplaceAll(rest, "\n", " "), max(width-4, 1), "")
	return append([]string{first}, strings.Split("    "+strings.ReplaceAll(rest, "\n", "\n    "), "\n")...)
}
