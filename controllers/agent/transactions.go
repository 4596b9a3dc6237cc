// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// startOps starts a change. The transaction fails if current_version, the grant, the deciding key, the action or any hold has
// changed since the read. It deletes the grant, so that the host can use it once. The check of its index comes first, since
// delete-cas of a missing key succeeds. Without a deciding key there is none to check, since checking that a key is absent needs
// the right to write it. The marker is always written: a server that lags behind may answer a transaction of checks alone.
func (a *Agent) startOps(o Observation, v Verdict) []store.Op {
	current, setting := o.View.Current, o.View.Setting
	ops := []store.Op{{Verb: store.CheckIndex, Key: a.Layout.CurrentVersion(), Index: current.Index}}
	if grant := o.View.Grant; v.usesGrant(o) {
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: a.Layout.Grant(a.Host), Index: grant.Index},
			store.Op{Verb: store.DeleteCAS, Key: a.Layout.Grant(a.Host), Index: grant.Index})
	} else if key := a.enableKey(setting.Scope); key != "" {
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: key, Index: setting.Index})
	}
	if o.Action != nil {
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: a.Layout.Action(), Index: o.ActionIndex})
	}
	if o.HoldEpoch != 0 { // after a hold was acknowledged, no host may start
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: a.Layout.HoldEpoch(), Index: o.HoldEpoch})
	}
	started := a.Layout.Started(a.Host)
	if own := o.Own.ownMarker(current.Name); own != nil && !v.usesGrant(o) { // the controller may delete it, to set the host aside
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: started, Index: own.Index})
	}
	next := o.nextMarker(v)
	ops = append(ops, store.Op{Verb: store.Set, Key: started, Value: keys.EncodeStarted(next)})
	if !o.Own.reportsStart(current) || o.Own.replaces(next) {
		ops = append(ops, a.setReport(o, a.signed(o, fleet.Report{Schema: fleet.ReportSchema, Role: a.Role, Version: current.Name,
			Phase: fleet.PhaseUpgrading, Time: o.Now, Rollout: o.Memory.LastRollout()})))
	}
	return ops
}

// nextMarker is the started marker of the attempt that begins. An attempt without a new grant does not extend the deadline, and
// one that resumes an interrupted attempt is the same one.
func (o Observation) nextMarker(v Verdict) fleet.Started {
	current, own := o.View.Current, o.Own.ownMarker(o.View.Current.Name)
	m := fleet.Started{Version: current.Name, From: o.View.Local, Time: o.Now, Rollout: current.Rollout}
	switch {
	case v.usesGrant(o):
		m.Grant, m.Unhealthy = o.View.Grant.ID, o.View.Grant.Unhealthy
	case own != nil:
		m = *own
		m.From = cmp.Or(own.From, o.View.Local) // the host was installed again with a version, and serves
		m.Waiting = false
		if !own.Waiting && own.Attempt > 0 {
			return m
		}
	}
	m.Attempt = o.attempts() + 1
	return m
}

// replaces reports whether a marker says another version to begin with. Controllers read a marker again when the report changes.
func (k OwnKeys) replaces(next fleet.Started) bool {
	own := k.ownMarker(next.Version)
	return own != nil && own.From != next.From && k.Report.Phase == fleet.PhaseUpgrading
}

// ownMarker returns the marker of the host's own change to a version, or nil.
func (k OwnKeys) ownMarker(version string) *fleet.Started {
	if s := k.Started; s != nil && s.By == "" && s.Version == version {
		return s
	}
	return nil
}

// attempts returns how many attempts the host made in the current rollout. The memory tells of one whose marker was deleted.
func (o Observation) attempts() (n int) {
	own, current := o.Own, o.View.Current
	if o.usedGrant(current) {
		n = 1
	}
	if m := own.ownMarker(current.Name); m != nil && m.Rollout == current.Rollout {
		n = max(n, m.Attempt)
	}
	if own.failedIn(current) {
		n = max(n, own.Report.Attempt)
	}
	return n
}

