// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"time"
	"unicode/utf8"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

const (
	columns, rows = 100, 30
	// How long the terminal is recorded, and how often it is sampled.
	recorded = 15 * time.Second
	sample   = 500 * time.Millisecond
)

// record runs a command in a terminal and returns its frames.
func record(ctx context.Context, cmd *exec.Cmd) ([]frame, error) {
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "COLORTERM=truecolor", "NO_COLOR=")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: columns})
	if err != nil {
		return nil, err
	}
	screen := vt.NewSafeEmulator(columns, rows)
	go func() { _, _ = io.Copy(screen, terminal) }() // until the terminal is closed
	go func() { _, _ = io.Copy(terminal, screen) }() // answers to queries of the terminal
	frames, err := watch(ctx, screen)
	if err != nil {
		return nil, err
	}
	return frames, quit(terminal, cmd)
}

// quit presses q.
func quit(terminal *os.File, cmd *exec.Cmd) error {
	if _, err := terminal.WriteString("q"); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	return terminal.Close()
}

// watch samples a screen from the moment at which it shows something. A sample that equals the one before prolongs it.
func watch(ctx context.Context, screen *vt.SafeEmulator) ([]frame, error) {
	err := until(ctx, func() (bool, error) { return len(read(screen)) > 1, nil })
	if err != nil {
		return nil, err
	}
	var frames []frame
	for range recorded / sample {
		frames = show(frames, read(screen), sample)
		if err := pause(ctx, sample); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

// read returns the spans of a screen, row by row.
func read(screen *vt.SafeEmulator) []span {
	var all []span
	for y := range rows {
		for x := range columns {
			cell := screen.CellAt(x, y)
			if cell == nil || cell.Width == 0 {
				continue // the second half of a wide one
			}
			all = extend(all, span{row: y, column: x, ink: inkOf(cell.Style), text: cell.Content})
		}
	}
	return parted(all)
}

// extend adds a cell to the last span if it continues that span in the same ink.
func extend(all []span, cell span) []span {
	if n := len(all); n > 0 && all[n-1].row == cell.row && all[n-1].ink == cell.ink {
		all[n-1].text += cell.text
		return all
	}
	return append(all, cell)
}

// parted cuts spans at two or more blanks, and leaves those out: a renderer may not keep them.
func parted(all []span) []span {
	words := regexp.MustCompile(`[^ ]+( [^ ]+)*`)
	var parts []span
	for _, s := range all {
		for _, at := range words.FindAllStringIndex(s.text, -1) {
			column := s.column + utf8.RuneCountInString(s.text[:at[0]])
			parts = append(parts, span{row: s.row, column: column, ink: s.ink, text: s.text[at[0]:at[1]]})
		}
	}
	return parts
}

// inkOf ignores what upgradectl does not use: backgrounds, and styles other than bold and faint.
func inkOf(s uv.Style) ink {
	i := ink{bold: s.Attrs&uv.AttrBold != 0, faint: s.Attrs&uv.AttrFaint != 0}
	switch c := s.Fg.(type) {
	case nil:
	case ansi.BasicColor:
		i.color = palette()[c]
	default:
		r, g, b, _ := c.RGBA()
		i.color = fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
	}
	return i
}

// palette has the sixteen colors of terminals. Each is readable on a dark background.
func palette() [16]string {
	return [16]string{
		"#6e7681", "#ff7b72", "#3fb950", "#d29922", "#79c0ff", "#d2a8ff", "#56d4dd", "#c9d1d9",
		"#8b949e", "#ffa198", "#56d364", "#e3b341", "#a5d6ff", "#e2c5ff", "#7ee7ee", "#f0f6fc",
	}
}
