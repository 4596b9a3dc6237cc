// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

type inner struct {
	Name string   `json:"name,omitempty"`
	Tags []string `json:"tags,omitempty"`
}

// Base is embedded in document.
type Base struct {
	Kind string `json:"kind,omitempty"`
}

// document has a field of each kind that the decoder supports.
type document struct {
	Base   `json:",inline"`
	Text   string                         `json:"text,omitempty"`
	Flag   bool                           `json:"flag,omitempty"`
	Small  int32                          `json:"small,omitempty"`
	Large  *int64                         `json:"large,omitempty"`
	Limit  *intstr.IntOrString            `json:"limit,omitempty"`
	Time   metav1.Time                    `json:"time,omitzero"`
	Inner  inner                          `json:"inner,omitzero"`
	List   []inner                        `json:"list,omitempty"`
	Lists  map[string]v1alpha1.StringList `json:"lists,omitempty"`
	Hidden string                         `json:"-"`
}

func options() strictyaml.Options {
	return strictyaml.Options{Values: map[reflect.Type]strictyaml.Value{
		reflect.TypeFor[intstr.IntOrString]():  strictyaml.Limit,
		reflect.TypeFor[v1alpha1.StringList](): strictyaml.TextOrList,
		reflect.TypeFor[metav1.Time]():         strictyaml.Time,
		reflect.TypeFor[metav1.FieldsV1]():     strictyaml.Ignored,
	}}
}

func decode(text string) (document, error) {
	var d document
	documents, errs := strictyaml.Read("f.yaml", []byte(text))
	if len(errs) > 0 {
		return d, errs
	}
	o := options()
	o.Hint = func(name string) string {
		if name == "old" {
			return "It is text now"
		}
		return ""
	}
	err := documents[0].Decode(&d, o).Err()
	return d, err
}

