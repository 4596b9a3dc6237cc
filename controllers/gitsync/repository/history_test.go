// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// descends reads the branch or tag and asks whether its commit descends from another one.
func descends(t *testing.T, l repository.Location, base string) bool {
	t.Helper()
	remote, err := repository.Open(t.Context(), l, repository.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remote.Close() }()
	revision, err := remote.Resolve(l.Ref)
	if err != nil {
		t.Fatal(err)
	}
	content, err := remote.Read(t.Context(), revision, repository.Times{Now: time.Now(), Seen: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	is, err := remote.Descends(t.Context(), content.Revision, base)
	if err != nil {
		t.Errorf("%s: %v", l.URL, err)
	}
	return is
}

func TestDescends_EachProtocol(t *testing.T) {
	r := gittest.New(t)
	first := r.Commit("a.yaml", "1")
	second := r.Commit("a.yaml", "2")
	for range 5 {
		r.Commit("a.yaml", "3", "b.yaml", "3")
	}
	r.Git("checkout", "-q", "-b", "side", second)
	side := r.Commit("side.yaml", "1")
	r.Git("checkout", "-q", "main")
	r.Git("merge", "-q", "--no-ff", "-m", "merge", "side")
	r.Push()
	merge := r.Head()
	r.Git("tag", "-a", "-m", "annotated", "v1.0.0")
	r.Git("checkout", "-q", "-b", "other", first)
	other := r.Commit("a.yaml", "other")
	r.Git("push", "-q", "--tags", "origin")
	main := repository.Ref{Branch: "main"}
	for _, filter := range []string{"false", "true"} {
		r.GitBare("config", "uploadpack.allowFilter", filter)
		for name, location := range servers(t, r) {
			for what, tc := range map[string]struct {
				ref  repository.Ref
				base string
				want bool
			}{
				"itself":                   {main, merge, true},
				"an ancestor":              {main, first, true},
				"a merged branch":          {main, side, true},
				"a tag":                    {repository.Ref{Tag: "v1.0.0"}, first, true},
				"an older commit":          {repository.Ref{Branch: "side"}, merge, false},
				"another branch":           {main, other, false},
				"a commit that is unknown": {main, strings.Repeat("12345678", 5), false},
			} {
				t.Run(name+" filter "+filter+" "+what, func(t *testing.T) {
					l := location
					l.Ref = tc.ref
					if got := descends(t, l, tc.base); got != tc.want {
						t.Errorf("got %t", got)
					}
				})
			}
		}
	}
}
