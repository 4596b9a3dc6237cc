// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// clock is a fake Clock. Sleep advances it and returns at once.
type clock struct {
	now   time.Time
	slept []time.Duration
	// stop ends the sleep, given the number of sleeps so far. Nil means never.
	stop func(slept int) bool
}

func (c *clock) Now() time.Time { return c.now }

func (c *clock) Sleep(_ context.Context, d time.Duration) error {
	if c.stop != nil && c.stop(len(c.slept)) {
		return context.Canceled
	}
	c.slept = append(c.slept, d)
	c.now = c.now.Add(d)
	return nil
}

// isA reports whether err is or wraps an error of the type T.
func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Context() context.Context
}

// bench is one host and its store.
type bench struct {
	t     tb
	store *memory.Store
	// wrapped is what the agent uses instead of store. Nil means store itself.
	wrapped Store
	file    VersionFile
	spool   memorySpool
	memory  processMemory
	clock   *clock
	// rollout is the number of the last rollout that grantOnce began.
	rollout uint64
	// step is the upgrade step. Nil means that it succeeds. changes has each change that it ran for.
	step    Step
	changes []Change
	// command runs actions. Nil means that it succeeds. actions has each action that it ran.
	command func(ctx context.Context, c Change, a fleet.Action) (string, error)
	actions []fleet.Action
	agent   *Agent
	// machine is the agent's Machine. Nil means none.
	machine Machine
	// release is the version of the agent.
	release string
}

func newBench(t tb, local string) *bench {
	c := &clock{now: noon}
	b := &bench{t: t, clock: c, file: &MemoryVersion{version: local}}
	b.store = memory.New(c.Now)
	b.restart()
	return b
}

// restart creates a new agent, as after a crash.
func (b *bench) restart() {
	b.t.Helper()
	var s Store = b.store
	if b.wrapped != nil {
		s = b.wrapped
	}
	a, err := New(Options{Host: "web1", Store: s, Version: b.file, Clock: b.clock, Step: b.runStep, Command: b.runCommand,
		Spool: &b.spool, Memory: &b.memory, Machine: b.machine, AgentVersion: b.release, Random: func() float64 { return 0.5 }, Interval: time.Minute, Jitter: 20 * time.Second})
	if err != nil {
		b.t.Fatal(err)
	}
	b.agent = a
}

func (b *bench) runStep(ctx context.Context, c Change) (string, error) {
	b.changes = append(b.changes, c)
	if b.step == nil {
		return "", nil
	}
	return b.step(ctx, c)
}

func (b *bench) runCommand(ctx context.Context, c Change, a fleet.Action) (string, error) {
	b.actions = append(b.actions, a)
	if b.command == nil {
		return "", nil
	}
	return b.command(ctx, c, a)
}

func (b *bench) set(key, value string) {
	b.t.Helper()
	b.write(store.Op{Verb: store.Set, Key: key, Value: []byte(value)})
}

func (b *bench) delete(key string) {
	b.t.Helper()
	b.write(store.Op{Verb: store.Delete, Key: key})
}

func (b *bench) write(ops ...store.Op) {
	b.t.Helper()
	if _, err := b.store.Txn(b.t.Context(), ops); err != nil {
		b.t.Fatal(err)
	}
}

// grant switches to the version and grants it to the host.
func (b *bench) grant(version string) {
	b.t.Helper()
	b.set("current_version", version)
	b.set(enableHost, "True")
}

// switchTo begins a rollout of the version in a governed fleet, without a grant.
func (b *bench) switchTo(version string) {
	b.t.Helper()
	b.rollout++
	b.write(store.Op{Verb: store.Set, Key: "current_version", Value: []byte(version), Flags: keys.CurrentFlags(b.rollout, false)})
}

// grantOnce grants the version of the last rollout to the host.
func (b *bench) grantOnce(version, id string) {
	b.t.Helper()
	g := fleet.Grant{Rollout: b.rollout, Version: version, Time: b.clock.now, ID: id}
	b.set(grantKey, string(keys.EncodeGrant(g)))
}

