// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxErrors limits the errors that are reported for one file.
const maxErrors = 100

// Error is one error in a file.
type Error struct {
	// Source is the name of the file.
	Source string
	// Line counts from 1. Zero means that the error concerns the whole file.
	Line int
	// Field is the path of the field, such as spec.hosts.exclude[2]. Empty means that the error concerns the document.
	Field string
	// Detail says what is wrong and what is allowed.
	Detail string
}

// Error returns SOURCE:LINE: FIELD: DETAIL.
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

// Errors has all errors of a file, in the order of its lines.
type Errors []*Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, err := range e {
		all[i] = err
	}
	return all
}

// Err returns e as an error. It returns nil if there are no errors.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Locate adds the lines of their fields to the errors of a validation.
func (d *Document) Locate(list field.ErrorList) Errors {
	located := make(Errors, len(list))
	for i, err := range list {
		located[i] = &Error{Source: d.Source, Line: d.LineOf(err.Field), Field: err.Field, Detail: err.ErrorBody()}
	}
	return located
}

// LineOf returns the line of a field. Decode must run before. For a field that the document does not have, it returns the
// line of the closest parent.
func (d *Document) LineOf(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return d.Line
}
