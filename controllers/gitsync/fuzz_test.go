// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// FuzzDecodePlans decodes and validates a file of a repository. Either all of it is valid, or nothing is applied.
func FuzzDecodePlans(f *testing.F) {
	const plan = "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet}\nspec: {version: v1}\n"
	for _, text := range []string{
		plan, plan + "---\n" + strings.Replace(plan, "fleet", "other", 1), plan + "---\n" + plan,
		strings.Replace(plan, "v1}", "v1, keys: {prefix: a}, paused: true}", 1),
		strings.Replace(plan, "v1}", "True}", 1), strings.Replace(plan, "v1}", "&a [*a]}", 1), "{", "", "kind: List",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &reader{source: Source{Name: "default"}}
		documents, failure := r.decode(repository.Content{Files: []repository.File{{Path: "fleet.yaml", Data: data}}})
		if (failure == nil) != (len(documents) > 0) {
			t.Fatalf("%d plans and the error %v", len(documents), failure)
		}
		for _, d := range documents {
			if d.Plan.Name == "" || d.Plan.Spec.Version == "" {
				t.Errorf("a valid plan has no name or version: %+v", d.Plan)
			}
		}
	})
}

// FuzzCheckBinding decodes the file that binds commits to a source. A file that does not name the source does not bind to it.
func FuzzCheckBinding(f *testing.F) {
	for _, text := range []string{
		"sources: [{name: default, path: plans}]\n", "sources:\n- {name: other}\n- {name: default, path: plans, branch: main}\n",
		"sources: [{name: default}]", `{"sources":[{"name":"default","path":"plans"}]}`, "sources: &a [*a]", "", "{", "sources: {}",
	} {
		f.Add([]byte(text))
	}
	source := Source{Name: "default", Location: repository.Location{Path: "plans", Ref: repository.Ref{Branch: "main"}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkBinding(data, source) == nil && !strings.Contains(string(data), "sources") {
			t.Errorf("%q binds to the source", data)
		}
	})
}

// FuzzDecodeRequest decodes requests that others wrote, and the status after each. What the status keeps of a request is bounded, and
// the request counts once.
func FuzzDecodeRequest(f *testing.F) {
	const commit = "0123456789012345678901234567890123456789"
	for _, text := range []string{
		`{"id":"1","by":"alice","time":"2026-03-06T12:00:00Z","accept":"` + commit + `","number":3}`, `{"id":"1","accept":"x","by":"\u001b[2J"}`,
		`{"id":"1","number":18446744073709551615,"accept":"` + commit + `"}`, `{"number":-1}`, "now", "", "{}", "null", "[]", "\xff", `{"id":"\u202e"}`,
	} {
		f.Add([]byte(text))
	}
	control := func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }
	f.Fuzz(func(t *testing.T, data []byte) {
		r := decodeRequest(keys.Pair{Key: keys.Request("default"), Value: data, ModifyIndex: 1})
		for _, text := range []string{r.ID, r.By} {
			if len(text) > 3*maxRequestText || strings.ContainsFunc(text, control) {
				t.Errorf("%q", text)
			}
		}
		if r.Accept != "" && !repository.IsHash(r.Accept) {
			t.Errorf("accepts %q", r.Accept)
		}
		s := Status{Source: Source{Name: "default"}}
		s.handled(r)
		pair := keys.Pair{Key: keys.Source("default"), Value: keys.EncodeObject(s), ModifyIndex: 1}
		stored, err := decodeStatus(pair)
		if err != nil {
			t.Fatal(err)
		}
		if !stored.Handled(r) || stored.memory(r).accept != "" {
			t.Errorf("%+v is not handled by %+v", r, stored)
		}
		next, err := Request{ID: "next", Accept: commit}.after(r, &stored, "default")
		if err != nil || next.Number == 0 || r.ID != next.ID && stored.Handled(next) || stored.HandledNumber >= next.Number {
			t.Errorf("%+v after %+v: %v", next, stored, err)
		}
	})
}

// FuzzStoredStatus reads the status of a source. The next sync of a source that verifies signatures knows the commit that was applied
// last, or that it does not.
func FuzzStoredStatus(f *testing.F) {
	const commit = "0123456789012345678901234567890123456789"
	for _, text := range []string{
		`{"source":{"name":"default"},"base":"` + commit + `","handledNumber":2}`, `{"source":{"name":"default"}}`,
		`{"source":{"name":"default"},"synced":{"revision":"main@sha1:` + commit + `","time":"2026-03-06T12:00:00Z"}}`,
		`{"source":{"name":"default"},"synced":{"revision":"main"}}`, `{"source":{"name":"default"},"unreadable":"{"}`,
		`{"source":{"name":"default"},"unreadable":"{\"source\":{\"name\":\"default\"},\"base\":\"` + commit + `\"}"}`,
		`{"schema":99}`, "null", "[]", "{", "", "\xff",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := storedStatus(keys.Pair{Key: keys.Source("default"), Value: data, ModifyIndex: 1})
		s.Source.Name = "default"
		m := s.memory(Request{})
		if !repository.IsHash(m.base) && m.unreadable == nil && !bytes.Contains(data, []byte("default")) {
			t.Errorf("the base of %q is %q", data, m.base)
		}
		again := storedStatus(keys.Pair{Key: keys.Source("default"), Value: keys.EncodeObject(s), ModifyIndex: 1})
		if other := again.memory(Request{}); other.base != m.base || (other.unreadable == nil) != (m.unreadable == nil) {
			t.Errorf("%+v, and when it was stored %+v", m, other)
		}
	})
}