func (b *bench) once() Verdict {
	b.t.Helper()
	v, err := b.agent.Once(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *bench) pairs() map[string]keys.Pair {
	b.t.Helper()
	list, _, err := b.store.List(b.t.Context(), "")
	if err != nil {
		b.t.Fatal(err)
	}
	all := map[string]keys.Pair{}
	for _, p := range list {
		all[p.Key] = p
	}
	return all
}

func (b *bench) report() fleet.Report {
	b.t.Helper()
	r := keys.DecodeReport(b.pairs()[reportKey])
	if r == nil {
		b.t.Fatal("no report")
	}
	return *r
}

// own returns the keys that the host wrote.
func (b *bench) own() string {
	b.t.Helper()
	own := slices.Sorted(maps.Keys(b.pairs()))
	own = slices.DeleteFunc(own, func(k string) bool {
		return !strings.HasPrefix(k, "running/") && !strings.HasPrefix(k, "upgrade.jiocloud.com/")
	})
	return strings.Join(own, " ")
}

func (b *bench) wantOwn(want ...string) {
	b.t.Helper()
	if got := b.own(); got != strings.Join(want, " ") {
		b.t.Errorf("the host's keys are\n%s, want\n%s", got, strings.Join(want, " "))
	}
}

// wantReport compares the report, and of how the host reached its version only which version that is.
func (b *bench) wantReport(want fleet.Report) {
	b.t.Helper()
	want.Schema = fleet.ReportSchema
	got := b.report()
	if reached := got.Reached.Version; want.Phase == fleet.PhaseIdle && reached != want.Version {
		b.t.Errorf("the report of %s says that the host has %q", want.Version, reached)
	}
	if got.Reached = want.Reached; got != want {
		b.t.Errorf("report\n%+v, want\n%+v", got, want)
	}
}

func (b *bench) wantLocal(want string) {
	b.t.Helper()
	if got, err := b.file.Version(); got != want || err != nil {
		b.t.Errorf("version file: %q %v, want %q", got, err, want)
	}
}

func TestAgent_ReportsItsVersionOnce(t *testing.T) {
	b := newBench(t, "v1")
	b.once()
	b.wantOwn("running/versions/v1/web1", reportKey)
	b.wantReport(fleet.Report{Role: "web", Version: "v1", Phase: fleet.PhaseIdle, Time: noon})
	before := b.pairs()
	b.clock.now = noon.Add(time.Hour)
	b.restart()
	b.once()
	for key, p := range b.pairs() {
		if p.ModifyIndex != before[key].ModifyIndex {
			t.Errorf("%s was written again", key)
		}
	}
}

func TestAgent_KeepsTheTimeOfALegacyRecord(t *testing.T) {
	b := newBench(t, "v1")
	b.set("running/versions/v1/web1", "1700000000.25")
	index := b.pairs()["running/versions/v1/web1"].ModifyIndex
	b.once()
	if got := b.report().Time.Unix(); got != 1700000000 {
		t.Errorf("reported time %d, want that of the record", got)
	}
	if b.pairs()["running/versions/v1/web1"].ModifyIndex != index {
		t.Error("the record was written again")
	}
}

func TestAgent_ReportsRoleWithoutVersion(t *testing.T) {
	b := newBench(t, "")
	b.set("config_state/enable_puppet/global", "False")
	b.set("current_version", "v1")
	b.once()
	b.wantOwn(reportKey)
	b.wantReport(fleet.Report{Role: "web", Phase: fleet.PhaseIdle, Time: noon})
}

func TestAgent_DeletesRecordsAfterReinstallation(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v1")
	b.once()
	b.set(enableHost, "False")
	b.file = &MemoryVersion{}
	b.restart()
	b.once()
	b.wantOwn(reportKey)

	b = newBench(t, "") // it was a legacy host
	b.set("current_version", "v1")
	b.set(enableHost, "False")
	b.set("running/versions/v1/web1", "1700000000")
	b.once()
	b.wantOwn(reportKey)
}

func TestAgent_ChangesVersionWhenGranted(t *testing.T) {
	b := newBench(t, "v1")
	b.once()
	b.grant("v2")
	b.step = func(context.Context, Change) (string, error) {
		b.wantOwn("running/versions/v1/web1", reportKey, startedKey)
		b.wantReport(fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseUpgrading, Time: noon})
		marker := *keys.DecodeStarted(b.pairs()[startedKey])
		marker.Index = 0
		if marker != (fleet.Started{Version: "v2", From: "v1", Time: noon, Attempt: 1}) {
			t.Errorf("started marker %+v", marker)
		}
		b.clock.now = noon.Add(time.Hour)
		return "", nil
	}
	if v := b.once(); v.Change.Reason != permission.Granted {
		t.Errorf("verdict %+v", v)
	}
	want := Change{Host: "web1", Role: "web", From: "v1", To: "v2"}
	if !slices.Equal(b.changes, []Change{want}) {
		t.Errorf("changes %+v", b.changes)
	}
	b.wantLocal("v2")
	b.wantOwn("running/versions/v2/web1", reportKey)
	b.wantReport(fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseIdle, Time: noon.Add(time.Hour),
		DurationSeconds: 3600})
	all := b.pairs()
	if got := string(all["running/versions/v2/web1"].Value); got != fmt.Sprint(noon.Add(time.Hour).Unix()) {
		t.Errorf("record %q", got)
	}
	if all["running/versions/v2/web1"].ModifyIndex != all[reportKey].ModifyIndex {
		t.Error("record and report were not written in one transaction")
	}
	if v := b.once(); v.Change.Reason != permission.AtVersion || len(b.changes) != 1 {
		t.Errorf("second pass: %+v, %d changes", v.Change, len(b.changes))
	}
}

