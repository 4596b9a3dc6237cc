// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const binding = "sources: [{name: default}]\n"

// newVerifiedFixture has a source that verifies signatures, and a repository that signs its commits.
func newVerifiedFixture(t *testing.T) *fixture {
	f := newFixture(t)
	f.allow("", f.git.Sign())
	f.git.Write(repository.BindingFile, binding)
	return f
}

// allow makes the source accept signatures by a key, with options.
func (f *fixture) allow(options, public string) {
	f.Helper()
	path := filepath.Join(f.TempDir(), "allowed_signers")
	f.must(os.WriteFile(path, []byte("a@example.com "+options+" "+public), 0o600))
	f.source.Verify.AllowedSigners = []string{path}
}

// reset moves the branch of the repository to a commit.
func (f *fixture) reset(commit string) {
	f.Helper()
	f.git.Git("reset", "-q", "--hard", commit)
	f.git.Push()
}

// accept requests a sync that accepts a commit, and returns the status after it.
func (f *fixture) accept(commit string) gitsync.Status {
	f.Helper()
	ask(f.T, f.store, gitsync.Request{ID: "accept " + commit, By: "alice", Accept: commit})
	f.eventually("accept "+commit, func() bool { return f.status("default").HandledRequest == "accept "+commit })
	return f.status("default")
}

func (f *fixture) wantWarning(reason string, says ...string) {
	f.Helper()
	events := f.status("default").Events
	for _, e := range events {
		missing := slices.ContainsFunc(says, func(text string) bool { return !strings.Contains(e.Message, text) })
		if e.Reason == reason && e.Type == "Warning" && !missing {
			return
		}
	}
	f.Errorf("no warning %s with %q in %+v", reason, says, events)
}

func TestRunner_VerifiedSourceMovesOnlyToDescendants(t *testing.T) {
	f := newVerifiedFixture(t)
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v2")
	f.reset(first)
	f.wantFailed("an older commit", gitsync.ReasonRewind, "main@sha1:"+first+" does not descend from "+second+", which was applied last", "fleet=v2")
	f.wantWarning(gitsync.ReasonRewind, first, second, "upgradectl reconcile source default --accept "+first)
	sibling := f.git.Commit("fleet.yaml", plan("fleet", "v3", ""))
	f.wantFailed("a commit of another branch", gitsync.ReasonRewind, sibling+" does not descend from "+second, "fleet=v2")

	// The memory is in the store, not in the process.
	f.must(f.stop())
	f.start()
	f.wantFailed("after a restart", gitsync.ReasonRewind, sibling, "fleet=v2")

	f.reset(second)
	f.wantSynced("the commit that was applied last", "fleet=v2")
	f.git.Commit("README.md", "hello")
	third := f.git.Commit("fleet.yaml", plan("fleet", "v3", ""))
	if s := f.wantSynced("a descendant", "fleet=v3"); s.Base != third {
		t.Errorf("base %s", s.Base)
	}
}

func TestRunner_FollowsAnAcceptedCommitOnce(t *testing.T) {
	f := newVerifiedFixture(t)
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v2")
	f.reset(first)
	f.accept(second) // of a commit that the branch does not point to
	f.wantFailed("another commit accepted", gitsync.ReasonRewind, first, "fleet=v2")
	if s := f.accept(first); s.LastError != nil {
		t.Errorf("%+v", s.LastError)
	}
	f.wantStored("accepted", "fleet=v1")
	f.wantWarning(gitsync.ReasonRewound, "main@sha1:"+first+" does not descend from "+second, "accepted by alice")
	f.reset(second)
	f.wantSynced("a descendant of the accepted commit", "fleet=v2")

	// The request of the operator is still in the store. It was for one sync.
	f.must(f.stop())
	f.txn(store.Op{Verb: store.Set, Key: keys.Request("default"), Value: []byte(`{"id":"accept ` + first + `","accept":"` + first + `"}`)})
	s := f.status("default")
	s.HandledRequest = "accept " + first
	data, err := json.Marshal(s)
	f.must(err)
	f.txn(store.Op{Verb: store.Set, Key: keys.Source("default"), Value: data})
	f.reset(first)
	f.start()
	f.eventually("the old request does not count", func() bool { e := f.status("default").LastError; return e != nil && e.Reason == gitsync.ReasonRewind })
	f.wantStored("the old request", "fleet=v2")
}

