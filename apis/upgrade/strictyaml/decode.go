// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxAliased limits the nodes that the aliases of a document expand to.
const maxAliased = 10_000

// Hint returns a sentence to add to the error about an unknown field, without its period. Empty means none.
type Hint func(name string) string

// Value is how a document spells the values of a type that decodes itself from JSON.
type Value int

const (
	// Limit is a number or a text: 3, "10%".
	Limit Value = iota + 1
	// TextOrList is a text or a list of texts.
	TextOrList
	// Time is a time of RFC 3339.
	Time
	// Ignored is a value that a document cannot set.
	Ignored
)

// Options say what a decoder cannot find out from a Go type. The zero value says nothing.
type Options struct {
	Hint Hint
	// Values are the types that decode themselves.
	Values map[reflect.Type]Value
	// Limits say, by the path of its field, what a Limit must be if it is not a number of hosts or a percentage.
	Limits map[string]string
}

// Decode decodes the document into a pointer to a struct. With errors, it does not change the struct.
func (d *Document) Decode(into any, o Options) Errors {
	target := reflect.TypeOf(into).Elem()
	d.lines = map[string]int{}
	r := reader{document: d, root: target, options: o}
	tree := r.value(d.root, target, nil)
	if len(r.errors) > 0 {
		return r.errors
	}
	data, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil { // the reader does not know the type
		r.fail(d.root, nil, "cannot be decoded: %v", err)
	}
	return r.errors
}

// reader converts nodes to values that encoding/json decodes into a type, and collects errors.
type reader struct {
	document *Document
	root     reflect.Type
	options  Options
	errors   Errors
	// depth is the number of aliases around the current node, aliased the number of nodes read inside aliases.
	depth, aliased int
}

func (r *reader) fail(n *yaml.Node, path *field.Path, format string, args ...any) {
	if len(r.errors) > maxErrors {
		return
	}
	err := &Error{Source: r.document.Source, Line: n.Line, Field: pathText(path), Detail: fmt.Sprintf(format, args...)}
	if len(r.errors) == maxErrors {
		err.Field, err.Detail = "", "there are more errors"
	}
	r.errors = append(r.errors, err)
}

// mismatch reports a value of the wrong type. It returns nil.
func (r *reader) mismatch(n *yaml.Node, path *field.Path, want string) any {
	switch {
	case n.Kind == yaml.MappingNode:
		r.fail(n, path, "must be %s, not a map", want)
	case n.Kind == yaml.SequenceNode:
		r.fail(n, path, "must be %s, not a list", want)
	case scalarTag(n) == "!!null":
		r.fail(n, path, "must be %s, not empty", want)
	case scalarTag(n) == "!!str":
		r.fail(n, path, "must be %s, not %q", want, shorten(n.Value))
	default:
		r.fail(n, path, "must be %s, not %s", want, shorten(n.Value))
	}
	return nil
}

// value converts a node to a value of type t.
func (r *reader) value(n *yaml.Node, t reflect.Type, path *field.Path) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
		r.depth++
		defer func() { r.depth-- }()
	}
	if r.depth > 0 {
		if r.aliased++; r.aliased > maxAliased {
			if r.aliased == maxAliased+1 {
				r.fail(n, path, "the aliases of this document expand to more than %d values", maxAliased)
			}
			return nil
		}
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch r.options.Values[t] {
	case Limit:
		return r.limit(n, path)
	case TextOrList:
		return r.stringOrList(n, path)
	case Time:
		return r.time(n, path)
	case Ignored:
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return r.fields(n, t, path)
	case reflect.Map:
		return r.entries(n, t, path)
	case reflect.Slice:
		return r.items(n, t, path)
	case reflect.String:
		return r.text(n, path)
	case reflect.Bool:
		return r.boolean(n, path)
	case reflect.Int, reflect.Int32, reflect.Int64:
		return r.integer(n, t, path)
	}
	r.fail(n, path, "cannot be set in a file")
	return nil
}

// fields converts a mapping to the fields of a struct.
func (r *reader) fields(n *yaml.Node, t reflect.Type, path *field.Path) any {
	known := fieldsOf(t)
	values := map[string]any{}
	r.mapping(n, path, func(key, value *yaml.Node) {
		name := key.Value
		child := childPath(path, name)
		t, ok := known[name]
		if !ok {
			r.unknown(key, path, known)
			return
		}
		r.document.lines[child.String()] = key.Line
		if !isNull(value) { // null means absent
			values[name] = r.value(value, t, child)
		}
	})
	return values
}

// entries converts a mapping to a map with arbitrary keys.
func (r *reader) entries(n *yaml.Node, t reflect.Type, path *field.Path) any {
	values := map[string]any{}
	r.mapping(n, path, func(key, value *yaml.Node) {
		child := path.Key(key.Value)
		if tag := scalarTag(key); tag != "!!str" && tag != "!!timestamp" {
			r.mismatch(key, child, "a string; quote it if it looks like another type")
			return
		}
		r.document.lines[child.String()] = key.Line
		values[key.Value] = r.value(value, t.Elem(), child)
	})
	return values
}

// mapping calls read for each key of a mapping. It reports duplicate keys.
func (r *reader) mapping(n *yaml.Node, path *field.Path, read func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.mismatch(n, path, "a map")
		return
	}
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fail(key, path, "the name of a field must be a string")
			continue
		case scalarTag(key) == "!!merge":
			r.fail(key, path, "merge keys (<<) are not supported; write the fields out, or use an alias as a value")
			continue
		}
		if line, ok := first[key.Value]; ok {
			r.fail(key, childPath(path, shorten(key.Value)), "is a duplicate; it was first set on line %d", line)
			continue
		}
		first[key.Value] = key.Line
		read(key, n.Content[i+1])
	}
}

