// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// unreliable is a store that is unavailable while *down is true.
type unreliable struct {
	Store
	down *bool
}

func (s unreliable) err() error {
	if *s.down {
		return &store.UnavailableError{Address: "here", Err: errors.New("connection refused")}
	}
	return nil
}

func (s unreliable) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	if err := s.err(); err != nil {
		return nil, store.Meta{}, err
	}
	return s.Store.Get(ctx, key...)
}

func (s unreliable) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if err := s.err(); err != nil {
		return store.Result{}, err
	}
	return s.Store.Txn(ctx, ops)
}

// outage runs a step that ends with failure (nil means success) while the store is unavailable. The store is back an hour
// later.
func outage(t *testing.T, failure error) *bench {
	b := newBench(t, "v1")
	b.once()
	b.grant("v2")
	down := false
	b.wrapped = unreliable{b.store, &down}
	b.restart()
	b.step = func(context.Context, Change) (string, error) {
		down = true
		b.clock.now = noon.Add(time.Minute)
		return "", failure
	}
	if _, err := b.agent.Once(t.Context()); !isA[*store.UnavailableError](err) {
		t.Errorf("during the outage: %v", err)
	}
	if r := b.report(); r.Phase != fleet.PhaseUpgrading || !b.spool.saved {
		t.Errorf("reported %+v, saved: %v", r, b.spool.saved)
	}
	if _, err := b.agent.Once(t.Context()); !isA[*store.UnavailableError](err) || len(b.changes) != 1 {
		t.Errorf("second pass during the outage: %v, %d changes", err, len(b.changes))
	}
	down = false
	b.clock.now = noon.Add(time.Hour)
	b.restart()
	return b
}

func TestSpool_SendsASuccessWithItsTime(t *testing.T) {
	b := outage(t, nil)
	b.once()
	b.wantOwn("running/versions/v2/web1", reportKey)
	b.wantReport(fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseIdle, Time: noon.Add(time.Minute), DurationSeconds: 60})
	if got := keys.DecodeTime(b.pairs()["running/versions/v2/web1"].Value); !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("recorded at %s", got)
	}
	if b.spool.saved || len(b.changes) != 1 {
		t.Errorf("saved: %v, %d changes", b.spool.saved, len(b.changes))
	}
}

func TestSpool_SendsAFailureBeforeTheNextAttempt(t *testing.T) {
	b := outage(t, errors.New("no space left"))
	b.step = func(context.Context, Change) (string, error) {
		if r := b.report(); r.Phase != fleet.PhaseFailed || !r.Time.Equal(noon.Add(time.Minute)) || !strings.Contains(r.Message, "no space left") {
			t.Errorf("during the next attempt the report is %+v", r)
		}
		return "", nil
	}
	b.once()
	b.wantOwn("running/versions/v2/web1", reportKey)
}

func TestSpool_DropsStaleReports(t *testing.T) {
	for name, then := range map[string]func(b *bench){
		"a newer report": func(b *bench) {
			b.set(reportKey, string(keys.EncodeReport(fleet.Report{Role: "web", Version: "v1", Phase: fleet.PhaseIdle, Time: noon.Add(30 * time.Minute)})))
			b.delete(startedKey)
		},
		"another version on the host": func(b *bench) {
			b.file = &MemoryVersion{version: "v3"}
			b.restart()
		},
	} {
		for what, failure := range map[string]error{"success": nil, "failure": errors.New("no")} {
			t.Run(name+", "+what, func(t *testing.T) {
				b := outage(t, failure)
				b.set(enableHost, "False")
				then(b)
				seen := false
				b.wrapped = hooked{b.store, func(ops []store.Op) {
					for _, op := range ops {
						r := keys.DecodeReport(keys.Pair{Value: op.Value, ModifyIndex: 1})
						seen = seen || op.Key == reportKey && r.Time.Equal(noon.Add(time.Minute))
					}
				}}
				b.restart()
				b.once()
				unfinished := failure != nil && name != "a newer report"
				if seen != unfinished {
					t.Errorf("sent: %v", seen)
				}
				if b.spool.saved {
					t.Error("the report is still saved")
				}
			})
		}
	}
}

