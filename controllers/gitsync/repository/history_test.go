// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// askDescends reads the branch or tag and asks whether its commit descends from another one.
func askDescends(t *testing.T, l repository.Location, base string) (bool, error) {
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
	return remote.Descends(t.Context(), content.Revision, base)
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
					if got, err := askDescends(t, l, tc.base); err != nil || got != tc.want {
						t.Errorf("got %t and the error %v", got, err)
					}
				})
			}
		}
	}
}

// importCommits pushes a branch with n commits, each with a file of its own. The first has the parent first, if it is not
// empty. It returns the commits.
func importCommits(t *testing.T, r *gittest.Repository, branch, first string, n int) []string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter A <a@example.com> %d +0000\ndata 1\nm\n", branch, 1750000000+i)
		if i == 0 && first != "" {
			fmt.Fprintf(&b, "from %s\n", first)
		}
		fmt.Fprintf(&b, "M 644 inline %s.yaml\ndata %d\n%d\n", branch, len(strconv.Itoa(i)), i)
	}
	r.Write(branch+".import", b.String())
	r.Git("-c", "alias.import=!git fast-import --quiet --force <"+branch+".import", "import")
	r.Git("push", "-q", "--force", "origin", branch)
	return strings.Fields(r.Git("rev-list", "--first-parent", "--reverse", branch))
}

// A server sends a limited number of commits. What it did not send may be an ancestor, too.
func TestDescends_CannotTellBeyondTheCommitsThatTheServerSent(t *testing.T) {
	r := gittest.New(t)
	first := r.Commit("a.yaml", "1")
	long := importCommits(t, r, "long", first, 10_100)
	other := importCommits(t, r, "other", long[len(long)-5], 3)
	https := gittest.ServeHTTPS(t, r)
	at := repository.Location{URL: https.URL, Ref: repository.Ref{Branch: "long"},
		Auth: repository.Auth{TokenFile: https.TokenFile, CAFile: https.CAFile}}
	for filter, sent := range map[string]int{"false": 500, "true": 10_000} {
		r.GitBare("config", "uploadpack.allowFilter", filter)
		for what, tc := range map[string]struct {
			base string
			want bool
			says string
		}{
			"the first":                 {first, false, fmt.Sprintf("%s is not among the last %d commits", first, sent)},
			"one that was sent":         {long[len(long)-sent], true, ""},
			"one before those":          {long[len(long)-sent-5], false, "is not among the last"},
			"unknown":                   {strings.Repeat("12345678", 5), false, "is not among the last"},
			"another branch, from here": {other[len(other)-1], false, ""},
		} {
			t.Run("filter "+filter+" "+what, func(t *testing.T) {
				is, err := askDescends(t, at, tc.base)
				if is != tc.want || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
					t.Errorf("got %t and the error %v", is, err)
				}
			})
		}
	}
}

// A repository on this machine can be a shallow clone.
func TestDescends_CannotTellInAShallowClone(t *testing.T) {
	r := gittest.New(t)
	first := r.Commit("a.yaml", "1")
	second := r.Commit("a.yaml", "2")
	r.Commit("a.yaml", "3")
	r.Commit("a.yaml", "4")
	clone := filepath.Join(t.TempDir(), "clone")
	r.Git("clone", "-q", "--depth", "2", r.URL(), clone)
	at := repository.Location{URL: "file://" + clone, Ref: repository.Ref{Branch: "main"}}
	if is, err := askDescends(t, at, second); !is || err != nil {
		t.Errorf("an ancestor: got %t and the error %v", is, err)
	}
	if is, err := askDescends(t, at, first); is || err == nil || !strings.Contains(err.Error(), first+" is not among the last 2 commits") {
		t.Errorf("an ancestor that is not there: got %t and the error %v", is, err)
	}
}
