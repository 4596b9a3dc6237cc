// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agent is the host's side: it reads what the host may do, in one transaction; begins to change the version in
// another, which fails if that was not so any more; runs the upgrade step; and reports in a third. DESIGN.md, sections
// 1 to 3, has the rules.
//
// A host that is interrupted goes on where it was: its mark started/<host> says what it began, and the version file what
// it reached. So the version file is written after the step and before the report.
package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Store is what an agent needs of a store.Store. Stale reads do no harm: what they let begin is refused by the
// transaction that begins it.
type Store interface {
	Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error)
	Txn(ctx context.Context, ops []store.Op) (store.Result, error)
}

// VersionFile keeps the version that the host has.
type VersionFile interface {
	// Version is empty when the host has none yet. A file that does not hold the name of a version is an error.
	Version() (string, error)
	// SetVersion lasts when it returns without an error.
	SetVersion(version string) error
}

// Change is one change of a host's version.
type Change struct {
	Host string
	// Role is empty when the host has none, and From on its first boot.
	Role, From, To string
}

// Step brings the host to the version Change.To. It stops when the context ends. It may be run again for a change that
// was interrupted or failed. What it says goes into the report when it fails.
type Step func(ctx context.Context, c Change) (says string, err error)

// Spool keeps the one report that could not be sent. What was saved lasts.
type Spool interface {
	// Load finds the report; ok is false when there is none.
	Load() (report Unsent, ok bool, err error)
	Save(report Unsent) error
	Clear() error
}

// Unsent is a report that waits, and the index of the one that it was to replace; 0: there was none.
type Unsent struct {
	Report fleet.Report `json:"report"`
	Index  uint64       `json:"index"`
}

// Clock tells the time and lets it pass.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or with the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// Options are what an agent is made of. All are required but those that say otherwise.
type Options struct {
	// Host is the host's name; a single segment of a key.
	Host string
	// Role is the host's role; empty: the one in its name, if there is one.
	Role string
	// Layout spells the fleet's keys.
	Layout  keys.Layout
	Store   Store
	Version VersionFile
	Step    Step
	// Command runs what a plan's action names in the place of Step; nil: this host refuses every action.
	Command func(ctx context.Context, c Change, a fleet.Action) (says string, err error)
	// Spool is optional: without it, what cannot be sent is lost when the process ends.
	Spool Spool
	Clock Clock
	// Random returns numbers in [0,1).
	Random func() float64
	// Interval is the time between two looks, to each of which up to Jitter is added. Only Run uses them.
	Interval, Jitter time.Duration
	// Log is optional.
	Log logr.Logger
}

// Agent is the agent of one host. Its methods are for one goroutine.
type Agent struct {
	Options
	// retry is the last failure, and when the step may be run again for it.
	retry retry
	// said is the last verdict that was logged.
	said Permission
}

// New makes an agent.
func New(o Options) (*Agent, error) {
	if !keys.ValidSegment(o.Host) {
		return nil, fmt.Errorf("host name %q: must be letters, digits and . _ ~ + -, beginning with a letter or a digit",
			o.Host)
	}
	if o.Role != "" && !keys.ValidSegment(o.Role) {
		return nil, fmt.Errorf("role %q: must be letters, digits and . _ ~ + -, beginning with a letter or a digit", o.Role)
	}
	if o.Role == "" {
		o.Role = fleet.RoleOf(o.Host)
	}
	if o.Command == nil {
		o.Command = refuse
	}
	if o.Spool == nil {
		o.Spool = &memorySpool{}
	}
	o.Log = o.Log.WithValues("host", o.Host)
	return &Agent{Options: o}, nil
}

func refuse(_ context.Context, _ Change, a fleet.Action) (string, error) {
	return "", fmt.Errorf("refused: this host runs no commands, and so not %q", a.Name)
}