// A transaction without a reply arrives at the store after the next report.
func TestReport_LateTransactionDoesNotOverwriteANewerReport(t *testing.T) {
	b := newBench(t, "v1")
	b.grant("v2")
	var late []store.Op
	b.wrapped = lossy{b.store, func(ops []store.Op) bool {
		if late == nil && !startsChange(ops) && keys.DecodeStarted(b.pairs()[startedKey]) != nil {
			late = ops
			return true
		}
		return false
	}}
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("no") }
	b.restart()
	if _, err := b.agent.Once(t.Context()); err == nil || late == nil {
		t.Fatalf("%v, lost %v", err, late)
	}
	b.step = nil
	b.clock.now = noon.Add(time.Hour)
	b.once()
	want := b.report()
	if _, err := b.store.Txn(t.Context(), late); !isA[*store.ConflictError](err) {
		t.Errorf("late transaction: %v", err)
	}
	if want.Phase != fleet.PhaseIdle || b.report() != want {
		t.Errorf("report %+v, want %+v", b.report(), want)
	}
}

// lossy loses transactions on their way to the store.
type lossy struct {
	Store
	lose func(ops []store.Op) bool
}

func (s lossy) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if s.lose(ops) {
		return store.Result{}, &store.UnavailableError{Address: "here", Err: errors.New("no answer")}
	}
	return s.Store.Txn(ctx, ops)
}

func TestSpool_OnDisk(t *testing.T) {
	var s Spool = atomicfile.State[Unsent](filepath.Join(t.TempDir(), "unsent"))
	u := Unsent{fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseIdle, Time: noon, DurationSeconds: 5}, 17}
	if err := s.Save(u); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s.Load(); got != u || !ok || err != nil {
		t.Errorf("%+v %v %v", got, ok, err)
	}
}

// switchToAction writes an action with its version, and grants it.
func (b *bench) switchToAction(version, name string, args ...string) {
	b.t.Helper()
	b.write(
		store.Op{Verb: store.Set, Key: "current_version", Value: []byte(version), Flags: 0x616374},
		store.Op{Verb: store.Set, Key: actionKey, Value: keys.EncodeAction(fleet.Action{Version: version, Name: name, Args: args})})
	b.set(enableHost, "True")
}

func TestAction_RunsInsteadOfTheStep(t *testing.T) {
	b := newBench(t, "v1")
	b.switchToAction("reboot-1", "reboot", "now")
	b.once()
	if len(b.changes) != 0 || len(b.actions) != 1 || b.actions[0].Name != "reboot" || b.actions[0].Args[0] != "now" {
		t.Errorf("steps %v, actions %v", b.changes, b.actions)
	}
	b.wantLocal("reboot-1")
	b.wantOwn("running/versions/reboot-1/web1", actionKey, reportKey)
}

func TestAction_RefusalIsAFailure(t *testing.T) {
	b := newBench(t, "v1")
	b.switchToAction("reboot-1", "reboot")
	b.command = refuseCommand
	_, err := b.agent.Once(t.Context())
	if !isA[*StepError](err) {
		t.Errorf("error %v", err)
	}
	if r := b.report(); r.Phase != fleet.PhaseFailed || !strings.Contains(r.Message, `refused: command "reboot": this host runs no commands`) {
		t.Errorf("report %+v", r)
	}
	b.wantLocal("v1")
}

func TestAction_DoesNotRunWhenItChangesAfterTheRead(t *testing.T) {
	b := newBench(t, "v1")
	b.switchToAction("reboot-1", "reboot")
	b.wrapped = hooked{b.store, func(ops []store.Op) {
		if startsChange(ops) {
			b.set(actionKey, string(keys.EncodeAction(fleet.Action{Version: "reboot-1", Name: "halt"})))
		}
	}}
	b.restart()
	if b.once(); len(b.actions) != 1 || b.actions[0].Name != "halt" {
		t.Errorf("actions %v", b.actions)
	}
	b = newBench(t, "v1")
	b.switchToAction("reboot-1", "reboot")
	b.wrapped = hooked{b.store, func(ops []store.Op) {
		if startsChange(ops) {
			b.delete(actionKey)
		}
	}}
	b.restart()
	if v := b.once(); v.Change.Reason != permission.ActionUnclear || len(b.actions)+len(b.changes) > 0 {
		t.Errorf("verdict %+v, actions %v, steps %v", v.Change, b.actions, b.changes)
	}
}

// counting counts requests and keys.
type counting struct {
	Store
	reads, keys, writes int
}

func (c *counting) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	c.reads++
	c.keys += len(key)
	return c.Store.Get(ctx, key...)
}

func (c *counting) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	c.writes++
	return c.Store.Txn(ctx, ops)
}

// With 100,000 agents, each pass must be one small read.
func TestAgent_ReadsFewKeysOnce(t *testing.T) {
	b := newBench(t, "v1")
	b.set("current_version", "v1")
	b.once()
	c := &counting{Store: b.store}
	b.wrapped = c
	b.restart()
	b.once()
	if c.reads != 1 || c.keys > 16 || c.writes != 0 {
		t.Errorf("%d reads of %d keys, %d writes", c.reads, c.keys, c.writes)
	}
}
