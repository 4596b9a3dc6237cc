// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

// Observation is what a host knows of itself, and what it read of the store in one transaction.
type Observation struct {
	Host string
	// Role is empty when the host has none.
	Role string
	// View is what the rules depend on.
	View permission.View
	// Action is what hosts run instead of an upgrade to reach the current version. Nil means none.
	Action      *fleet.Action
	ActionIndex uint64
	// Hold is the hold on the host, or else that on its role, or else that on the fleet, with ScopeGlobal. Nil means none, or
	// that the controller shows that it has expired.
	Hold      *fleet.Hold
	HoldScope fleet.Scope
	// HoldEpoch is the index of the key that changes with each change of a hold. 0 means that there is no such key.
	HoldEpoch uint64
	Own       OwnKeys
	// Reached is the version that the host has, and how it came to it.
	Reached fleet.Reached
	// Memory is what the host remembers of rollouts. Remembers is false when it has no memory, as after an installation.
	Memory    Remembered
	Remembers bool
	// Machine identifies the machine on which the agent runs. Empty means unknown.
	Machine string
	Now     time.Time
}

// OwnKeys are the keys that the host writes itself.
type OwnKeys struct {
	// Started is the started marker. Nil means none.
	Started *fleet.Started
	// Report is nil when there is none, and ReportIndex 0.
	Report      *fleet.Report
	ReportIndex uint64
	// Recorded says that the host has a record under its local version. RecordTime is the time in it.
	Recorded   bool
	RecordTime time.Time
}

// Look reads all keys that decide for the host in one transaction, and decides. It changes nothing. Of the options it needs
// Host, Layout, Store, Version and Clock.
func (a *Agent) Look(ctx context.Context) (Observation, Verdict, error) {
	o, err := a.observe(ctx)
	if err != nil {
		return o, Verdict{}, err
	}
	return o, Decide(o), nil
}

// observe reads the version file, and all keys that decide in one transaction.
func (a *Agent) observe(ctx context.Context) (Observation, error) {
	local, err := a.Version.Version()
	if err != nil {
		return Observation{}, err
	}
	memory, remembers, err := a.Memory.Load()
	if err != nil {
		return Observation{}, fmt.Errorf("read the memory of rollouts: %w", err)
	}
	names := a.keysToRead(local)
	pairs, meta, err := a.Store.Get(ctx, names...)
	if err != nil {
		return Observation{}, fmt.Errorf("read keys: %w", err)
	}
	if meta.Filtered || len(pairs) != len(names) {
		return Observation{}, fmt.Errorf("read keys: got %d of %d keys: the token must be allowed to read all", len(pairs), len(names))
	}
	read := make(map[string]keys.Pair, len(pairs))
	for i, p := range pairs {
		if p.Key != names[i] {
			return Observation{}, fmt.Errorf("read keys: got %s for %s: the token must be allowed to read all keys", p.Key, names[i])
		}
		read[p.Key] = p
	}
	o := newObservation(a.Layout, a.Host, a.Role, local, read, a.Clock.Now())
	o.Memory, o.View.LastRollout, o.View.LastGrant = memory, memory.LastRollout(), memory.Grant
	o.Machine, o.Remembers = a.machine, remembers
	o.Reached = o.reached()
	o.View.Foreign, o.View.Duplicate = o.foreign(), o.duplicate()
	return o, nil
}

func (a *Agent) keysToRead(local string) []string {
	l := a.Layout
	names := []string{l.CurrentVersion(), l.EnableHost(a.Host), l.EnableGlobal(), l.PauseHost(a.Host), l.PauseGlobal(),
		l.HoldHost(a.Host), l.HoldFleet(), l.HoldEpoch(), l.Grant(a.Host), l.Started(a.Host), l.Report(a.Host), l.Action()}
	if a.Role != "" {
		names = append(names, l.EnableRole(a.Role), l.PauseRole(a.Role), l.HoldRole(a.Role))
	}
	if local != "" {
		names = append(names, l.Record(local, a.Host))
	}
	return names
}

