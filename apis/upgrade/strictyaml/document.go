// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package strictyaml reads YAML and JSON into Go types by their json tags, and takes nothing that it does not understand:
// no unknown or repeated field, no value of another type. It reports all that is wrong in a file at once, each with its
// line, the path of the field, what is allowed and, where one is near, what was probably meant.
//
// Scalars are read as YAML 1.2 has them: yes and on are strings, and a string that looks like a number must be quoted.
package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxSize bounds a file, in bytes. A plan may have 64 KiB.
const MaxSize = 1 << 20

// Document is one document of a file.
type Document struct {
	// Source is the name of the file.
	Source string
	// Line is where the document begins, from 1.
	Line int

	root  *yaml.Node
	lines map[string]int
}

// Read finds the documents of a file; those that are empty or hold nothing but comments are left out. There is at least
// one unless there are errors.
func Read(source string, data []byte) ([]*Document, Errors) {
	fail := func(line int, format string, args ...any) Errors {
		return Errors{{Source: source, Line: line, Detail: fmt.Sprintf(format, args...)}}
	}
	if len(data) > MaxSize {
		return nil, fail(0, "is %d bytes, more than the %d that are read", len(data), MaxSize)
	}
	if line := invalidUTF8(data); line > 0 {
		return nil, fail(line, "is not valid UTF-8")
	}
	if json.Valid(data) {
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" ")) // tabs may indent JSON, but not YAML
	}
	var documents []*Document
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return documents, syntaxError(source, err)
		}
		if root := node.Content[0]; root.ShortTag() != "!!null" {
			documents = append(documents, &Document{Source: source, Line: root.Line, root: root})
		}
	}
	if len(documents) == 0 {
		return nil, fail(0, "is empty: it holds no document")
	}
	return documents, nil
}

// invalidUTF8 is the line of the first byte that is not UTF-8; 0: there is none.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return 0
	}
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[size:]
	}
	return line
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxError says in the parser's words what it could not read.
func syntaxError(source string, err error) Errors {
	text := err.Error()
	found := yamlLine.FindStringSubmatch(text)
	line := 0
	if found != nil {
		line, _ = strconv.Atoi(found[1]) // no number: 0
		text = strings.TrimPrefix(text, found[0])
	}
	return Errors{{Source: source, Line: line, Detail: "is neither YAML nor JSON: " + text}}
}

// Text is the scalar of a field at the top of the document, and its line.
func (d *Document) Text(name string) (text string, line int, ok bool) {
	for key, value := range d.fields() {
		if key.Value == name && value.Kind == yaml.ScalarNode {
			return value.Value, value.Line, true
		}
	}
	return "", d.Line, false
}

// Identify says what is wrong with the fields apiVersion and kind, which tell what the document is.
func (d *Document) Identify(apiVersion, kind string) Errors {
	var errs Errors
	for _, must := range []struct{ name, value string }{{"apiVersion", apiVersion}, {"kind", kind}} {
		text, line, ok := d.Text(must.name)
		problem := &Error{Source: d.Source, Line: line, Field: must.name}
		switch {
		case !ok:
			problem.Detail = "is required and must be " + must.value
		case text != must.value:
			problem.Detail = fmt.Sprintf("must be %s, not %q", must.value, text)
		default:
			continue
		}
		errs = append(errs, problem)
	}
	return errs
}

// Names are the fields at the top of the document, in its order.
func (d *Document) Names() []string {
	var names []string
	for key := range d.fields() {
		names = append(names, key.Value)
	}
	return names
}

func (d *Document) fields() func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if d.root.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(d.root.Content); i += 2 {
			if !yield(d.root.Content[i], d.root.Content[i+1]) {
				return
			}
		}
	}
}
