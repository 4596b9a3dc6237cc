// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Store is what an agent needs of a store.Store. Reads may be stale: the transaction that starts a change fails if what was
// read has changed.
type Store interface {
	Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error)
	Txn(ctx context.Context, ops []store.Op) (store.Result, error)
}

// VersionFile keeps the version that the host has.
type VersionFile interface {
	// Version is empty when the host has none yet. A file that does not hold the name of a version is an error.
	Version() (string, error)
	// SetVersion returns without an error only when the version is on disk.
	SetVersion(version string) error
}

// Change is one change of a host's version.
type Change struct {
	Host string
	// Role is empty when the host has none, and From on its first boot.
	Role, From, To string
}

// Step brings the host to the version Change.To. It stops when the context ends. It must be idempotent: it runs again for a
// change that was interrupted or failed. Output goes into the report when the step fails.
type Step func(ctx context.Context, c Change) (output string, err error)

// Spool keeps the one report that could not be sent. Save returns without an error only when the report is stored.
type Spool interface {
	// Load returns the report. ok is false when there is none.
	Load() (report Unsent, ok bool, err error)
	Save(report Unsent) error
	Clear() error
}

// Unsent is a report that waits, and the index of the report that it replaces. Index 0 means that there was none.
type Unsent struct {
	Report fleet.Report `json:"report"`
	Index  uint64       `json:"index"`
}

// Memory keeps what a host remembers of rollouts. It protects the host from a store that was restored from a backup. Save returns
// without an error only when the memory is stored.
type Memory interface {
	// Load returns the memory. ok is false when there is none.
	Load() (m Remembered, ok bool, err error)
	Save(m Remembered) error
}

// Remembered is what a host remembers: the number of the last rollout that it finished, and the id of the last grant that it used.
type Remembered struct {
	Rollout uint64 `json:"rollout,omitempty"`
	Grant   string `json:"grant,omitempty"`
}