func TestAgent_FirstBootNeedsNoGrant(t *testing.T) {
	b := newBench(t, "")
	b.set("current_version", "v1")
	if v := b.once(); v.Change.Reason != permission.FirstBoot {
		t.Errorf("verdict %+v", v)
	}
	b.wantLocal("v1")
	b.wantOwn("running/versions/v1/web1", reportKey)
}

func TestAgent_StaysWithoutPermission(t *testing.T) {
	for name, key := range map[string][2]string{
		"on hold":       {holdHost, `{"reason":"disk"}`},
		"paused":        {pauseRole, "False"},
		"disabled":      {enableHost, "False"},
		"invalid value": {enableHost, "maybe so"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "v1")
			b.grant("v2")
			b.set(key[0], key[1])
			b.once()
			if len(b.changes) > 0 {
				t.Errorf("changed: %+v", b.changes)
			}
			b.wantLocal("v1")
			if message := b.report().Message; strings.Contains(message, "maybe so") != (name == "invalid value") {
				t.Errorf("message %q", message)
			}
		})
	}
}

// The pause key of a hold is for legacy hosts. An agent reads the hold itself, which may have expired.
func TestAgent_IgnoresThePauseKeyOfAHold(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.write(store.Op{Verb: store.Set, Key: pauseRole, Value: []byte("False"), Flags: keys.HoldFlags})
	b.set(holdHost, `{"reason":"disk"}`)
	if v := b.once(); v.Change.Reason != permission.OnHold || !v.Puppet.Allowed {
		t.Errorf("on hold: %+v", v)
	}
	b.set(holdHost, `{"expires":"2001-01-01T00:00:00Z"}`)
	b.once()
	b.wantLocal("v2")
}

func TestAgent_ClearsStaleReportMessage(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.set(enableHost, "?")
	b.once()
	b.clock.now = noon.Add(time.Hour)
	b.set(enableHost, "False")
	b.once()
	b.wantReport(fleet.Report{Role: "web", Version: "v1", Phase: fleet.PhaseIdle, Time: noon})
}

// hooked calls a function before each transaction.
type hooked struct {
	Store
	before func(ops []store.Op)
}

func (h hooked) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	h.before(ops)
	return h.Store.Txn(ctx, ops)
}