func (r *reader) items(n *yaml.Node, t reflect.Type, path *field.Path) any {
	if n.Kind != yaml.SequenceNode {
		return r.mismatch(n, path, "a list")
	}
	values := make([]any, len(n.Content))
	for i, item := range n.Content {
		child := path.Index(i)
		r.document.lines[child.String()] = item.Line
		values[i] = r.value(item, t.Elem(), child)
	}
	return values
}

func (r *reader) stringOrList(n *yaml.Node, path *field.Path) any {
	switch {
	case n.Kind == yaml.SequenceNode:
		return r.items(n, reflect.TypeFor[[]string](), path)
	case n.Kind != yaml.ScalarNode || isNull(n):
		return r.mismatch(n, path, "a string or a list of strings")
	}
	return r.text(n, path)
}

func (r *reader) text(n *yaml.Node, path *field.Path) any {
	if n.Kind == yaml.ScalarNode {
		switch scalarTag(n) {
		case "!!str", "!!timestamp", "!!merge": // << has no meaning as a value
			return n.Value
		case "!!int", "!!float", "!!bool":
			r.fail(n, path, "must be a string; quote it: %q", shorten(n.Value))
			return nil
		}
	}
	return r.mismatch(n, path, "a string")
}

func (r *reader) boolean(n *yaml.Node, path *field.Path) any {
	if n.Kind == yaml.ScalarNode && scalarTag(n) == "!!bool" {
		return strings.EqualFold(n.Value, "true")
	}
	return r.mismatch(n, path, "true or false")
}

func (r *reader) integer(n *yaml.Node, t reflect.Type, path *field.Path) any {
	v, ok := decimal(n, t.Bits())
	if !ok {
		return r.mismatch(n, path, integerRule(t.Bits()))
	}
	return v
}

func integerRule(bits int) string {
	if bits == 32 {
		return "an integer (up to 2147483647)"
	}
	return "an integer"
}

func (r *reader) limit(n *yaml.Node, path *field.Path) any {
	if v, ok := decimal(n, 32); ok {
		return v
	}
	if n.Kind == yaml.ScalarNode && slices.Contains([]string{"!!str", "!!merge"}, scalarTag(n)) {
		return n.Value
	}
	return r.mismatch(n, path, cmp.Or(r.options.Limits[pathText(path)], `a number of hosts (3) or a percentage ("10%")`))
}

// decimal parses an integer in plain decimal form. YAML's other forms (010, 0x1F, 1_000) are more often mistakes than
// intended.
func decimal(n *yaml.Node, bits int) (int64, bool) {
	if n.Kind != yaml.ScalarNode || scalarTag(n) != "!!int" {
		return 0, false
	}
	v, err := strconv.ParseInt(n.Value, 10, bits)
	return v, err == nil && strconv.FormatInt(v, 10) == n.Value
}

func (r *reader) time(n *yaml.Node, path *field.Path) any {
	if n.Kind == yaml.ScalarNode {
		if _, err := time.Parse(time.RFC3339, n.Value); err == nil {
			return n.Value
		}
	}
	return r.mismatch(n, path, "a time (2026-01-31T12:00:00Z)")
}

// unknown reports an unknown field.
func (r *reader) unknown(key *yaml.Node, path *field.Path, known map[string]reflect.Type) {
	name := key.Value
	near := nearest(name, known)
	if near == "" {
		near = findField(name, r.root, "")
	}
	sentences := []string{"unknown field."}
	if near != "" {
		sentences[0] = fmt.Sprintf("unknown field, did you mean %s?", near)
	}
	if r.options.Hint != nil {
		if more := r.options.Hint(name); more != "" {
			sentences = append(sentences, more+".")
		}
	}
	sentences = append(sentences, "Allowed: "+strings.Join(names(known), ", "))
	r.fail(key, childPath(path, shorten(name)), "%s", strings.Join(sentences, " "))
}

func names(known map[string]reflect.Type) []string {
	all := make([]string, 0, len(known))
	for name := range known {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// fieldsOf returns the types of the fields of a struct by their JSON names, with those of embedded structs.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && (f.Anonymous || options == "inline"):
			for name, t := range fieldsOf(f.Type) {
				fields[name] = t
			}
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	return fields
}

// scalarTag returns the type of a scalar. It is !!invalid if an explicit tag does not fit the value, as in !!bool yes.
func scalarTag(n *yaml.Node) string {
	tag := n.ShortTag()
	if n.Style&yaml.TaggedStyle == 0 || tag == "!!str" {
		return tag
	}
	if plain := (&yaml.Node{Kind: yaml.ScalarNode, Value: n.Value}); plain.ShortTag() != tag {
		return "!!invalid"
	}
	return tag
}

func isNull(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && scalarTag(n) == "!!null"
}

func childPath(path *field.Path, name string) *field.Path {
	if path == nil {
		return field.NewPath(name)
	}
	return path.Child(name)
}

func pathText(path *field.Path) string {
	if path == nil {
		return ""
	}
	return path.String()
}

// shorten limits the length of a value in a message.
func shorten(s string) string {
	const limit = 64
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit]) + "…"
}