// failedIn reports whether the report is of a failure in the current rollout.
func (k OwnKeys) failedIn(current fleet.CurrentVersion) bool {
	r := k.Report
	return r != nil && r.Phase == fleet.PhaseFailed && r.Version == current.Name && r.AttemptRollout == current.Rollout && r.Attempt > 0
}

// reportsStart reports whether the report already says that the host started to change to the version, or failed to. A host
// that failed keeps that report until it succeeds: another attempt must not free a place in a failure budget. A failure of an earlier
// rollout of the same version is none of this one.
func (k OwnKeys) reportsStart(current fleet.CurrentVersion) bool {
	r := k.Report
	if r == nil || r.Version != current.Name {
		return false
	}
	return r.Phase == fleet.PhaseUpgrading || r.Phase == fleet.PhaseFailed && (!current.Governed || k.failedIn(current))
}

// enableKey is empty when no scope is set.
func (a *Agent) enableKey(s fleet.Scope) string {
	switch s {
	case fleet.ScopeHost:
		return a.Layout.EnableHost(a.Host)
	case fleet.ScopeRole:
		return a.Layout.EnableRole(a.Role)
	case fleet.ScopeGlobal:
		return a.Layout.EnableGlobal()
	default:
		return ""
	}
}

// syncOps returns the operations that bring the store in line with an idle host: its report, its record, and no started
// marker. A host with an unfinished change, and one whose report is by another machine, keep them.
func (a *Agent) syncOps(o Observation, v Verdict) []store.Op {
	if o.View.Started != "" || o.foreign() {
		return a.machineOps(o)
	}
	local, own := o.View.Local, o.Own
	report := fleet.Report{Schema: fleet.ReportSchema, Role: a.Role, Version: local, Phase: fleet.PhaseIdle, Message: keyProblem(v),
		Rollout: o.Memory.LastRollout()}
	if v.Change.Reason == permission.StoreWentBack {
		report.Phase, report.Reason, report.Message = fleet.PhaseRefused, string(v.Change.Reason), v.Change.Message
	}
	if current := o.View.Current; current.Governed && local != current.Name && own.failedIn(current) && report.Phase == fleet.PhaseIdle {
		report = *own.Report // the host is set aside; the failure stands until another grant or rollout
	}
	if own.reportsIdle(local) {
		report.DurationSeconds = own.Report.DurationSeconds
	}
	report = a.signed(o, report)
	obsolete := own.obsoleteMarker(local)
	if own.reports(report) && (own.Recorded || local == "") && !obsolete {
		return nil
	}
	report.Time = o.reachedAt()
	var ops []store.Op
	if local != "" && !own.Recorded {
		ops = append(ops, a.setRecord(local, report.Time))
	}
	ops = append(append(ops, a.deleteRecords(o, local)...), a.setReport(o, report))
	if obsolete {
		ops = append(ops, store.Op{Verb: store.DeleteCAS, Key: a.Layout.Started(a.Host), Index: own.Started.Index})
	}
	return ops
}

// reportOps reports the result of a change. A success also writes the record and deletes the started marker.
func (a *Agent) reportOps(o Observation, r fleet.Report) []store.Op {
	if r.Phase == fleet.PhaseFailed {
		ops := []store.Op{a.setReport(o, a.signed(o, r))}
		if m := o.Own.ownMarker(r.Version); m != nil && m.Index != 0 && m.Attempt > 0 && !m.Waiting {
			waiting := *m
			waiting.Waiting = true
			ops = append(ops, store.Op{Verb: store.CAS, Key: a.Layout.Started(a.Host), Index: m.Index, Value: keys.EncodeStarted(waiting)})
		}
		return ops
	}
	ops := append([]store.Op{a.setRecord(r.Version, r.Time)}, a.deleteRecords(o, r.Version)...)
	return append(ops, a.setReport(o, a.signed(o, r)), store.Op{Verb: store.Delete, Key: a.Layout.Started(a.Host)})
}