func startsChange(ops []store.Op) bool { return ops[0].Verb == store.CheckIndex }

func TestAgent_DoesNotStartWhenTheGrantIsRevokedAfterTheRead(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.wrapped = hooked{b.store, func(ops []store.Op) {
		if startsChange(ops) {
			b.set(enableHost, "False")
		}
	}}
	b.restart()
	if v := b.once(); v.Change.Reason != permission.Disabled {
		t.Errorf("verdict %+v", v.Change)
	}
	if len(b.changes) > 0 {
		t.Error("the step ran")
	}
	b.wantOwn("running/versions/v1/web1", reportKey)
}

func TestAgent_DoesNotStartByAnOldGrantWhenTheVersionChangesAfterTheRead(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.wrapped = hooked{b.store, func(ops []store.Op) {
		if startsChange(ops) {
			b.set("current_version", "v3")
		}
	}}
	b.restart()
	if v := b.once(); v.Change.Reason != permission.OldGrant || len(b.changes) > 0 {
		t.Errorf("verdict %+v, changes %v", v.Change, b.changes)
	}
}

func TestAgent_DoesNotStartWhenAHoldIsSetAfterTheRead(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.set(keys.Layout{}.HoldEpoch(), "1")
	b.wrapped = hooked{b.store, func(ops []store.Op) {
		if startsChange(ops) {
			b.set(holdRole, `{"reason":"wait"}`)
			b.set(keys.Layout{}.HoldEpoch(), "2")
		}
	}}
	b.restart()
	if v := b.once(); v.Change.Allowed || len(b.changes) > 0 {
		t.Errorf("verdict %+v, changes %v", v.Change, b.changes)
	}
}

func TestAgent_GivesUpAfterRepeatedConflicts(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	attempts := 0
	b.wrapped = hooked{b.store, func(ops []store.Op) {
		if startsChange(ops) {
			attempts++
			b.write(store.Op{Verb: store.Set, Key: enableHost, Value: []byte("True"), Flags: uint64(attempts)})
		}
	}}
	b.restart()
	_, err := b.agent.Once(t.Context())
	if !isA[*store.ConflictError](err) || attempts != maxAttempts {
		t.Errorf("error %v after %d attempts", err, attempts)
	}
}

// blind hides keys, as ACLs do.
type blind struct {
	Store
	hide func([]keys.Pair) ([]keys.Pair, store.Meta)
}

func (s blind) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	pairs, _, err := s.Store.Get(ctx, key...)
	pairs, meta := s.hide(pairs)
	return pairs, meta, err
}

func TestAgent_RefusesIncompleteReads(t *testing.T) {
	for name, hide := range map[string]func([]keys.Pair) ([]keys.Pair, store.Meta){
		"fewer keys":         func(p []keys.Pair) ([]keys.Pair, store.Meta) { return p[:len(p)-1], store.Meta{} },
		"marked as filtered": func(p []keys.Pair) ([]keys.Pair, store.Meta) { return p, store.Meta{Filtered: true} },
		"in another order":   func(p []keys.Pair) ([]keys.Pair, store.Meta) { slices.Reverse(p); return p, store.Meta{} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "")
			b.set("current_version", "v1")
			b.wrapped = blind{b.store, hide}
			b.restart()
			if _, err := b.agent.Once(t.Context()); err == nil || len(b.changes) > 0 {
				t.Errorf("error %v, changes %v", err, b.changes)
			}
			b.wantOwn()
		})
	}
}

