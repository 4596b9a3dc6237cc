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

func TestWhatIsPushedIsApplied(t *testing.T) {
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

	// A commit that leaves a plan as it is makes no revision of it.
	second := f.git.Commit("us.yaml", plan("us", "v2", "us"), "README.md", "hello")
	s = f.wantSynced("the second commit", "fleet=v1 us=v2")
	if fleet, us := f.get("fleet"), f.get("us"); fleet.Generation != 1 || us.Generation != 2 {
		t.Errorf("fleet is of generation %d, us of %d", fleet.Generation, us.Generation)
	}
	if f.origin("fleet") != origin || f.origin("us").Revision != "main@sha1:"+second {
		t.Errorf("fleet comes from %s, us from %s", f.origin("fleet"), f.origin("us"))
	}
	if last := s.Events[len(s.Events)-1]; last.Reason != gitsync.ReasonSynced || !strings.Contains(last.Message, "us configured") ||
		strings.Contains(last.Message, "fleet") {
		t.Errorf("the last event is %+v", last)
	}

	// A sync that has nothing to do writes nothing but that it was asked for.
	f.eventually("the syncs were told", func() bool { f.told.mu.Lock(); defer f.told.mu.Unlock(); return len(f.told.syncs) > 2 })
	before := len(f.store.seen)
	again := f.wantSynced("nothing", "fleet=v1 us=v2")
	if len(f.store.seen) != before {
		t.Errorf("wrote %v", f.store.seen[before:])
	}
	s.Handled, again.Handled = "", ""
	if d := cmp.Diff(s, again); d != "" {
		t.Errorf("the status has changed:\n%s", d)
	}
	// What moved is a file: the plan is the same.
	f.git.Write("us.yaml", "")
	f.git.Commit("us/plan.yaml", plan("us", "v2", "us"))
	f.wantSynced("a file moved", "fleet=v1 us=v2")
	if f.origin("us").Path != "us/plan.yaml" || f.get("us").Generation != 2 {
		t.Errorf("us comes from %s, generation %d", f.origin("us"), f.get("us").Generation)
	}
}

func TestOneBrokenFileAndNothingIsApplied(t *testing.T) {
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
		t.Error("the same failure is told anew")
	}
	for what, tc := range map[string]struct{ name, text, reason, says string }{
		"a value that may not be": {"b.yaml", plan("b", "True", "b"), gitsync.ReasonInvalid, "b.yaml:5: spec.version"},
		"no YAML":                 {"b.yaml", "{", gitsync.ReasonInvalid, "b.yaml"},
		"another kind":            {"b.yaml", "apiVersion: v1\nkind: ConfigMap\n", gitsync.ReasonInvalid, "b.yaml:2: kind"},
		"a name twice":            {"b.yaml", plan("a", "v2", "b"), gitsync.ReasonInvalid, `b.yaml:1: metadata.name: a plan named "a" stands in a.yaml:1 already`},
		"one fleet twice":         {"b.yaml", plan("b", "v2", "a"), gitsync.ReasonInvalid, `overlaps with "a" of plan "a" in a.yaml:1`},
		"a prefix that changes":   {"b.yaml", plan("b", "v2", "c"), gitsync.ReasonRefused, "b.yaml:1"},
		"a huge file":             {"b.yaml", strings.Repeat("# large\n", 1<<18), string(repository.Refused), "b.yaml: is 2097152 bytes"},
	} {
		f.git.Commit(tc.name, tc.text)
		f.wantFailed(what, tc.reason, tc.says, "a=v1 b=v1")
	}
	f.git.Commit("b.yaml", plan("b", "v2", "b"))
	s = f.wantSynced("mended", "a=v2 b=v2")
	if stalled := s.Conditions; s.LastError != nil || len(stalled) != 3 {
		t.Errorf("%+v", s)
	}
}

func TestAPlanOfSomebodyElseIsNotTaken(t *testing.T) {
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
	f.wantFailed("another plan of the fleet", gitsync.ReasonRefused, "there is one plan a fleet", "fleet=v1")

	// A source that is not configured any more lets its plans go.
	f.must(f.stop())
	f.start(of("c", "c"))
	f.eventually("the source is gone", func() bool { return f.status("a").Source.Name == "" && f.status("b").Source.Name == "" })
	f.wantStored("the source is gone", "fleet=v1")
	if o := f.origin("fleet"); o.Source != "" {
		t.Errorf("fleet comes from %s", o)
	}
}

