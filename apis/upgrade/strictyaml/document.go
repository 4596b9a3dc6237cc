// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

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

// MaxSize limits a file, in bytes. A plan can have 64 KiB.
const MaxSize = 1 << 20

// Document is one document of a file.
type Document struct {
	// Source is the name of the file.
	Source string
	// Line is the first line of the document. Lines count from 1.
	Line int

	root  *yaml.Node
	lines map[string]int
}

// Read parses the documents of a file. It skips documents without content. Without errors, it returns at least one document.
func Read(source string, data []byte) ([]*Document, Errors) {
	fail := func(line int, format string, args ...any) Errors {
		return Errors{{Source: source, Line: line, Detail: fmt.Sprintf(format, args...)}}
	}
	if len(data) > MaxSize {
		return nil, fail(0, "is %d bytes; at most %d are allowed", len(data), MaxSize)
	}
	if line := invalidUTF8(data); line > 0 {
		return nil, fail(line, "is not valid UTF-8")
	}
	if json.Valid(data) {
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" ")) // JSON allows tabs for indentation, YAML does not
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
		if root := node.Content[0]; scalarTag(root) != "!!null" {
			documents = append(documents, &Document{Source: source, Line: root.Line, root: root})
		}
	}
	if len(documents) == 0 {
		return nil, fail(0, "contains no document")
	}
	return documents, nil
}

// invalidUTF8 returns the line of the first invalid byte. Zero means that all is valid.
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

// syntaxError takes the line out of an error of the parser.
func syntaxError(source string, err error) Errors {
	text := err.Error()
	found := yamlLine.FindStringSubmatch(text)
	line := 0
	if found != nil {
		line, _ = strconv.Atoi(found[1]) // without a number: 0
		text = strings.TrimPrefix(text, found[0])
	}
	return Errors{{Source: source, Line: line, Detail: "is not valid YAML or JSON: " + text}}
}

// Text returns the scalar value of a top-level field and its line.
func (d *Document) Text(name string) (text string, line int, ok bool) {
	for key, value := range d.fields() {
		if key.Value == name && value.Kind == yaml.ScalarNode {
			return value.Value, value.Line, true
		}
	}
	return "", d.Line, false
}

// Identify checks the fields apiVersion and kind.
func (d *Document) Identify(apiVersion, kind string) Errors {
	var errs Errors
	for _, must := range []struct{ name, value string }{{"apiVersion", apiVersion}, {"kind", kind}} {
		text, line, ok := d.Text(must.name)
		problem := &Error{Source: d.Source, Line: line, Field: must.name}
		switch {
		case !ok:
			problem.Detail = "is required; set it to " + must.value
		case text != must.value:
			problem.Detail = fmt.Sprintf("must be %s, not %q", must.value, text)
		default:
			continue
		}
		errs = append(errs, problem)
	}
	return errs
}

// Names returns the top-level fields in the order of the document.
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
