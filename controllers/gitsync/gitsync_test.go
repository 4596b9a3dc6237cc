// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func TestRunner_AppliesPushedPlans(t *testing.T) {
	f := newFixture(t)
	first := f.git.Commit("eu/fleet.yaml", plan("fleet", "v1", ""), "us.yaml", plan("us", "v1", "us"))
	f.start()
	s := f.wantSynced("the first commit", "fleet=v1 us=v1")
	if s.Synced.Revision != "main@sha1:"+first || s.Attempted != s.Synced.Revision || s.Synced.Time.IsZero() {
		t.Errorf("%+v", s.Synced)
	}
	if d := cmp.Diff([]string{"fleet", "us"}, s.Synced.Plans); d != "" {
		t.Error(d)
	}
	origin := fleet.Origin{Source: "default", Path: "eu/fleet.yaml", Revision: "main@sha1:" + first}
	if d := cmp.Diff(origin, f.origin("fleet")); d != "" {
		t.Error(d)
	}

	// A commit that does not change a plan creates no revision of it.
	second := f.git.Commit("us.yaml", plan("us", "v2", "us"), "README.md", "hello")
	s = f.wantSynced("the second commit", "fleet=v1 us=v2")
	if fleet, us := f.get("fleet"), f.get("us"); fleet.Generation != 1 || us.Generation != 2 {
		t.Errorf("generations: fleet %d, us %d", fleet.Generation, us.Generation)
	}
	if f.origin("fleet") != origin || f.origin("us").Revision != "main@sha1:"+second {
		t.Errorf("origins: fleet %s, us %s", f.origin("fleet"), f.origin("us"))
	}
	if last := s.Events[len(s.Events)-1]; last.Reason != gitsync.ReasonSynced || !strings.Contains(last.Message, "us configured") ||
		strings.Contains(last.Message, "fleet") {
		t.Errorf("last event: %+v", last)
	}

	// A sync without changes only writes that it handled the request.
	f.eventually("the observer got the syncs", func() bool { f.observer.mu.Lock(); defer f.observer.mu.Unlock(); return len(f.observer.syncs) > 2 })
	before := len(f.store.written)
	again := f.wantSynced("nothing", "fleet=v1 us=v2")
	if len(f.store.written) != before {
		t.Errorf("wrote %v", f.store.written[before:])
	}
	s.HandledRequest, again.HandledRequest = "", ""
	s.HandledNumber, again.HandledNumber = 0, 0
	if d := cmp.Diff(s, again); d != "" {
		t.Errorf("the status changed:\n%s", d)
	}
	// The plan moves to another file.
	f.git.Write("us.yaml", "")
	f.git.Commit("us/plan.yaml", plan("us", "v2", "us"))
	f.wantSynced("a file moved", "fleet=v1 us=v2")
	if f.origin("us").Path != "us/plan.yaml" || f.get("us").Generation != 2 {
		t.Errorf("us: origin %s, generation %d", f.origin("us"), f.get("us").Generation)
	}
}

func TestRunner_AppliesNothingIfAnyFileIsInvalid(t *testing.T) {
	f := newFixture(t)
	good := f.git.Commit("a.yaml", plan("a", "v1", "a"), "b.yaml", plan("b", "v1", "b"))
	f.start()
	f.wantSynced("good", "a=v1 b=v1")
	bad := f.git.Commit("a.yaml", plan("a", "v2", "a"), "b.yaml", plan("b", "v2", "b")+"  speed: 3\n")
	s := f.wantFailed("an unknown field", gitsync.ReasonInvalid, "b.yaml:7: spec.speed: unknown field", "a=v1 b=v1")
	if s.Attempted != "main@sha1:"+bad || s.Synced.Revision != "main@sha1:"+good || s.LastError.Revision != s.Attempted {
		t.Errorf("attempted %s, synced %s", s.Attempted, s.Synced.Revision)
	}
	since, events := s.LastError.Since, len(s.Events)
	if s = f.sync(); s.LastError.Since != since || len(s.Events) != events {
		t.Error("the same failure caused another event")
	}
	for what, tc := range map[string]struct{ name, text, reason, says string }{
		"invalid value":      {"b.yaml", plan("b", "True", "b"), gitsync.ReasonInvalid, "b.yaml:5: spec.version"},
		"invalid YAML":       {"b.yaml", "{", gitsync.ReasonInvalid, "b.yaml"},
		"another kind":       {"b.yaml", "apiVersion: v1\nkind: ConfigMap\n", gitsync.ReasonInvalid, "b.yaml:2: kind"},
		"duplicate name":     {"b.yaml", plan("a", "v2", "b"), gitsync.ReasonInvalid, `b.yaml:1: metadata.name: duplicate plan "a"; it is also in a.yaml:1`},
		"overlapping fleets": {"b.yaml", plan("b", "v2", "a"), gitsync.ReasonInvalid, `overlaps with "a" of plan "a" in a.yaml:1`},
		"changed prefix":     {"b.yaml", plan("b", "v2", "c"), gitsync.ReasonRefused, "b.yaml:1"},
		"large file":         {"b.yaml", strings.Repeat("# large\n", 1<<18), string(repository.Refused), "b.yaml: 2097152 bytes is too large"},
	} {
		f.git.Commit(tc.name, tc.text)
		f.wantFailed(what, tc.reason, tc.says, "a=v1 b=v1")
	}
	f.git.Commit("b.yaml", plan("b", "v2", "b"))
	s = f.wantSynced("fixed", "a=v2 b=v2")
	if stalled := s.Conditions; s.LastError != nil || len(stalled) != 3 {
		t.Errorf("%+v", s)
	}
}