func TestDocument_Decode(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want document
	}{
		"embedded struct":         {"kind: a", document{Base: Base{Kind: "a"}}},
		"YAML 1.2 strings":        {"text: yes", document{Text: "yes"}},
		"quoted number":           {`text: "1.10"`, document{Text: "1.10"}},
		"date as string":          {"text: 2026-01-31", document{Text: "2026-01-31"}},
		"tagged string":           {"text: !!str 5", document{Text: "5"}},
		"booleans":                {"flag: True", document{Flag: true}},
		"integers":                {"small: -5\nlarge: 9223372036854775807", document{Small: -5, Large: new(int64(9223372036854775807))}},
		"limit as number":         {"limit: 3", document{Limit: new(intstr.FromInt32(3))}},
		"limit as percentage":     {"limit: 10%", document{Limit: new(intstr.FromString("10%"))}},
		"null means absent":       {"text:\nlarge: null\ninner: ~", document{}},
		"alias as value":          {"text: &a x\ninner: {name: *a}", document{Text: "x", Inner: inner{Name: "x"}}},
		"list of structs":         {"list: [{name: a, tags: [b, c]}]", document{List: []inner{{Name: "a", Tags: []string{"b", "c"}}}}},
		"string in place of list": {"lists: {a: b, c: [d, e]}", document{Lists: map[string]v1alpha1.StringList{"a": {"b"}, "c": {"d", "e"}}}},
		"JSON with tabs":          {"{\n\t\"text\": \"a\"\n}", document{Text: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got, cmp.AllowUnexported(document{})); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestDocument_DecodeErrors(t *testing.T) {
	const allowed = "Allowed: flag, inner, kind, large, limit, list, lists, small, text, time"
	for name, tc := range map[string]struct{ text, want string }{
		"empty":                   {"# nothing\n---\n", "f.yaml: contains no document"},
		"invalid YAML":            {"a: [", "f.yaml:1: is not valid YAML or JSON: did not find expected node content"},
		"invalid UTF-8":           {"text: a\n# \xff", "f.yaml:2: is not valid UTF-8"},
		"list as document":        {"[]", "f.yaml:1: must be a map, not a list"},
		"misspelled field":        {"texd: a", "f.yaml:1: texd: unknown field, did you mean text? " + allowed},
		"other case":              {"Text: a", "f.yaml:1: Text: unknown field, did you mean text? " + allowed},
		"field of another struct": {"tags: a", "f.yaml:1: tags: unknown field, did you mean inner.tags? " + allowed},
		"hint":                    {"old: a", "f.yaml:1: old: unknown field. It is text now. " + allowed},
		"field without JSON name": {"Hidden: a", "f.yaml:1: Hidden: unknown field. " + allowed},
		"duplicate field":         {"text: a\ntext: b", "f.yaml:2: text: is a duplicate; it was first set on line 1"},
		"number as string":        {"text: 1.10", `f.yaml:1: text: must be a string; quote it: "1.10"`},
		"string as boolean":       {"flag: yes", `f.yaml:1: flag: must be true or false, not "yes"`},
		"wrong tag of a boolean":  {"flag: !!bool yes", "f.yaml:1: flag: must be true or false, not yes"},
		"wrong tag of null":       {"inner: !!null x", "f.yaml:1: inner: must be a map, not x"},
		"wrong tag of a time":     {"text: !!timestamp x", "f.yaml:1: text: must be a string, not x"},
		"octal integer":           {"small: 010", "f.yaml:1: small: must be an integer (up to 2147483647), not 010"},
		"large integer":           {"small: 2147483648", "f.yaml:1: small: must be an integer (up to 2147483647), not 2147483648"},
		"float":                   {"large: 1.0", "f.yaml:1: large: must be an integer, not 1.0"},
		"invalid time":            {"time: today", `f.yaml:1: time: must be a time (2026-01-31T12:00:00Z), not "today"`},
		"null in a list":          {"inner: {tags: [~]}", "f.yaml:1: inner.tags[0]: must be a string, not empty"},
		"number as map key":       {"lists: {5: a}", "f.yaml:1: lists[5]: must be a string; quote it if it looks like another type, not 5"},
		"map as key":              {"? {a: b}\n: c", "f.yaml:1: the name of a field must be a string"},
		"merge key":               {"<<: {text: a}", "f.yaml:1: merge keys (<<) are not supported; write the fields out, or use an alias as a value"},
		"several errors": {"text: 1\nflag: 2\nlist: {}",
			"f.yaml:1: text: must be a string; quote it: \"1\"\nf.yaml:2: flag: must be true or false, not 2\nf.yaml:3: list: must be a list, not a map"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode(tc.text)
			if err == nil {
				t.Fatalf("got %+v", got)
			}
			if d := cmp.Diff(tc.want, err.Error()); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if d := cmp.Diff(document{}, got, cmp.AllowUnexported(document{})); d != "" {
				t.Errorf("the struct was changed:\n%s", d)
			}
		})
	}
}

func TestDocument_LineOf(t *testing.T) {
	documents, errs := strictyaml.Read("f.yaml", []byte("# comment\ntext: a\ninner:\n  tags:\n  - x\n"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var d document
	if errs := documents[0].Decode(&d, options()); len(errs) > 0 {
		t.Fatal(errs)
	}
	for path, want := range map[string]int{"text": 2, "inner": 3, "inner.tags[0]": 5, "inner.name": 3, "inner.tags[7]": 4, "flag": 2} {
		if got := documents[0].LineOf(path); got != want {
			t.Errorf("LineOf(%q) = %d, want %d", path, got, want)
		}
	}
}

func TestRead_LimitsAliases(t *testing.T) {
	text := "list: [&a {tags: [" + strings.Repeat("x,", 200) + "]}" + strings.Repeat(",*a", 100) + "]"
	if _, err := decode(text); err == nil || !strings.Contains(err.Error(), "the aliases of this document expand to more than 10000 values") {
		t.Errorf("got error %v", err)
	}
}