// deleteRecords deletes the records of other versions that the host is known to have left: those of its version file, its
// started marker and its report, and the current version, under which an earlier installation of the host may have a record.
func (a *Agent) deleteRecords(o Observation, version string) (ops []store.Op) {
	left := []string{o.View.Local, o.View.Current.Name}
	if o.Own.Started != nil {
		left = append(left, o.Own.Started.From)
	}
	if o.Own.Report != nil {
		left = append(left, o.Own.Report.Version)
	}
	seen := map[string]bool{version: true}
	for _, v := range left {
		if !seen[v] && keys.ValidSegment(v) {
			ops = append(ops, store.Op{Verb: store.Delete, Key: a.Layout.Record(v, a.Host)})
		}
		seen[v] = true
	}
	return ops
}

// setReport fails if the report is not the one that was read. So a transaction that arrives late cannot overwrite a newer
// report.
func (a *Agent) setReport(o Observation, r fleet.Report) store.Op {
	return store.Op{Verb: store.CAS, Key: a.Layout.Report(a.Host), Index: o.Own.ReportIndex, Value: keys.EncodeReport(r)}
}

func (a *Agent) setRecord(version string, at time.Time) store.Op {
	return store.Op{Verb: store.Set, Key: a.Layout.Record(version, a.Host), Value: keys.EncodeTime(at)}
}

// reports compares the stored report with r, without their times and the index of the first report.
func (k OwnKeys) reports(r fleet.Report) bool {
	if k.Report == nil {
		return false
	}
	have := *k.Report
	have.Time, r.Time = time.Time{}, time.Time{}
	have.Reached.Index, r.Reached.Index = 0, 0
	return have == r
}

// obsoleteMarker reports whether an idle host has to delete its started marker. A marker that the controller set may belong
// to another agent that still works, unless its version is reached.
func (k OwnKeys) obsoleteMarker(local string) bool {
	return k.Started != nil && (k.Started.By == "" || local != "" && k.Started.Version == local)
}

// reportsIdle reports whether the stored report says that the host has its local version.
func (k OwnKeys) reportsIdle(local string) bool {
	return k.Report != nil && (k.Report.Phase == fleet.PhaseIdle || k.Report.Phase == fleet.PhaseRefused) && k.Report.Version == local
}

// reached is the local version, and how the host came to it.
func (o Observation) reached() fleet.Reached {
	local, own := o.View.Local, o.Own
	r, current := own.Report, o.View.Current
	switch {
	case local == "":
		return fleet.Reached{}
	case own.arrived(local): // it was interrupted before its report
		return own.Started.Result()
	case r != nil && r.Reached.Version == local:
		reached := r.Reached
		reached.Index = cmp.Or(reached.Index, own.ReportIndex)
		return reached
	case own.reportsIdle(local): // as an agent of an earlier release wrote it
		return fleet.Reached{Version: local, Index: own.ReportIndex, Unknown: true}
	case local == current.Name && o.usedGrant(current): // its marker was deleted before its report, to set it aside
		return fleet.Reached{Version: local, Grant: o.Memory.Grant, Partial: true}
	}
	// A host that remembers rollouts would know of a change that its agent made.
	changedByOthers := r != nil && r.Reached.Version != "" && o.Remembers && !o.foreign()
	return fleet.Reached{Version: local, Unknown: !changedByOthers}
}

// usedGrant reports whether the last grant that the host used was of the current rollout.
func (o Observation) usedGrant(current fleet.CurrentVersion) bool {
	rollout, _, ok := fleet.ParseGrantID(o.Memory.Grant)
	return ok && rollout == current.Rollout
}

// reachedAt is when the host reached its version, as far as that is known. A new agent must not restart the soak time.
func (o Observation) reachedAt() time.Time {
	own := o.Own
	switch {
	case own.reportsIdle(o.View.Local) && !own.Report.Time.IsZero():
		return own.Report.Time
	case own.Report == nil && own.Recorded && !own.RecordTime.IsZero() && own.RecordTime.Before(o.Now):
		return own.RecordTime
	}
	return o.Now
}

// keyProblem is what an operator should know about wrong keys that this host read. It becomes the report's message.
func keyProblem(v Verdict) string {
	switch v.Change.Reason {
	case permission.InvalidVersion, permission.InvalidValue, permission.ActionUnclear:
		return v.Change.Message
	}
	return ""
}
