// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
)

// The statuses of a check.
const (
	Passing = "passing"
	Warning = "warning"
)

// Consul is the Consul agent of this host.
type Consul interface {
	// SetCheck sets a check of the node, and registers it if it is unknown. The check becomes critical unless it is set
	// again within ttl.
	SetCheck(ctx context.Context, id string, ttl time.Duration, status, output string) error
}

// Result is the state of a check.
type Result struct {
	Status string `json:"status"`
	Output string `json:"output,omitempty"`
}

// Results stores the results by check ID. They survive a restart of the machine.
type Results interface {
	// Load returns the last results that were saved. ok is false when there are none.
	Load() (results map[string]Result, ok bool, err error)
	Save(results map[string]Result) error
}

// Reporter sets the checks of this host. It is safe for concurrent use. It does not register a check before its first result.
type Reporter struct {
	Consul  Consul
	Results Results
	// TTL is how long a check stays valid without renewal.
	TTL time.Duration
	Log logr.Logger

	mu sync.Mutex
}

// StepEnded sets the check of a pipeline step from its result. It ignores steps without a check.
func (r *Reporter) StepEnded(ctx context.Context, c agent.Change, step, output string, err error) {
	if step != pipeline.PuppetStep && step != pipeline.ValidationStep {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	result := newResult(c, output, err)
	results := r.load()
	results[step] = result
	if err := r.Results.Save(results); err != nil {
		r.Log.Error(err, "cannot save the result of a check", "check", step)
	}
	if err := r.Consul.SetCheck(ctx, step, r.TTL, result.Status, result.Output); err != nil {
		r.Log.Error(err, "cannot set a check, will retry at the next renewal", "check", step)
	}
}

func newResult(c agent.Change, output string, err error) Result {
	if err == nil {
		return Result{Passing, "passed for " + c.To}
	}
	text := "failed for " + c.To + ": " + err.Error()
	if output != "" {
		text += "\n" + output
	}
	return Result{Warning, text}
}

func (r *Reporter) load() map[string]Result {
	results, ok, err := r.Results.Load()
	if err != nil {
		r.Log.Error(err, "cannot read the results of the checks; they are lost")
	}
	if !ok || results == nil {
		results = map[string]Result{}
	}
	return results
}

// Renew sets all checks to their last results.
func (r *Reporter) Renew(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	results := r.load()
	var failed []error
	for _, id := range slices.Sorted(maps.Keys(results)) {
		failed = append(failed, r.Consul.SetCheck(ctx, id, r.TTL, results[id].Status, results[id].Output))
	}
	return errors.Join(failed...)
}

// renewals is how often a check is renewed within its TTL.
const renewals = 3

// Run renews the checks until the context ends.
func (r *Reporter) Run(ctx context.Context, clock agent.Clock) {
	for {
		if err := r.Renew(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error(err, "cannot renew the checks, will retry")
		}
		if clock.Sleep(ctx, r.TTL/renewals) != nil {
			return
		}
	}
}
