// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/google/go-cmp/cmp"
)

func TestSVG_FramesToSpans(t *testing.T) {
	screen := vt.NewSafeEmulator(columns, rows)
	if _, err := screen.WriteString("a b  \x1b[32m██\x1b[2;39mc\x1b[0m\r\n\r\n   \x1b[1mend\x1b[0m \x1b[38;2;1;2;255mx"); err != nil {
		t.Fatal(err)
	}
	want := []span{
		{0, 0, ink{}, "a b"}, {0, 5, ink{color: "#3fb950"}, "██"}, {0, 7, ink{faint: true}, "c"},
		{2, 3, ink{bold: true}, "end"}, {2, 7, ink{color: "#0102ff"}, "x"},
	}
	if d := cmp.Diff(want, read(screen), cmp.AllowUnexported(span{}, ink{})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestPartsOfSpansKeepTheirPlaces(t *testing.T) {
	got := parted([]span{{row: 1, column: 2, text: " é  x y   "}})
	if want := []span{{row: 1, column: 3, text: "é"}, {row: 1, column: 6, text: "x y"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFramesThatAreEqualAreOne(t *testing.T) {
	a, b := []span{{text: "a"}}, []span{{text: "b"}}
	var frames []frame
	for _, spans := range [][]span{a, a, b, a} {
		frames = show(frames, spans, time.Second)
	}
	want := []frame{{a, 2 * time.Second}, {b, time.Second}, {a, time.Second}}
	if d := cmp.Diff(want, frames, cmp.AllowUnexported(frame{}, span{}, ink{})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestTheDrawingIsWellFormedAndHoldsAllText(t *testing.T) {
	const hostile = `</text><script>&"'`
	still := span{row: 29, text: "does not change"}
	drawing := animate([]frame{
		{[]span{{row: 0, column: 4, ink: ink{color: "#3fb950", bold: true}, text: hostile}, still}, time.Second},
		{[]span{still}, 3 * time.Second},
	})
	var seen []string
	elements := map[string]int{}
	for decoder := xml.NewDecoder(bytes.NewReader(drawing)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, drawing)
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements[token.Name.Local]++
		case xml.CharData:
			seen = append(seen, string(token))
		}
	}
	for _, text := range []string{hostile, still.text} {
		if !slices.Contains(seen, text) {
			t.Errorf("%q is not drawn in\n%s", text, drawing)
		}
	}
	if elements["script"] > 0 || elements["text"] != 2 || elements["use"] != 3 {
		t.Errorf("elements are %v: want 2 texts, used 3 times, and no script", elements)
	}
	for _, rule := range []string{
		"@keyframes k0 { 0% { visibility: hidden; } 0.000% { visibility: visible; } 25.000%, 100% { visibility: hidden; } }",
		"@keyframes k1 { 0% { visibility: hidden; } 25.000% { visibility: visible; } 100.000%, 100% { visibility: visible; } }",
		".f1 { animation: k1 4s step-end infinite; }",
	} {
		if !strings.Contains(string(drawing), rule) {
			t.Errorf("%q is missing in\n%s", rule, drawing)
		}
	}
}
