// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// begin is the transaction that begins a change: it is refused if current_version, the deciding key or any hold is not
// what was read. If no key decides there is none to check (to check that a key is absent needs the right to write it). It always
// writes the mark: a transaction that only checks may be answered by a server that is behind.
func (a *Agent) begin(o Observation) []store.Op {
	ops := []store.Op{{Verb: store.CheckIndex, Key: a.Layout.CurrentVersion(), Index: o.Current.Index}}
	if key := a.deciding(o.Setting.Scope); key != "" {
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: key, Index: o.Setting.Index})
	}
	if o.action() != nil {
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: a.Layout.Action(), Index: o.ActionIndex})
	}
	if o.HoldEpoch != 0 { // a hold that was acknowledged is never followed by a start
		ops = append(ops, store.Op{Verb: store.CheckIndex, Key: a.Layout.HoldEpoch(), Index: o.HoldEpoch})
	}
	version := o.Current.Name
	mark := fleet.Started{Version: version, From: o.Local, Time: o.Now}
	if o.Started != nil && o.Started.By == "" && o.Started.Version == version {
		mark = *o.Started // an attempt again shifts no deadline
	}
	ops = append(ops, store.Op{Verb: store.Set, Key: a.Layout.Started(a.Host), Value: keys.EncodeStarted(mark)})
	if !unfinished(o.Report, version) {
		ops = append(ops, a.setReport(o, fleet.Report{Role: a.Role, Version: version, Phase: fleet.PhaseUpgrading, Time: o.Now}))
	}
	return ops
}

// unfinished says whether the report tells of the version, begun or failed, already: a host that failed stays so until
// it has succeeded, lest an attempt again make room in a budget of failures.
func unfinished(r *fleet.Report, version string) bool {
	return r != nil && r.Version == version && (r.Phase == fleet.PhaseUpgrading || r.Phase == fleet.PhaseFailed)
}

func (a *Agent) deciding(s fleet.Scope) string {
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

// settle is what the store lacks of a host that is not between two versions: its report, its record, and that its
// mark is gone. Empty: nothing.
func (a *Agent) settle(o Observation, v Verdict) []store.Op {
	if begun, _ := o.begun(); begun != "" {
		return nil
	}
	report := fleet.Report{Role: a.Role, Version: o.Local, Phase: fleet.PhaseIdle, Message: oddity(v)}
	if o.reportsLocal() {
		report.DurationSeconds = o.Report.DurationSeconds
	}
	if says(o.Report, report) && (o.Recorded || o.Local == "") && !o.markIsOver() {
		return nil
	}
	report.Time = o.since()
	var ops []store.Op
	if o.Local != "" && !o.Recorded {
		ops = append(ops, a.setRecord(o.Local, report.Time))
	}
	ops = append(append(ops, a.forget(o, o.Local)...), a.setReport(o, report))
	if o.markIsOver() {
		ops = append(ops, store.Op{Verb: store.DeleteCAS, Key: a.Layout.Started(a.Host), Index: o.Started.Index})
	}
	return ops
}

// tell is the transaction of a report on a change. One that succeeded brings the record, and takes the mark away.
func (a *Agent) tell(o Observation, r fleet.Report) []store.Op {
	if r.Phase == fleet.PhaseFailed {
		return []store.Op{a.setReport(o, r)}
	}
	ops := append([]store.Op{a.setRecord(r.Version, r.Time)}, a.forget(o, r.Version)...)
	return append(ops, a.setReport(o, r), store.Op{Verb: store.Delete, Key: a.Layout.Started(a.Host)})
}

// forget removes the records of the versions that the host is known to have left: the one in its version file, the one
// in its mark, the one that it reported, and the current one, under which an earlier life of it may stand.
func (a *Agent) forget(o Observation, version string) (ops []store.Op) {
	left := []string{o.Local, o.Current.Name}
	if o.Started != nil {
		left = append(left, o.Started.From)
	}
	if o.Report != nil {
		left = append(left, o.Report.Version)
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

// setReport is refused if the report is not the one that was read: none overtakes a newer one, however late it arrives.
func (a *Agent) setReport(o Observation, r fleet.Report) store.Op {
	return store.Op{Verb: store.CAS, Key: a.Layout.Report(a.Host), Index: o.ReportIndex, Value: keys.EncodeReport(r)}
}

func (a *Agent) setRecord(version string, at time.Time) store.Op {
	return store.Op{Verb: store.Set, Key: a.Layout.Record(version, a.Host), Value: keys.EncodeTime(at)}
}

// says tells whether the report in the store says the same, but for the time.
func says(r *fleet.Report, want fleet.Report) bool {
	if r == nil {
		return false
	}
	have := *r
	have.Time, want.Time = time.Time{}, time.Time{}
	return have == want
}

// markIsOver says, of a host that is not between two versions, whether its mark has to go. One that the controller set
// tells of somebody else, who may still be at it, unless that version is reached.
func (o Observation) markIsOver() bool {
	return o.Started != nil && (o.Started.By == "" || o.Local != "" && o.Started.Version == o.Local)
}

// since is when the host reached its version, as far as that is known: the soak of a host that is seen again does not
// begin anew.
func (o Observation) since() time.Time {
	switch {
	case o.reportsLocal() && !o.Report.Time.IsZero():
		return o.Report.Time
	case o.Report == nil && o.Recorded && !o.RecordTime.IsZero() && o.RecordTime.Before(o.Now):
		return o.RecordTime
	}
	return o.Now
}

// reportsLocal says whether the report tells that the host has the version which it has.
func (o Observation) reportsLocal() bool {
	return o.Report != nil && o.Report.Phase == fleet.PhaseIdle && o.Report.Version == o.Local
}

// oddity is what an operator should know of the keys that this host read.
func oddity(v Verdict) string {
	switch v.Change.Reason {
	case InvalidVersion, InvalidValue, ActionUnclear:
		return v.Change.Message
	}
	return ""
}