func TestRunner_RefusesPlansOfOtherSources(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("a/fleet.yaml", plan("fleet", "v1", ""), "b/fleet.yaml", plan("fleet", "v2", ""), "c/other.yaml", plan("other", "v1", ""))
	of := func(name, path string) gitsync.Source {
		s := f.source
		s.Name, s.Path = name, path
		return s
	}
	f.source = of("a", "a")
	f.start(of("a", "a"))
	f.wantSynced("the first source", "fleet=v1")
	f.must(f.stop())
	f.start(of("b", "b"), of("a", "a"), of("c", "c"))
	f.source = of("b", "b")
	f.wantFailed("another source", gitsync.ReasonRefused, "b/fleet.yaml:1: metadata.name: upgradeplan/fleet is managed by Git: source a, a/fleet.yaml", "fleet=v1")
	f.source = of("c", "c")
	f.wantFailed("another plan of the fleet", gitsync.ReasonRefused, "a fleet has one plan", "fleet=v1")

	// A source that is no longer configured disowns its plans.
	f.must(f.stop())
	f.start(of("c", "c"))
	f.eventually("the source is removed", func() bool { return f.status("a").Source.Name == "" && f.status("b").Source.Name == "" })
	f.wantStored("the source is removed", "fleet=v1")
	if o := f.origin("fleet"); o.Source != "" {
		t.Errorf("fleet: origin %s", o)
	}
}

func TestRunner_PrunesPlans(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("a.yaml", plan("a", "v1", "a"), "b.yaml", plan("b", "v1", "b"), "c.yaml", plan("c", "v1", "c"))
	_, _, err := f.plans.Apply(t.Context(), decoded(t, plan("mine", "v1", "mine")), false)
	f.must(err)
	f.start()
	f.wantSynced("all", "a=v1 b=v1 c=v1 mine=v1")
	f.git.Write("a.yaml", "")
	f.git.Commit()
	f.wantSynced("a left", "b=v1 c=v1 mine=v1")

	// Deleting a paused plan would delete the pause.
	_, err = f.plans.SetPause(t.Context(), "b", &fleet.Pause{By: "alice"})
	f.must(err)
	f.git.Write("b.yaml", "")
	f.git.Commit()
	s := f.wantSynced("paused b left", "b=v1 c=v1 mine=v1")
	if want := "not in the repository anymore, but kept: b: it is paused by alice"; !strings.Contains(s.Ready().Message, want) ||
		s.Events[len(s.Events)-1].Reason != gitsync.ReasonKept {
		t.Errorf("%s, want %s; %+v", s.Ready().Message, want, s.Events)
	}
	events := len(s.Events)
	if s = f.sync(); len(s.Events) != events {
		t.Error("the same plan caused another event")
	}
	f.git.Commit("other.yaml", plan("other", "v1", "b"))
	f.wantFailed("replacement of a paused plan", gitsync.ReasonRefused, "other.yaml:1: upgradeplan \"other\" is invalid: spec.keys.prefix: "+
		`"b" overlaps with "b" of upgradeplan "b": a fleet has one plan; b has left the repository and is kept, because `+
		"it is paused by alice: end that order, or delete it by `upgradectl delete b --force`", "b=v1 c=v1 mine=v1")
	_, err = f.plans.SetPause(t.Context(), "b", nil)
	f.must(err)
	f.wantSynced("b is resumed and replaced", "c=v1 mine=v1 other=v1")

	// An empty tree or a missing path deletes nothing.
	f.git.Git("rm", "-q", "*.yaml")
	f.git.Commit("README.md", "empty")
	f.wantFailed("an empty tree", gitsync.ReasonNoManifests, "nothing was applied or deleted", "c=v1 mine=v1 other=v1")
	f.git.Commit("c.yaml", plan("c", "v1", "c"))
	f.must(f.stop())
	f.source.Path = "nowhere"
	f.start()
	f.wantFailed("missing path", string(repository.NoSuchPath), `path "nowhere" does not exist`, "c=v1 mine=v1 other=v1")
	f.must(f.stop())
	f.source.Path, f.source.Prune = "", new(false)
	f.start()
	f.wantSynced("without pruning", "c=v1 mine=v1 other=v1")
	if o := f.origin("other"); o.Source != "" {
		t.Errorf("other: origin %s", o)
	}
}