// Run looks every Interval until the context ends. Errors are logged: the next look may go better.
func (a *Agent) Run(ctx context.Context) {
	wait := time.Duration(0)
	for a.Clock.Sleep(ctx, wait+a.jitter(a.Jitter)) == nil {
		if _, err := a.Once(ctx); err != nil && ctx.Err() == nil {
			a.Log.Error(err, "did not get through")
		}
		wait = a.Interval
	}
}

func (a *Agent) jitter(limit time.Duration) time.Duration {
	return time.Duration(a.Random() * float64(limit))
}

// maxTurns bounds how often one look reads and decides again, because what it read had changed by the time that it began.
const maxTurns = 5

// Once looks once and does what is to be done: at most one change of the version. The verdict is what it acted on. A
// step that failed is a *StepError.
func (a *Agent) Once(ctx context.Context) (Verdict, error) {
	var refused error
	for range maxTurns {
		v, err := a.turn(ctx)
		if _, ok := errors.AsType[*store.ConflictError](err); !ok {
			return v, err
		}
		a.Log.Info("what was read has changed meanwhile, reading again", "refused", err.Error())
		refused = err
	}
	return Verdict{}, fmt.Errorf("%d times: %w", maxTurns, refused)
}

// turn reads, reports what is not reported yet, and begins a change if it may. A *store.Conflict says that what was read
// was not so any more; nothing has begun then.
func (a *Agent) turn(ctx context.Context) (Verdict, error) {
	o, err := a.observe(ctx)
	if err != nil {
		return Verdict{}, err
	}
	if sent, err := a.sendLate(ctx, o); err != nil {
		return Verdict{}, err
	} else if sent {
		if o, err = a.observe(ctx); err != nil {
			return Verdict{}, err
		}
	}
	v := Decide(o)
	if ops := a.settle(o, v); len(ops) > 0 {
		if err := a.write(ctx, &o, ops); err != nil {
			return v, fmt.Errorf("report: %w", err)
		}
	}
	a.say(v)
	if !v.Change.Allowed || a.retry.waits(o) {
		return v, nil
	}
	if err := a.write(ctx, &o, a.begin(o)); err != nil {
		return v, fmt.Errorf("begin: %w", err)
	}
	return v, a.change(ctx, o)
}

// write applies a transaction and remembers the index of the report that it wrote.
func (a *Agent) write(ctx context.Context, o *Observation, ops []store.Op) error {
	result, err := a.Store.Txn(ctx, ops)
	if index, ok := result.ModifyIndex[a.Layout.Report(a.Host)]; ok && err == nil {
		o.ReportIndex = index
	}
	return err
}

// observe reads all that decides in one transaction.
func (a *Agent) observe(ctx context.Context) (Observation, error) {
	local, err := a.Version.Version()
	if err != nil {
		return Observation{}, err
	}
	ask := a.wanted(local)
	pairs, meta, err := a.Store.Get(ctx, ask...)
	if err != nil {
		return Observation{}, fmt.Errorf("read: %w", err)
	}
	if meta.Filtered || len(pairs) != len(ask) {
		return Observation{}, fmt.Errorf("read: %d of %d keys came back: the token may not read them all",
			len(pairs), len(ask))
	}
	read := make(map[string]keys.Pair, len(pairs))
	for i, p := range pairs {
		if p.Key != ask[i] {
			return Observation{}, fmt.Errorf("read: %s came back for %s: the token may not read all keys", p.Key, ask[i])
		}
		read[p.Key] = p
	}
	return observe(a.Layout, a.Host, a.Role, local, read, a.Clock.Now()), nil
}

// wanted are the keys to read.
func (a *Agent) wanted(local string) []string {
	l := a.Layout
	ask := []string{l.CurrentVersion(), l.EnableHost(a.Host), l.EnableGlobal(), l.PauseHost(a.Host), l.PauseGlobal(),
		l.HoldHost(a.Host), l.HoldEpoch(), l.Started(a.Host), l.Report(a.Host), l.Action()}
	if a.Role != "" {
		ask = append(ask, l.EnableRole(a.Role), l.PauseRole(a.Role), l.HoldRole(a.Role))
	}
	if local != "" {
		ask = append(ask, l.Record(local, a.Host))
	}
	return ask
}