// LastRollout is the number of the last rollout that the host has begun or finished. Zero means none.
func (r Remembered) LastRollout() uint64 {
	begun, _, _ := fleet.ParseGrantID(r.Grant)
	return max(begun, r.Rollout)
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or with the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// Options configure an agent. All are required unless their comment says otherwise.
type Options struct {
	// Host is the host's name, a single segment of a key.
	Host string
	// Role is the host's role. Empty means the one in its name, if there is one.
	Role string
	// Layout spells the fleet's keys.
	Layout  keys.Layout
	Store   Store
	Version VersionFile
	Step    Step
	// Command runs a plan's action instead of Step. Nil means that this host refuses every action.
	Command func(ctx context.Context, c Change, a fleet.Action) (output string, err error)
	// Spool is optional. Without it, a report that cannot be sent is lost when the process ends.
	Spool Spool
	// Memory is optional. Without it, the host forgets its rollouts when the process ends.
	Memory Memory
	// Machine is optional. Without it, the agent cannot tell another machine that has the same host name.
	Machine Machine
	// AgentVersion is the version of the agent itself, for its reports. Empty means unknown.
	AgentVersion string
	Clock        Clock
	// Random returns numbers in [0,1).
	Random func() float64
	// Interval is the time between two passes. Run adds a random time of up to Jitter. Only Run needs them.
	Interval, Jitter time.Duration
	// Log is optional.
	Log logr.Logger
}

// Agent is the agent of one host. It is not safe for concurrent use.
type Agent struct {
	Options
	// retry is the last failure, and when the step may run again.
	retry retry
	// logged is the last verdict that was logged.
	logged Permission
	// machine identifies the machine. Empty means unknown.
	machine string
	// others is the last report of other machines that this one saw.
	others seenReport
}

// New returns an agent.
func New(o Options) (*Agent, error) {
	if !names.Segment(o.Host) {
		return nil, fmt.Errorf("host name %q: %s", o.Host, names.SegmentRule)
	}
	if o.Role != "" && !names.Segment(o.Role) {
		return nil, fmt.Errorf("role %q: %s", o.Role, names.SegmentRule)
	}
	if o.Role == "" {
		o.Role = fleet.RoleOf(o.Host)
	}
	if o.Command == nil {
		o.Command = refuseCommand
	}
	if o.Spool == nil {
		o.Spool = &memorySpool{}
	}
	if o.Memory == nil {
		o.Memory = &processMemory{}
	}
	o.Log = o.Log.WithValues("host", o.Host)
	a := &Agent{Options: o}
	if o.Machine != nil {
		id, err := o.Machine.ID()
		if err != nil {
			o.Log.Error(err, "cannot tell other machines with the name of this host")
		}
		a.machine = id
	}
	return a, nil
}

func refuseCommand(_ context.Context, _ Change, a fleet.Action) (string, error) {
	return "", fmt.Errorf("refused: command %q: this host runs no commands", a.Name)
}

// Run runs a pass every Interval until the context ends. It logs errors and continues.
func (a *Agent) Run(ctx context.Context) {
	wait := time.Duration(0)
	for a.Clock.Sleep(ctx, wait+time.Duration(a.Random()*float64(a.Jitter))) == nil {
		if _, err := a.Once(ctx); err != nil && ctx.Err() == nil {
			a.Log.Error(err, "pass failed, will retry")
		}
		wait = a.Interval
	}
}

// maxAttempts is how often one pass reads and decides again because keys changed between its read and its write.
const maxAttempts = 5

// Once runs one pass: it reads, reports, and changes the version at most once. It returns the verdict that it acted on. A
// step that failed is a *StepError.
func (a *Agent) Once(ctx context.Context) (Verdict, error) {
	var conflict error
	for range maxAttempts {
		v, err := a.attempt(ctx)
		if _, ok := errors.AsType[*store.ConflictError](err); !ok {
			return v, err
		}
		a.Log.Info("keys changed since the read, reading again", "conflict", err.Error())
		conflict = err
	}
	return Verdict{}, fmt.Errorf("keys changed during each of %d attempts: %w", maxAttempts, conflict)
}

// attempt reads, reports what is not reported yet, and starts a change if it may. A *store.ConflictError means that the keys
// changed after the read. No change has started then.
func (a *Agent) attempt(ctx context.Context) (Verdict, error) {
	o, err := a.observe(ctx)
	if err != nil {
		return Verdict{}, err
	}
	sent, err := a.sendSpooled(ctx, o)
	if err != nil {
		return Verdict{}, err
	}
	if sent {
		if o, err = a.observe(ctx); err != nil {
			return Verdict{}, err
		}
	}
	v := Decide(o)
	if err := a.remember(&o); err != nil {
		return v, err
	}
	if ops := a.syncOps(o, v); len(ops) > 0 {
		if _, err := a.write(ctx, &o, ops); err != nil {
			return v, fmt.Errorf("write the report: %w", err)
		}
	}
	a.logVerdict(v)
	if !v.Change.Allowed || a.retry.waits(o) && !v.usesGrant(o) {
		return v, nil
	}
	marker := o.nextMarker(v)
	result, err := a.write(ctx, &o, a.startOps(o, v))
	if err != nil {
		return v, fmt.Errorf("start the change to %s: %w", o.View.Current.Name, err)
	}
	marker.Index = result.ModifyIndex[a.Layout.Started(a.Host)]
	o.Own.Started = &marker
	if v.usesGrant(o) {
		o.Memory.Grant = o.View.Grant.ID
		if err := a.save(o.Memory); err != nil {
			return v, err // the next pass resumes the change
		}
	}
	return v, a.change(ctx, o)
}

// write applies a transaction, and notes the index of the report that it wrote.
func (a *Agent) write(ctx context.Context, o *Observation, ops []store.Op) (store.Result, error) {
	result, err := a.Store.Txn(ctx, ops)
	if err != nil {
		return store.Result{}, err
	}
	if index, ok := result.ModifyIndex[a.Layout.Report(a.Host)]; ok {
		o.Own.ReportIndex = index
	}
	return result, nil
}

// logVerdict logs a verdict. An unchanged one needs verbosity 1.
func (a *Agent) logVerdict(v Verdict) {
	log := a.Log
	if v.Change == a.logged {
		log = log.V(1)
	}
	a.logged = v.Change
	log.Info(v.Change.Message, "change", v.Change.Allowed, "reason", v.Change.Reason, "puppet", v.Puppet.Allowed)
}