func TestPruning(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("a.yaml", plan("a", "v1", "a"), "b.yaml", plan("b", "v1", "b"), "c.yaml", plan("c", "v1", "c"))
	_, _, err := f.plans.Apply(t.Context(), decoded(t, plan("mine", "v1", "mine")), false)
	f.must(err)
	f.start()
	f.wantSynced("all", "a=v1 b=v1 c=v1 mine=v1")
	f.git.Write("a.yaml", "")
	f.git.Commit()
	f.wantSynced("a left", "b=v1 c=v1 mine=v1")

	// With a plan that is stopped, the order to stop would go.
	_, err = f.plans.SetPause(t.Context(), "b", &fleet.Pause{By: "alice"})
	f.must(err)
	f.git.Write("b.yaml", "")
	f.git.Commit()
	s := f.wantSynced("b left and is paused", "b=v1 c=v1 mine=v1")
	if want := "left the repository and is kept: b: it is paused by alice"; !strings.Contains(s.Ready().Message, want) ||
		s.Events[len(s.Events)-1].Reason != gitsync.ReasonKept {
		t.Errorf("%s, want %s; %+v", s.Ready().Message, want, s.Events)
	}
	events := len(s.Events)
	if s = f.sync(); len(s.Events) != events {
		t.Error("it is told again")
	}
	f.git.Commit("other.yaml", plan("other", "v1", "b"))
	f.wantFailed("another in the place of one that is paused", gitsync.ReasonRefused, "other.yaml:1", "b=v1 c=v1 mine=v1")
	_, err = f.plans.SetPause(t.Context(), "b", nil)
	f.must(err)
	f.wantSynced("b is resumed, and other takes its place", "c=v1 mine=v1 other=v1")

	// An empty tree, and one without the path, delete nothing.
	f.git.Git("rm", "-q", "*.yaml")
	f.git.Commit("README.md", "empty")
	f.wantFailed("an empty tree", gitsync.ReasonNoManifests, "nothing is applied, and nothing deleted", "c=v1 mine=v1 other=v1")
	f.git.Commit("c.yaml", plan("c", "v1", "c"))
	f.must(f.stop())
	f.source.Path = "nowhere"
	f.start()
	f.wantFailed("a path that does not exist", string(repository.NoSuchPath), `path "nowhere": does not exist`, "c=v1 mine=v1 other=v1")
	f.must(f.stop())
	f.source.Path, f.source.Prune = "", new(false)
	f.start()
	f.wantSynced("without pruning", "c=v1 mine=v1 other=v1")
	if o := f.origin("other"); o.Source != "" {
		t.Errorf("other comes from %s", o)
	}
}

func TestWhatRepositoriesDo(t *testing.T) {
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
		t.Errorf("published is %+v", s)
	}

	f.git.Git("reset", "-q", "--hard", first)
	f.git.Push()
	f.wantSynced("a force-push back", "fleet=v1")
	f.git.Git("checkout", "-q", "--orphan", "elsewhere")
	f.git.Commit("fleet.yaml", plan("fleet", "v3", ""))
	f.git.Git("push", "-q", "--force", "origin", "elsewhere:main")
	f.wantSynced("a force-push of another history", "fleet=v3")

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
		t.Errorf("synced is %s", s.Synced.Revision)
	}
}

func TestASymbolicLinkIsNotFollowed(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("good", "fleet=v1")
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	f.must(os.WriteFile(outside, []byte(plan("outside", "v1", "o")), 0o600))
	f.must(os.Symlink(outside, filepath.Join(f.git.Work, "link.yaml")))
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.wantFailed("a link", string(repository.Refused), "link.yaml: is a symbolic link", "fleet=v1")
}