// change runs the step and tells how it went. When the context ends, nothing is told: the mark stands, and the next
// start goes on.
func (a *Agent) change(ctx context.Context, o Observation) error {
	c := Change{Host: a.Host, Role: a.Role, From: o.Local, To: o.Current.Name}
	log := a.Log.WithValues("from", c.From, "to", c.To)
	log.Info("changing the version")
	began := a.Clock.Now()
	says, err := a.run(ctx, c, o.action())
	if err == nil {
		a.lookAgain(ctx, c)
		err = a.Version.SetVersion(c.To)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := a.Clock.Now()
	report := fleet.Report{Role: a.Role, Version: c.To, Phase: fleet.PhaseIdle, Time: now, DurationSeconds: int64(now.Sub(began).Seconds())}
	if err != nil {
		return a.fail(ctx, o, report, &StepError{Change: c, Says: says, Err: err})
	}
	a.retry = retry{}
	if err := a.send(ctx, o, report); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	log.Info("has changed the version")
	return nil
}

// run runs the step, or the command that a plan wants in its place.
func (a *Agent) run(ctx context.Context, c Change, action *fleet.Action) (says string, err error) {
	if action != nil {
		return a.Command(ctx, c, *action)
	}
	return a.Step(ctx, c)
}

// lookAgain says when the fleet has gone on to another version meanwhile. What the host has reached is the one that all
// its steps were given, and recorded as that.
func (a *Agent) lookAgain(ctx context.Context, c Change) {
	pairs, _, err := a.Store.Get(ctx, a.Layout.CurrentVersion())
	if err != nil || len(pairs) != 1 {
		return // it is looked at again before anything begins
	}
	if now := keys.DecodeVersion(pairs[0].Value); now != c.To {
		a.Log.Info("current_version has changed meanwhile: recording the version that was reached", "reached", c.To, "now", now)
	}
}

func (a *Agent) fail(ctx context.Context, o Observation, report fleet.Report, failure *StepError) error {
	wait := a.retry.failed(failure.Change.To, report.Time, a.Random())
	report.Phase = fleet.PhaseFailed
	report.Message = fmt.Sprintf("attempt %d failed: %v; the next is in %s at the earliest",
		a.retry.attempts, failure.Err, wait.Round(time.Second))
	if failure.Says != "" {
		report.Message += "\n" + failure.Says
	}
	if err := a.send(ctx, o, report); err != nil {
		return errors.Join(failure, fmt.Errorf("report: %w", err))
	}
	return failure
}

// say logs a verdict; one that is no news only where all is wanted.
func (a *Agent) say(v Verdict) {
	log := a.Log
	if v.Change == a.said {
		log = log.V(1)
	}
	a.said = v.Change
	log.Info(v.Change.Message, "change", v.Change.Allowed, "reason", v.Change.Reason, "puppet", v.Puppet.Allowed)
}

// StepError is a step that did not bring the host to its version.
type StepError struct {
	Change Change
	// Says is the end of what the step said.
	Says string
	Err  error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("the change to %s failed: %v", e.Change.To, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// The bounds of the time between two attempts.
const (
	minRetry = time.Minute
	maxRetry = time.Hour
)

// retry spaces the attempts to reach one version.
type retry struct {
	version  string
	attempts int
	after    time.Time
}

// failed counts one more attempt and returns the time to the next: twice that of the last, within the bounds, less up
// to half of it, lest all hosts try at once.
func (r *retry) failed(version string, now time.Time, random float64) time.Duration {
	if r.version != version {
		*r = retry{version: version}
	}
	wait := maxRetry
	if r.attempts < 6 { // 2^6 minutes are more than an hour
		wait = minRetry << r.attempts
	}
	r.attempts++
	wait -= time.Duration(random * float64(wait) / 2)
	r.after = now.Add(wait)
	return wait
}

// waits says whether it is too early for another attempt.
func (r *retry) waits(o Observation) bool {
	return r.version == o.Current.Name && o.Now.Before(r.after)
}
