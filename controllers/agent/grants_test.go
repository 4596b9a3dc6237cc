// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const grantKey = "upgrade.jiocloud.com/grants/web1"

func (b *bench) wantReason(want permission.Reason) {
	b.t.Helper()
	if v := b.once(); v.Change.Reason != want {
		b.t.Errorf("%s: %s, want %s", v.Change.Reason, v.Change.Message, want)
	}
}

// The start deletes the grant in its transaction, and the marker and the memory name it.
func TestAgent_UsesAGrantOnce(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.set(enableHost, "True")
	b.wantReason(permission.NotGranted)
	b.grantOnce("v2", "1.4")
	b.step = func(context.Context, Change) (string, error) {
		pairs := b.pairs()
		if pairs[grantKey].Exists() {
			t.Error("the grant exists after the start")
		}
		if m := keys.DecodeStarted(pairs[startedKey]); m == nil || m.Grant != "1.4" || m.Rollout != 1 || m.From != "v1" {
			t.Errorf("the marker is %+v", m)
		}
		if b.memory.Grant != "1.4" {
			t.Errorf("the memory is %+v", b.memory)
		}
		return "", nil
	}
	b.wantReason(permission.Granted)
	b.wantLocal("v2")
	b.wantReport(fleet.Report{Role: "web", Version: "v2", Phase: fleet.PhaseIdle, Time: noon, Rollout: 1})
	if b.memory.Rollout != 1 || len(b.changes) != 1 {
		t.Errorf("memory %+v, changes %+v", b.memory, b.changes)
	}
}

// The marker keeps what the grant said of the checks: they are not a failure of the rollout when the grant is gone.
func TestAgent_MarksAStartAsUnhealthy(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.set(grantKey, string(keys.EncodeGrant(fleet.Grant{Rollout: 1, Version: "v2", Time: noon, ID: "1.4", Unhealthy: true})))
	b.step = func(context.Context, Change) (string, error) {
		if m := keys.DecodeStarted(b.pairs()[startedKey]); m == nil || !m.Unhealthy {
			t.Errorf("the marker is %+v", m)
		}
		return "", nil
	}
	b.wantReason(permission.Granted)
}

// A restored or replayed grant starts nothing, also on a host that was reinstalled at the old version with its memory.
func TestAgent_RefusesAUsedGrant(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.grantOnce("v2", "1.4")
	b.once()
	b.file = &MemoryVersion{version: "v1"}
	b.restart()
	b.grantOnce("v2", "1.4")
	b.wantReason(permission.UsedGrant)
	b.grantOnce("v2", "1.9")
	b.wantReason(permission.Granted)
}

// A restored backup of the same rollout holds an earlier started marker, and a grant that the host has used since. The marker must
// not replace what the host remembers.
func TestAgent_RefusesARestoredGrantBesideAnEarlierMarker(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("broken package") }
	b.grantOnce("v2", "1.4")
	_, _ = b.agent.Once(t.Context())
	b.grantOnce("v2", "1.12")
	backup := b.pairs()
	b.clock.now = b.clock.now.Add(maxRetry)
	_, _ = b.agent.Once(t.Context())
	if b.memory.Grant != "1.12" {
		t.Fatalf("the memory is %+v", b.memory)
	}

	for key := range b.pairs() {
		b.delete(key)
	}
	for key, p := range backup {
		b.write(store.Op{Verb: store.Set, Key: key, Value: p.Value, Flags: p.Flags})
	}
	b.set(enableHost, "False") // so that it must not try again by its marker
	b.restart()
	b.clock.now = b.clock.now.Add(maxRetry)
	changes := len(b.changes)
	for range 2 {
		_, _ = b.agent.Once(t.Context())
	}
	if b.memory.Grant != "1.12" || len(b.changes) != changes {
		t.Errorf("the memory is %+v after the restore, and the host started %d times", b.memory, len(b.changes)-changes)
	}
}

// After a restore of Consul, no key starts a host that has finished a later rollout. The report says so.
func TestAgent_RefusesWhenTheStoreWentBack(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v1")
	b.once()
	backup := b.pairs()
	b.switchTo("v2")
	b.grantOnce("v2", "2.1")
	b.once()
	b.wantLocal("v2")

	for key := range b.pairs() {
		b.delete(key)
	}
	for key, p := range backup {
		b.write(store.Op{Verb: store.Set, Key: key, Value: p.Value, Flags: p.Flags})
	}
	b.set(enableHost, "True")
	g := fleet.Grant{Rollout: 1, Version: "v1", ID: "1.1"}
	b.set(grantKey, string(keys.EncodeGrant(g)))
	b.wantReason(permission.StoreWentBack)
	b.wantReason(permission.StoreWentBack)
	b.wantLocal("v2")
	r := b.report()
	if r.Phase != fleet.PhaseRefused || r.Reason != "StoreWentBack" || r.Rollout != 2 || r.Version != "v2" ||
		!strings.Contains(r.Message, "resume --accept-restored") {
		t.Errorf("%+v", r)
	}

	// The operator accepts: the next rollout has a higher number.
	b.rollout = 5
	b.switchTo("v1")
	b.grantOnce("v1", "6.1")
	b.wantReason(permission.Granted)
	b.wantLocal("v1")
	if r := b.report(); r.Phase != fleet.PhaseIdle || r.Rollout != 6 || r.Reason != "" {
		t.Errorf("%+v", r)
	}
}