func TestAgent_ReportsAFailureAndRetries(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.step = func(context.Context, Change) (string, error) { return "no space left", errors.New("exit status 3") }
	_, err := b.agent.Once(t.Context())
	if failure, ok := errors.AsType[*StepError](err); !ok || failure.Change.To != "v2" {
		t.Fatalf("error %v", err)
	}
	b.wantLocal("v1")
	b.wantOwn("running/versions/v1/web1", reportKey, startedKey)
	b.wantReport(fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseFailed, Time: noon, Attempt: 1,
		Message: "attempt 1 failed: exit status 3; next attempt in 45s at the earliest\nno space left"})
	if m := keys.DecodeStarted(b.pairs()[startedKey]); m.Attempt != 1 || !m.Waiting {
		t.Errorf("after the failure the marker is %+v", m)
	}

	b.once() // too early
	if len(b.changes) != 1 {
		t.Fatalf("%d changes", len(b.changes))
	}
	b.clock.now = noon.Add(45 * time.Second)
	b.step = func(context.Context, Change) (string, error) {
		if r := b.report(); r.Phase != fleet.PhaseFailed {
			t.Errorf("during the second attempt the phase is %s", r.Phase)
		}
		if m := keys.DecodeStarted(b.pairs()[startedKey]); m.Attempt != 2 || m.Waiting || !m.Time.Equal(noon) {
			t.Errorf("during the second attempt the marker is %+v: another attempt does not extend the deadline", m)
		}
		return "", errors.New("exit status 4")
	}
	if _, err := b.agent.Once(t.Context()); err == nil {
		t.Error("no error")
	}
	if got := b.report().Message; got != "attempt 2 failed: exit status 4; next attempt in 1m30s at the earliest" {
		t.Errorf("message %q", got)
	}
	if m := keys.DecodeStarted(b.pairs()[startedKey]); m.Attempt != 2 || !m.Waiting {
		t.Errorf("after the second failure the marker is %+v", m)
	}

	b.clock.now = b.clock.now.Add(time.Hour)
	b.set(holdHost, "{}")
	b.once()
	if len(b.changes) != 2 {
		t.Error("retried while on hold")
	}
	b.delete(holdHost)
	b.step = nil
	b.once()
	b.wantLocal("v2")
	b.wantOwn("running/versions/v2/web1", reportKey)
}

// full is a version file on a full disk.
type full struct{ VersionFile }

func (full) SetVersion(string) error { return errors.New("no space left on device") }

func TestAgent_FailsWhenTheVersionFileCannotBeWritten(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.file = full{b.file}
	b.restart()
	if _, err := b.agent.Once(t.Context()); !isA[*StepError](err) {
		t.Errorf("error %v", err)
	}
	b.wantOwn("running/versions/v1/web1", reportKey, startedKey)
	if r := b.report(); r.Phase != fleet.PhaseFailed || !strings.Contains(r.Message, "no space left") {
		t.Errorf("report %+v", r)
	}
}

func TestAgent_DoesNotDelayAnotherVersionAfterAFailure(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("no") }
	_, _ = b.agent.Once(t.Context())
	b.set("current_version", "v3")
	b.write(store.Op{Verb: store.Set, Key: enableHost, Value: []byte("True"), Flags: 1})
	b.step = nil
	b.once()
	b.wantLocal("v3")
	b.wantOwn("running/versions/v3/web1", reportKey)
}

func TestRetry_DelayDoublesUpToAnHour(t *testing.T) {
	var r retry
	var delays []time.Duration
	for range 8 {
		delays = append(delays, r.failed("v2", noon, 0))
	}
	for i, minutes := range []float64{1, 2, 4, 8, 16, 32, 60, 60} {
		if delays[i].Minutes() != minutes {
			t.Errorf("attempt %d: %s, want %v minutes", i+1, delays[i], minutes)
		}
	}
	if delay := r.failed("v2", noon, 0.9999); delay < 30*time.Minute || delay > 31*time.Minute {
		t.Errorf("with jitter %s", delay)
	}
}

func TestAgent_FinishesTheStepWhenTheVersionChanges(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.step = func(context.Context, Change) (string, error) {
		b.set("current_version", "v3")
		b.set(enableHost, "False")
		return "", nil
	}
	b.once()
	b.wantLocal("v2")
	b.wantOwn("running/versions/v2/web1", reportKey)
	b.wantReport(fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseIdle, Time: noon})
	b.step = nil
	b.once()
	b.wantLocal("v2")
	b.set(enableHost, "True")
	b.once()
	b.wantLocal("v3")
}