// A sync that is broken off at any write, before or after that was applied, is finished by the next.
func TestASyncThatIsBrokenOffIsFinishedByTheNext(t *testing.T) {
	for _, late := range []bool{false, true} {
		for at := 1; ; at++ {
			f := newFixture(t)
			f.git.Commit("a.yaml", plan("a", "v1", "a"), "b.yaml", plan("b", "v1", "b"), "c.yaml", plan("c", "v1", "c"))
			f.start()
			f.wantSynced("before", "a=v1 b=v1 c=v1")
			f.git.Write("c.yaml", "")
			f.git.Commit("a.yaml", plan("a", "v2", "a"), "b.yaml", plan("b", "v2", "b"), "d.yaml", plan("d", "v2", "c"))
			f.store.mu.Lock()
			f.store.at, f.store.late = at, late
			f.store.mu.Unlock()
			s := f.sync()
			f.must(f.stop())
			broke := s.LastError != nil
			if broke && (s.LastError.Reason != gitsync.ReasonStore || !strings.Contains(s.LastError.Message, errBroken.Error())) {
				t.Errorf("%+v", s.LastError)
			}
			f.start() // as another controller would
			f.wantSynced(fmt.Sprintf("broken off at write %d", at), "a=v2 b=v2 d=v2")
			for _, name := range []string{"a", "b", "d"} {
				if f.origin(name).Source != "default" {
					t.Errorf("%s comes from %s", name, f.origin(name))
				}
			}
			if !broke {
				if at < 4 {
					t.Errorf("only %d writes", at-1)
				}
				break
			}
		}
	}
}

func TestALostLockEndsTheRun(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("good", "fleet=v1")
	f.must(f.store.DestroySession(t.Context(), f.session))
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.must(gitsync.Ring(t.Context(), f.store, "default", gitsync.Request{ID: "lost"}))
	f.eventually("the request was seen", func() bool {
		f.store.mu.Lock()
		defer f.store.mu.Unlock()
		return len(f.store.seen) > 1
	})
	err := f.stop()
	if !errors.Is(err, leaderelection.ErrLost) {
		t.Errorf("ended with %v", err)
	}
	f.wantStored("without the lock", "fleet=v1")
}

func TestWhatSomebodyElseChangesIsPutRight(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("good", "fleet=v1")
	_, _, err := f.plans.Apply(t.Context(), decoded(t, plan("fleet", "v9", "")), false)
	f.must(err)
	f.wantStored("by force", "fleet=v9")
	s := f.wantSynced("the next sync", "fleet=v1")
	if last := s.Events[len(s.Events)-1]; last.Reason != gitsync.ReasonCorrected || !strings.Contains(last.Message, "fleet configured") {
		t.Errorf("%+v", last)
	}
	f.must(f.plans.Delete(t.Context(), "fleet", false))
	f.wantSynced("deleted by force", "fleet=v1")
}

// Pause, abort and rollback stand, whatever Git brings; an aborted spec is not tried again until Git brings another.
func TestGitUndoesNoStop(t *testing.T) {
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
		t.Errorf("paused, and current_version is %s", got)
	}
	_, err = f.plans.Abort(t.Context(), "fleet", fleet.Pause{By: "alice"})
	f.must(err)
	_, err = f.plans.SetPause(t.Context(), "fleet", nil)
	f.must(err)
	f.git.Commit("README.md", "the same plan")
	f.wantSynced("v2, aborted", "fleet=v2")
	if got := current(); got != "v0" {
		t.Errorf("aborted, and current_version is %s", got)
	}
	// The same spec comes again, by way of somebody's force: it is still aborted.
	_, _, err = f.plans.Apply(t.Context(), decoded(t, plan("fleet", "v2", "")+"  paused: true\n"), false)
	f.must(err)
	f.wantSynced("v2, corrected", "fleet=v2")
	if got := current(); got != "v0" {
		t.Errorf("aborted and corrected, and current_version is %s", got)
	}
	f.git.Commit("fleet.yaml", plan("fleet", "v3", ""))
	f.wantSynced("v3", "fleet=v3")
	if got := current(); got != "v3" {
		t.Errorf("Git brought another, and current_version is %s", got)
	}
	pairs, _, err := f.store.List(t.Context(), keys.Layout{}.HoldTree()+"host/")
	f.must(err)
	if len(pairs) != 1 {
		t.Errorf("holds are %v", pairs)
	}
}
