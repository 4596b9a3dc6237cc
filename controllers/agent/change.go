// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// change runs the step and reports the result. When the context ends it reports nothing: the started marker stays, and the
// next agent resumes the change.
func (a *Agent) change(ctx context.Context, o Observation) error {
	c := Change{Host: a.Host, Role: a.Role, From: o.View.Local, To: o.View.Current.Name}
	log := a.Log.WithValues("from", c.From, "to", c.To)
	log.Info("changing the version")
	start := a.Clock.Now()
	output, err := a.run(ctx, c, o.Action)
	if err == nil {
		a.logNewerVersion(ctx, c)
		err = a.Version.SetVersion(c.To)
	}
	if err == nil && o.View.Current.Governed {
		o.Memory.Rollout = max(o.Memory.Rollout, o.View.Current.Rollout)
		err = a.save(o.Memory)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := a.Clock.Now()
	report := fleet.Report{Schema: fleet.ReportSchema, Role: a.Role, Version: c.To, Phase: fleet.PhaseIdle, Time: now,
		Rollout: o.Memory.LastRollout(), DurationSeconds: int64(now.Sub(start).Seconds())}
	if err != nil {
		return a.fail(ctx, o, report, &StepError{Change: c, Output: output, Err: err})
	}
	a.retry = retry{}
	report.Reached = o.Own.Started.Result()
	if err := a.send(ctx, o, report); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	log.Info("version changed")
	return nil
}

// run runs the step, or the plan's action instead.
func (a *Agent) run(ctx context.Context, c Change, action *fleet.Action) (output string, err error) {
	if action != nil {
		return a.Command(ctx, c, *action)
	}
	return a.Step(ctx, c)
}

// logNewerVersion logs if current_version changed while the step ran. The host records the version that its step received.
func (a *Agent) logNewerVersion(ctx context.Context, c Change) {
	pairs, _, err := a.Store.Get(ctx, a.Layout.CurrentVersion())
	if err != nil || len(pairs) != 1 {
		return // the next pass reads it again
	}
	if now := keys.DecodeVersion(pairs[0].Value); now != c.To {
		a.Log.Info("current_version changed while the step ran", "reached", c.To, "current", now)
	}
}

func (a *Agent) fail(ctx context.Context, o Observation, report fleet.Report, failure *StepError) error {
	delay := a.retry.failed(failure.Change.To, report.Time, a.Random())
	report.Phase = fleet.PhaseFailed
	report.Attempt, report.AttemptRollout = o.Own.Started.Attempt, o.View.Current.Rollout
	report.Message = fmt.Sprintf("attempt %d failed: %v; next attempt in %s at the earliest",
		report.Attempt, failure.Err, delay.Round(time.Second))
	if failure.Output != "" {
		report.Message += "\n" + failure.Output
	}
	if err := a.send(ctx, o, report); err != nil {
		return errors.Join(failure, fmt.Errorf("write the report: %w", err))
	}
	return failure
}

// StepError reports a step that did not bring the host to its version.
type StepError struct {
	Change Change
	// Output is the end of what the step wrote.
	Output string
	Err    error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("the change to %s failed: %v", e.Change.To, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// The bounds of the delay between two attempts.
const (
	minRetry = time.Minute
	maxRetry = time.Hour
)

// retry delays the attempts to reach one version.
type retry struct {
	version  string
	attempts int
	delays   backoff.Delays
	after    time.Time
}

// failed counts an attempt and returns the delay until the next one. The delay doubles within the bounds. A random part of
// up to half of it is subtracted, so that hosts that failed together do not retry together.
func (r *retry) failed(version string, now time.Time, random float64) time.Duration {
	if r.version != version {
		*r = retry{version: version, delays: backoff.New(minRetry, maxRetry, 0)}
	}
	r.attempts++
	delay := r.delays.Step()
	delay -= time.Duration(random * float64(delay) / 2)
	r.after = now.Add(delay)
	return delay
}

// waits reports whether it is too early for another attempt.
func (r *retry) waits(o Observation) bool {
	return r.version == o.View.Current.Name && o.Now.Before(r.after)
}
