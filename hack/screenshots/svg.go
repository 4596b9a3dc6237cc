// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ink is the style of a text.
type ink struct {
	color       string // a CSS color. Empty means the default
	bold, faint bool
}

// span is text in one ink. Rows and columns count from 0.
type span struct {
	row, column int
	ink         ink
	text        string
}

// frame is the content of a screen, and how long it is shown.
type frame struct {
	spans []span
	lasts time.Duration
}

// show adds a frame. A frame that equals the last one prolongs it.
func show(frames []frame, spans []span, lasts time.Duration) []frame {
	if n := len(frames); n > 0 && slices.Equal(frames[n-1].spans, spans) {
		frames[n-1].lasts += lasts
		return frames
	}
	return append(frames, frame{spans, lasts})
}

// Sizes of the drawing in pixels: a cell, the base line of the first row, and the margins.
const (
	cellWidth, cellHeight = 8.4, 18
	top, side             = 48, 16
	width, height         = columns*cellWidth + 2*side, top + rows*cellHeight
)

// animate draws frames as an SVG that repeats: a group for each frame, which CSS shows for its duration. Rows that are equal in
// several frames are drawn once. With reduced motion, only the last frame is visible.
func animate(frames []frame) []byte {
	var defs, groups, styles bytes.Buffer
	known := map[string]int{}
	total, at := time.Duration(0), time.Duration(0)
	for _, f := range frames {
		total += f.lasts
	}
	for i, f := range frames {
		fmt.Fprintf(&groups, "<g class=\"f f%d\">", i)
		for y, text := range drawn(f.spans) {
			n, ok := known[text]
			if !ok && text != "" {
				n = len(known)
				known[text] = n
				fmt.Fprintf(&defs, "<g id=\"r%d\">%s</g>\n", n, text)
			}
			if text != "" {
				fmt.Fprintf(&groups, "<use href=\"#r%d\" y=\"%d\"/>", n, top+y*cellHeight)
			}
		}
		groups.WriteString("</g>\n")
		styles.WriteString(shown(i, at, f.lasts, total))
		at += f.lasts
	}
	return fmt.Appendf(nil, drawing, width, height, styles.String(), len(frames)-1, defs.String(), groups.String())
}

// drawing takes the width and height, the CSS rules of the frames, the number of the last frame, the rows, and the frames.
const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %d">
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: #c9d1d9; }
.b { font-weight: 700; fill: #f0f6fc; } .d { fill: #8b949e; }
.f { visibility: hidden; }
%s@media (prefers-reduced-motion: reduce) { .f { animation: none; } .f%d { visibility: visible; } }
</style>
<defs>
%s</defs>
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
<circle cx="20" cy="17" r="5" fill="#ff7b72"/><circle cx="38" cy="17" r="5" fill="#d29922"/><circle cx="56" cy="17" r="5" fill="#3fb950"/>
%s</svg>
`

// shown returns the CSS rules that show a frame from a time on, for a duration, in a loop of a total duration.
func shown(frame int, from, lasts, total time.Duration) string {
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / total.Seconds() }
	after := "hidden"
	if from+lasts == total {
		after = "visible"
	}
	return fmt.Sprintf("@keyframes k%d { 0%% { visibility: hidden; } %.3f%% { visibility: visible; } %.3f%%, 100%% { visibility: %s; } }\n"+
		".f%[1]d { animation: k%[1]d %[5]gs step-end infinite; }\n", frame, percent(from), percent(from+lasts), after, total.Seconds())
}

// drawn returns the rows of spans as text elements. Rows without spans are empty.
func drawn(spans []span) []string {
	var lines [rows]strings.Builder
	for _, r := range spans {
		b := &lines[r.row]
		n := float64(utf8.RuneCountInString(r.text)) * cellWidth
		fmt.Fprintf(b, `<text x="%.5g" textLength="%.5g" lengthAdjust="spacingAndGlyphs"%s>`, side+float64(r.column)*cellWidth, n, r.ink)
		_ = xml.EscapeText(b, []byte(r.text)) // a Builder never fails
		b.WriteString("</text>")
	}
	texts := make([]string, rows)
	for y := range lines {
		texts[y] = lines[y].String()
	}
	return texts
}

// String returns the attributes of a text in that ink.
func (i ink) String() string {
	attributes := ""
	switch {
	case i.bold:
		attributes += ` class="b"`
	case i.faint:
		attributes += ` class="d"`
	}
	if i.color != "" {
		attributes += fmt.Sprintf(` style="fill:%s"`, i.color)
	}
	return attributes
}
