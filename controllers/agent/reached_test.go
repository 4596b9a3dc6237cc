// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

func (b *bench) wantReached(want fleet.Reached) {
	b.t.Helper()
	if got := b.report().Reached; got != want {
		b.t.Errorf("reached %+v, want %+v", got, want)
	}
}

func (b *bench) reportIndex() uint64 { return b.pairs()[reportKey].ModifyIndex }

// A report that is written again names the first one that said which version the host has, and the grant by which it came to it.
func TestReport_KeepsHowTheHostReachedItsVersion(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v1")
	b.once()
	first := b.reportIndex()
	b.wantReached(fleet.Reached{Version: "v1"})

	b.switchTo("v2")
	b.grantOnce("v2", "2.1")
	failed := errors.New("exit status 1")
	b.step = func(context.Context, Change) (string, error) {
		b.wantReached(fleet.Reached{Version: "v1", Index: first})
		return "", failed
	}
	if _, err := b.agent.Once(t.Context()); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	b.wantReached(fleet.Reached{Version: "v1", Index: first})

	b.step = nil
	b.grantOnce("v2", "2.2")
	b.once()
	b.wantReached(fleet.Reached{Version: "v2", Grant: "2.2"})

	reached := b.reportIndex()
	b.switchTo("v2") // another rollout of the version: the report has another number
	b.once()
	b.once()
	if b.reportIndex() == reached {
		t.Fatal("the report was not written again")
	}
	b.wantReached(fleet.Reached{Version: "v2", Index: reached, Grant: "2.2"})
}

// An agent that was interrupted between its version file and its report names the grant of its marker.
func TestReport_NamesTheGrantAfterAnInterruption(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.grantOnce("v2", "1.1")
	ctx, cancel := context.WithCancel(t.Context())
	b.step = func(context.Context, Change) (string, error) {
		cancel()
		return "", nil
	}
	if _, err := b.agent.Once(ctx); err == nil {
		t.Fatal("it was not interrupted")
	}
	b.wantLocal("v2")
	b.restart()
	b.once()
	b.wantReached(fleet.Reached{Version: "v2", Grant: "1.1"})
}

// The report of an agent of an earlier release does not say when the host reached its version. Its own index does.
func TestReport_TakesOverTheIndexOfAnEarlierRelease(t *testing.T) {
	b := newBench(t, "v1")
	b.set(reportKey, string(keys.EncodeReport(fleet.Report{Role: "web", Version: "v1", Phase: fleet.PhaseIdle, Time: noon})))
	before := b.reportIndex()
	b.once()
	b.wantReached(fleet.Reached{Version: "v1", Index: before})
}