func TestAgent_ResumesAfterAnInterruption(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	ctx, stop := context.WithCancel(t.Context())
	b.step = func(ctx context.Context, _ Change) (string, error) {
		stop()
		return "", ctx.Err()
	}
	if _, err := b.agent.Once(ctx); !errors.Is(err, context.Canceled) || isA[*StepError](err) {
		t.Errorf("error %v", err)
	}
	if r := b.report(); r.Phase != fleet.PhaseUpgrading {
		t.Errorf("an interruption was reported as %s", r.Phase)
	}
	b.set(holdHost, "{}") // too late: the host has started
	b.step = nil
	b.restart()
	if v := b.once(); v.Change.Reason != permission.Resuming {
		t.Errorf("verdict %+v", v.Change)
	}
	b.wantLocal("v2")
}

func TestAgent_RunsTheStepForARollbackAfterAFailure(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v1")
	b.once()
	b.grant("v2")
	b.write(store.Op{Verb: store.Set, Key: enableHost, Value: []byte("True"), Flags: 1})
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("no") }
	_, _ = b.agent.Once(t.Context())
	b.set(enableHost, "False")
	b.set("current_version", "v1")
	b.once()
	b.wantOwn("running/versions/v1/web1", reportKey, startedKey)
	b.set(enableHost, "True")
	b.step = nil
	if v := b.once(); v.Change.Reason != permission.Granted {
		t.Errorf("verdict %+v", v.Change)
	}
	if last := b.changes[len(b.changes)-1]; last.To != "v1" || last.From != "v1" {
		t.Errorf("last change %+v", last)
	}
	b.wantOwn("running/versions/v1/web1", reportKey)
	b.wantReport(fleet.Report{Role: "web", Version: "v1", Phase: fleet.PhaseIdle, Time: noon})
}

func TestAgent_KeepsTheControllersMarkerUntilItsVersionIsReached(t *testing.T) {
	b := newBench(t, "v1")
	b.set("current_version", "v2")
	b.set(enableHost, "False")
	b.set(startedKey, string(keys.EncodeStarted(fleet.Started{Version: "v2", By: fleet.ByController})))
	b.once()
	b.wantOwn("running/versions/v1/web1", reportKey, startedKey)
	b.file = &MemoryVersion{version: "v2"}
	b.restart()
	b.once()
	b.wantOwn("running/versions/v2/web1", reportKey)
}

func TestAgent_ReplacesTheControllersMarkerWhenItStarts(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.set(startedKey, string(keys.EncodeStarted(fleet.Started{Version: "v2", By: fleet.ByController})))
	b.step = func(context.Context, Change) (string, error) {
		if s := keys.DecodeStarted(b.pairs()[startedKey]); s.By != "" || s.From != "v1" {
			t.Errorf("started marker %+v", s)
		}
		return "", nil
	}
	b.once()
	b.wantOwn("running/versions/v2/web1", reportKey)
}

func TestAgent_DeletesAnUnreadableMarkerWhenIdle(t *testing.T) {
	b := newBench(t, "v1")
	b.set(startedKey, "\xff")
	b.set(reportKey, "\xff")
	b.once()
	b.wantOwn("running/versions/v1/web1", reportKey)
}

func TestAgent_KeepsANewerMarkerAfterAStaleRead(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.wrapped = hooked{b.store, func(ops []store.Op) {
		if b.clock.now.Equal(noon) && ops[len(ops)-1].Verb == store.DeleteCAS {
			b.clock.now = noon.Add(1)
			b.set(startedKey, string(keys.EncodeStarted(fleet.Started{Version: "v2", From: "v1"})))
		}
	}}
	b.set(startedKey, string(keys.EncodeStarted(fleet.Started{Version: "v1", From: "v0"})))
	b.restart()
	if v := b.once(); v.Change.Reason != permission.Resuming {
		t.Errorf("verdict %+v", v.Change)
	}
}

var errCrash = errors.New("crash")

