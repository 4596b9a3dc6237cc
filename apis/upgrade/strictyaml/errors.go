// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxErrors bounds what is reported of one file.
const maxErrors = 100

// Error is one thing that is wrong in a file.
type Error struct {
	// Source is the name of the file.
	Source string
	// Line counts from 1; 0: it is about the whole file.
	Line int
	// Field is the path of the field (spec.hosts.exclude[2]); empty: it is about the document.
	Field string
	// Detail says what is wrong and what is allowed.
	Detail string
}

// Error is source:line: field: detail.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Source)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Field != "" {
		b.WriteString(": " + e.Field)
	}
	b.WriteString(": " + e.Detail)
	return b.String()
}

// Errors is all that is wrong in a file, in the order of its lines.
type Errors []*Error

// Error is one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the errors one by one to errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, err := range e {
		all[i] = err
	}
	return all
}

// Err is e as an error: nil when nothing is wrong.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Locate gives the errors of a validation the lines of the fields that they are about.
func (d *Document) Locate(list field.ErrorList) Errors {
	located := make(Errors, len(list))
	for i, err := range list {
		located[i] = &Error{Source: d.Source, Line: d.LineOf(err.Field), Field: err.Field, Detail: err.ErrorBody()}
	}
	return located
}

// LineOf is the line of a field by its path, after Decode. A field that the document lacks has the line of the nearest
// one around it.
func (d *Document) LineOf(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return d.Line
}
