// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

func readMissing(h harness) {
	h.wantKeys("")
	h.wantKeys("a/")
	if pair := h.get("a"); pair.Exists() || pair.Key != "a" || pair.Value != nil {
		h.Errorf("a missing key: %+v", pair)
	}
}

func readSorted(h harness) {
	for _, key := range []string{"b/2", "a", "b/10", "b/1/x", "c"} {
		h.set(key, "value of "+key)
	}
	h.wantKeys("", "a", "b/1/x", "b/10", "b/2", "c")
	h.wantKeys("b/", "b/1/x", "b/10", "b/2")
	for _, pair := range h.list("b/") {
		if string(pair.Value) != "value of "+pair.Key || !pair.Exists() || pair.CreateIndex == 0 {
			h.Errorf("%+v", pair)
		}
	}
}

func readUnusual(h harness) {
	names := []string{"a b", "a%2Fb", "a+b", "a?b=c#d", "aé", "a\"b", `a\b`, "a<b>&c", "a\tb", "a//b", "a/../b", "\u2028", "😀"}
	for _, key := range names {
		h.set(key, key)
	}
	slices.Sort(names)
	h.wantKeys("", names...)
	for _, pair := range h.list("a") {
		if string(pair.Value) != pair.Key || h.get(pair.Key).ModifyIndex != pair.ModifyIndex {
			h.Errorf("%+v", pair)
		}
	}
	for _, prefix := range []string{"a b", "a%2F", "a+", "a?b=", "aé", "😀"} {
		if got := h.keys(prefix); len(got) != 1 || !strings.HasPrefix(got[0], prefix) {
			h.Errorf("keys below %q: %q", prefix, got)
		}
	}
}

func readPrefix(h harness) {
	h.set("web", "")
	h.set("web/1", "")
	h.set("web1", "")
	h.wantKeys("web", "web", "web/1", "web1")
	h.wantKeys("web/", "web/1")
	h.must(store.Op{Verb: store.DeleteTree, Key: "web/"})
	h.wantKeys("", "web", "web1")
	h.must(store.Op{Verb: store.DeleteTree, Key: "we"})
	h.wantKeys("")
}

func getMany(h harness) {
	var asked []string
	for i := range 3*h.MaxOps() + 7 {
		asked = append(asked, fmt.Sprintf("many/%04d", i*7919%1000))
	}
	for chunk := range slices.Chunk(asked, 50) {
		var ops []store.Op
		for _, key := range chunk[:len(chunk)/2] {
			ops = append(ops, store.Op{Verb: store.Set, Key: key, Value: []byte(key)})
		}
		h.must(ops...)
	}
	if few, _, err := h.Keys(h.Context(), "many/", store.ExpectFew); err != nil || !slices.Equal(few, h.keys("many/")) {
		h.Errorf("%d few keys (%v)", len(few), err)
	}
	pairs, meta, err := h.Get(h.Context(), asked...)
	if err != nil {
		h.Fatal(err)
	}
	if len(pairs) != len(asked) {
		h.Fatalf("%d pairs for %d keys", len(pairs), len(asked))
	}
	highest, found := uint64(0), 0
	for i, pair := range pairs {
		if pair.Key != asked[i] {
			h.Fatalf("pair %d is of %s, want %s", i, pair.Key, asked[i])
		}
		if pair.Exists() {
			found++
			if string(pair.Value) != pair.Key {
				h.Errorf("value of %s: %q", pair.Key, pair.Value)
			}
		}
		highest = max(highest, pair.ModifyIndex)
	}
	if found != len(h.keys("many/")) {
		h.Errorf("%d keys found, want %d", found, len(h.keys("many/")))
	}
	if meta.Index != highest {
		h.Errorf("index of the read: %d, want %d", meta.Index, highest)
	}
}

func getNone(h harness) {
	if pairs, _, err := h.Get(h.Context()); err != nil || len(pairs) != 0 {
		h.Errorf("%v, %v", pairs, err)
	}
}

func getEmptyKey(h harness) {
	if _, _, err := h.Get(h.Context(), "a", ""); err == nil || !strings.Contains(err.Error(), "key is required") {
		h.Errorf("%v", err)
	}
}

func values(h harness) {
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	for name, value := range map[string][]byte{
		"nil": nil, "empty": {}, "binary": binary, "text": []byte("True"), "escapes": []byte(`"\u0041",` + "\n\x00"),
		"100 KiB": bytes.Repeat(binary, 400),
	} {
		for _, flags := range []uint64{0, 1782000000, 1<<64 - 1} {
			h.must(store.Op{Verb: store.Set, Key: name, Value: value, Flags: flags})
			listed := h.list(name)
			if len(listed) != 1 {
				h.Fatalf("%s: %d pairs", name, len(listed))
			}
			for _, pair := range []keys.Pair{h.get(name), listed[0]} {
				if !bytes.Equal(pair.Value, value) || pair.Flags != flags || pair.Key != name || pair.Session != "" {
					h.Errorf("%s was read as %d bytes, flags %d, want %d bytes, %d", name, len(pair.Value), pair.Flags,
						len(value), flags)
				}
				if len(value) == 0 && pair.Value != nil {
					h.Errorf("%s: an empty value is %#v, want nil", name, pair.Value)
				}
			}
		}
	}
}

func valuesAreCopied(h harness) {
	value := []byte("kept")
	h.must(store.Op{Verb: store.Set, Key: "a", Value: value})
	copy(value, "lost")
	read := h.get("a").Value
	if string(read) != "kept" {
		h.Fatalf("a write to the value that was set changed the store: %q", read)
	}
	copy(read, "lost")
	copy(h.list("a")[0].Value, "lost")
	h.keys("a")[0] = "lost"
	if got := h.get("a"); string(got.Value) != "kept" {
		h.Errorf("a write to the value that was read changed the store: %q", got.Value)
	}
	h.wantKeys("", "a")
}