func TestRunner_FollowsForcePushesBranchesAndTags(t *testing.T) {
	f := newFixture(t)
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.git.Git("tag", "v1")
	f.git.Git("push", "-q", "--tags", "origin")
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	https := gittest.ServeHTTPS(t, f.git)
	f.source.Location = repository.Location{URL: https.URL, Auth: repository.Auth{TokenFile: https.TokenFile, CAFile: https.CAFile}}
	f.start()
	f.wantSynced("two commits", "fleet=v2")
	if s := f.status("default").Source; s.Auth.TokenFile != "" || s.URL != https.URL {
		t.Errorf("published source: %+v", s)
	}

	f.git.Git("reset", "-q", "--hard", first)
	f.git.Push()
	f.wantSynced("force-push to the parent", "fleet=v1")
	f.git.Git("checkout", "-q", "--orphan", "elsewhere")
	f.git.Commit("fleet.yaml", plan("fleet", "v3", ""))
	f.git.Git("push", "-q", "--force", "origin", "elsewhere:main")
	f.wantSynced("force-push of an unrelated history", "fleet=v3")

	f.must(f.stop())
	f.source.Ref.Branch = "side"
	f.git.Git("push", "-q", "origin", second+":refs/heads/side")
	f.start()
	f.wantSynced("a branch", "fleet=v2")
	f.git.GitBare("update-ref", "-d", "refs/heads/side")
	f.wantFailed("the branch is deleted", string(repository.NoSuchRef), `no branch "side"`, "fleet=v2")

	f.must(f.stop())
	f.source.Ref = repository.Ref{Tag: "v1"}
	f.start()
	f.wantSynced("a tag", "fleet=v1")
	f.git.GitBare("update-ref", "refs/tags/v1", second)
	s := f.wantSynced("the tag is rewritten", "fleet=v2")
	if last := s.Events[len(s.Events)-2]; last.Reason != gitsync.ReasonTagMoved || !strings.Contains(last.Message, first) {
		t.Errorf("%+v", s.Events)
	}

	https.CloseClientConnections()
	https.Close()
	s = f.wantFailed("the server is gone", string(repository.Unreachable), "connection refused", "fleet=v2")
	if s.Synced.Revision != "v1@sha1:"+second {
		t.Errorf("synced %s", s.Synced.Revision)
	}
}

func TestRunner_RefusesSymbolicLinks(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("good", "fleet=v1")
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	f.must(os.WriteFile(outside, []byte(plan("outside", "v1", "o")), 0o600))
	f.must(os.Symlink(outside, filepath.Join(f.git.Work, "link.yaml")))
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.wantFailed("a link", string(repository.Refused), "link.yaml is a symbolic link", "fleet=v1")
}

// Each write in turn fails, before or after it is applied.
func TestRunner_CompletesAnInterruptedSync(t *testing.T) {
	for _, late := range []bool{false, true} {
		for at := 1; ; at++ {
			f := newFixture(t)
			f.git.Commit("a.yaml", plan("a", "v1", "a"), "b.yaml", plan("b", "v1", "b"), "c.yaml", plan("c", "v1", "c"))
			f.start()
			f.wantSynced("before", "a=v1 b=v1 c=v1")
			f.git.Write("c.yaml", "")
			f.git.Commit("a.yaml", plan("a", "v2", "a"), "b.yaml", plan("b", "v2", "b"), "d.yaml", plan("d", "v2", "c"))
			f.store.mu.Lock()
			f.store.failAt, f.store.late = at, late
			f.store.mu.Unlock()
			s := f.sync()
			f.must(f.stop())
			interrupted := s.LastError != nil
			if interrupted && (s.LastError.Reason != gitsync.ReasonStore || !strings.Contains(s.LastError.Message, errInterrupted.Error())) {
				t.Errorf("%+v", s.LastError)
			}
			f.start() // as after a failover
			f.wantSynced(fmt.Sprintf("interrupted at write %d", at), "a=v2 b=v2 d=v2")
			for _, name := range []string{"a", "b", "d"} {
				if f.origin(name).Source != "default" {
					t.Errorf("%s: origin %s", name, f.origin(name))
				}
			}
			if !interrupted {
				if at < 4 {
					t.Errorf("only %d writes", at-1)
				}
				break
			}
		}
	}
}

