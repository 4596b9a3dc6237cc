// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

func (b *bench) wantReached(want fleet.Reached) {
	b.t.Helper()
	if got := b.report().Reached; got != want {
		b.t.Errorf("reached %+v, want %+v", got, want)
	}
}

// grantID is the id of a grant at noon.
func grantID(rollout, commit uint64) string { return fleet.GrantID(rollout, commit, noon) }

func (b *bench) reportIndex() uint64 { return b.pairs()[reportKey].ModifyIndex }

// A report that is written again names the first one that said which version the host has, and the grant by which it came to it.
func TestReport_KeepsHowTheHostReachedItsVersion(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v1")
	b.once()
	first := b.reportIndex()
	b.wantReached(fleet.Reached{Version: "v1", Unknown: true})

	b.switchTo("v2")
	b.grantOnce("v2", grantID(2, 1))
	failed := errors.New("exit status 1")
	b.step = func(context.Context, Change) (string, error) {
		b.wantReached(fleet.Reached{Version: "v1", Index: first, Unknown: true})
		return "", failed
	}
	if _, err := b.agent.Once(t.Context()); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	b.wantReached(fleet.Reached{Version: "v1", Index: first, Unknown: true})

	b.step = nil
	b.grantOnce("v2", grantID(2, 2))
	b.once()
	b.wantReached(fleet.Reached{Version: "v2", Grant: grantID(2, 2), Partial: true})

	reached := b.reportIndex()
	b.switchTo("v2") // another rollout of the version: the report has another number
	b.once()
	b.once()
	if b.reportIndex() == reached {
		t.Fatal("the report was not written again")
	}
	b.wantReached(fleet.Reached{Version: "v2", Index: reached, Grant: grantID(2, 2), Partial: true})
}

// An agent that was interrupted between its version file and its report names the grant of its marker.
func TestReport_NamesTheGrantAfterAnInterruption(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.grantOnce("v2", grantID(1, 1))
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
	b.wantReached(fleet.Reached{Version: "v2", Grant: grantID(1, 1)})
}

// The report of an agent of an earlier release does not say when the host reached its version. Its own index does.
func TestReport_TakesOverTheIndexOfAnEarlierRelease(t *testing.T) {
	b := newBench(t, "v1")
	b.set(reportKey, string(keys.EncodeReport(fleet.Report{Role: "web", Version: "v1", Phase: fleet.PhaseIdle, Time: noon})))
	before := b.reportIndex()
	b.once()
	b.wantReached(fleet.Reached{Version: "v1", Index: before, Unknown: true})
}

// A controller that sets a host aside deletes its marker. The host may finish all the same.
func TestReport_RemembersAGrantWhoseMarkerIsGone(t *testing.T) {
	for _, again := range []bool{false, true} {
		b := newBench(t, "v1")
		b.once()
		b.switchTo("v2")
		b.grantOnce("v2", grantID(1, 1))
		ctx, cancel := context.WithCancel(t.Context())
		b.step = func(context.Context, Change) (string, error) {
			b.delete(startedKey)
			cancel()
			if again {
				return "", context.Canceled
			}
			return "", nil
		}
		if _, err := b.agent.Once(ctx); err == nil {
			t.Fatal("it was not interrupted")
		}
		b.step = nil
		b.restart()
		want := grantID(1, 1)
		if again { // an operator lets it try again
			want = grantID(1, 2)
			b.grantOnce("v2", want)
		}
		b.once()
		b.wantReached(fleet.Reached{Version: "v2", Grant: want, Partial: true})
	}
}

// A change that finds the host at the version, as in a rollback after a failure, may take no time.
func TestReport_SaysThatTheHostHadTheVersion(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.grantOnce("v2", grantID(1, 1))
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("exit status 1") }
	b.fails()
	b.step = nil
	b.switchTo("v1")
	b.grantOnce("v1", grantID(2, 2))
	b.once()
	b.wantReached(fleet.Reached{Version: "v1", Grant: grantID(2, 2), Partial: true})
}

// Only an agent that has its memory, and whose machine reported another version, knows that another program changed the host.
func TestReached_NamesNoGrant(t *testing.T) {
	at := func(version string) *fleet.Report {
		return &fleet.Report{Schema: fleet.ReportSchema, Version: version, Phase: fleet.PhaseIdle, Machine: "a",
			Reached: fleet.Reached{Version: version}}
	}
	earlier := at("v1")
	earlier.Reached = fleet.Reached{}
	for name, tt := range map[string]struct {
		report   *fleet.Report
		remember bool
		machine  string
		unknown  bool
	}{
		"changed by others":                       {at("v1"), true, "a", false},
		"no memory, as after an installation":     {at("v1"), false, "a", true},
		"another machine":                         {at("v1"), true, "b", true},
		"no report":                               {nil, true, "a", true},
		"the report of an agent before an update": {earlier, true, "a", true},
	} {
		o := Observation{Own: OwnKeys{Report: tt.report}, Remembers: tt.remember, Machine: tt.machine}
		o.View.Local, o.View.Current = "v2", fleet.CurrentVersion{Name: "v2", Index: 7, Rollout: 4, Governed: true}
		o.Memory.Grant = grantID(3, 1)
		if got, want := o.reached(), (fleet.Reached{Version: "v2", Unknown: tt.unknown}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// A new agent says so once. That restarts no soak.
func TestReport_NamesTheVersionOfTheAgent(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.grantOnce("v2", grantID(1, 1))
	b.once()
	before, index := b.report(), b.reportIndex()
	if before.AgentVersion != "" || before.Version != "v2" {
		t.Fatalf("an agent of an earlier release reports %+v", before)
	}
	for _, release := range []string{"v0.2.0", "v0.3.0", "v0.2.0"} {
		b.release = release
		b.clock.now = b.clock.now.Add(time.Hour)
		b.restart()
		b.once()
		want := before
		want.AgentVersion, want.Reached.Index = release, index
		if got := b.report(); got != want {
			t.Errorf("agent %s reports\n%+v, want\n%+v", release, got, want)
		}
		at := b.reportIndex()
		b.once()
		if b.reportIndex() != at {
			t.Errorf("agent %s wrote its report again", release)
		}
	}
	b.switchTo("v3")
	b.grantOnce("v3", grantID(2, 1))
	failed := errors.New("exit status 1")
	b.step = func(context.Context, Change) (string, error) {
		if got := b.report(); got.Phase != fleet.PhaseUpgrading || got.AgentVersion != "v0.2.0" {
			t.Errorf("during the step: %+v", got)
		}
		return "", failed
	}
	if _, err := b.agent.Once(t.Context()); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if got := b.report(); got.Phase != fleet.PhaseFailed || got.AgentVersion != "v0.2.0" {
		t.Errorf("after the step: %+v", got)
	}
}