// A host that has begun a later rollout, and not finished it, does not use a grant of a restored backup a second time.
func TestAgent_RefusesEarlierGrantsOfARestoredBackup(t *testing.T) {
	b := newBench(t, "v1")
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("exit status 1") }
	b.switchTo("v2")
	b.grantOnce("v2", grantID(1, 1))
	backup := b.pairs()
	b.fails()
	b.switchTo("v3")
	b.grantOnce("v3", grantID(2, 5))
	b.fails()
	if r := b.report(); r.Rollout != 2 {
		t.Errorf("the report is of rollout %d", r.Rollout)
	}
	for key := range b.pairs() {
		b.delete(key)
	}
	for key, p := range backup {
		b.write(store.Op{Verb: store.Set, Key: key, Value: p.Value, Flags: p.Flags})
	}
	began := len(b.changes)
	b.restart()
	b.wantReason(permission.StoreWentBack)
	if len(b.changes) != began {
		t.Error("the host began again")
	}
	if r := b.report(); r.Phase != fleet.PhaseRefused || r.Rollout != 2 {
		t.Errorf("%+v", r)
	}
}

// A pause of the plan sets the hold on the fleet: it binds agents that have a grant.
func TestAgent_DoesNotStartWhileTheFleetIsOnHold(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.grantOnce("v2", "1.1")
	b.set("upgrade.jiocloud.com/holds/fleet", `{"plan":"fleet","reason":"lunch"}`)
	v := b.once()
	if v.Change.Reason != permission.OnHold || v.Change.Message != "the fleet is on hold: lunch" || !v.Puppet.Allowed {
		t.Errorf("%+v", v)
	}
	b.delete("upgrade.jiocloud.com/holds/fleet")
	b.wantReason(permission.Granted)
}

// The controller's clock decides when a hold ends. It shows that by a grant, or by removing the pause key of the hold.
func TestAgent_EndsHoldsByTheControllersClock(t *testing.T) {
	grant, clockAhead, clockBehind := "grant", noon.Add(-time.Hour), noon.Add(time.Hour)
	for _, tt := range []struct {
		name    string
		written []string // in this order
		expires time.Time
		want    permission.Reason
	}{
		{"clock ahead, with the pause key", []string{grant, pauseHost, holdHost}, clockAhead, permission.OnHold},
		{"clock ahead, pause key removed", []string{grant, holdHost}, clockAhead, permission.Granted},
		{"clock ahead, pause key of an operator that does not stop", []string{grant, "unpaused", holdHost}, clockAhead, permission.OnHold},
		{"clock ahead, granted since", []string{pauseHost, holdHost, grant}, clockAhead, permission.Granted},
		{"clock behind, granted since", []string{holdHost, grant}, clockBehind, permission.Granted},
		{"clock behind, granted before", []string{grant, holdHost}, clockBehind, permission.OnHold},
		{"without an end, granted since", []string{holdHost, grant}, time.Time{}, permission.OnHold},
		{"role, clock ahead, with the pause key", []string{grant, pauseRole, holdRole}, clockAhead, permission.OnHold},
		{"role, clock ahead, pause key removed", []string{grant, holdRole}, clockAhead, permission.Granted},
		{"fleet, clock ahead", []string{grant, "upgrade.jiocloud.com/holds/fleet"}, clockAhead, permission.OnHold},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "v1")
			b.switchTo("v2")
			for _, key := range tt.written {
				switch key {
				case grant:
					b.grantOnce("v2", "1.1")
				case pauseHost, pauseRole:
					b.write(store.Op{Verb: store.Set, Key: key, Value: []byte(keys.Disabled), Flags: keys.HoldFlags})
				case "unpaused":
					b.set(pauseHost, "True")
				default:
					b.set(key, string(keys.EncodeHold(fleet.Hold{Expires: tt.expires})))
				}
			}
			b.wantReason(tt.want)
		})
	}
}

// A grant that is revoked between the read and the start starts nothing.
func TestAgent_DoesNotStartByARevokedGrant(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.grantOnce("v2", "1.1")
	b.wrapped = &revoking{Store: b.store, revoke: func() { b.delete(grantKey) }}
	b.restart()
	b.wantReason(permission.NotGranted)
	b.wantLocal("v1")
	if len(b.changes) != 0 {
		t.Errorf("%+v", b.changes)
	}
}

// revoking revokes the grant before the first transaction that uses it.
type revoking struct {
	Store
	revoke func()
}

func (r *revoking) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	for _, op := range ops {
		if op.Key == grantKey && r.revoke != nil {
			r.revoke()
			r.revoke = nil
		}
	}
	return r.Store.Txn(ctx, ops)
}

// A host that failed tries again by its marker, without another grant, until a stop.
func TestAgent_RetriesByItsMarker(t *testing.T) {
	b := newBench(t, "v1")
	b.switchTo("v2")
	b.set(enableHost, "True")
	b.grantOnce("v2", "1.1")
	b.step = func(context.Context, Change) (string, error) { return "", errors.New("no space") }
	if _, err := b.agent.Once(t.Context()); err == nil {
		t.Fatal("the step did not fail")
	}
	b.step = nil
	b.clock.now = noon.Add(maxRetry)
	b.set("upgrade.jiocloud.com/holds/fleet", `{"plan":"fleet"}`)
	b.wantReason(permission.OnHold)
	b.delete("upgrade.jiocloud.com/holds/fleet")
	b.wantReason(permission.Retrying)
	b.wantLocal("v2")
}
