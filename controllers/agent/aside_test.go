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
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// failing is a bench whose agent has failed once by the grant 1.4, and waits for its next attempt.
func failing(t *testing.T) *bench {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.set(enableHost, "True")
	b.grantOnce("v2", "1.4")
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("exit status 3") }
	b.fails()
	return b
}

// fails makes a pass whose step fails.
func (b *bench) fails() {
	b.t.Helper()
	if _, err := b.agent.Once(b.t.Context()); !isA[*StepError](err) {
		b.t.Errorf("error %v, want that of the step", err)
	}
}

// The controller takes the marker of a host that waits, and so sets it aside. The host keeps its report and makes no attempt.
func TestAgent_MakesNoAttemptWhenSetAside(t *testing.T) {
	b := failing(t)
	b.delete(startedKey)
	b.clock.now = b.clock.now.Add(2 * time.Hour)
	b.wantReason(permission.NotGranted)
	b.wantReason(permission.NotGranted)
	if r := b.report(); r.Phase != fleet.PhaseFailed || r.Attempt != 1 || r.AttemptRollout != 1 {
		t.Errorf("report %+v", r)
	}
	if len(b.changes) != 1 {
		t.Errorf("%d attempts", len(b.changes))
	}
}

// A start in a later rollout of the same version ends the failure that an earlier one left.
func TestAgent_ReportsItsStartInALaterRolloutOfTheSameVersion(t *testing.T) {
	b := failing(t)
	b.switchTo("v1")
	b.switchTo("v2")
	b.set(enableHost, "True")
	b.grantOnce("v2", "3.9")
	b.step = func(context.Context, Change) (string, error) {
		if r := b.report(); r.Phase != fleet.PhaseUpgrading {
			t.Errorf("report %+v", r)
		}
		return "", nil
	}
	b.once()
}

// A new grant lets it try again at once, also while it waits, and its attempts go on counting.
func TestAgent_TriesAgainAtOnceByAnotherGrant(t *testing.T) {
	for name, aside := range map[string]bool{"set aside": true, "waiting for its next attempt": false} {
		t.Run(name, func(t *testing.T) {
			b := failing(t)
			if aside {
				b.delete(startedKey)
			}
			b.restart() // the number of attempts outlives the process
			b.grantOnce("v2", "1.7")
			b.fails()
			if r := b.report(); r.Attempt != 2 {
				t.Errorf("report %+v", r)
			}
			if m := keys.DecodeStarted(b.pairs()[startedKey]); m == nil || m.Grant != "1.7" || m.Attempt != 2 || !m.Waiting {
				t.Errorf("marker %+v", m)
			}
		})
	}
}

// An attempt that was interrupted is resumed as the same one.
// A host that was installed again with a version serves, so its marker must not say any more that it changes to its first version.
func TestAgent_ResumesWithTheVersionOfAnotherInstallation(t *testing.T) {
	b := newBench(t, "")
	b.switchTo("v2")
	b.grantOnce("v2", "1.2")
	ctx, stop := context.WithCancel(t.Context())
	b.step = func(ctx context.Context, _ Change) (string, error) {
		stop()
		return "", ctx.Err()
	}
	_, _ = b.agent.Once(ctx)
	b.file = &MemoryVersion{version: "v1"}
	before := b.reportIndex()
	b.step = func(context.Context, Change) (string, error) {
		if m := keys.DecodeStarted(b.pairs()[startedKey]); m.From != "v1" || m.Attempt != 1 {
			t.Errorf("marker %+v", m)
		}
		if b.reportIndex() == before {
			t.Error("no report tells the controller to read the marker again")
		}
		return "", nil
	}
	b.restart()
	b.once()
}

func TestAgent_ResumesTheSameAttempt(t *testing.T) {
	b := failing(t)
	b.clock.now = b.clock.now.Add(2 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	b.step = func(context.Context, Change) (string, error) { cancel(); return "", errors.New("killed") }
	if _, err := b.agent.Once(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	b.restart()
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("exit status 3") }
	b.fails()
	if r := b.report(); r.Attempt != 2 {
		t.Errorf("the second failed attempt is reported as %d", r.Attempt)
	}
}

// The marker is deleted between the read and the start of an attempt: the host is set aside, and the attempt does not begin.
func TestAgent_BeginsNoAttemptWhileItIsSetAside(t *testing.T) {
	b := failing(t)
	b.clock.now = b.clock.now.Add(2 * time.Hour)
	b.wrapped = &interposed{Store: b.store, before: func(ops []store.Op) {
		for _, op := range ops {
			if op.Key == startedKey && op.Verb == store.Set {
				b.delete(startedKey)
			}
		}
	}}
	b.restart()
	b.wantReason(permission.NotGranted)
	if len(b.changes) != 1 {
		t.Errorf("%d attempts", len(b.changes))
	}
}

// interposed calls before ahead of each transaction.
type interposed struct {
	Store
	before func(ops []store.Op)
}

func (s *interposed) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	s.before(ops)
	return s.Store.Txn(ctx, ops)
}

// In the next rollout the host reports that it is idle, and counts from 1.
func TestAgent_ForgetsItsAttemptsInTheNextRollout(t *testing.T) {
	b := failing(t)
	b.delete(startedKey)
	b.switchTo("v3")
	b.wantReason(permission.NotGranted)
	if r := b.report(); r.Phase != fleet.PhaseIdle || r.Version != "v1" {
		t.Errorf("report %+v", r)
	}
	b.grantOnce("v3", "2.1")
	b.fails()
	if r := b.report(); r.Attempt != 1 || r.AttemptRollout != 2 {
		t.Errorf("report %+v", r)
	}
}
