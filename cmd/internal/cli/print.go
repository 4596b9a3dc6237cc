// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"
)

// Buffered calls f with a buffer in front of w, and flushes it.
func Buffered(w io.Writer, f func(io.Writer) error) error {
	buffer := bufio.NewWriterSize(w, 64<<10)
	if err := f(buffer); err != nil {
		return err
	}
	return buffer.Flush()
}

// Print writes v as YAML, or as indented JSON for any other format. JSON has escapes in place of the characters that a CleanWriter
// would replace, so that programs read the value as it is.
func Print(w io.Writer, format string, v any) error {
	if format == YAML {
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	return Buffered(w, func(w io.Writer) error {
		e := json.NewEncoder(escapingWriter{w})
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// Age returns how long ago since was, in one or two units such as 75s or 3h20m. A time in the future has the age 0s.
func Age(since, now time.Time) string { return duration.HumanDuration(max(now.Sub(since), 0)) }

// gap is the number of spaces between the columns of a table, and fieldGap that between a field and its value.
const (
	gap      = 3
	fieldGap = 2
)

// TableWriter writes rows in aligned columns. The first call of Write sets the widths of the columns.
type TableWriter struct {
	w      io.Writer
	indent string
	gap    int
	widths []int
}

// NewTableWriter returns a writer of tables, with indent before each row.
func NewTableWriter(w io.Writer, indent string) *TableWriter {
	return &TableWriter{w: w, indent: indent, gap: gap}
}

// WriteTable writes one table with a header. An empty cell is shown as a dash, unless it is the last of its row.
func WriteTable(w io.Writer, indent string, header []string, rows [][]string) error {
	cells := [][]string{header}
	for _, row := range rows {
		cells = append(cells, Cells(row))
	}
	return NewTableWriter(w, indent).Write(cells...)
}

// Cells returns a row as tables show it: without control characters, and with a dash for an empty cell that is not the last.
func Cells(row []string) []string {
	cells := slices.Clone(row)
	for i, cell := range cells {
		if cells[i] = OneLine(cell); cell == "" && i < len(cells)-1 {
			cells[i] = "-"
		}
	}
	return cells
}

// Fit sets the widths of the columns so that the rows fit. It returns false, and does nothing, if the widths are set or there
// is no row.
func (t *TableWriter) Fit(rows ...[]string) bool {
	if t.widths != nil || len(rows) == 0 {
		return false
	}
	t.widths = make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}
	return true
}

// Write writes rows, each with as many cells as the first one.
func (t *TableWriter) Write(rows ...[]string) error {
	t.Fit(rows...)
	var b strings.Builder
	for _, row := range rows {
		line := t.indent
		for i, cell := range row {
			line += cell + strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(cell))+t.gap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// WriteFields writes a name and a text on each line. Fields with an empty text are left out.
func WriteFields[F ~struct{ Name, Text string }](w io.Writer, fields []F) error {
	var rows [][]string
	for _, f := range fields {
		if field := struct{ Name, Text string }(f); field.Text != "" {
			rows = append(rows, []string{field.Name + ":", OneLine(field.Text)})
		}
	}
	return (&TableWriter{w: w, gap: fieldGap}).Write(rows...)
}
