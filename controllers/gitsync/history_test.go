// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// serveHTTPS makes the source use https.
func (f *fixture) serveHTTPS() *gittest.HTTPS {
	f.Helper()
	h := gittest.ServeHTTPS(f.T, f.git)
	f.source.URL, f.source.Auth = h.URL, repository.Auth{TokenFile: h.TokenFile, CAFile: h.CAFile}
	return h
}

// withoutHistory lets the server answer the fetch of each commit, but not that of its history.
func withoutHistory(h *gittest.HTTPS) {
	var lists atomic.Int64
	h.Before = func(request *http.Request) {
		if strings.HasSuffix(request.URL.Path, "/info/refs") && lists.Add(1)%2 == 0 {
			<-request.Context().Done()
		}
	}
}

// syncWithoutHistory applies a first commit, and begins to sync a second one whose history does not arrive.
func (f *fixture) syncWithoutHistory(timeout string) (first, second string) {
	f.Helper()
	https := f.serveHTTPS()
	first = f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.start()
	f.wantSynced("the first commit", "fleet=v1")
	f.must(f.stop())
	withoutHistory(https)
	f.source.Timeout = timeout
	second = f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
	f.start()
	return first, second
}

func TestRunner_FollowsWithoutVerifyAlthoughTheHistoryDoesNotArrive(t *testing.T) {
	f := newFixture(t)
	first, second := f.syncWithoutHistory("12s")
	f.eventually("the descendant", func() bool { return f.stored() == "fleet=v2" })
	f.must(f.stop())
	f.wantWarning(gitsync.ReasonRewound, "cannot tell whether main@sha1:"+second+" descends from "+first, "the source has no verify",
		"the server did not send the history within")
}

func TestRunner_RefusesVerifiedCommitWhoseHistoryDoesNotArrive(t *testing.T) {
	f := newVerifiedFixture(t)
	first, second := f.syncWithoutHistory("4s")
	f.eventually("the failure", func() bool { e := f.status("default").LastError; return e != nil && e.Revision != "" })
	f.must(f.stop())
	f.wantStored("the history does not arrive", "fleet=v1")
	e := f.status("default").LastError
	if e.Reason != string(repository.Unreachable) || e.Revision != "main@sha1:"+second ||
		!strings.Contains(e.Message, "cannot tell whether main@sha1:"+second+" descends from "+first) ||
		!strings.Contains(e.Message, "upgradectl reconcile source default --accept "+second) {
		t.Errorf("%+v", e)
	}
}

// The history without a filter has a large file, which no commit of today has.
func TestRunner_FollowsDescendantAfterALargeFileCameAndWent(t *testing.T) {
	for name, newSource := range map[string]func(*testing.T) *fixture{"no verify": newFixture, "verify": newVerifiedFixture} {
		t.Run(name, func(t *testing.T) {
			f := newSource(t)
			f.serveHTTPS()
			f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
			f.start()
			f.wantSynced("the first commit", "fleet=v1")
			f.git.Commit("large", strings.Repeat("0", 33<<20))
			f.git.Write("large", "")
			f.git.Commit("fleet.yaml", plan("fleet", "v2", ""))
			s := f.wantSynced("a descendant", "fleet=v2")
			if i := slices.IndexFunc(s.Events, func(e fleet.Event) bool { return e.Reason == gitsync.ReasonRewound }); i >= 0 {
				t.Error(s.Events[i])
			}
		})
	}
}
