// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top

import (
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// ink is how a text is painted. Without colour, all but strong are plain.
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

// span is text in one ink, and line some of them.
type (
	span struct {
		ink  ink
		text string
	}
	line []span
)

// fit is the line in so many columns: what is too long ends with an ellipsis. What others wrote into Consul cannot move the
// cursor.
func (l line) fit(width int, color bool) string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.ink.paint(strings.Map(printable, s.text), color))
	}
	return ansi.Truncate(strings.TrimRight(b.String(), " "), width, "…")
}

func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
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

// padded is text in at least so many columns; to the right if the width is negative.
func padded(text string, width int) string {
	gap := strings.Repeat(" ", max(0, max(width, -width)-ansi.StringWidth(text)))
	if width < 0 {
		return gap + text
	}
	return text + gap
}

// wrapped is a text in lines of so many columns, and at most so many of them.
func wrapped(text string, width, most int) []string {
	lines := strings.Split(ansi.Wrap(strings.Map(printable, text), max(width, 1), ""), "\n")
	if len(lines) > most {
		rest := strings.Join(lines[most-1:], " ")
		lines = append(lines[:most-1], ansi.Truncate(rest, max(width, 1), "…"))
	}
	return lines
}

// indented is a text in lines of so many columns, all but the first of them four columns in.
func indented(text string, width int) []string {
	text = strings.Map(printable, text)
	first, rest, more := strings.Cut(ansi.Wrap(text, max(width, 1), ""), "\n")
	if !more {
		return []string{first}
	}
	rest = ansi.Wrap(strings.ReplaceAll(rest, "\n", " "), max(width-4, 1), "")
	return append([]string{first}, strings.Split("    "+strings.ReplaceAll(rest, "\n", "\n    "), "\n")...)
}
