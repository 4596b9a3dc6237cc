// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// maxAliased bounds how many nodes the aliases of a document may stand for.
const maxAliased = 10_000

// Hint says, as a sentence without its full stop, what else to tell about an unknown field; empty: nothing.
type Hint func(name string) string

// Decode reads the document into a pointer to a struct. On errors, into is as it was.
func (d *Document) Decode(into any, hint Hint) Errors {
	target := reflect.TypeOf(into).Elem()
	d.lines = map[string]int{}
	r := reader{document: d, root: target, hint: hint}
	tree := r.value(d.root, target, nil)
	if len(r.errors) > 0 {
		return r.errors
	}
	data, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil { // a type that the reader does not know
		r.fail(d.root, nil, "cannot be read: %v", err)
	}
	return r.errors
}

// reader turns nodes into the values that encoding/json would decode into a type, and collects errors on the way.
type reader struct {
	document *Document
	root     reflect.Type
	hint     Hint
	errors   Errors
	// depth counts the aliases around the present node, and aliased all nodes that were read inside of any.
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

// mismatch says that a value is not what a field takes.
func (r *reader) mismatch(n *yaml.Node, path *field.Path, want string) any {
	switch {
	case n.Kind == yaml.MappingNode:
		r.fail(n, path, "must be %s, not a map", want)
	case n.Kind == yaml.SequenceNode:
		r.fail(n, path, "must be %s, not a list", want)
	case n.ShortTag() == "!!null":
		r.fail(n, path, "must be %s, not empty", want)
	case n.ShortTag() == "!!str":
		r.fail(n, path, "must be %s, not %q", want, bounded(n.Value))
	default:
		r.fail(n, path, "must be %s, not %s", want, bounded(n.Value))
	}
	return nil
}

// value reads a node that stands for a value of type t.
func (r *reader) value(n *yaml.Node, t reflect.Type, path *field.Path) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
		r.depth++
		defer func() { r.depth-- }()
	}
	if r.depth > 0 {
		if r.aliased++; r.aliased > maxAliased {
			if r.aliased == maxAliased+1 {
				r.fail(n, path, "the aliases of this document stand for more than %d values", maxAliased)
			}
			return nil
		}
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[intstr.IntOrString]():
		return r.limit(n, path)
	case reflect.TypeFor[v1alpha1.StringList]():
		return r.stringOrList(n, path)
	case reflect.TypeFor[metav1.Time]():
		return r.time(n, path)
	case reflect.TypeFor[metav1.FieldsV1]():
		return nil // who wrote a field is nothing that a manifest can say
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

// fields reads a struct.
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
		if !isNull(value) { // as good as left out
			values[name] = r.value(value, t, child)
		}
	})
	return values
}

// entries reads a map with keys that the writer chooses.
func (r *reader) entries(n *yaml.Node, t reflect.Type, path *field.Path) any {
	values := map[string]any{}
	r.mapping(n, path, func(key, value *yaml.Node) {
		child := path.Key(key.Value)
		if tag := key.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
			r.mismatch(key, child, "a name (in quotes if it looks like something else)")
			return
		}
		r.document.lines[child.String()] = key.Line
		values[key.Value] = r.value(value, t.Elem(), child)
	})
	return values
}

// mapping calls read for each key of a map that stands there for the first time.
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
		case key.ShortTag() == "!!merge":
			r.fail(key, path, "merge keys (<<) are not supported: write the fields out, or use an alias as a value")
			continue
		}
		if line, ok := first[key.Value]; ok {
			r.fail(key, childPath(path, bounded(key.Value)), "is given twice, first on line %d", line)
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
		switch n.ShortTag() {
		case "!!str", "!!timestamp", "!!merge": // a merge key is one only as a key
			return n.Value
		case "!!int", "!!float", "!!bool":
			r.fail(n, path, "must be a string: write it in quotes, %q", bounded(n.Value))
			return nil
		}
	}
	return r.mismatch(n, path, "a string")
}

func (r *reader) boolean(n *yaml.Node, path *field.Path) any {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
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
	if n.Kind == yaml.ScalarNode && slices.Contains([]string{"!!str", "!!merge"}, n.ShortTag()) {
		return n.Value
	}
	return r.mismatch(n, path, `a number of hosts (3) or a percentage ("10%")`)
}

// decimal reads an integer that is written as people do: YAML's other spellings (010, 0x1F, 1_000) are more often a
// slip than meant.
func decimal(n *yaml.Node, bits int) (int64, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" {
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

// unknown reports a field that the type at path does not have.
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
	if r.hint != nil {
		if more := r.hint(name); more != "" {
			sentences = append(sentences, more+".")
		}
	}
	sentences = append(sentences, "Allowed: "+strings.Join(names(known), ", "))
	r.fail(key, childPath(path, bounded(name)), "%s", strings.Join(sentences, " "))
}

func names(known map[string]reflect.Type) []string {
	all := make([]string, 0, len(known))
	for name := range known {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// fieldsOf are the fields of a struct by their names in JSON, those of embedded ones included.
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

func isNull(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
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

// bounded keeps a message readable whatever stands in the file.
func bounded(s string) string {
	const most = 64
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most]) + "…"
}
