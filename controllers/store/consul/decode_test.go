// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// longText is longer than the buffers of a decoder.
const longText = 300 << 10

// entry is a pair as Consul's server writes it, in its order of fields.
type entry struct {
	LockIndex                uint64
	Key                      string
	Flags                    uint64
	Value                    []byte
	Session                  string `json:",omitempty"`
	CreateIndex, ModifyIndex uint64
}

func drawEntry(t *rapid.T) entry {
	return entry{
		LockIndex: rapid.Uint64().Draw(t, "lock"),
		Key: rapid.OneOf(rapid.StringMatching(`[a-z0-9./_-]{1,40}`), rapid.StringN(1, 20, -1),
			rapid.Map(rapid.IntRange(1, longText), func(n int) string { return strings.Repeat("k", n) })).Draw(t, "key"),
		Flags: rapid.Uint64().Draw(t, "flags"),
		Value: rapid.OneOf(rapid.Just([]byte(nil)), rapid.Just([]byte("True")), rapid.SliceOf(rapid.Byte()),
			rapid.Just(bytes.Repeat([]byte("v"), longText))).Draw(t, "value"),
		Session:     rapid.SampledFrom([]string{"", "", "session", `s"x`}).Draw(t, "session"),
		CreateIndex: rapid.Uint64Min(1).Draw(t, "created"),
		ModifyIndex: rapid.Uint64Min(1).Draw(t, "modified"),
	}
}

func TestDecode_ReadsWhatConsulWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.Custom(drawEntry), 1, 20).Draw(t, "entries")
		// Short reads let elements end anywhere in the window.
		short := func(data []byte) io.Reader {
			if rapid.Bool().Draw(t, "short reads") {
				return iotest.HalfReader(bytes.NewReader(data))
			}
			return bytes.NewReader(data)
		}
		marshal := json.Marshal
		if rapid.Bool().Draw(t, "indented") {
			marshal = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "    ") }
		}
		var wantNames []string
		var want []keys.Pair
		for _, e := range entries {
			wantNames = append(wantNames, e.Key)
			if len(e.Value) == 0 {
				e.Value = nil
			}
			want = append(want, keys.Pair{Key: e.Key, Value: e.Value, Flags: e.Flags, CreateIndex: e.CreateIndex,
				ModifyIndex: e.ModifyIndex, Session: e.Session})
		}
		data, err := marshal(wantNames)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeKeys(short(data)); err != nil || !reflect.DeepEqual(got, wantNames) {
			t.Fatalf("names: %.200q, %v, want %.200q", got, err, wantNames)
		}
		if data, err = marshal(entries); err != nil {
			t.Fatal(err)
		}
		if got, err := decodePairs(short(data)); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("pairs: %.300v, %v, want %.300v", got, err, want)
		}
		answer := map[string]any{"Index": 7, "Errors": nil, "Results": results(entries)}
		if data, err = marshal(answer); err != nil {
			t.Fatal(err)
		}
		if got, err := decodeTxn(short(data)); err != nil || !reflect.DeepEqual(got, txnAnswer{pairs: want}) {
			t.Fatalf("transaction: %.300v, %v, want %.300v", got, err, want)
		}
	})
}

// results returns the results of a transaction that reads the entries, beside results that are not pairs.
func results(entries []entry) []any {
	list := []any{map[string]any{"Node": map[string]any{"Node": "web1", "Key": "x"}}, map[string]any{"KV": nil}}
	for _, e := range entries {
		list = append(list, map[string]any{"KV": e})
	}
	return list
}