// crasher makes the process crash, or the store's reply get lost, at the n-th operation: before the operation or after it.
type crasher struct {
	Store
	VersionFile
	step  Step
	n     int
	after bool
	lost  bool
}

func (c *crasher) at(op func()) {
	c.n--
	if c.n != 0 {
		op()
		return
	}
	if c.after {
		op()
	}
	panic(errCrash)
}

func (c *crasher) Get(ctx context.Context, key ...string) (p []keys.Pair, m store.Meta, err error) {
	c.at(func() { p, m, err = c.Store.Get(ctx, key...) })
	return p, m, err
}

func (c *crasher) Txn(ctx context.Context, ops []store.Op) (r store.Result, err error) {
	if c.lost {
		defer func() {
			if recover() != nil {
				err = &store.UnavailableError{Address: "here", Err: errCrash}
			}
		}()
	}
	c.at(func() { r, err = c.Store.Txn(ctx, ops) })
	return r, err
}

func (c *crasher) Version() (v string, err error) {
	c.at(func() { v, err = c.VersionFile.Version() })
	return v, err
}

func (c *crasher) SetVersion(v string) (err error) {
	c.at(func() { err = c.VersionFile.SetVersion(v) })
	return err
}

func (c *crasher) Step(ctx context.Context, change Change) (output string, err error) {
	c.at(func() { output, err = c.step(ctx, change) })
	return output, err
}

// A change converges although the agent crashes at any of its operations.
func TestAgent_ConvergesAfterACrash(t *testing.T) {
	for _, local := range []string{"v1", "", "governed v1", "governed "} {
		local, governed := strings.TrimPrefix(local, "governed "), strings.HasPrefix(local, "governed ")
		for _, mode := range []string{"before", "after", "reply lost before", "reply lost after"} {
			crashed := true
			for n := 1; crashed; n++ {
				t.Run(fmt.Sprintf("from %q, governed %t, %s operation %d", local, governed, mode, n), func(t *testing.T) {
					b := newBench(t, local)
					if governed {
						b.switchTo("v2")
						b.grantOnce("v2", "1.1")
					} else {
						b.grant("v2")
					}
					crashed = crash(t, b, n, strings.HasSuffix(mode, "after"), strings.HasPrefix(mode, "reply lost"))
					atCrash := b.own()
					done := strings.Contains(atCrash, "/v2/web1")
					if done == strings.Contains(atCrash, startedKey) && len(b.changes) > 0 {
						t.Errorf("after the crash the host has neither started nor finished: %s", atCrash)
					}
					b.restart()
					b.once()
					b.once()
					b.wantLocal("v2")
					b.wantOwn("running/versions/v2/web1", reportKey)
					b.wantReport(fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseIdle, Time: noon, Rollout: b.rollout})
					if len(b.changes) > 2 || done && len(b.changes) > 1 {
						t.Errorf("the step ran %d times", len(b.changes))
					}
				})
			}
		}
	}
}