func TestRunner_EndsWhenTheLockIsLost(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("good", "fleet=v1")
	f.must(f.store.DestroySession(t.Context(), f.session))
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	ask(t, f.store, gitsync.Request{ID: "lost"})
	f.eventually("the request is handled", func() bool {
		f.store.mu.Lock()
		defer f.store.mu.Unlock()
		return len(f.store.written) > 1
	})
	err := f.stop()
	if !errors.Is(err, leaderelection.ErrLost) {
		t.Errorf("got error %v", err)
	}
	f.wantStored("without the lock", "fleet=v1")
}

func TestRunner_CorrectsPlansChangedOutsideGit(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("good", "fleet=v1")
	_, _, err := f.plans.Apply(t.Context(), decoded(t, plan("fleet", "v9", "")), false)
	f.must(err)
	f.wantStored("applied by hand", "fleet=v9")
	s := f.wantSynced("the next sync", "fleet=v1")
	if last := s.Events[len(s.Events)-1]; last.Reason != gitsync.ReasonCorrected || !strings.Contains(last.Message, "fleet configured") {
		t.Errorf("%+v", last)
	}
	f.must(f.plans.Delete(t.Context(), "fleet", false))
	f.wantSynced("deleted by hand", "fleet=v1")
}

// Pauses and aborts stay in effect over syncs. An aborted spec is not retried until Git has another.
func TestRunner_KeepsPausesAndAborts(t *testing.T) {
	f := newFixture(t)
	f.txn(store.Op{Verb: store.Set, Key: "current_version", Value: []byte("v0")},
		store.Op{Verb: store.Set, Key: "running/versions/v0/web1", Value: []byte("1")},
		store.Op{Verb: store.Set, Key: keys.Layout{}.HoldHost("web9"), Value: []byte(`{"reason":"x"}`)})
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("v1", "fleet=v1")
	current := func() string {
		r := upgradeplan.Reconciler{Store: f.store, Session: f.session, Now: time.Now}
		_, err := r.Reconcile(t.Context(), "fleet")
		f.must(err)
		pairs, _, err := f.store.Get(t.Context(), "current_version")
		f.must(err)
		return string(pairs[0].Value)
	}
	_, err := f.plans.SetPause(t.Context(), "fleet", &fleet.Pause{By: "alice"})
	f.must(err)
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.wantSynced("v2, paused", "fleet=v2")
	if got := current(); got != "v0" {
		t.Errorf("paused: current_version is %s", got)
	}
	_, err = f.plans.Abort(t.Context(), "fleet", fleet.Pause{By: "alice"})
	f.must(err)
	_, err = f.plans.SetPause(t.Context(), "fleet", nil)
	f.must(err)
	f.git.Commit("README.md", "the same plan")
	f.wantSynced("v2, aborted", "fleet=v2")
	if got := current(); got != "v0" {
		t.Errorf("aborted: current_version is %s", got)
	}
	// A correction brings the same spec back. It stays aborted.
	_, _, err = f.plans.Apply(t.Context(), decoded(t, plan("fleet", "v2", "")+"  paused: true\n"), false)
	f.must(err)
	f.wantSynced("v2, corrected", "fleet=v2")
	if got := current(); got != "v0" {
		t.Errorf("aborted and corrected: current_version is %s", got)
	}
	f.git.Commit("fleet.yaml", plan("fleet", "v3", ""))
	f.wantSynced("v3", "fleet=v3")
	if got := current(); got != "v3" {
		t.Errorf("new spec: current_version is %s", got)
	}
	pairs, _, err := f.store.List(t.Context(), keys.Layout{}.HoldTree()+"host/")
	f.must(err)
	if len(pairs) != 1 {
		t.Errorf("holds: %v", pairs)
	}
}