func TestRunner_WarnsOfEachCommitThatDoesNotDescend(t *testing.T) {
	for name, change := range map[string]func(*fixture, string){
		"verify.allowRewind":       func(f *fixture, _ string) { f.source.Verify.AllowRewind = true },
		"the source has no verify": func(f *fixture, _ string) { f.source.Verify = repository.Verify{} },
		"ref.commit names it":      func(f *fixture, first string) { f.source.Ref.Commit = first },
	} {
		t.Run(name, func(t *testing.T) {
			f := newVerifiedFixture(t)
			first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
			second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
			f.start()
			f.wantSynced("the first sync", "fleet=v2")
			f.must(f.stop())
			change(f, first)
			f.reset(first)
			f.start()
			f.wantSynced("an older commit", "fleet=v1")
			f.wantWarning(gitsync.ReasonRewound, first, second, name)
		})
	}
}

// A status that an earlier release stored has no base and no times.
func TestRunner_ReadsStatusWithoutBase(t *testing.T) {
	f := newVerifiedFixture(t)
	public, _ := strings.CutPrefix(readFile(t, f.source.Verify.AllowedSigners[0]), "a@example.com ")
	f.git.Setenv("GIT_COMMITTER_DATE", "2025-01-01T00:00:00Z")
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.txn(store.Op{Verb: store.Set, Key: keys.Source("default"), Value: []byte(`{"source":{"name":"default","url":"file:///x"},"synced":{"revision":"main@sha1:` +
		second + `","time":"2025-06-01T00:00:00Z","seconds":1,"plans":["fleet"]}}`)})
	f.allow(`valid-before="20250701"`, public)
	f.start()
	f.wantSynced("the commit was applied while the key was valid", "fleet=v2")
	f.reset(first)
	f.wantFailed("an older commit", string(repository.Unverified), "is valid until", "fleet=v2")
	f.must(f.stop())
	f.allow("", public)
	f.start()
	f.wantFailed("an older commit", gitsync.ReasonRewind, "does not descend from "+second, "fleet=v2")
}