// crash runs one pass with a crash at the n-th operation, and reports whether it happened.
func crash(t tb, b *bench, n int, after, lost bool) (crashed bool) {
	c := &crasher{Store: b.store, VersionFile: b.file, step: b.runStep, n: n, after: after, lost: lost}
	a, err := New(Options{Host: "web1", Store: c, Version: c, Clock: b.clock, Step: c.Step, Spool: &b.spool, Memory: &b.memory,
		Random: func() float64 { return 0.5 }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != nil {
			if err, ok := r.(error); !ok || !errors.Is(err, errCrash) {
				panic(r)
			}
			crashed = true
		}
	}()
	_, err = a.Once(t.Context())
	return err != nil
}

// checkPermission checks, independently of Decide, that the keys allow the step to run.
func checkPermission(r *rapid.T, all map[string]keys.Pair, c Change) {
	deciding := all[enableGlobal]
	for _, key := range []string{enableRole, enableHost} {
		if all[key].Exists() {
			deciding = all[key]
		}
	}
	if deciding.Exists() && !keys.DecodeEnableValue(deciding).Enables(c.To) {
		r.Errorf("the step ran for %s, which is disabled", c.To)
	}
	if keys.DecodePause(all[pauseHost]) || !all[pauseHost].Exists() && keys.DecodePause(all[pauseGlobal]) {
		r.Errorf("the step ran on a paused host")
	}
	if c.To != string(all["current_version"].Value) {
		r.Errorf("the step ran for %s", c.To)
	}
	if s := keys.DecodeStarted(all[startedKey]); s == nil || s.Version != c.To || s.By != "" {
		r.Errorf("the step ran without a started marker: %+v", s)
	}
}

// Operators, failures and crashes act in any order. The step runs only with permission, and the host converges in the end.
func TestAgent_RandomEvents(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBench(r, rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(r, "local"))
		set := func(key string, values ...string) func(*rapid.T) {
			return func(r *rapid.T) {
				if v := rapid.SampledFrom(append(values, "-")).Draw(r, key); v != "-" {
					b.set(key, v)
				} else {
					b.delete(key)
				}
			}
		}
		fails := false
		b.step = func(_ context.Context, c Change) (string, error) {
			checkPermission(r, b.pairs(), c)
			if fails {
				return "", errors.New("no")
			}
			return "", nil
		}
		r.Repeat(map[string]func(*rapid.T){
			"version":      set("current_version", "v1", "v2", "v3", "a/b"),
			"host":         set(enableHost, "True", "False", "v2", "?"),
			"role":         set(enableRole, "true", "0"),
			"global":       set(enableGlobal, "1", "False"),
			"pause host":   set(pauseHost, "False", "True"),
			"pause global": set(pauseGlobal, "False"),
			"hold":         set(holdHost, "{}"),
			"controller's marker": func(*rapid.T) {
				if !b.pairs()[reportKey].Exists() { // the controller sets it for legacy hosts only
					b.set(startedKey, `{"version":"v2","by":"controller"}`)
				}
			},
			"pass": func(r *rapid.T) {
				fails = rapid.Bool().Draw(r, "fails")
				b.clock.now = b.clock.now.Add(time.Duration(rapid.IntRange(0, 120).Draw(r, "minutes")) * time.Minute)
				_, _ = b.agent.Once(r.Context())
			},
			"crash": func(r *rapid.T) {
				fails = rapid.Bool().Draw(r, "fails")
				crash(r, b, rapid.IntRange(1, 8).Draw(r, "operation"), rapid.Bool().Draw(r, "after"),
					rapid.Bool().Draw(r, "reply lost"))
				b.restart()
			},
		})
		fails = false
		for _, key := range []string{pauseHost, pauseGlobal, holdHost} {
			b.delete(key)
		}
		b.delete(enableHost)
		b.grant("v9")
		b.restart()
		b.once()
		b.wantLocal("v9")
		b.wantOwn("running/versions/v9/web1", reportKey)
	})
}

func TestRun_WaitsIntervalAndJitter(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	b.clock.stop = func(slept int) bool { return slept == 3 }
	b.agent.Run(t.Context())
	if want := []time.Duration{10 * time.Second, 70 * time.Second, 70 * time.Second}; !slices.Equal(b.clock.slept, want) {
		t.Errorf("slept %v, want %v", b.clock.slept, want)
	}
	b.wantLocal("v2")
	if len(b.changes) != 1 {
		t.Errorf("%d changes", len(b.changes))
	}
}

func TestRun_ContinuesAfterAnOutage(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	down := true
	b.wrapped = unreliable{b.store, &down}
	b.restart()
	b.clock.stop = func(slept int) bool {
		down = slept < 2
		return slept == 3
	}
	b.agent.Run(t.Context())
	b.wantLocal("v2")
}

func TestNew_RejectsInvalidNames(t *testing.T) {
	for _, o := range []Options{{Host: "a/b"}, {Host: ""}, {Host: "web1", Role: "a b"}, {Host: "../x"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%q with role %q was accepted", o.Host, o.Role)
		}
	}
}
