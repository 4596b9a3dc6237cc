// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package checks keeps two checks of a host at its own Consul agent, puppet and validation, as jorc did: how the last run of
// each went, by steps of a pipeline of these names.
//
// One that failed is warning, not critical: they are checks of the node, and while one of these is critical Consul takes
// all services of the node for failed. Whoever reads them (jorc get_failures, spec.healthGate of a plan) takes a warning of
// these two for a failure.
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
	// SetCheck sets a check of the node, and registers it if it is not known. It is critical when it is not set again for
	// ttl.
	SetCheck(ctx context.Context, id string, ttl time.Duration, status, output string) error
}

// Result is how a check stands.
type Result struct {
	Status string `json:"status"`
	Output string `json:"output,omitempty"`
}

// Results keep how the checks stand, by their ids, also when the machine is restarted.
type Results interface {
	// Load finds what was saved; ok is false when nothing was.
	Load() (results map[string]Result, ok bool, err error)
	Save(results map[string]Result) error
}

// Reporter is the checks of this host. It is safe for concurrent use. A check of which nothing is known is not registered.
type Reporter struct {
	Consul  Consul
	Results Results
	// TTL is how long a check stands that is not renewed.
	TTL time.Duration
	Log logr.Logger

	mu sync.Mutex
}

// Ended is told how a step of the pipeline ended.
func (b *Reporter) Ended(ctx context.Context, c agent.Change, step, says string, err error) {
	if step != pipeline.PuppetStep && step != pipeline.ValidationStep {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	result := resultOf(c, says, err)
	results := b.load()
	results[step] = result
	if err := b.Results.Save(results); err != nil {
		b.Log.Error(err, "the result of a check cannot be kept", "check", step)
	}
	if err := b.Consul.SetCheck(ctx, step, b.TTL, result.Status, result.Output); err != nil {
		b.Log.Error(err, "a check cannot be set: it is tried again when it is renewed", "check", step)
	}
}

func resultOf(c agent.Change, says string, err error) Result {
	if err == nil {
		return Result{Passing, "passed for " + c.To}
	}
	output := "failed for " + c.To + ": " + err.Error()
	if says != "" {
		output += "\n" + says
	}
	return Result{Warning, output}
}

func (b *Reporter) load() map[string]Result {
	results, ok, err := b.Results.Load()
	if err != nil {
		b.Log.Error(err, "the results of checks are lost")
	}
	if !ok || results == nil {
		results = map[string]Result{}
	}
	return results
}

// Renew sets all checks as they stand.
func (b *Reporter) Renew(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	results := b.load()
	var failed []error
	for _, id := range slices.Sorted(maps.Keys(results)) {
		failed = append(failed, b.Consul.SetCheck(ctx, id, b.TTL, results[id].Status, results[id].Output))
	}
	return errors.Join(failed...)
}

// renewals is how often a check is renewed within its TTL.
const renewals = 3

// Keep renews the checks until the context ends.
func (b *Reporter) Keep(ctx context.Context, clock agent.Clock) {
	for {
		if err := b.Renew(ctx); err != nil && ctx.Err() == nil {
			b.Log.Error(err, "the checks cannot be renewed")
		}
		if clock.Sleep(ctx, b.TTL/renewals) != nil {
			return
		}
	}
}
