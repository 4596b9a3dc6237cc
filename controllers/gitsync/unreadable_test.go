// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// storeStatus stores a status while no runner runs.
func (f *fixture) storeStatus(value string) {
	f.Helper()
	f.must(f.stop())
	f.txn(store.Op{Verb: store.Set, Key: keys.Source("default"), Value: []byte(value)})
}

// Without the commit that was applied last, any older signed commit would be as good as a later one.
func TestRunner_VerifiedSourceStopsWithoutAReadableStatus(t *testing.T) {
	f := newVerifiedFixture(t)
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v2")
	for what, value := range map[string]string{
		"no JSON":                       "{",
		"a later schema":                `{"schema":99,"source":{"name":"default"},"base":"` + second + `"}`,
		"another type":                  `{"source":{"name":"default"},"base":5}`,
		"null":                          "null",
		"nothing":                       "{}",
		"an empty value":                "",
		"another source":                `{"source":{"name":"other"}}`,
		"a base that is no hash":        `{"source":{"name":"default"},"base":"` + second[:39] + `"}`,
		"a revision that has no commit": `{"source":{"name":"default"},"synced":{"revision":"main","time":"2026-01-01T00:00:00Z"}}`,
	} {
		f.storeStatus(value)
		f.reset(first)
		f.start()
		f.wantFailed(what, gitsync.ReasonUnreadable, "upgradectl reconcile source default --accept "+first, "fleet=v2")
		if s := f.status("default"); s.Unreadable == nil || *s.Unreadable != value || s.Base != "" {
			t.Errorf("%s: %+v", what, s)
		}
		f.wantFailed(what+", again", gitsync.ReasonUnreadable, "cannot be read", "fleet=v2")
		f.accept(second)
		f.wantStored("another commit was accepted", "fleet=v2")
		f.accept(first)
		f.wantStored("accepted", "fleet=v1")
		f.reset(second)
		s := f.wantSynced(what+", then a descendant", "fleet=v2")
		if s.Unreadable != nil || s.Base != second {
			t.Errorf("%s: after the accepted commit: %+v", what, s)
		}
	}
}

// A controller that can read a status which another one could not continues from it.
func TestRunner_ReadsAStatusThatWasUnreadable(t *testing.T) {
	f := newVerifiedFixture(t)
	first := f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	second := f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v2")
	f.storeStatus(`{"source":{"name":"default"},"unreadable":` + strconv.Quote(`{"source":{"name":"default"},"base":"`+second+`"}`) + `}`)
	f.reset(first)
	f.start()
	f.wantFailed("an older commit", gitsync.ReasonRewind, "does not descend from "+second, "fleet=v2")
}

func TestRunner_FollowsWithoutVerifyAlthoughTheStatusIsUnreadable(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v1")
	f.storeStatus("{")
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	if s := f.wantSynced("the second commit", "fleet=v2"); s.Unreadable != nil {
		t.Errorf("%+v", s)
	}
	f.wantWarning(gitsync.ReasonRewound, "cannot tell whether", "cannot be read", "the source has no verify")
}

// A status can be as large as a value of the store.
func TestRunner_KeepsOnlyTheStartOfALargeUnreadableStatus(t *testing.T) {
	f := newVerifiedFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("the first sync", "fleet=v1")
	f.storeStatus(strings.Repeat(`"`, 250<<10))
	f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	f.wantFailed("a large status", gitsync.ReasonUnreadable, "cannot be read", "fleet=v1")
}