// newObservation builds an Observation from what was read. A key that is missing in read counts as not set.
func newObservation(l keys.Layout, host, role, local string, read map[string]keys.Pair, now time.Time) Observation {
	record := read[l.Record(local, host)]
	own := OwnKeys{
		Started:     keys.DecodeStarted(read[l.Started(host)]),
		Report:      keys.DecodeReport(read[l.Report(host)]),
		ReportIndex: read[l.Report(host)].ModifyIndex,
		Recorded:    local != "" && record.Exists(),
		RecordTime:  keys.DecodeTime(record.Value),
	}
	current, action := keys.DecodeCurrent(read[l.CurrentVersion()]), keys.DecodeAction(read[l.Action()])
	if action != nil && action.Version != current.Name {
		action = nil
	}
	grant := keys.DecodeGrant(read[l.Grant(host)])
	var granted uint64
	if current.Governed && grant.For(current) {
		granted = grant.Index
	}
	held, scope := hold(now, granted, holdAt{fleet.ScopeHost, read[l.HoldHost(host)], read[l.PauseHost(host)]},
		holdAt{fleet.ScopeRole, read[l.HoldRole(role)], read[l.PauseRole(role)]},
		holdAt{scope: fleet.ScopeGlobal, hold: read[l.HoldFleet()]})
	started, failed := own.unfinished(local, current.Governed)
	return Observation{
		Host: host, Role: role, Now: now, Own: own,
		Action: action, ActionIndex: read[l.Action()].ModifyIndex,
		Hold: held, HoldScope: scope, HoldEpoch: read[l.HoldEpoch()].ModifyIndex,
		View: permission.View{
			Local: local, Started: started, StartedRollout: own.startedRollout(), Failed: failed, Current: current,
			HasAction: action != nil,
			Grant:     grant,
			Setting:   setting(read[l.EnableHost(host)], read[l.EnableRole(role)], read[l.EnableGlobal()]),
			PausedBy:  pausedBy(read[l.PauseHost(host)], read[l.PauseRole(role)], read[l.PauseGlobal()]),
			OnHold:    held != nil,
		},
	}
}

// scopes are in the order in which keys are looked up.
func scopes() [3]fleet.Scope {
	return [...]fleet.Scope{fleet.ScopeHost, fleet.ScopeRole, fleet.ScopeGlobal}
}

func setting(byScope ...keys.Pair) fleet.Setting {
	for i, p := range byScope {
		if p.Exists() {
			return fleet.Setting{Scope: scopes()[i], EnableValue: keys.DecodeEnableValue(p)}
		}
	}
	return fleet.Setting{}
}

// pausedBy skips the pause keys that stand for a hold: legacy hosts need them, an agent reads the hold itself.
func pausedBy(byScope ...keys.Pair) fleet.Scope {
	for i, p := range byScope {
		if !p.Exists() || keys.OfHold(p) {
			continue
		}
		if keys.DecodePause(p) {
			return scopes()[i]
		}
		break
	}
	return fleet.ScopeNone
}

// holdAt is the key of a hold, and its pause key. A hold on the fleet has none.
type holdAt struct {
	scope       fleet.Scope
	hold, pause keys.Pair
}

// hold returns the first hold that has not ended. The host has a grant of index granted. Zero means none.
func hold(now time.Time, granted uint64, byScope ...holdAt) (*fleet.Hold, fleet.Scope) {
	for _, at := range byScope {
		if h := keys.DecodeHold(at.hold); h != nil && !at.ended(h, now, granted) {
			return h, at.scope
		}
	}
	return nil, fleet.ScopeNone
}

// ended reports whether the controller shows that a hold has expired: it granted the host since, or removed the pause key of the
// hold. The host's clock, which may be wrong, never decides alone.
func (at holdAt) ended(h *fleet.Hold, now time.Time, granted uint64) bool {
	if h.Expires.IsZero() {
		return false
	}
	removed := at.scope != fleet.ScopeGlobal && !at.pause.Exists()
	return granted > at.hold.ModifyIndex || removed && h.Expired(now)
}

// unfinished returns the version that the host started to change to and did not reach, and whether it reported a failure.
// The started marker names it. In a fleet that is not governed, the report does if the marker is lost. A marker that the
// controller set does not count.
func (k OwnKeys) unfinished(local string, governed bool) (version string, failed bool) {
	if k.arrived(local) {
		return "", false
	}
	if k.Started != nil && k.Started.By == "" {
		version = k.Started.Version
	}
	if k.Report == nil || k.Report.Phase != fleet.PhaseUpgrading && k.Report.Phase != fleet.PhaseFailed {
		return version, false
	}
	if version == "" && governed { // a host that is not known to have started needs a grant
		return "", false
	}
	if version == "" {
		version = k.Report.Version
	}
	return version, k.Report.Phase == fleet.PhaseFailed && k.Report.Version == version
}

// startedRollout is the rollout of the host's started marker. Zero means none, or an agent that knew no grants.
func (k OwnKeys) startedRollout() uint64 {
	if k.Started == nil {
		return 0
	}
	return k.Started.Rollout
}

// arrived reports whether the host has the version of its started marker, because it was interrupted between the version
// file and the report. A change to the version that the host already had cannot be recognized, so its step runs again.
func (k OwnKeys) arrived(local string) bool {
	return k.Started != nil && local != "" && k.Started.Version == local && k.Started.From != local
}