func TestDecodeTxn_ReadsErrors(t *testing.T) {
	body := `{"Results":null,"Errors":[{"OpIndex":2,"What":"key \"a\" doesn't exist"},{"What":"invalid session","OpIndex":0}],"Index":0}`
	want := txnAnswer{errors: []txnError{{2, `key "a" doesn't exist`}, {0, "invalid session"}}}
	if got, err := decodeTxn(strings.NewReader(body)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for n := range len(body) {
		if got, err := decodeTxn(strings.NewReader(body[:n])); err == nil {
			t.Errorf("cut at %d: %v", n, got)
		}
	}
	if got, err := decodeTxn(strings.NewReader(`{"Results":[]}`)); err != nil || got.pairs == nil {
		t.Errorf("an empty list of results: %v, %v", got.pairs, err)
	}
	for _, foreign := range []string{`[]`, `null`, `{"Results":{}}`, `{"Results":[1]}`, `{"Errors":[{"OpIndex":-1}]}`, `{"Errors":"x"}`} {
		if got, err := decodeTxn(strings.NewReader(foreign)); err == nil {
			t.Errorf("%s: %v", foreign, got)
		}
	}
}

// node is a node as Consul's server writes it, in its order of fields.
type node struct {
	ID, Node, Address, Datacenter string
	TaggedAddresses, Meta         map[string]string
	Locality                      *struct{ Region string } `json:",omitempty"`
	CreateIndex, ModifyIndex      uint64
}

func TestDecodeNodes_ReadsTheCatalog(t *testing.T) {
	odd := rapid.SampledFrom([]string{"", "dc1", `a"b`, `\`, "}", "]{[", "<&>", "\u2028", strings.Repeat("v", longText)})
	one := rapid.Custom(func(t *rapid.T) node {
		n := node{ID: odd.Draw(t, "id"), Address: "10.0.0.1", Datacenter: odd.Draw(t, "dc"), CreateIndex: 7, ModifyIndex: 8,
			Node: rapid.OneOf(rapid.StringMatching(`[a-z0-9.-]{1,40}`), rapid.StringN(1, 20, -1)).Draw(t, "name"),
			Meta: rapid.MapOfN(odd, odd, 0, 3).Draw(t, "meta")}
		if rapid.Bool().Draw(t, "locality") {
			n.Locality = &struct{ Region string }{odd.Draw(t, "region")}
		}
		return n
	})
	rapid.Check(t, func(t *rapid.T) {
		var want []string
		nodes := rapid.SliceOfN(one, 1, 10).Draw(t, "nodes")
		for _, n := range nodes {
			want = append(want, n.Node)
		}
		data, err := json.Marshal(nodes)
		if rapid.Bool().Draw(t, "indented") {
			data, err = json.MarshalIndent(nodes, "", "    ")
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeNodes(iotest.HalfReader(bytes.NewReader(data))); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%.200q, %v, want %.200q", got, err, want)
		}
	})
	if got, err := decodeNodes(strings.NewReader("[]\n")); err != nil || got == nil || len(got) != 0 {
		t.Errorf("no node: %#v, %v", got, err)
	}
}

// TestDecode_RejectsTruncatedCatalog cuts answers at each byte: what is not there must look neither gone nor healthy.
func TestDecode_RejectsTruncatedCatalog(t *testing.T) {
	nodes := `[{"ID":"1","Node":"a","Meta":{"x":"}"}},{"ID":"2","Node":"<","Meta":{}}]`
	checks := `[{"Node":"a","CheckID":"disk","Status":"critical","ServiceTags":[]},{"Node":"a","CheckID":"load","Status":"warning"}]`
	for n := range len(nodes) {
		if got, err := decodeNodes(strings.NewReader(nodes[:n])); err == nil {
			t.Errorf("nodes cut at %d: %q", n, got)
		}
	}
	for n := range len(checks) {
		if got, err := decodeChecks(strings.NewReader(checks[:n])); err == nil {
			t.Errorf("checks cut at %d: %v", n, got)
		}
	}
	names, err := decodeNodes(strings.NewReader(nodes))
	if err != nil || len(names) != 2 {
		t.Errorf("%q, %v", names, err)
	}
	if got, err := decodeChecks(strings.NewReader(checks)); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDecode_RejectsForeignCatalog(t *testing.T) {
	for _, body := range []string{``, `{}`, `null`, `[{}]`, `[1]`, `[{"ID":"1","Node":""}]`, `[{"ID":"1","Node":7}]`,
		`[{"Node":"a"},]`, `[{"ID":"1","Node":"a"} {"ID":"1","Node":"b"}]`} {
		if got, err := decodeNodes(strings.NewReader(body)); err == nil {
			t.Errorf("nodes of %s: %q", body, got)
		}
	}
	for _, body := range []string{``, `{}`, `null`, `[{}]`, `[{"Node":"a","CheckID":"disk"}]`, `[{"Node":"a","Status":"critical"}]`,
		`[{"CheckID":"disk","Status":"critical"}]`, `[{"Node":"a","CheckID":"disk","Status":1}]`} {
		if got, err := decodeChecks(strings.NewReader(body)); err == nil {
			t.Errorf("checks of %s: %v", body, got)
		}
	}
}

// endless is an answer that does not end: first, then next again and again.
type endless struct{ first, next string }

func (e *endless) Read(p []byte) (int, error) {
	if e.first == "" {
		e.first = "," + e.next
	}
	n := copy(p, e.first)
	e.first = e.first[n:]
	return n, nil
}

func TestDecode_EndsWhenAnAnswerIsTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector takes several times the 256 MiB of the bound")
	}
	long := strings.Repeat("x", 1<<20)
	for name, decode := range map[string]func(*endless) (int, error){
		`"` + long + `"`: func(e *endless) (int, error) { got, err := decodeKeys(e); return len(got), err },
		`{"Key":"a","Value":"` + base64.StdEncoding.EncodeToString([]byte(long)) + `","ModifyIndex":1}`: func(e *endless) (int, error) {
			got, err := decodePairs(e)
			return len(got), err
		},
		`{"Node":"` + long + `"}`: func(e *endless) (int, error) { got, err := decodeNodes(e); return len(got), err },
		`{"Node":"n","CheckID":"` + long + `","Status":"critical"}`: func(e *endless) (int, error) {
			got, err := decodeChecks(e)
			return len(got), err
		},
	} {
		if n, err := decode(&endless{"[" + name, name}); !errors.Is(err, errTooLarge) || n > maxAnswer>>20 {
			t.Errorf("%.20s: %d entries, %v", name, n, err)
		}
	}
}

// Readers need 16 KiB of what a host writes, and no more of a record than a time has.
func TestDecode_KeepsWhatReadersNeedOfAValue(t *testing.T) {
	value := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 500<<10))
	for key, most := range map[string]int{"running/versions/v1/web1": 132, "eu/running_version/v1/web1": 132, keys.Layout{Prefix: "eu"}.Report("web1"): 16400,
		keys.Layout{}.Started("web1"): 16400, keys.Layout{}.Grant("web1"): 16400, keys.Layout{}.HoldHost("web1"): 16400, keys.Plan("fleet").Spec(): 500 << 10} {
		pairs, err := decodePairs(strings.NewReader(`[{"LockIndex":0,"Key":"` + key + `","Flags":0,"Value":"` + value + `","CreateIndex":1,"ModifyIndex":2}]`))
		if err != nil || len(pairs[0].Value) > most || cap(pairs[0].Value) > most+most/4 || len(pairs[0].Value) < min(most, keys.MaxStored(key)) {
			t.Errorf("%s: %d bytes, %v", key, len(pairs[0].Value), err)
		}
	}
}

// TestDecode_RejectsTruncatedAnswers cuts an answer at each byte: a part of a tree must never pass for the whole.
func TestDecode_RejectsTruncatedAnswers(t *testing.T) {
	pairs := `[{"LockIndex":0,"Key":"a/b","Flags":0,"Value":"VHJ1ZQ==","CreateIndex":1,"ModifyIndex":2},` +
		`{"LockIndex":1,"Key":"a/<","Flags":7,"Value":null,"Session":"s","CreateIndex":3,"ModifyIndex":4}]`
	for n := range len(pairs) {
		if got, err := decodePairs(strings.NewReader(pairs[:n])); err == nil {
			t.Errorf("cut at %d: %v", n, got)
		}
		broken := errors.New("connection reset")
		body := io.MultiReader(strings.NewReader(pairs[:n]), iotest.ErrReader(broken))
		if got, err := decodePairs(body); !errors.Is(err, broken) {
			t.Errorf("reset at %d: %v, %v", n, got, err)
		}
	}
	if got, err := decodePairs(strings.NewReader(pairs)); err != nil || len(got) != 2 {
		t.Errorf("whole: %v, %v", got, err)
	}
	names := `["a/b","a/c"]`
	for n := range len(names) {
		if got, err := decodeKeys(strings.NewReader(names[:n])); err == nil {
			t.Errorf("cut at %d: %v", n, got)
		}
	}
}

func TestDecode_RejectsForeignAnswers(t *testing.T) {
	for _, body := range []string{``, `{}`, `null`, `<html>`, `[1]`, `["a",]`, `["a" "b"]`, `[{}]`, `[{"Key":"a"}]`,
		`[{"LockIndex":0,"Key":"a","Flags":0,"Value":"%","CreateIndex":1,"ModifyIndex":1}]`,
		`[{"LockIndex":0,"Key":"a","Flags":-1,"Value":null,"CreateIndex":1,"ModifyIndex":1}]`,
		`[{"LockIndex":0,"Key":"a","Flags":99999999999999999999,"Value":null,"CreateIndex":1,"ModifyIndex":1}]`,
		`[{"LockIndex":0,"Key":"a","Flags":,"Value":null,"CreateIndex":1,"ModifyIndex":1}]`,
		`[{"LockIndex":0,"Key":"","Flags":0,"Value":null,"CreateIndex":1,"ModifyIndex":1}]`} {
		if got, err := decodePairs(strings.NewReader(body)); err == nil {
			t.Errorf("pairs of %s: %v", body, got)
		}
		if strings.HasPrefix(body, "[{") || body == "[1]" {
			if got, err := decodeKeys(strings.NewReader(body)); err == nil {
				t.Errorf("keys of %s: %v", body, got)
			}
		}
	}
	for _, body := range []string{`[]`, " [ ] \n"} {
		if got, err := decodePairs(strings.NewReader(body)); err != nil || len(got) != 0 {
			t.Errorf("pairs of %q: %v, %v", body, got, err)
		}
	}
}

func TestDecodePairs_ValuesShareNoMemory(t *testing.T) {
	got, err := decodePairs(strings.NewReader(`[` +
		`{"LockIndex":0,"Key":"a","Flags":0,"Value":"VHJ1ZQ==","CreateIndex":1,"ModifyIndex":2},` +
		`{"LockIndex":0,"Key":"b","Flags":0,"Value":"VHJ1ZQ==","CreateIndex":1,"ModifyIndex":2}]`))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(got[0].Value, "xxxx"...)
	got[0].Value[0] = 'X'
	if string(got[1].Value) != "True" {
		t.Errorf("a write to one value changed another: %q", got[1].Value)
	}
}