func TestRunner_BindsSignedCommitsToTheSource(t *testing.T) {
	f := newVerifiedFixture(t)
	f.source.Path = "plans"
	f.git.Write(repository.BindingFile, "")
	f.git.Commit("plans/fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantFailed("no file", gitsync.ReasonUnbound, "does not exist in the root", "")
	for what, tc := range map[string]struct{ text, says string }{
		"another source": {"sources: [{name: other, path: plans}]\n", `sources[0].name is "other", but the name of this source is "default"`},
		"another path":   {"sources: [{name: default, path: other}]\n", `sources[0].path is "other", but the path of this source is "plans"`},
		"the root":       {"sources: [{name: default}]\n", `sources[0].path is "", but the path of this source is "plans"`},
		"another branch": {"sources: [{name: default, path: plans, branch: next}]\n",
			`sources[0].branch is "next", but the ref.branch of this source is ""`},
		"another URL": {"sources: [{name: default, path: plans, url: 'https://git.example.com/other.git'}]\n",
			`sources[0].url is "https://git.example.com/other.git", but the url of this source is "file://` + f.git.Bare + `"`},
		"two fields": {"sources: [{name: default, path: other, branch: next}]\n",
			`sources[0].path is "other", but the path of this source is "plans", and sources[0].branch is "next", but`},
		"the one of that name": {"sources: [{name: a, path: plans}, {name: default, path: x, branch: y}, {name: b, path: plans}]\n", `sources[1].path is "x"`},
		"the nearest":          {"sources: [{name: a, path: x}, {name: b, path: plans}]\n", `sources[1].name is "b"`},
		"nothing":              {"sources: []\n", "has no sources"},
		"unknown field":        {"sources: [{name: default, path: plans, tag: x}]\n", "tag"},
		"two documents":        {"sources: [{name: default, path: plans}]\n---\nsources: []\n", "more than one document"},
		"no YAML":              {"{", ""},
		"no document":          {"# nothing\n", ""},
	} {
		f.git.Commit(repository.BindingFile, tc.text)
		s := f.wantFailed(what, gitsync.ReasonUnbound, repository.BindingFile, "")
		if !strings.Contains(s.LastError.Message, tc.says) {
			t.Errorf("%s: %s, want %s", what, s.LastError.Message, tc.says)
		}
	}
	f.git.Write(repository.BindingFile, "")
	f.must(os.Symlink("plans/fleet.yaml", filepath.Join(f.git.Work, repository.BindingFile)))
	f.git.Commit()
	f.wantFailed("a link", string(repository.Refused), "must be a file", "")
	f.must(os.Remove(filepath.Join(f.git.Work, repository.BindingFile)))
	f.git.Commit(repository.BindingFile, "sources:\n- {name: other, path: x}\n- {name: default, path: plans, url: 'file://"+f.git.Bare+"'}\n")
	f.wantSynced("this source", "fleet=v1")
}

// A source without verify does not read the file: any folder or link may have its name.
func TestRunner_ReadsNoBindingWithoutVerify(t *testing.T) {
	f := newFixture(t)
	f.must(os.Symlink("fleet.yaml", filepath.Join(f.git.Work, repository.BindingFile)))
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("a link", "fleet=v1")
	f.must(os.Remove(filepath.Join(f.git.Work, repository.BindingFile)))
	f.git.Commit(repository.BindingFile, strings.Repeat("#", 2<<20), "fleet.yaml", plan("fleet", "v2", ""))
	f.wantSynced("a large file", "fleet=v2")
}

// A preview has no keys. It refuses what the next sync refuses, except for the signature.
func TestPreview_NamesRefusals(t *testing.T) {
	f := newVerifiedFixture(t)
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v2")
	preview := func(what string, change func(*gitsync.Status), version string, says ...string) {
		t.Helper()
		s := f.status("default")
		s.Source.Verify.AllowedSigners = []string{"/a/file/of/the/controller"}
		change(&s)
		c, refusals, err := gitsync.Preview(t.Context(), s, repository.DefaultLimits(), time.Now())
		if err != nil || len(c.Documents) != 1 || c.Documents[0].Plan.Spec.Version != version || len(refusals) != len(says) {
			t.Fatalf("%s: %+v, refusals %v, error %v", what, c, refusals, err)
		}
		for i, refusal := range refusals {
			if !strings.Contains(refusal.Error(), says[i]) {
				t.Errorf("%s: %v, want %s", what, refusal, says[i])
			}
		}
	}
	unchanged := func(*gitsync.Status) {}
	preview("what is applied", unchanged, "v2")
	f.git.Setenv("GIT_CONFIG_COUNT", "1")
	f.git.Setenv("GIT_CONFIG_KEY_0", "commit.gpgSign")
	f.git.Setenv("GIT_CONFIG_VALUE_0", "false")
	f.git.Commit("fleet.yaml", plan("fleet", "v3", ""))
	preview("an unsigned descendant", unchanged, "v3")
	f.git.Commit(repository.BindingFile, "sources: [{name: other}]\n")
	preview("of another source", unchanged, "v3", `sources[0].name is "other"`)
	f.reset(first)
	preview("an older commit", unchanged, "v1", first+" does not descend from "+second)
	preview("allowRewind", func(s *gitsync.Status) { s.Source.Verify.AllowRewind = true }, "v1")
	preview("a status that cannot be read", func(s *gitsync.Status) { s.Unreadable = new("{") }, "v1", "cannot be read")
	f.git.Commit(repository.BindingFile, "sources: []\n")
	preview("both", unchanged, "v1", "has no sources", "does not descend from")
	preview("without verify", func(s *gitsync.Status) { s.Source.Verify = repository.Verify{} }, "v1")
}

// A signer can state any time. What counts is when the source first saw the signature, and it stays.
func TestRunner_ChecksKeysAtTheTimeOfTheFirstSync(t *testing.T) {
	f := newVerifiedFixture(t)
	public, _ := strings.CutPrefix(readFile(t, f.source.Verify.AllowedSigners[0]), "a@example.com ")
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("a valid key", "fleet=v1")
	f.must(f.stop())
	f.ahead.Store(int64(2 * time.Hour))
	f.allow(`valid-before="`+time.Now().Add(time.Hour).UTC().Format("20060102150405")+`Z"`, public)
	f.start()
	f.wantSynced("a commit of before the key expired", "fleet=v1")
	f.git.Setenv("GIT_COMMITTER_DATE", "2025-01-01T00:00:00Z")
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.wantFailed("a backdated commit", string(repository.Unverified), "but this source first saw the signature at", "fleet=v1")
	f.wantFailed("again", string(repository.Unverified), "but this source first saw the signature at", "fleet=v1")
	f.reset("HEAD~1")
	f.wantSynced("the commit before it", "fleet=v1")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
